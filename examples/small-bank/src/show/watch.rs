//! A reader that looks at the balances all the time, and notes whatever it should never see.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use mongodb::{
    Collection,
    bson::{Bson, Document, doc},
};
use tokio::{task::JoinHandle, time::sleep};

/// How many accounts are looked at in turn.
const SAMPLE: i64 = 100;
/// After so many single looks, all documents are counted once.
const LOOKS_PER_COUNT: u64 = 50;
/// The pause between two looks, so that the reader leaves the processor to the others.
const PAUSE: Duration = Duration::from_millis(2);

/// What the reader saw.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) reads: u64,
    /// Reads that failed, and the first failure's words.
    pub(crate) errors: u64,
    pub(crate) first_error: Option<String>,
    /// Reads that found less than was there before.
    pub(crate) gaps: u64,
    /// Reads that found an account at an earlier position than before.
    pub(crate) older: u64,
    pub(crate) slowest: Duration,
}

/// A reader at work. It stops when it is told to, or when this is dropped.
#[derive(Debug)]
pub(crate) struct Watcher {
    stop: Arc<AtomicBool>,
    task: JoinHandle<Seen>,
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl Watcher {
    /// Takes a first look, which must find accounts, and goes on looking in the background.
    pub(crate) async fn start(balances: Collection<Document>) -> Result<Self> {
        let mut reader = Reader::new(balances).await?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let task = tokio::spawn(async move {
            while !stopped.load(Ordering::Relaxed) {
                reader.look().await;
                sleep(PAUSE).await;
            }
            reader.seen
        });
        Ok(Self { stop, task })
    }

    /// Stops, and tells what was seen.
    pub(crate) async fn finish(mut self) -> Result<Seen> {
        self.stop.store(true, Ordering::Relaxed);
        (&mut self.task).await.context("the reader broke off")
    }
}

struct Reader {
    balances: Collection<Document>,
    /// Documents by `_id`, each with the newest position seen.
    accounts: Vec<(Bson, i64)>,
    total: u64,
    seen: Seen,
}

impl Reader {
    async fn new(balances: Collection<Document>) -> Result<Self> {
        let mut cursor = balances.find(doc! {}).sort(doc! {"_id": 1}).limit(SAMPLE).await?;
        let mut accounts = Vec::new();
        while cursor.advance().await? {
            let document = cursor.deserialize_current()?;
            let id = document.get("_id").cloned().unwrap_or(Bson::Null);
            accounts.push((id, position_of(&document)));
        }
        ensure!(!accounts.is_empty(), "the balances read model is empty");
        let total = balances.count_documents(doc! {}).await?;
        Ok(Self { balances, accounts, total, seen: Seen::default() })
    }

    async fn look(&mut self) {
        let started = Instant::now();
        self.seen.reads += 1;
        let outcome =
            if self.seen.reads.is_multiple_of(LOOKS_PER_COUNT) { self.count().await } else { self.find_next().await };
        self.seen.slowest = self.seen.slowest.max(started.elapsed());
        if let Err(error) = outcome {
            self.seen.errors += 1;
            self.seen.first_error.get_or_insert_with(|| error.to_string());
        }
    }

    async fn count(&mut self) -> mongodb::error::Result<()> {
        let total = self.balances.count_documents(doc! {}).await?;
        if total < self.total {
            self.seen.gaps += 1;
        }
        self.total = self.total.max(total);
        Ok(())
    }

    async fn find_next(&mut self) -> mongodb::error::Result<()> {
        let index = usize::try_from(self.seen.reads).unwrap_or(0) % self.accounts.len();
        let (id, newest) = &mut self.accounts[index];
        match self.balances.find_one(doc! {"_id": id.clone()}).await? {
            None => self.seen.gaps += 1,
            Some(document) => {
                let position = position_of(&document);
                if position < *newest {
                    self.seen.older += 1;
                }
                *newest = position.max(*newest);
            }
        }
        Ok(())
    }
}

/// The position that a document has applied.
fn position_of(document: &Document) -> i64 {
    document.get_i64("p").unwrap_or(0)
}
