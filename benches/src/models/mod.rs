//! Read models: folded from the log by the projector, and the same work done by the bare driver.
//!
//! | work | what it is compared with |
//! |---|---|
//! | documents kept up with the log | as many guarded replaces, as many to a command, sent by the bare driver |
//! | rows kept up with the log | the same rows inserted by the bare driver into the same indexes |
//! | a rebuild of keyed documents, a verification | reading and decoding the log alone |
//! | a rebuild of all models | their final documents inserted by the bare driver, and their indexes built |

mod lag;
mod raw;

use std::time::{Duration, Instant};

use postfold::{Log, Position};
use postfold_projections::models::{Balances, Statements};
use postfold_projections::{LogError, LogSource, MongoStore, Projector, StoreError, database_name};
use tokio_util::sync::CancellationToken;

use crate::error::BenchError;
use crate::figure::{Latencies, Measured, More};
use crate::program::Program;
use crate::scratch::LEDGER;

pub(crate) use lag::Lag;
use raw::Raw;

/// Events that a batch of the projector takes by default.
const BATCH_EVENTS: usize = 20_000;
/// Events of a page that is only read.
const PAGE_EVENTS: usize = 5_000;
/// The ceiling of a rebuild's memory, in MiB.
const MEMORY: &str = "256";

/// The database of the bench's read models.
pub(crate) struct Models {
    uri: String,
    database: String,
}

impl Models {
    /// For the ledger of the bench's schema.
    pub(crate) fn new(uri: &str) -> Self {
        Self { uri: uri.to_owned(), database: database_name(LEDGER) }
    }

    /// Balances, caught up from nothing.
    pub(crate) async fn catch_up_balances(&self, log: &Log) -> Result<Measured, BenchError> {
        self.catch_up(log, |projector| projector.with(Balances)).await
    }

    /// Statements, caught up from nothing, indexes included.
    pub(crate) async fn catch_up_statements(&self, log: &Log) -> Result<Measured, BenchError> {
        self.catch_up(log, |projector| projector.with_rows(Statements)).await
    }

    async fn catch_up(&self, log: &Log, with: impl Fn(Projector) -> Projector) -> Result<Measured, BenchError> {
        let store = self.fresh().await?;
        let projector = with(Projector::new(log.clone(), store.clone()));
        let started = Instant::now();
        let report = projector.catch_up(CancellationToken::new()).await;
        let took = started.elapsed();
        store.shutdown().await;
        report.map_err(|error| BenchError::Models(error.to_string()))?;
        of_events(log, took).await
    }

    /// Guarded replaces of the documents that catching up with the log touches, batch by batch.
    pub(crate) async fn raw_replaces(&self, log: &Log) -> Result<Measured, BenchError> {
        let batches = touched(log).await?;
        let raw = Raw::connect(&self.uri, &self.database).await?;
        let took = raw.replace(&batches).await?;
        raw.end().await;
        of_events(log, took).await
    }

    /// The rows of the statements, inserted into an empty collection with the same indexes.
    pub(crate) async fn raw_rows(&self, log: &Log) -> Result<Measured, BenchError> {
        self.catch_up_statements(log).await?;
        let raw = Raw::connect(&self.uri, &self.database).await?;
        let took = raw.insert_again(&["statements"], raw::Indexes::Before).await?;
        raw.end().await;
        of_events(log, took).await
    }

    /// The final documents of all models, inserted, and their indexes built.
    pub(crate) async fn raw_all(&self, program: &Program, schema: &str, log: &Log) -> Result<Measured, BenchError> {
        self.run(program, schema, &["project", "rebuild", "--all"]).await?;
        let raw = Raw::connect(&self.uri, &self.database).await?;
        let names = raw.models().await?;
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let took = raw.insert_again(&names, raw::Indexes::After).await?;
        raw.end().await;
        of_events(log, took).await
    }

    /// One model rebuilt from nothing.
    pub(crate) async fn rebuild_balances(&self, log: &Log) -> Result<Measured, BenchError> {
        let store = self.fresh().await?;
        let projector = Projector::new(log.clone(), store.clone()).with(Balances);
        let started = Instant::now();
        let report = projector.rebuild("balances", CancellationToken::new()).await;
        let took = started.elapsed();
        store.shutdown().await;
        report.map_err(|error| BenchError::Models(error.to_string()))?;
        of_events(log, took).await
    }

