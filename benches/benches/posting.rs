//! What a command costs before any server is asked: reading, fingerprint, deciding, hashing, folding.
//!
//! Whole paths on PostgreSQL are measured by `postfold bench`, side by side with what the server can do.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use postfold::hash::Fields;
use postfold::{Account, Batch, Command, Ledger, Payload, Position, Transfer};
use rust_decimal::dec;
use std::hint::black_box;

/// Accounts that the transfers are spread over.
const ACCOUNTS: u64 = 1_000;
/// Transfers in one batch.
const BATCH: u64 = 1_000;
/// Batches in the log that is verified.
const LOG_BATCHES: u64 = 20;

const POST: &str = r#"{"do":"post","id":"sale-000001","legs":[{"account":"assets:cash:till-1","debit":"12.50"},{"account":"income:sales","credit":"12.50"}],"text":"two coffees"}"#;

fn commands(c: &mut Criterion) {
    c.bench_function("read a command from JSON", |bench| bench.iter(|| Command::from_json(black_box(POST))));
    if let Ok(command) = Command::from_json(POST) {
        c.bench_function("check a command's shape", |bench| bench.iter(|| black_box(&command).check()));
        c.bench_function("fingerprint a command", |bench| bench.iter(|| black_box(&command).fingerprint()));
    }
}

fn transfers(round: u64) -> Command {
    let transfer = |number: u64| {
        let from = number * 7 % ACCOUNTS;
        let to = (from + 1 + round % (ACCOUNTS - 1)) % ACCOUNTS;
        let id = format!("{round}-{number}");
        Command::from(Transfer::between(id, format!("wallet:{from}"), format!("wallet:{to}"), dec!(0.01)))
    };
    Batch::independent((0..BATCH).map(transfer)).into()
}

/// In memory nothing can fail but by a bug, which the bench would show as refusals.
async fn ledger_in_memory() -> Ledger {
    let ledger = Ledger::in_memory();
    for wallet in 0..ACCOUNTS {
        let _ = ledger.open(Account::liability(format!("wallet:{wallet}"), "EUR")).await;
    }
    ledger
}

/// Everything of an append but the database: decide, fold, serialise, hash. And back: read, hash, fold.
fn in_memory(c: &mut Criterion) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
    let ledger = runtime.block_on(ledger_in_memory());
    let mut group = c.benchmark_group("in memory");
    group.throughput(Throughput::Elements(BATCH));
    let mut round = 0;
    group.bench_function("transfers in batches of 1000", |bench| {
        bench.iter(|| {
            round += 1;
            runtime.block_on(ledger.submit(transfers(round)))
        });
    });
    let ledger = runtime.block_on(ledger_in_memory());
    for round in 1..=LOG_BATCHES {
        let _ = runtime.block_on(ledger.submit(transfers(round)));
    }
    group.throughput(Throughput::Elements(ACCOUNTS + LOG_BATCHES * BATCH));
    group.bench_function("verify a log", |bench| {
        bench.iter(|| runtime.block_on(postfold::verify(ledger.log(), |_| {})));
    });
    group.finish();
}

/// One event of a transfer, as it was written.
fn events(c: &mut Criterion) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
    let ledger = runtime.block_on(ledger_in_memory());
    let _ = runtime.block_on(ledger.submit(transfers(1)));
    let page = runtime.block_on(ledger.log().page(Position::START, usize::MAX)).unwrap_or_default();
    let Some(event) = page.last() else { return };
    c.bench_function("chain an event's hash", |bench| {
        bench.iter(|| event.hash.chain(&Fields::from(black_box(event))));
    });
    c.bench_function("read an event's data", |bench| bench.iter(|| black_box(event).payload()));
    if let Ok(Payload::EntryPosted(entry)) = event.payload() {
        c.bench_function("write an event's data", |bench| bench.iter(|| serde_json::to_string(black_box(&entry))));
    }
}

criterion_group!(posting, commands, in_memory, events);
criterion_main!(posting);
