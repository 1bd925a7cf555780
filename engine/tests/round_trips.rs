//! Hazard: what a command costs grows unnoticed. Counted are messages on the wire, which no clock and no load of the
//! machine changes: a round trip is a `Sync` or a simple query, a statement an `Execute` or a simple query.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test ends at the first thing that goes wrong")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use postfold::{Account, Batch, Command, Entry, Ledger, PostgresSettings};
use rust_decimal::dec;
use support::{database_url, fresh_name};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

/// What a client asks first where it would like TLS; it is answered with one byte.
const TLS_REQUEST: i32 = 80_877_103;

/// Messages that clients have sent.
#[derive(Default)]
struct Sent {
    round_trips: AtomicU64,
    statements: AtomicU64,
    bytes: AtomicU64,
}

/// How many since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Count {
    round_trips: u64,
    statements: u64,
    bytes: u64,
}

impl Sent {
    fn count(&self) -> Count {
        Count {
            round_trips: self.round_trips.load(Ordering::SeqCst),
            statements: self.statements.load(Ordering::SeqCst),
            bytes: self.bytes.load(Ordering::SeqCst),
        }
    }

    fn note(&self, kind: u8, length: usize) {
        self.bytes.fetch_add(u64::try_from(length).unwrap(), Ordering::SeqCst);
        self.round_trips.fetch_add(u64::from(matches!(kind, b'S' | b'Q')), Ordering::SeqCst);
        self.statements.fetch_add(u64::from(matches!(kind, b'E' | b'Q')), Ordering::SeqCst);
    }
}

impl std::ops::Sub for Count {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            round_trips: self.round_trips - before.round_trips,
            statements: self.statements - before.statements,
            bytes: self.bytes - before.bytes,
        }
    }
}

/// The URL of the test database by way of a proxy that counts.
async fn counted() -> (String, Arc<Sent>) {
    let url = database_url();
    let (before, rest) = url.rsplit_once(':').expect("a URL with a port");
    let (port, after) = rest.split_once('/').expect("a URL with a database");
    let server = format!("127.0.0.1:{port}");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let through = format!("{before}:{}/{after}", listener.local_addr().unwrap().port());
    let sent = Arc::<Sent>::default();
    let counts = Arc::clone(&sent);
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(&server).await.unwrap();
            server.set_nodelay(true).unwrap();
            let (from_client, mut to_client) = client.into_split();
            let (mut from_server, to_server) = server.into_split();
            tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
            tokio::spawn(forward(from_client, to_server, Arc::clone(&counts)));
        }
    });
    (through, sent)
}

/// Passes on what a client sends, message by message, until it leaves.
async fn forward(from: OwnedReadHalf, mut to: OwnedWriteHalf, sent: Arc<Sent>) -> std::io::Result<()> {
    let mut from = BufReader::new(from);
    loop {
        let length = from.read_i32().await?;
        let mut first = vec![0; usize::try_from(length).unwrap() - 4];
        from.read_exact(&mut first).await?;
        to.write_i32(length).await?;
        to.write_all(&first).await?;
        if first.get(..4) != Some(&TLS_REQUEST.to_be_bytes()) {
            break;
        }
    }
    loop {
        let kind = from.read_u8().await?;
        let length = from.read_i32().await?;
        let mut body = vec![0; usize::try_from(length).unwrap() - 4];
        from.read_exact(&mut body).await?;
        sent.note(kind, body.len() + 5);
        to.write_u8(kind).await?;
        to.write_i32(length).await?;
        to.write_all(&body).await?;
    }
}

/// A ledger behind the proxy, with two accounts, which has posted before: statements are prepared, accounts known.
async fn warm() -> (Ledger, Arc<Sent>) {
    // One connection for the writer and one for queries.
    warm_with(2).await
}

