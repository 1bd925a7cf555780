//! Runs the rows in turns.

use std::collections::HashMap;
use std::time::Duration;

use postfold::Ledger;

use crate::error::BenchError;
use crate::figure::{Figure, Measured};
use crate::limit::Rows;
use crate::load::{self, BATCH, Load};
use crate::row::{Row, Work};
use crate::scratch::Scratch;

/// Callers that keep a batch on its way each.
const BATCH_CALLERS: u64 = 4;

/// How much is done.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// Runs of each row; the median counts.
    pub runs: usize,
    /// Accounts that transfers are spread over.
    pub accounts: u64,
    /// Transfers of one run, in whole thousands.
    pub transfers: u64,
    /// No run takes much longer than this.
    pub time_max: Duration,
}

impl Default for Sizes {
    fn default() -> Self {
        Self { runs: 3, accounts: 10_000, transfers: 100_000, time_max: Duration::from_secs(20) }
    }
}

impl Sizes {
    /// Enough to see that it runs; the figures mean little.
    pub fn quick() -> Self {
        Self { runs: 1, accounts: 1_000, transfers: 10_000, time_max: Duration::from_secs(2) }
    }
}

/// How far a bench is.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// The row that is run now.
    pub row: Row,
    /// Works that are done.
    pub done: usize,
    /// Works in all.
    pub total: usize,
}

/// A bench: a schema of its own on a server.
pub struct Bench {
    scratch: Scratch,
    sizes: Sizes,
    /// The rows of the limit, once they were written.
    rows: Option<Rows>,
}

impl Bench {
    /// Claims the schema. What an earlier bench left in it is dropped.
    ///
    /// # Errors
    ///
    /// When the server cannot be reached, when another bench works in the schema, and when the schema
    /// is there and is not of a bench.
    pub async fn claim(url: &str, schema: &str, sizes: Sizes) -> Result<Self, BenchError> {
        Ok(Self { scratch: Scratch::claim(url, schema).await?, sizes, rows: None })
    }

    /// Runs the rows, each side by side with its limit.
    ///
    /// May be dropped at any time; [`Bench::end`] cleans up in any case.
    ///
    /// # Errors
    ///
    /// When the role may not create a schema, and when the engine or the server fails.
    pub async fn run(&mut self, rows: &[Row], on_step: impl Fn(Step)) -> Result<Vec<Figure>, BenchError> {
        let mut works: Vec<(Row, Work)> = Vec::new();
        for row in Row::ALL.into_iter().filter(|row| rows.contains(row)) {
            for work in row.limit().into_iter().chain([row.work()]) {
                if works.iter().all(|(_, known)| *known != work) {
                    works.push((row, work));
                }
            }
        }
        let total = works.len() * self.sizes.runs;
        let mut measured: HashMap<Work, Vec<Measured>> = HashMap::new();
        for run in 0..self.sizes.runs {
            for (index, &(row, work)) in works.iter().enumerate() {
                on_step(Step { row, done: run * works.len() + index, total });
                let result = self.measure(work).await?;
                measured.entry(work).or_default().push(result);
            }
        }
        let runs = |work: Work| measured.get(&work).map(Vec::as_slice);
        let figure = |row: Row| Figure::of(row, runs(row.work()).unwrap_or_default(), row.limit().and_then(runs));
        Ok(Row::ALL.into_iter().filter(|row| rows.contains(row)).filter_map(figure).collect())
    }

    /// Drops the schema.
    ///
    /// # Errors
    ///
    /// When the server fails; then the next bench drops it.
    pub async fn end(self) -> Result<(), BenchError> {
        self.scratch.drop().await
    }

    async fn measure(&mut self, work: Work) -> Result<Measured, BenchError> {
        match work {
            Work::Copy => self.copy().await,
            Work::BatchUniform => self.post(Load { hot: false, ..self.batches() }).await,
            Work::BatchHot => self.post(Load { hot: true, ..self.batches() }).await,
        }
    }

    const fn batches(&self) -> Load {
        Load {
            callers: BATCH_CALLERS,
            per_call: BATCH,
            hot: false,
            accounts: self.sizes.accounts,
            transfers: self.sizes.transfers,
            time_max: self.sizes.time_max,
        }
    }

    async fn copy(&mut self) -> Result<Measured, BenchError> {
        if self.rows.is_none() {
            self.post(self.batches()).await?;
            self.rows = Some(Rows::export(&self.scratch).await?);
        }
        self.scratch.fresh().await?;
        match &self.rows {
            Some(rows) => rows.measure(&self.scratch).await,
            None => Err(BenchError::Refused("no rows were written".to_owned())),
        }
    }

    /// Runs a load on an empty ledger. A tenth of it goes before and is not timed.
    async fn post(&self, load: Load) -> Result<Measured, BenchError> {
        let ledger = self.ledger().await?;
        let warm_up = Load { transfers: load.transfers / 10, ..load };
        warm_up.run(&ledger, 0).await?;
        Load { transfers: load.transfers - warm_up.transfers, ..load }.run(&ledger, 1).await
    }

    async fn ledger(&self) -> Result<Ledger, BenchError> {
        let ledger = self.scratch.fresh().await?;
        load::open_accounts(&ledger, self.sizes.accounts).await?;
        Ok(ledger)
    }
}
