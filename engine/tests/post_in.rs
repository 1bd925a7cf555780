//! Hazard: commands within the host's own transaction. What commits, commits with the host's rows; what is
//! rolled back never was; and whoever else writes the ledger meanwhile loses nothing.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test ends at the first thing that goes wrong")]

mod support;

use postfold::{Account, Batch, Change, Command, Data, Entry, Error, Ledger, Outcome, Rule, Transfer};
use rust_decimal::{Decimal, dec};
use sqlx::postgres::{PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, PgConnection};
use support::{assert_verifies, database_url, given, open, postgres};

/// The host application: its pool, and a table of its own.
struct Host {
    pool: PgPool,
    table: String,
}

impl Host {
    async fn new() -> Self {
        let pool = PgPoolOptions::new().max_connections(8).connect(&database_url()).await.unwrap();
        let table = format!("public.host_{}", uuid::Uuid::now_v7().simple());
        sqlx::query(AssertSqlSafe(format!("create table {table} (id text)"))).execute(&pool).await.unwrap();
        Self { pool, table }
    }

    async fn insert(&self, connection: &mut PgConnection, id: &str) {
        let sql = format!("insert into {} values ($1)", self.table);
        sqlx::query(AssertSqlSafe(sql)).bind(id).execute(connection).await.unwrap();
    }

    async fn rows(&self) -> i64 {
        let sql = format!("select count(*) from {}", self.table);
        sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&self.pool).await.unwrap()
    }

    async fn clean_up(self) {
        sqlx::query(AssertSqlSafe(format!("drop table {}", self.table))).execute(&self.pool).await.unwrap();
    }
}

/// A till, and wallets with 10.00 each that may not go below zero.
async fn wallets(ledger: &Ledger, count: usize) {
    ledger.open(Account::asset("till", "EUR")).await.unwrap();
    for number in 0..count {
        let wallet = format!("wallet:{number}");
        ledger.open(Account::liability(&wallet, "EUR").floor(dec!(0))).await.unwrap();
        let fund = Entry::new(format!("fund-{number}")).debit("till", dec!(10)).credit(&wallet, dec!(10));
        ledger.post(fund).await.unwrap();
    }
}

fn pay(id: impl Into<String>, amount: Decimal) -> Transfer {
    Transfer::between(id, "wallet:0", "wallet:1", amount)
}

async fn posted(ledger: &Ledger, account: &str) -> Decimal {
    ledger.balance(account).await.unwrap().posted
}

fn rule(outcome: &Outcome) -> Option<Rule> {
    match outcome {
        Outcome::Rejected(rejection) => Some(rejection.rule),
        _ => None,
    }
}

async fn backend(connection: &mut PgConnection) -> i32 {
    sqlx::query_scalar("select pg_backend_pid()").fetch_one(connection).await.unwrap()
}

