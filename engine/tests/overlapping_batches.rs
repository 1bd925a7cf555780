//! Hazards of a batch that is written on a second connection while the one before it still is: either may fail, either
//! connection may be lost, others may write in between. Nothing is lost, doubled, or behind a gap.
//!
//! A lock on the table of postings holds both batches where the first has its positions and neither is committed.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test ends at the first thing that goes wrong")]

mod support;

use std::time::Duration;

use postfold::{Account, Batch, Command, Entry, Error, Ledger, Outcome, Position, PostgresSettings, Settings};
use rust_decimal::dec;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use support::{assert_verifies, database_url};
use tokio::task::JoinHandle;

const LEDGER: &str = "shop";
/// Far longer than anything here takes.
const PATIENCE: Duration = Duration::from_mins(1);
/// Entries of a batch.
const MANY: usize = 3;

/// A ledger with two accounts in a schema of its own.
struct Scene {
    settings: PostgresSettings,
    ledger: Ledger,
    /// Of a superuser, who sees and stops everything.
    observer: PgConnection,
    /// Holds the lock.
    gate: PgConnection,
}

impl Scene {
    async fn set_up() -> Self {
        Self::with(PostgresSettings::default()).await
    }

    async fn with(settings: PostgresSettings) -> Self {
        let schema = format!("test_{}", uuid::Uuid::now_v7().simple());
        let settings = PostgresSettings { schema, ..settings };
        postfold::init(database_url(), LEDGER, &settings, true).await.unwrap();
        let ledger = open(&settings, &database_url()).await;
        for account in ["a", "b"] {
            ledger.open(Account::asset(account, "EUR")).await.unwrap();
        }
        let connect = async || PgConnection::connect(&database_url()).await.unwrap();
        Self { settings, ledger, observer: connect().await, gate: connect().await }
    }

    /// Holds up whoever inserts postings from now on.
    async fn shut(&mut self) {
        let lock = format!("begin; lock table {}.posting in share row exclusive mode", self.settings.schema);
        self.gate.execute(AssertSqlSafe(lock)).await.unwrap();
    }

    async fn reopen(&mut self) {
        self.gate.execute("rollback").await.unwrap();
    }

    /// Sends two batches, of which the second is decided on what the first leaves; both wait at the gate when it returns.
    async fn two_under_way(&mut self) -> [JoinHandle<Result<Outcome, Error>>; 2] {
        self.shut().await;
        let first = submit(&self.ledger, batch("first"));
        self.until_waiting(1).await;
        let second = submit(&self.ledger, batch("second"));
        self.until_waiting(2).await;
        [first, second]
    }

    /// The backends that wait at the gate, in the order in which they came there.
    async fn waiting(&mut self) -> Vec<i32> {
        let sql = "select pid from pg_locks where relation = to_regclass($1) and not granted order by waitstart";
        let posting = format!("{}.posting", self.settings.schema);
        sqlx::query_scalar(sql).bind(posting).fetch_all(&mut self.observer).await.unwrap()
    }