    /// All models rebuilt, as an operator does it.
    pub(crate) async fn rebuild_all(
        &self,
        program: &Program,
        schema: &str,
        log: &Log,
        ceiling: bool,
    ) -> Result<Measured, BenchError> {
        self.fresh().await?.shutdown().await;
        let mut arguments = vec!["project", "rebuild", "--all"];
        if ceiling {
            arguments.extend(["--memory", MEMORY]);
        }
        let (took, memory_kib) = self.run(program, schema, &arguments).await?;
        let measured = of_events(log, took).await?;
        Ok(Measured { more: More { memory_kib, ..measured.more }, ..measured })
    }

    /// Balances folded anew and compared.
    pub(crate) async fn verify(&self, log: &Log) -> Result<Measured, BenchError> {
        let store = self.fresh().await?;
        let projector = Projector::new(log.clone(), store.clone()).with(Balances).with_rows(Statements);
        let mut took = Duration::ZERO;
        for name in ["balances", "statements"] {
            let rebuilt = projector.rebuild(name, CancellationToken::new()).await;
            rebuilt.map_err(|error| BenchError::Models(error.to_string()))?;
            let started = Instant::now();
            let report = projector.verify(name, CancellationToken::new()).await;
            took += started.elapsed();
            let report = report.map_err(|error| BenchError::Models(error.to_string()))?;
            if !report.is_clean() {
                return Err(BenchError::Models(format!("{name} differs from the log: {:?}", report.differences)));
            }
        }
        store.shutdown().await;
        // Two models, and each reads the log once.
        of_events(log, took / 2).await
    }

    /// The log, read and decoded, each event's payload included, by two readers in turn, and nothing done with it.
    pub(crate) async fn read_log(&self, log: &Log) -> Result<Measured, BenchError> {
        let head = log.head().await?.position;
        let started = Instant::now();
        let starts = (0..head.get()).step_by(PAGE_EVENTS).map(Position::new);
        let read = |after: Position| {
            let log = log.clone();
            tokio::spawn(async move {
                let (mut at, last) = (after, after.get().saturating_add(5_000).min(head.get()));
                while at.get() < last {
                    let wanted = usize::try_from(last - at.get()).unwrap_or(PAGE_EVENTS);
                    let page = LogSource::page(&log, at, wanted).await?;
                    let Some(end) = page.last() else { break };
                    at = end.position;
                    for event in &page {
                        let payload = event.payload().map_err(|error| LogError::new(error.to_string(), false))?;
                        std::hint::black_box(payload);
                    }
                }
                Ok::<(), LogError>(())
            })
        };
        let mut pages = futures::StreamExt::buffered(futures::stream::iter(starts.map(read)), 2);
        while let Some(page) = futures::StreamExt::next(&mut pages).await {
            let page = page.map_err(|error| BenchError::Process(error.to_string()))?;
            page.map_err(|error| BenchError::Models(error.to_string()))?;
        }
        of_events(log, started.elapsed()).await
    }

    /// An empty database.
    async fn fresh(&self) -> Result<MongoStore, BenchError> {
        let store = MongoStore::connect(&self.uri, &self.database).await?;
        store.drop_database().await?;
        Ok(store)
    }

    /// Drops the database.
    pub(crate) async fn end(&self) -> Result<(), BenchError> {
        self.fresh().await?.shutdown().await;
        Ok(())
    }

    async fn run(
        &self,
        program: &Program,
        schema: &str,
        arguments: &[&str],
    ) -> Result<(Duration, Option<[u64; 3]>), BenchError> {
        let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let went = program.run(schema, &arguments).await?;
        Ok((went.took, went.memory_kib))
    }
}

async fn of_events(log: &Log, took: Duration) -> Result<Measured, BenchError> {
    let events = u64::try_from(log.head().await?.position.get()).unwrap_or_default();
    let more = More { size: Some(events), ..More::default() };
    Ok(Measured { more, ..Measured::new(events, took, Latencies::new()) })
}

/// The keys of the balances that each batch of the log touches.
async fn touched(log: &Log) -> Result<Vec<Vec<String>>, BenchError> {
    let (mut batches, mut batch, mut at) = (Vec::new(), std::collections::BTreeSet::new(), Position::START);
    let mut events = 0;
    loop {
        let page = log.page(at, PAGE_EVENTS).await?;
        let Some(last) = page.last() else { break };
        at = last.position;
        for event in page.into_iter().map(postfold_projections::ReadEvent::new) {
            let keys = <Balances as postfold_projections::Projection>::keys(&event);
            batch.extend(keys.map_err(|error| BenchError::Models(error.to_string()))?);
            events += 1;
            if events % BATCH_EVENTS == 0 {
                batches.push(std::mem::take(&mut batch).into_iter().collect());
            }
        }
    }
    batches.push(batch.into_iter().collect());
    Ok(batches)
}

impl From<StoreError> for BenchError {
    fn from(error: StoreError) -> Self {
        Self::Models(error.to_string())
    }
}
