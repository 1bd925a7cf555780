//! Callers that post, each as soon as its last call was answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use postfold::{Account, Batch, Command, Ledger, Outcome, Transfer};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rust_decimal::{Decimal, dec};
use tokio::task::JoinSet;

use crate::error::BenchError;
use crate::figure::{Latencies, Measured};

/// Members of one batch.
pub(crate) const BATCH: u64 = 1_000;
/// Every account may go so far below zero: a limit that is looked at and never met.
const FLOOR: Decimal = dec!(-1_000_000_000);
/// What a transfer moves.
const AMOUNT: Decimal = dec!(12.34);

/// What callers do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    /// How many of them.
    pub(crate) callers: u64,
    /// Transfers in a call: 1 alone, more as a batch.
    pub(crate) per_call: u64,
    /// Whether one account is on one side of every transfer.
    pub(crate) hot: bool,
    /// Accounts that the transfers are spread over.
    pub(crate) accounts: u64,
    /// Transfers in all.
    pub(crate) transfers: u64,
    /// No call begins later than this.
    pub(crate) time_max: Duration,
}

/// Opens the accounts of a load.
pub(crate) async fn open_accounts(ledger: &Ledger, accounts: u64) -> Result<(), BenchError> {
    let open = |number| Command::from(Account::liability(wallet(number), "EUR").floor(FLOOR));
    let mut numbers = (0..accounts).peekable();
    while numbers.peek().is_some() {
        let batch: Vec<Command> = numbers.by_ref().take(1_000).map(open).collect();
        done(ledger.submit(Batch::independent(batch).into()).await?)?;
    }
    Ok(())
}

impl Load {
    /// Runs it. `round` sets its ids apart from those of other runs on the same ledger.
    pub(crate) async fn run(self, ledger: &Ledger, round: u64) -> Result<Measured, BenchError> {
        let next = Arc::new(AtomicU64::new(0));
        let started = Instant::now();
        let mut callers = JoinSet::new();
        for caller in 0..self.callers {
            callers.spawn(self.call(ledger.clone(), Arc::clone(&next), round, caller, started));
        }
        let (mut transfers, mut latencies) = (0, Latencies::new());
        while let Some(ended) = callers.join_next().await {
            let (count, took) = ended.map_err(|error| BenchError::Refused(error.to_string()))??;
            transfers += count;
            latencies.add(&took);
        }
        Ok(Measured::new(transfers, started.elapsed(), latencies))
    }

    async fn call(
        self,
        ledger: Ledger,
        next: Arc<AtomicU64>,
        round: u64,
        caller: u64,
        started: Instant,
    ) -> Result<(u64, Latencies), BenchError> {
        let mut random = ChaCha8Rng::seed_from_u64(round << 32 | caller);
        let (mut transfers, mut latencies) = (0, Latencies::new());
        loop {
            let first = next.fetch_add(self.per_call, Ordering::Relaxed);
            if first >= self.transfers || started.elapsed() >= self.time_max {
                return Ok((transfers, latencies));
            }
            let command = self.command(&mut random, round, first);
            let began = Instant::now();
            done(ledger.submit(command).await?)?;
            latencies.record(began.elapsed());
            transfers += self.per_call;
        }
    }

    fn command(self, random: &mut ChaCha8Rng, round: u64, first: u64) -> Command {
        let mut transfer = |number: u64| {
            let (from, to) = self.wallets(random);
            Command::from(Transfer::between(id_of(round, number), from, to, AMOUNT))
        };
        if self.per_call == 1 {
            return transfer(first);
        }
        Batch::independent((first..first + self.per_call).map(transfer)).into()
    }
}

impl Load {
    /// Its transfers as `postfold apply` reads them.
    pub(crate) fn lines(self) -> impl Iterator<Item = String> {
        let mut random = ChaCha8Rng::seed_from_u64(self.transfers);
        (0..self.transfers).map(move |number| {
            let (from, to) = self.wallets(&mut random);
            format!(r#"{{"do":"transfer","id":"f-{number:010}","amount":"{AMOUNT}","from":"{from}","to":"{to}"}}"#)
        })
    }

    fn wallets(self, random: &mut ChaCha8Rng) -> (String, String) {
        let from = if self.hot { 0 } else { random.random_range(0..self.accounts) };
        let to = (from + random.random_range(1..self.accounts)) % self.accounts;
        (wallet(from), wallet(to))
    }
}

/// How many events the log of a ledger has.
pub(crate) async fn events(ledger: &Ledger) -> Result<u64, BenchError> {
    Ok(ledger.log().head().await?.position.get().try_into().unwrap_or_default())
}

/// The id of a transfer of a round.
pub(crate) fn id_of(round: u64, number: u64) -> String {
    format!("{round}-{number:010}")
}

pub(crate) fn wallet(number: u64) -> String {
    format!("wallets:{number:06}")
}

/// Every command of the workload can be done; one that is refused is a fault.
pub(crate) fn done(outcome: Outcome) -> Result<(), BenchError> {
    let receipt = outcome.into_result().map_err(|refusal| BenchError::Refused(refusal.to_string()))?;
    receipt.outcomes.into_iter().flatten().try_for_each(done)
}
