//! From commit to visible: entries at a fixed rate, and a reader that looks for them all the time.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use mongodb::Client;
use mongodb::bson::{Document, doc};
use postfold::{Command, Ledger, Position, Transfer};
use postfold_projections::Projector;
use postfold_projections::models::Balances;
use rust_decimal::dec;
use tokio_util::sync::CancellationToken;

use super::Models;
use crate::error::BenchError;
use crate::figure::{Latencies, Measured};
use crate::load::{done, wallet};

/// How often the reader looks.
const LOOK_EVERY: Duration = Duration::from_micros(700);
/// How long the projector may take to come to its feet.
const START_TIME_MAX: Duration = Duration::from_secs(30);

/// Entries at a fixed rate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lag {
    /// Entries a second, each a commit of its own, sent whether the one before was answered or not.
    pub(crate) rate: u32,
    pub(crate) time: Duration,
    pub(crate) accounts: u64,
}

/// Positions that are committed and not seen yet, and since when.
type Waiting = Arc<Mutex<VecDeque<(Position, Instant)>>>;

impl Lag {
    /// The latencies are from the receipt to the moment at which another connection finds the entry in its
    /// account's balance; half a look is in them.
    pub(crate) async fn measure(self, models: &Models, ledger: &Ledger) -> Result<Measured, BenchError> {
        let store = models.fresh().await?;
        let projector = Projector::new(ledger.log().clone(), store.clone()).with(Balances);
        let shutdown = CancellationToken::new();
        let running = tokio::spawn({
            let (projector, shutdown) = (projector.clone(), shutdown.clone());
            async move { projector.run(shutdown).await }
        });
        let head = ledger.log().head().await?.position;
        let ready = projector.applied_through("balances", head, START_TIME_MAX).await;
        ready.map_err(|error| BenchError::Models(error.to_string()))?;
        let waiting = Waiting::default();
        let reader =
            tokio::spawn(read(models.uri.clone(), models.database.clone(), Arc::clone(&waiting), shutdown.clone()));
        let entries = self.write(ledger, &waiting).await?;
        while !lock(&waiting).is_empty() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        shutdown.cancel();
        let latencies = reader.await.map_err(|error| BenchError::Process(error.to_string()))??;
        let ran = running.await.map_err(|error| BenchError::Process(error.to_string()))?;
        ran.map_err(|error| BenchError::Models(error.to_string()))?;
        store.shutdown().await;
        Ok(Measured::new(entries, self.time, latencies))
    }

    /// Every entry has wallet 0 on one side: its balance tells how far the model is.
    async fn write(self, ledger: &Ledger, waiting: &Waiting) -> Result<u64, BenchError> {
        let mut ticks = tokio::time::interval(Duration::from_secs(1) / self.rate);
        let (started, mut sent) = (Instant::now(), 0_u64);
        let mut posts = tokio::task::JoinSet::new();
        while started.elapsed() < self.time {
            ticks.tick().await;
            let to = wallet(1 + sent % (self.accounts - 1));
            let transfer = Transfer::between(format!("lag-{sent:08}"), wallet(0), to, dec!(0.01));
            let (ledger, waiting) = (ledger.clone(), Arc::clone(waiting));
            posts.spawn(async move {
                let outcome = ledger.submit(Command::from(transfer)).await?;
                let receipt = outcome.clone().into_result();
                let position = receipt.map_err(|refusal| BenchError::Refused(refusal.to_string()))?.position;
                lock(&waiting).extend(position.map(|position| (position, Instant::now())));
                done(outcome)
            });
            sent += 1;
        }
        while let Some(post) = posts.join_next().await {
            post.map_err(|error| BenchError::Process(error.to_string()))??;
        }
        Ok(sent)
    }
}

async fn read(
    uri: String,
    database: String,
    waiting: Waiting,
    shutdown: CancellationToken,
) -> Result<Latencies, BenchError> {
    let client = Client::with_uri_str(&uri).await?;
    let balances = client.database(&database).collection::<Document>("balances");
    let key = format!("{}|EUR", wallet(0));
    let mut latencies = Latencies::new();
    while !shutdown.is_cancelled() {
        let found = balances.find_one(doc! { "_id": &key }).projection(doc! { "p": 1 }).await?;
        let seen = Instant::now();
        let reached = found.and_then(|document| document.get_i64("p").ok()).unwrap_or_default();
        lock(&waiting).retain(|(position, since)| {
            let waits = position.get() > reached;
            if !waits {
                latencies.record(seen.saturating_duration_since(*since));
            }
            waits
        });
        tokio::time::sleep(LOOK_EVERY).await;
    }
    client.shutdown().await;
    Ok(latencies)
}

fn lock(waiting: &Waiting) -> std::sync::MutexGuard<'_, VecDeque<(Position, Instant)>> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}
