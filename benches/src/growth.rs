//! What posting and asking cost while the log grows.

use std::time::{Duration, Instant};

use postfold::{AsOf, Ledger, StatementQuery};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use crate::error::BenchError;
use crate::figure::{Latencies, rounded};
use crate::load::{self, Load, id_of, wallet};
use crate::program::resident_kib;
use crate::scratch::Scratch;

/// Sizes at which it is measured, as far as the log is to grow.
const SIZES: [u64; 9] = [10_000, 30_000, 100_000, 300_000, 1_000_000, 3_000_000, 10_000_000, 30_000_000, 100_000_000];
/// Transfers of a sample in batches.
const BATCHED: u64 = 40_000;
/// Transfers of a sample one by one.
const SINGLES: u64 = 1_000;
/// Questions of a kind.
const QUESTIONS: usize = 500;
/// Trial balances, which go through all accounts.
const REPORTS: usize = 20;

/// What was seen at one size of the log. Times are in microseconds.
#[derive(Clone, Debug, Serialize)]
pub struct Station {
    /// Events in the log.
    pub events: u64,
    /// Transfers a second, in batches of 1,000, 4 on their way.
    pub rate: f64,
    /// How long such a batch takes.
    pub batch: Quantiles,
    /// How long a transfer takes that goes alone.
    pub single: Quantiles,
    /// How long the balance of an account takes.
    pub balance: Quantiles,
    /// How long the first page of a statement takes, 100 lines.
    pub statement: Quantiles,
    /// How long an entry takes, by its id.
    pub entry: Quantiles,
    /// How long the trial balance of all accounts takes.
    pub trial_balance: Quantiles,
    /// Bytes of the tables an event.
    pub table_bytes: f64,
    /// Bytes of their indexes an event.
    pub index_bytes: f64,
    /// What this process has resident, in KiB; only on Linux.
    pub memory_kib: Option<u64>,
}

/// Of latencies, in microseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Quantiles {
    /// Half took at most so long.
    pub p50: u64,
    /// 99 of 100 took at most so long.
    pub p99: u64,
}

/// A log that grows.
pub(crate) struct Growing<'a> {
    pub(crate) scratch: &'a Scratch,
    pub(crate) ledger: Ledger,
    /// Batches, as large as anybody likes.
    pub(crate) load: Load,
}

impl Growing<'_> {
    /// Goes through the sizes, the first of which is no less than the number of accounts.
    pub(crate) async fn run(&self, upto: u64, on_station: impl Fn(u64)) -> Result<Vec<Station>, BenchError> {
        let mut stations = Vec::new();
        for (number, size) in (1..).zip(SIZES.into_iter().filter(|size| *size <= upto)) {
            on_station(size);
            let missing = size.saturating_sub(load::events(&self.ledger).await?);
            // Sets the ids of this stretch apart from those of all others.
            let round = number * 3;
            Load { transfers: missing - missing % self.load.per_call, time_max: Duration::MAX, ..self.load }
                .run(&self.ledger, round)
                .await?;
            stations.push(self.measure(round).await?);
        }
        Ok(stations)
    }

    async fn measure(&self, round: u64) -> Result<Station, BenchError> {
        let events = load::events(&self.ledger).await?;
        let [table_bytes, index_bytes] = self.bytes().await?.map(|bytes| rounded(bytes / of(events), 1.0));
        let mut random = ChaCha8Rng::seed_from_u64(events);
        let log = self.ledger.log();
        let accounts = self.load.accounts;
        let some = |random: &mut ChaCha8Rng| wallet(random.random_range(0..accounts));
        let balance = asked(QUESTIONS, async || log.balance(&some(&mut random), None).await).await?;
        let statement = asked(QUESTIONS, async || log.statement(&StatementQuery::of(some(&mut random))).await).await?;
        let trial_balance = asked(REPORTS, async || log.trial_balance(AsOf::now()).await).await?;
        let singles = Load { callers: 1, per_call: 1, transfers: SINGLES, ..self.load };
        let single = singles.run(&self.ledger, round + 1).await?.latencies;
        let entry =
            asked(QUESTIONS, async || log.entry(&id_of(round + 1, random.random_range(0..SINGLES))).await).await?;
        let batched = Load { transfers: BATCHED, ..self.load }.run(&self.ledger, round + 2).await?;
        Ok(Station {
            events,
            rate: rounded(batched.rate, 1.0),
            batch: quantiles(&batched.latencies),
            single: quantiles(&single),
            balance,
            statement,
            entry,
            trial_balance,
            table_bytes,
            index_bytes,
            memory_kib: resident_kib(std::process::id()),
        })
    }

    /// Of tables and of indexes.
    async fn bytes(&self) -> Result<[f64; 2], BenchError> {
        let sql = format!(
            "select sum(pg_table_size(name::regclass))::float8, sum(pg_indexes_size(name::regclass))::float8 \
             from unnest(array['{0}.event', '{0}.posting', '{0}.account']) as name",
            self.scratch.quoted()
        );
        let row = self.scratch.client.query_one(&sql, &[]).await?;
        Ok([row.try_get(0)?, row.try_get(1)?])
    }
}

/// Asks so often, one after the other.
async fn asked<T>(
    times: usize,
    mut ask: impl AsyncFnMut() -> Result<T, postfold::Error>,
) -> Result<Quantiles, BenchError> {
    let mut latencies = Latencies::new();
    for _ in 0..times {
        let began = Instant::now();
        ask().await?;
        latencies.record(began.elapsed());
    }
    Ok(quantiles(&latencies))
}

fn quantiles(latencies: &Latencies) -> Quantiles {
    let quantile = |quantile| latencies.quantile(quantile).unwrap_or_default();
    Quantiles { p50: quantile(0.5), p99: quantile(0.99) }
}

fn of(events: u64) -> f64 {
    f64::from(u32::try_from(events.max(1)).unwrap_or(u32::MAX))
}