async fn warm_with(connections_max: u32) -> (Ledger, Arc<Sent>) {
    let (url, sent) = counted().await;
    let name = fresh_name();
    // No hint to followers falls into what is counted.
    let settings =
        PostgresSettings { connections_max, notify_debounce: Duration::from_hours(1), ..PostgresSettings::default() };
    postfold::init(database_url(), &name, &settings, false).await.unwrap();
    let ledger = Ledger::builder().postgres(settings).connect(url, &name).await.unwrap();
    ledger.open(Account::asset("a", "EUR")).await.unwrap();
    ledger.open(Account::income("b", "EUR")).await.unwrap();
    for number in 0..10 {
        ledger.post(entry(&format!("warm-{number}"))).await.unwrap();
    }
    ledger.submit(batch("warm", 1_000)).await.unwrap().into_result().unwrap();
    (ledger, sent)
}

fn entry(id: &str) -> Entry {
    Entry::new(id).debit("a", dec!(1)).credit("b", dec!(1))
}

fn batch(name: &str, members: usize) -> Command {
    Batch::atomic((0..members).map(|member| Command::from(entry(&format!("{name}-{member}"))))).into()
}

/// What this sends.
async fn sends(sent: &Sent, work: impl Future<Output = ()>) -> Count {
    let before = sent.count();
    work.await;
    sent.count() - before
}

#[tokio::test]
async fn a_post_is_one_statement_and_one_round_trip() {
    let (ledger, sent) = warm().await;
    let count = sends(&sent, async {
        for number in 0..10 {
            ledger.post(entry(&format!("one-{number}"))).await.unwrap();
        }
    })
    .await;
    assert_eq!((count.round_trips, count.statements), (10, 10));
    assert!(count.bytes < 10 * 1_100, "{} bytes for ten posts", count.bytes);
}

#[tokio::test]
async fn a_batch_is_one_statement_and_one_round_trip_however_many_its_members() {
    let (ledger, sent) = warm().await;
    let count = sends(&sent, async {
        ledger.submit(batch("many", 1_000)).await.unwrap().into_result().unwrap();
    })
    .await;
    assert_eq!((count.round_trips, count.statements), (1, 1));
    assert!(count.bytes < 1_000 * 650, "{} bytes for a thousand members", count.bytes);
}

#[tokio::test]
async fn a_batch_that_another_may_overlap_is_four_round_trips() {
    let (ledger, sent) = warm_with(4).await;
    let count = sends(&sent, async {
        ledger.submit(batch("many", 1_000)).await.unwrap().into_result().unwrap();
    })
    .await;
    // Begin, the events, the postings, commit.
    assert_eq!((count.round_trips, count.statements), (4, 4));
    assert!(count.bytes < 1_000 * 650, "{} bytes for a thousand members", count.bytes);
    let small = sends(&sent, async {
        ledger.submit(batch("few", 100)).await.unwrap().into_result().unwrap();
    })
    .await;
    assert_eq!((small.round_trips, small.statements), (1, 1));
}

/// A pool asks a connection that comes back whether it is well: that is a round trip which nobody waits for.
const AFTERWARDS: u64 = 1;

#[tokio::test]
async fn what_is_done_already_is_known_by_one_statement_and_no_write() {
    let (ledger, sent) = warm().await;
    // The first one prepares the statement.
    ledger.post(entry("warm-3")).await.unwrap();
    let count = sends(&sent, async {
        for _ in 0..10 {
            assert!(ledger.post(entry("warm-3")).await.unwrap().duplicate);
        }
    })
    .await;
    assert_eq!(count.statements, 10);
    assert!(count.round_trips <= 10 * (1 + AFTERWARDS), "{count:?}");
}

#[tokio::test]
async fn a_balance_is_two_statements_the_head_and_the_account() {
    let (ledger, sent) = warm().await;
    // The first one prepares them.
    ledger.balance("a").await.unwrap();
    let count = sends(&sent, async {
        for _ in 0..10 {
            ledger.balance("a").await.unwrap();
        }
    })
    .await;
    assert_eq!(count.statements, 20);
    assert!(count.round_trips <= 20 * (1 + AFTERWARDS), "{count:?}");
}