    async fn until_waiting(&mut self, backends: usize) {
        let arrive = async {
            while self.waiting().await.len() != backends {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, arrive).await.expect("so many backends at the gate");
    }

    async fn terminate(&mut self, pid: i32) {
        sqlx::query("select pg_terminate_backend($1, 10000)").bind(pid).execute(&mut self.observer).await.unwrap();
    }

    /// The log is whole, holds so many entries, and nothing of what joins batches is left.
    async fn end(mut self, entries: usize) {
        assert_eq!(self.ledger.log().head().await.unwrap().position, Position::START.plus(2 + entries));
        assert_eq!(self.ledger.balance("a").await.unwrap().posted, rust_decimal::Decimal::from(entries));
        assert_verifies(&self.ledger).await;
        let schema = &self.settings.schema;
        let left = format!("select count(*) from {schema}.joint");
        let left: i64 = sqlx::query_scalar(AssertSqlSafe(left)).fetch_one(&mut self.observer).await.unwrap();
        assert_eq!(left, 0);
        self.observer.execute(AssertSqlSafe(format!("drop schema {schema} cascade"))).await.unwrap();
    }
}

/// One more writer, whose batches overlap from two events on.
async fn open(settings: &PostgresSettings, url: &str) -> Ledger {
    let overlap = Settings { overlap_from_events: 2, batch_commands_max: MANY, cached_ids: 0, ..Settings::default() };
    let builder = Ledger::builder().postgres(settings.clone()).settings(overlap);
    builder.connect(url, LEDGER).await.unwrap()
}

fn entry(id: &str) -> Entry {
    Entry::new(id).debit("a", dec!(1)).credit("b", dec!(1))
}

fn members(name: &str) -> impl Iterator<Item = Command> {
    (0..MANY).map(move |member| entry(&format!("{name}-{member}")).into())
}

fn batch(name: &str) -> Command {
    Batch::atomic(members(name)).into()
}

fn submit(ledger: &Ledger, command: Command) -> JoinHandle<Result<Outcome, Error>> {
    let ledger = ledger.clone();
    tokio::spawn(async move { ledger.submit(command).await })
}

fn is_done(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Ok(receipt) if !receipt.duplicate)
}

async fn assert_done(sent: impl IntoIterator<Item = JoinHandle<Result<Outcome, Error>>>) {
    for sent in sent {
        let outcome = sent.await.unwrap().unwrap();
        assert!(is_done(&outcome), "{outcome:?}");
    }
}

#[tokio::test]
async fn two_batches_are_written_at_once_and_committed_in_order() {
    let mut scene = Scene::set_up().await;
    let sent = scene.two_under_way().await;
    assert_eq!(scene.ledger.log().head().await.unwrap().position, Position::new(2), "nothing is committed yet");
    scene.reopen().await;
    assert_done(sent).await;
    let ids: Vec<_> = scene.ledger.log().page(Position::new(2), 9).await.unwrap();
    let ids: Vec<_> = ids.into_iter().map(|event| event.id.unwrap()).collect();
    assert_eq!(ids, ["first-0", "first-1", "first-2", "second-0", "second-1", "second-2"]);
    scene.end(2 * MANY).await;
}

#[tokio::test]
async fn a_role_that_may_only_append_writes_two_batches_at_once() {
    let mut scene = Scene::set_up().await;
    let url = database_url();
    let options = if url.contains('?') { "&" } else { "?" };
    scene.ledger = open(&scene.settings, &format!("{url}{options}options=-c%20role%3Dpostfold_app")).await;
    let sent = scene.two_under_way().await;
    scene.reopen().await;
    assert_done(sent).await;
    scene.end(2 * MANY).await;
}

#[tokio::test]
async fn a_connection_that_is_lost_while_two_batches_are_under_way_loses_and_doubles_nothing() {
    for lost in [&[0][..], &[1], &[0, 1], &[1, 0]] {
        let mut scene = Scene::set_up().await;
        let sent = scene.two_under_way().await;
        let backends = scene.waiting().await;
        for which in lost {
            scene.terminate(backends[*which]).await;
        }
        scene.reopen().await;
        assert_done(sent).await;
        scene.end(2 * MANY).await;
    }
}

#[tokio::test]
async fn a_batch_that_fails_takes_the_one_behind_it_along_and_both_can_be_sent_again() {
    let mut scene =
        Scene::with(PostgresSettings { lock_timeout: Duration::from_secs(3), ..PostgresSettings::default() }).await;
    let [first, second] = scene.two_under_way().await;
    let error = first.await.unwrap().unwrap_err();
    assert!(matches!(&error, Error::Database { code, .. } if code == "55P03"), "{error}");
    let error = second.await.unwrap().unwrap_err();
    assert!(error.to_string().contains("a command before this one failed"), "{error}");
    scene.reopen().await;
    for name in ["first", "second"] {
        assert!(is_done(&scene.ledger.submit(batch(name)).await.unwrap()));
    }
    scene.end(2 * MANY).await;
}