/// Returns when that backend waits for a lock of another one.
async fn until_blocked(pool: &PgPool, backend: i32) {
    let blocked = "select cardinality(pg_blocking_pids($1)) > 0";
    while !sqlx::query_scalar::<_, bool>(blocked).bind(backend).fetch_one(pool).await.unwrap() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn an_entry_commits_with_the_rows_of_the_host() {
    let (ledger, _) = postgres().await;
    let host = Host::new().await;
    wallets(&ledger, 2).await;
    let mut transaction = host.pool.begin().await.unwrap();
    host.insert(&mut transaction, "order-1").await;
    let outcome = ledger.post_in(&mut transaction, pay("order-1", dec!(4))).await.unwrap();
    let Outcome::Ok(receipt) = outcome else { panic!("{outcome:?}") };
    assert_eq!(posted(&ledger, "wallet:1").await, dec!(10), "seen before the commit");
    transaction.commit().await.unwrap();
    let balance = ledger.balance("wallet:1").await.unwrap();
    assert_eq!((balance.posted, Some(balance.position)), (dec!(14), receipt.position));
    assert_eq!(receipt.balances.unwrap()[1].posted, dec!(14));
    assert_eq!(host.rows().await, 1);
    assert_verifies(&ledger).await;
    host.clean_up().await;
}

#[tokio::test]
async fn a_rollback_of_the_host_leaves_nothing_and_disturbs_nobody() {
    let (ledger, _) = postgres().await;
    let host = Host::new().await;
    wallets(&ledger, 2).await;
    let head = ledger.log().head().await.unwrap();
    let mut transaction = host.pool.begin().await.unwrap();
    assert!(ledger.post_in(&mut transaction, pay("p-1", dec!(4))).await.unwrap().is_ok());
    transaction.rollback().await.unwrap();
    assert_eq!(ledger.log().head().await.unwrap(), head);
    // The id was not used up, and the place is free.
    let receipt = ledger.transfer(pay("p-1", dec!(5))).await.unwrap();
    assert_eq!((receipt.position, receipt.duplicate), (Some(head.position.next()), false));
    assert_verifies(&ledger).await;
    host.clean_up().await;
}

#[tokio::test]
async fn a_refusal_leaves_the_transaction_usable() {
    let (ledger, _) = postgres().await;
    let host = Host::new().await;
    wallets(&ledger, 2).await;
    let mut transaction = host.pool.begin().await.unwrap();
    let refused = ledger.post_in(&mut transaction, pay("p-1", dec!(10.01))).await.unwrap();
    assert_eq!(rule(&refused), Some(Rule::InsufficientFunds));
    let invalid = ledger.post_in(&mut transaction, pay("p-2", dec!(1.001))).await.unwrap();
    assert!(matches!(invalid, Outcome::Invalid(_)), "{invalid:?}");
    let batch = Batch::atomic([pay("b-1", dec!(9)).into(), pay("b-2", dec!(9)).into()]);
    assert_eq!(rule(&ledger.post_in(&mut transaction, batch).await.unwrap()), Some(Rule::BatchFailed));
    host.insert(&mut transaction, "refused").await;
    assert!(ledger.post_in(&mut transaction, pay("p-3", dec!(10))).await.unwrap().is_ok());
    transaction.commit().await.unwrap();
    assert_eq!((posted(&ledger, "wallet:0").await, host.rows().await), (dec!(0), 1));
    assert_verifies(&ledger).await;
    host.clean_up().await;
}

#[tokio::test]
async fn commands_of_one_transaction_see_each_other() {
    let (ledger, _) = postgres().await;
    let host = Host::new().await;
    wallets(&ledger, 1).await;
    let mut transaction = host.pool.begin().await.unwrap();
    let steps: [Command; 6] = [
        Account::liability("wallet:1", "EUR").floor(dec!(0)).into(),
        pay("in", dec!(6)).into(),
        Transfer::between("back", "wallet:1", "wallet:0", dec!(2)).into(),
        Change::new("order/1", "order.paid", Data::new(&serde_json::json!({"by": "1"})).unwrap()).into(),
        Change::new("order/1", "order.sent", Data::new(&serde_json::json!({})).unwrap()).expected_version(1).into(),
        pay("in", dec!(6)).into(),
    ];
    let mut duplicates = Vec::new();
    for step in steps {
        let receipt = ledger.post_in(&mut transaction, step).await.unwrap().into_result().unwrap();
        duplicates.push(receipt.duplicate);
    }
    assert_eq!(duplicates, [false, false, false, false, false, true]);
    let refused = ledger.post_in(&mut transaction, Transfer::between("more", "wallet:1", "wallet:0", dec!(4.01)));
    assert_eq!(rule(&refused.await.unwrap()), Some(Rule::InsufficientFunds));
    transaction.commit().await.unwrap();
    assert_eq!(posted(&ledger, "wallet:1").await, dec!(4));
    assert_verifies(&ledger).await;
    host.clean_up().await;
}

#[tokio::test]
async fn a_large_batch_goes_in_by_copy_and_out_with_the_host() {
    let (ledger, _) = postgres().await;
    let host = Host::new().await;
    wallets(&ledger, 2).await;
    let batch = || Batch::atomic((0..150).map(|number| pay(format!("n-{number}"), dec!(0.01)).into()));
    for kept in [false, true] {
        let mut transaction = host.pool.begin().await.unwrap();
        let posted = Command::from(batch()).id("large");
        ledger.post_in(&mut transaction, posted).await.unwrap().into_result().unwrap();
        host.insert(&mut transaction, "large").await;
        if kept { transaction.commit().await } else { transaction.rollback().await }.unwrap();
    }
    assert_eq!((posted(&ledger, "wallet:1").await, host.rows().await), (dec!(11.50), 1));
    assert_verifies(&ledger).await;
    host.clean_up().await;
}

#[tokio::test]
async fn an_id_is_known_whichever_way_it_came() {
    let (ledger, _) = postgres().await;
    let host = Host::new().await;
    wallets(&ledger, 2).await;
    let mut transaction = host.pool.begin().await.unwrap();
    let first = ledger.post_in(&mut transaction, pay("p-1", dec!(1))).await.unwrap().into_result().unwrap();
    transaction.commit().await.unwrap();
    let again = ledger.transfer(pay("p-1", dec!(1))).await.unwrap();
    assert!(again.duplicate);
    assert_eq!((again.position, again.hash), (first.position, first.hash));

    let second = ledger.transfer(pay("p-2", dec!(1))).await.unwrap();
    let mut transaction = host.pool.begin().await.unwrap();
    let again = ledger.post_in(&mut transaction, pay("p-2", dec!(1))).await.unwrap().into_result().unwrap();
    assert_eq!((again.duplicate, again.position), (true, second.position));
    let other = ledger.post_in(&mut transaction, pay("p-2", dec!(2))).await.unwrap();
    assert_eq!(rule(&other), Some(Rule::IdReused));
    transaction.commit().await.unwrap();
    assert_eq!(posted(&ledger, "wallet:1").await, dec!(12));
    host.clean_up().await;
}

#[tokio::test]
async fn a_writer_with_a_warm_cache_reads_what_it_missed() {
    let (ledger, _) = postgres().await;
    let host = Host::new().await;
    wallets(&ledger, 2).await;
    let mut expected = dec!(10);
    for round in 0..5 {
        ledger.transfer(Transfer::between(format!("w-{round}"), "wallet:1", "wallet:0", dec!(1))).await.unwrap();
        let mut transaction = host.pool.begin().await.unwrap();
        ledger.post_in(&mut transaction, pay(format!("h-{round}"), dec!(2))).await.unwrap().into_result().unwrap();
        transaction.commit().await.unwrap();
        expected -= dec!(1);
        // All that is left may go, and not a cent more: so the writer knows of what the host posted.
        let more = ledger.submit(pay(format!("m-{round}"), expected + dec!(0.01)).into()).await.unwrap();
        assert_eq!(rule(&more), Some(Rule::InsufficientFunds), "round {round}");
        ledger.transfer(pay(format!("a-{round}"), expected)).await.unwrap();
        ledger.transfer(Transfer::between(format!("b-{round}"), "wallet:1", "wallet:0", expected)).await.unwrap();
    }
    assert_verifies(&ledger).await;
    host.clean_up().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_transactions_for_the_last_money_one_is_refused() {
    let (ledger, _) = postgres().await;
    let host = Host::new().await;
    wallets(&ledger, 2).await;
    let mut first = host.pool.begin().await.unwrap();
    assert!(ledger.post_in(&mut first, pay("first", dec!(10))).await.unwrap().is_ok());
    let mut second = host.pool.begin().await.unwrap();
    let waiting = backend(&mut second).await;
    let task = tokio::spawn({
        let ledger = ledger.clone();
        async move {
            let outcome = ledger.post_in(&mut second, pay("second", dec!(10))).await.unwrap();
            second.commit().await.unwrap();
            outcome
        }
    });
    until_blocked(&host.pool, waiting).await;
    // The first one goes on while the other waits for it.
    let back = Transfer::between("back", "wallet:1", "wallet:0", dec!(3));
    assert!(ledger.post_in(&mut first, back).await.unwrap().is_ok());
    first.commit().await.unwrap();
    assert_eq!(rule(&task.await.unwrap()), Some(Rule::InsufficientFunds));
    assert_eq!(posted(&ledger, "wallet:0").await, dec!(3));
    assert_verifies(&ledger).await;
    host.clean_up().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn hosts_and_busy_writers_lose_nothing_and_break_no_limit() {
    const HOSTS: usize = 3;
    const EACH: usize = 15;
    let (ledger, name) = postgres().await;
    let host = Host::new().await;
    wallets(&ledger, 2).await;
    given(
        &ledger,
        &[
            r#"{"do":"open_account","account":"a","currency":"EUR","type":"asset"}"#,
            r#"{"do":"open_account","account":"b","currency":"EUR","type":"asset"}"#,
            r#"{"do":"set_limits","account":"wallet:0","limits":{"floor":"0","daily_out":"5"}}"#,
        ],
    )
    .await;
    let (done, mut finished) = tokio::sync::watch::channel(0);
    let done = std::sync::Arc::new(done);
    let mut busy = Vec::new();
    // The writer of the same ledger handle, and that of another process.
    for (writer, ledger) in [ledger.clone(), ledger.clone(), open(&name).await].into_iter().enumerate() {
        let finished = finished.clone();
        busy.push(tokio::spawn(async move {
            let mut posted = 0;
            while *finished.borrow() < HOSTS {
                ledger
                    .post(Entry::new(format!("{writer}-{posted}")).debit("a", dec!(1)).credit("b", dec!(1)))
                    .await
                    .unwrap();
                posted += 1;
            }
            posted
        }));
    }
    let mut hosts = Vec::new();
    for number in 0..HOSTS {
        let (ledger, pool, done) = (ledger.clone(), host.pool.clone(), std::sync::Arc::clone(&done));
        let table = host.table.clone();
        hosts.push(tokio::spawn(async move {
            let host = Host { pool, table };
            let mut paid = 0;
            for round in 0..EACH {
                let mut transaction = host.pool.begin().await.unwrap();
                let id = format!("host-{number}-{round}");
                host.insert(&mut transaction, &id).await;
                let entry = Entry::new(&id).debit("a", dec!(1)).credit("b", dec!(1));
                ledger.post_in(&mut transaction, entry).await.unwrap().into_result().unwrap();
                match ledger.post_in(&mut transaction, pay(format!("pay-{id}"), dec!(1))).await.unwrap() {
                    Outcome::Ok(_) => paid += 1,
                    refused => assert_eq!(rule(&refused), Some(Rule::DailyOutExceeded)),
                }
                transaction.commit().await.unwrap();
            }
            done.send_modify(|done| *done += 1);
            paid
        }));
    }
    let mut paid = 0;
    for task in hosts {
        paid += task.await.unwrap();
    }
    finished.wait_for(|done| *done == HOSTS).await.unwrap();
    let mut posts = HOSTS * EACH;
    for task in busy {
        posts += task.await.unwrap();
    }
    assert_eq!(paid, 5, "the daily limit");
    assert_eq!(posted(&ledger, "a").await, Decimal::from(u32::try_from(posts).unwrap()));
    assert_eq!(host.rows().await, i64::try_from(HOSTS * EACH).unwrap());
    assert_verifies(&ledger).await;
    host.clean_up().await;
}

#[tokio::test]
async fn a_stricter_isolation_asks_for_the_whole_transaction_again() {
    let (ledger, _) = postgres().await;
    let host = Host::new().await;
    wallets(&ledger, 2).await;
    for level in ["repeatable read", "serializable"] {
        let mut transaction = host.pool.begin().await.unwrap();
        sqlx::query(AssertSqlSafe(format!("set transaction isolation level {level}")))
            .execute(&mut *transaction)
            .await
            .unwrap();
        host.insert(&mut transaction, level).await;
        ledger.transfer(pay(format!("between-{level}"), dec!(1))).await.unwrap();
        let error = ledger.post_in(&mut transaction, pay(format!("late-{level}"), dec!(1))).await.unwrap_err();
        assert!(matches!(&error, Error::Database { code, .. } if code == "40001"), "{level}: {error}");
        assert!(error.is_transient());
        transaction.rollback().await.unwrap();
        // With nobody in between it goes through.
        let mut transaction = host.pool.begin().await.unwrap();
        sqlx::query(AssertSqlSafe(format!("set transaction isolation level {level}")))
            .execute(&mut *transaction)
            .await
            .unwrap();
        assert!(ledger.post_in(&mut transaction, pay(format!("alone-{level}"), dec!(1))).await.unwrap().is_ok());
        transaction.commit().await.unwrap();
    }
    assert_eq!(posted(&ledger, "wallet:1").await, dec!(14));
    assert_verifies(&ledger).await;
    host.clean_up().await;
}

#[tokio::test]
async fn a_lost_connection_takes_the_entry_with_it() {
    let (ledger, _) = postgres().await;
    let host = Host::new().await;
    wallets(&ledger, 2).await;
    let mut transaction = host.pool.begin().await.unwrap();
    let pid = backend(&mut transaction).await;
    ledger.post_in(&mut transaction, pay("cut", dec!(1))).await.unwrap().into_result().unwrap();
    sqlx::query("select pg_terminate_backend($1)").bind(pid).execute(&host.pool).await.unwrap();
    let error = ledger.post_in(&mut transaction, pay("late", dec!(1))).await.unwrap_err();
    assert!(error.is_transient(), "{error}");
    assert!(transaction.commit().await.is_err());
    // The same command under its id tells that it was not done, and does it.
    assert!(!ledger.transfer(pay("cut", dec!(1))).await.unwrap().duplicate);
    assert_eq!(posted(&ledger, "wallet:1").await, dec!(11));
    assert_verifies(&ledger).await;
    host.clean_up().await;
}

#[tokio::test]
async fn a_call_that_is_dropped_takes_its_command_back() {
    let (ledger, _) = postgres().await;
    let host = Host::new().await;
    wallets(&ledger, 2).await;
    let mut blocking = host.pool.begin().await.unwrap();
    ledger.post_in(&mut blocking, pay("first", dec!(1))).await.unwrap().into_result().unwrap();
    let mut transaction = host.pool.begin().await.unwrap();
    let pid = backend(&mut transaction).await;
    host.insert(&mut transaction, "kept").await;
    // Dropped while it waits for the other one, so after its own rows were sent.
    tokio::select! {
        outcome = ledger.post_in(&mut transaction, pay("dropped", dec!(1))) => panic!("{outcome:?}"),
        () = until_blocked(&host.pool, pid) => {}
    }
    blocking.rollback().await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!((posted(&ledger, "wallet:1").await, host.rows().await), (dec!(10), 1));
    assert!(!ledger.transfer(pay("dropped", dec!(1))).await.unwrap().duplicate);
    assert_verifies(&ledger).await;
    host.clean_up().await;
}

#[tokio::test]
async fn without_a_transaction_of_this_database_there_is_an_error() {
    let (ledger, _) = postgres().await;
    wallets(&ledger, 2).await;
    let host = Host::new().await;
    let mut connection = host.pool.acquire().await.unwrap();
    let error = ledger.post_in(&mut connection, pay("p", dec!(1))).await.unwrap_err();
    assert!(matches!(error, Error::HostTransaction(_)), "{error}");
    let mut transaction = host.pool.begin().await.unwrap();
    let error = Ledger::in_memory().post_in(&mut transaction, pay("p", dec!(1))).await.unwrap_err();
    assert!(matches!(error, Error::HostTransaction(_)), "{error}");
    transaction.rollback().await.unwrap();
    assert_eq!(posted(&ledger, "wallet:1").await, dec!(10));
    host.clean_up().await;
}

#[tokio::test]
async fn a_host_that_holds_all_its_connections_does_not_stop_the_ledger() {
    let (ledger, name) = postgres().await;
    wallets(&ledger, 2).await;
    let pool = PgPoolOptions::new().max_connections(1).connect(&database_url()).await.unwrap();
    let ledger = Ledger::connect(pool.clone(), &name).await.unwrap();
    let mut transaction = pool.begin().await.unwrap();
    ledger.transfer(pay("beside", dec!(1))).await.unwrap();
    ledger.post_in(&mut transaction, pay("within", dec!(1))).await.unwrap().into_result().unwrap();
    assert_eq!(posted(&ledger, "wallet:1").await, dec!(11));
    transaction.commit().await.unwrap();
    assert_eq!(posted(&ledger, "wallet:1").await, dec!(12));
}

#[tokio::test]
async fn followers_are_told_after_the_commit() {
    let (ledger, _) = postgres().await;
    let host = Host::new().await;
    wallets(&ledger, 2).await;
    let head = ledger.log().head().await.unwrap().position;
    let mut transaction = host.pool.begin().await.unwrap();
    ledger.post_in(&mut transaction, pay("p", dec!(1))).await.unwrap().into_result().unwrap();
    transaction.commit().await.unwrap();
    ledger.announce().await.unwrap();
    // Returns at once; an hour otherwise.
    ledger.log().changed(head, std::time::Duration::from_hours(1)).await.unwrap();
    assert_eq!(ledger.log().page(head, 10).await.unwrap().len(), 1);
    host.clean_up().await;
}
