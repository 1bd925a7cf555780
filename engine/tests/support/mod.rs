//! What the tests share: ledgers on both stores, and commands as the contract writes them.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its own part")]

use std::sync::Arc;

use postfold::{Command, Ledger, ManualClock, Outcome, PostgresSettings, Settings, Timestamp};
use serde_json::{Value, json};
use sqlx::Connection;

/// The server that tests run on.
pub fn database_url() -> String {
    std::env::var("DATABASE_URL")
        .expect("DATABASE_URL is not set; start the servers with `make stack`, then `eval \"$(make -s stack-env)\"`")
}

/// A name that no other test uses.
pub fn fresh_name() -> String {
    format!("test-{}", uuid::Uuid::now_v7())
}

/// Few connections, since many tests run at the same time; and `COPY` from few rows on, so that it is met.
pub fn settings() -> PostgresSettings {
    PostgresSettings { connections_max: 4, copy_from_rows: 100, ..PostgresSettings::default() }
}

/// A new ledger in PostgreSQL, and its name.
pub async fn postgres() -> (Ledger, String) {
    let name = fresh_name();
    postfold::init(database_url(), &name, &settings(), true).await.expect("init");
    (open(&name).await, name)
}

/// One more writer on a ledger in PostgreSQL.
pub async fn open(name: &str) -> Ledger {
    Ledger::builder().postgres(settings()).connect(database_url(), name).await.expect("connect")
}

/// The time at which the clocks of tests stand.
fn noon() -> Timestamp {
    "2025-03-01T12:00:00Z".parse().expect("a time")
}

/// A new ledger in PostgreSQL with a clock that stands still, and its name.
async fn postgres_at(clock: Arc<ManualClock>) -> (Ledger, String) {
    let name = fresh_name();
    postfold::init(database_url(), &name, &settings(), true).await.expect("init");
    let builder = Ledger::builder().postgres(settings()).clock(clock);
    (builder.connect(database_url(), &name).await.expect("connect"), name)
}

/// Whether the tests that run on both stores leave PostgreSQL out: for `make mutants`, which runs them for each of
/// some hundred bugs, all of them in what the stores share.
fn in_memory_only() -> bool {
    std::env::var("POSTFOLD_TEST_STORES").is_ok_and(|stores| stores == "memory")
}

/// A new ledger on each store, with a clock that stands still.
pub async fn both() -> Vec<(&'static str, Ledger, Arc<ManualClock>)> {
    let clock = Arc::new(ManualClock::new(noon()));
    let memory = Ledger::builder().clock(clock.clone()).in_memory();
    let mut ledgers = vec![("memory", memory, clock)];
    if !in_memory_only() {
        let clock = Arc::new(ManualClock::new(noon()));
        ledgers.push(("postgres", postgres_at(clock.clone()).await.0, clock));
    }
    ledgers
}

/// Sends one command, written as JSON.
pub async fn send(ledger: &Ledger, json: &str) -> Value {
    let outcome = match Command::from_json(json) {
        Ok(command) => ledger.submit(command).await.expect("infrastructure"),
        Err(invalid) => Outcome::Invalid(invalid),
    };
    serde_json::to_value(outcome).expect("an outcome")
}

/// Sends commands that must all be done.
pub async fn given(ledger: &Ledger, lines: &[&str]) {
    for line in lines {
        let outcome = send(ledger, line).await;
        assert!(outcome.get("ok").is_some(), "{line}\n  answered {outcome}");
    }
}

/// Whether every member of `part` is in `whole`, with the same value.
pub fn contains(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => {
            part.iter().all(|(key, value)| whole.get(key).is_some_and(|found| contains(found, value)))
        }
        (Value::Array(whole), Value::Array(part)) => {
            whole.len() == part.len() && whole.iter().zip(part).all(|(whole, part)| contains(whole, part))
        }
        _ => whole == part,
    }
}

/// The posted balance of every account, as text.
pub async fn posted(ledger: &Ledger) -> Vec<(String, String)> {
    let balances = ledger.log().balances("").await.expect("balances");
    balances.iter().map(|balance| (balance.account.to_string(), balance.posted.to_string())).collect()
}

/// Fails unless the log verifies.
pub async fn assert_verifies(ledger: &Ledger) {
    let report = postfold::verify(ledger.log(), |_| {}).await.expect("verify");
    assert!(report.is_clean(), "{:#?}", report.problems);
}

