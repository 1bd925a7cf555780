//! What a command costs before any server is asked: reading, fingerprint, deciding, hashing.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use postfold::{Account, Batch, Command, Ledger, Transfer};
use rust_decimal::dec;
use std::hint::black_box;

/// Accounts that the transfers are spread over.
const ACCOUNTS: u64 = 1_000;
/// Transfers in one batch.
const BATCH: u64 = 1_000;

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

/// Everything of an append but the database: decide, fold, serialise, hash.
fn in_memory(c: &mut Criterion) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
    let ledger = runtime.block_on(async {
        let ledger = Ledger::in_memory();
        for wallet in 0..ACCOUNTS {
            // In memory nothing can fail but by a bug, which the bench would show as refusals.
            let _ = ledger.open(Account::liability(format!("wallet:{wallet}"), "EUR")).await;
        }
        ledger
    });
    let mut group = c.benchmark_group("in memory");
    group.throughput(Throughput::Elements(BATCH));
    let mut round = 0;
    group.bench_function("transfers in batches of 1000", |bench| {
        bench.iter(|| {
            round += 1;
            runtime.block_on(ledger.submit(transfers(round)))
        });
    });
    group.finish();
}

criterion_group!(posting, commands, in_memory);
criterion_main!(posting);
