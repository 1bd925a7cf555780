//! Tasks that post, each as soon as its last call was answered, and what they saw.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use crate::peer::{ACCOUNTS, Load, Peer, Transfer, Way};

/// A call that takes longer is given up; what became of it is not known.
const CALL_TIME_MAX: Duration = Duration::from_secs(30);
/// The longest wait before a call that failed is made again; waits double up to it, and are drawn from zero on.
const BACKOFF_MAX_MS: u64 = 64;
/// The longest call that is told apart, in microseconds.
const LATENCY_MAX_US: u64 = 60_000_000;
/// Errors are told apart by so many characters.
const ERROR_CHARS: usize = 160;

/// What is posted.
#[derive(Clone)]
pub(crate) struct Driver {
    pub(crate) peer: Arc<dyn Peer>,
    pub(crate) load: Load,
    pub(crate) way: Way,
    /// Sets the keys of its transfers apart from those of others.
    pub(crate) name: &'static str,
}

/// What its tasks saw.
pub(crate) struct Posted {
    /// Transfers that were acknowledged.
    pub(crate) transfers: u64,
    /// Transfers of calls that were given up.
    pub(crate) unknown: u64,
    /// From the first call to the last answer.
    pub(crate) took: Duration,
    pub(crate) latencies: Histogram<u32>,
    /// Calls that failed, by what was said; each was made again.
    pub(crate) errors: BTreeMap<String, u64>,
}

impl Posted {
    fn new() -> anyhow::Result<Self> {
        let latencies = Histogram::new_with_bounds(1, LATENCY_MAX_US, 3)?;
        Ok(Self { transfers: 0, unknown: 0, took: Duration::ZERO, latencies, errors: BTreeMap::new() })
    }

    /// Adds what was seen elsewhere; the time is not a sum.
    pub(crate) fn add(&mut self, other: &Self) -> anyhow::Result<()> {
        self.transfers += other.transfers;
        self.unknown += other.unknown;
        self.latencies.add(&other.latencies)?;
        for (error, count) in &other.errors {
            *self.errors.entry(error.clone()).or_default() += count;
        }
        Ok(())
    }
}

impl Driver {
    /// Posts until the time is over or so many transfers are on their way, whichever is first.
    pub(crate) async fn run(&self, time: Duration, transfers_max: u64) -> anyhow::Result<Posted> {
        let next = Arc::new(AtomicU64::new(0));
        let started = Instant::now();
        let end = started + time;
        let mut workers = JoinSet::new();
        for worker in 0..self.way.workers {
            let (driver, next) = (self.clone(), Arc::clone(&next));
            workers.spawn(async move { driver.work(worker, &next, transfers_max, end).await });
        }
        let mut posted = Posted::new()?;
        while let Some(ended) = workers.join_next().await {
            posted.add(&ended??)?;
        }
        posted.took = started.elapsed();
        Ok(posted)
    }

    async fn work(&self, worker: u32, next: &AtomicU64, transfers_max: u64, end: Instant) -> anyhow::Result<Posted> {
        let mut random = ChaCha8Rng::seed_from_u64(worker.into());
        let mut posted = Posted::new()?;
        let size = u64::from(self.way.batch);
        loop {
            let first = next.fetch_add(size, Ordering::Relaxed);
            if first >= transfers_max || Instant::now() >= end {
                return Ok(posted);
            }
            let transfers: Vec<Transfer> = (first..first + size).map(|n| self.transfer(&mut random, n)).collect();
            self.call(&transfers, &mut random, &mut posted, end).await;
        }
    }

    /// Makes a call until it is answered well, or the time is over.
    async fn call(&self, transfers: &[Transfer], random: &mut ChaCha8Rng, posted: &mut Posted, end: Instant) {
        let began = Instant::now();
        let count = u64::try_from(transfers.len()).unwrap_or_default();
        for failures in 0_u32.. {
            let error = match timeout(CALL_TIME_MAX, self.peer.post(transfers)).await {
                Ok(Ok(())) => {
                    posted.transfers += count;
                    let micros = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
                    posted.latencies.saturating_record(micros);
                    return;
                }
                Ok(Err(error)) => said(&error),
                Err(_) => {
                    posted.unknown += count;
                    format!("no answer within {} s", CALL_TIME_MAX.as_secs())
                }
            };
            let known = !error.starts_with("no answer");
            *posted.errors.entry(error).or_default() += 1;
            if !known || Instant::now() >= end {
                return;
            }
            let wait_max = 1_u64.checked_shl(failures).unwrap_or(u64::MAX).min(BACKOFF_MAX_MS);
            sleep(Duration::from_millis(random.random_range(0..=wait_max))).await;
        }
    }

    fn transfer(&self, random: &mut ChaCha8Rng, number: u64) -> Transfer {
        let from = match self.load {
            Load::Uniform => random.random_range(0..ACCOUNTS),
            Load::Hot => 0,
        };
        let to = (from + random.random_range(1..ACCOUNTS)) % ACCOUNTS;
        Transfer { key: format!("{}-{number:010}", self.name), id: Uuid::now_v7(), from, to }
    }
}

/// What an error says, causes included, without what differs from one to the next.
fn said(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        // Many errors print their cause themselves.
        if !text.contains(&cause) {
            text = if text.is_empty() { cause } else { format!("{text}: {cause}") };
        }
    }
    let same = |word: &str| if is_id(word) { "..".to_owned() } else { word.to_owned() };
    let words: Vec<String> = text.split_whitespace().map(same).collect();
    words.join(" ").chars().take(ERROR_CHARS).collect()
}

fn is_id(word: &str) -> bool {
    word.len() >= 8 && word.chars().any(|char| char.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_that_differ_by_an_id_are_one() {
        let error = |id: &str| anyhow::anyhow!("row {id} is locked").context("cannot post");
        assert_eq!(said(&error("01890dd5-ea3f")), said(&error("01890dd5-ea40")));
        assert_eq!(said(&error("7")), "cannot post: row 7 is locked");
    }
}