/// Sends each row to a ledger on each store that was set up the same way, and looks at the answer: once row
/// by row and once all of them at a time, so that they are decided together. In memory also to a writer that forgets all it
/// may, in PostgreSQL to a new writer for each row, which knows nothing yet, and within a transaction of the host's for each
/// row. A row `clock <time>` moves the clock.
pub async fn check(setup: &[&str], rows: &[(&str, Value)]) {
    for (store, ledger, clock) in both().await {
        given(&ledger, setup).await;
        answer(store, rows, &clock, async || ledger.clone()).await;
        assert_verifies(&ledger).await;
    }
    for (store, ledger, clock) in both().await {
        given(&ledger, setup).await;
        answer_together(store, rows, &clock, &ledger).await;
        assert_verifies(&ledger).await;
    }
    let clock = Arc::new(ManualClock::new(noon()));
    let forgets =
        Settings { cached_accounts: 0, cached_ids: 0, cached_streams: 0, cached_aggregates: 0, ..Settings::default() };
    let ledger = Ledger::builder().clock(clock.clone()).settings(forgets).in_memory();
    given(&ledger, setup).await;
    answer("memory, by a writer that forgets", rows, &clock, async || ledger.clone()).await;
    assert_verifies(&ledger).await;
    if in_memory_only() {
        return;
    }
    let clock = Arc::new(ManualClock::new(noon()));
    let (ledger, _) = postgres_at(clock.clone()).await;
    given(&ledger, setup).await;
    answer_in_host(rows, &clock, &ledger).await;
    assert_verifies(&ledger).await;
    let (ledger, name) = postgres_at(Arc::new(ManualClock::new(noon()))).await;
    given(&ledger, setup).await;
    let clock = Arc::new(ManualClock::new(noon()));
    let anew = async || {
        let builder = Ledger::builder().postgres(settings()).clock(clock.clone());
        builder.connect(database_url(), &name).await.expect("connect")
    };
    answer("postgres, by new writers", rows, &clock, anew).await;
    assert_verifies(&ledger).await;
}

async fn answer(store: &str, rows: &[(&str, Value)], clock: &ManualClock, ledger: impl AsyncFn() -> Ledger) {
    for (command, expected) in rows {
        if let Some(time) = command.strip_prefix("clock ") {
            clock.set(time.parse().expect("a time"));
            continue;
        }
        let answered = send(&ledger().await, command).await;
        assert!(contains(&answered, expected), "{store}: {command}\n  answered {answered}\n  expected {expected}");
    }
}

async fn answer_together(store: &str, rows: &[(&str, Value)], clock: &ManualClock, ledger: &Ledger) {
    let mut sent = Vec::new();
    for (command, expected) in rows {
        if let Some(time) = command.strip_prefix("clock ") {
            clock.set(time.parse().expect("a time"));
            continue;
        }
        let answer = match Command::from_json(command) {
            Ok(read) => Ok(ledger.enqueue(read).await.expect("a place in the queue")),
            Err(invalid) => Err(invalid),
        };
        sent.push((command, expected, answer));
    }
    for (command, expected, answer) in sent {
        let outcome = match answer {
            Ok(answer) => answer.await.expect("an answer").expect("infrastructure"),
            Err(invalid) => Outcome::Invalid(invalid),
        };
        let answered = serde_json::to_value(outcome).expect("an outcome");
        let kept = contains(&answered, expected);
        assert!(kept, "{store}, all at a time: {command}\n  answered {answered}\n  expected {expected}");
    }
}

async fn answer_in_host(rows: &[(&str, Value)], clock: &ManualClock, ledger: &Ledger) {
    let mut host = sqlx::PgConnection::connect(&database_url()).await.expect("a connection");
    for (command, expected) in rows {
        if let Some(time) = command.strip_prefix("clock ") {
            clock.set(time.parse().expect("a time"));
            continue;
        }
        let outcome = match Command::from_json(command) {
            Ok(read) => {
                let mut transaction = host.begin().await.expect("a transaction");
                let outcome = ledger.post_in(&mut transaction, read).await.expect("infrastructure");
                transaction.commit().await.expect("a commit");
                outcome
            }
            Err(invalid) => Outcome::Invalid(invalid),
        };
        let answered = serde_json::to_value(outcome).expect("an outcome");
        let kept = contains(&answered, expected);
        assert!(kept, "in the host's transaction: {command}\n  answered {answered}\n  expected {expected}");
    }
}

/// An outcome refused by this rule.
pub fn rejected(rule: &str) -> Value {
    json!({"rejected": {"rule": rule}})
}

/// An outcome that finds no sense in this field.
pub fn invalid(field: &str) -> Value {
    json!({"invalid": {"field": field}})
}

/// Done, and not before.
pub fn ok() -> Value {
    json!({"ok": {"duplicate": false}})
}