#[tokio::test]
async fn an_id_that_is_met_again_in_the_second_batch_is_answered_as_done_and_the_rest_is_done() {
    let mut scene = Scene::set_up().await;
    // Posted long ago, and forgotten by the writer.
    scene.ledger.post(entry("second-1")).await.unwrap();
    scene.shut().await;
    let sent = ["first", "second"].map(|name| submit(&scene.ledger, Batch::independent(members(name)).into()));
    scene.until_waiting(1).await;
    scene.reopen().await;
    for (sent, expected) in sent.into_iter().zip([[true, true, true], [true, false, true]]) {
        let Outcome::Ok(receipt) = sent.await.unwrap().unwrap() else { panic!("refused") };
        assert_eq!(receipt.outcomes.unwrap().iter().map(is_done).collect::<Vec<_>>(), expected);
    }
    scene.end(2 * MANY).await;
}

#[tokio::test]
async fn another_writer_comes_behind_both() {
    let mut scene = Scene::set_up().await;
    let other = open(&scene.settings, &database_url()).await;
    let sent = scene.two_under_way().await;
    let third = submit(&other, entry("third").into());
    // Its one statement names the postings, too, and so waits at the gate as a whole.
    scene.until_waiting(3).await;
    scene.reopen().await;
    assert_done(sent).await;
    assert_done([third]).await;
    scene.end(2 * MANY + 1).await;
}

#[tokio::test]
async fn what_is_posted_within_a_hosts_transaction_comes_before_both_or_behind_both() {
    // Before: the host has the position.
    let scene = Scene::set_up().await;
    let pool = sqlx::PgPool::connect(&database_url()).await.unwrap();
    let mut transaction = pool.begin().await.unwrap();
    assert!(is_done(&scene.ledger.post_in(&mut transaction, entry("host")).await.unwrap()));
    let sent = ["first", "second"].map(|name| submit(&scene.ledger, batch(name)));
    transaction.commit().await.unwrap();
    assert_done(sent).await;
    scene.end(2 * MANY + 1).await;

    // Behind: both batches are under way.
    let mut scene = Scene::set_up().await;
    let sent = scene.two_under_way().await;
    let ledger = scene.ledger.clone();
    let host = tokio::spawn(async move {
        let mut transaction = pool.begin().await.unwrap();
        let outcome = ledger.post_in(&mut transaction, entry("host")).await;
        transaction.commit().await.unwrap();
        outcome
    });
    scene.reopen().await;
    assert_done(sent).await;
    assert_done([host]).await;
    scene.end(2 * MANY + 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_batches_of_two_writers_whose_connections_are_cut_are_all_there_once() {
    const BATCHES: usize = 40;
    let mut scene = Scene::set_up().await;
    let writers = [scene.ledger.clone(), open(&scene.settings, &database_url()).await];
    let sent: Vec<_> = (0..2 * BATCHES)
        .map(|number| {
            let ledger = writers[number % 2].clone();
            tokio::spawn(async move {
                loop {
                    match ledger.submit(batch(&number.to_string())).await {
                        Ok(outcome) => break outcome,
                        Err(error) => assert!(error.is_transient(), "{error}"),
                    }
                }
            })
        })
        .collect();
    let cut = "select pg_terminate_backend(pid) from pg_stat_activity where query like '%' || $1 || '.event%' \
        and pid <> pg_backend_pid()";
    while sent.iter().any(|sent| !sent.is_finished()) {
        sqlx::query(cut).bind(&scene.settings.schema).execute(&mut scene.observer).await.unwrap();
        let head = scene.ledger.log().head().await.map_or(Position::START, |head| head.position);
        let _ = scene.ledger.log().changed(head.plus(MANY), Duration::from_millis(50)).await;
    }
    for sent in sent {
        let outcome = sent.await.unwrap();
        assert!(is_done(&outcome), "{outcome:?}");
    }
    scene.end(2 * BATCHES * MANY).await;
}
