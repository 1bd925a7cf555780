//! How far long work is.

use std::sync::Arc;
use std::time::Duration;

use postfold::Position;
use serde::Serialize;
use tokio::time::Instant;

/// How far a projection, a rebuild or a verification is, for a progress bar.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Progress {
    /// The projection.
    pub projection: &'static str,
    /// What is being done.
    pub phase: Phase,
    /// Where the phase began: what was done before says nothing about the rate.
    pub start: u64,
    /// Done up to here; in [`Phase::Load`] and [`Phase::Scan`] the number of documents.
    pub position: u64,
    /// Where it ends, as far as is known.
    pub end: u64,
    /// How long this phase has taken.
    pub elapsed: Duration,
}

impl Progress {
    /// Events (or documents) per second in this phase; `None` at its very beginning.
    pub fn rate(&self) -> Option<f64> {
        let done = self.position.saturating_sub(self.start);
        let done = f64::from(u32::try_from(done).unwrap_or(u32::MAX));
        (self.elapsed > Duration::ZERO).then(|| done / self.elapsed.as_secs_f64())
    }
}

/// What is being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Live: folding what is in the log, and what comes.
    Follow,
    /// Rebuild, verification: folding the log from its start.
    Fold,
    /// Rebuild: writing the documents.
    Load,
    /// Rebuild: building the indexes.
    Index,
    /// Rebuild: folding what came meanwhile.
    Tail,
    /// Rebuild: giving the new generation the stable name.
    Switch,
    /// Verification: reading the stored documents.
    Scan,
}

/// Whom to tell.
#[derive(Clone, Default)]
pub(crate) struct Reporter {
    tell: Option<Arc<Tell>>,
}

type Tell = dyn Fn(&Progress) + Send + Sync;

impl Reporter {
    pub(crate) fn new(tell: impl Fn(&Progress) + Send + Sync + 'static) -> Self {
        Self { tell: Some(Arc::new(tell)) }
    }

    /// A phase that begins at 0.
    pub(crate) fn phase(&self, projection: &'static str, phase: Phase, end: u64) -> Stage<'_> {
        self.phase_from(projection, phase, 0, end)
    }

    pub(crate) fn phase_from(&self, projection: &'static str, phase: Phase, start: u64, end: u64) -> Stage<'_> {
        let stage = Stage { reporter: self, projection, phase, start, end, since: Instant::now() };
        stage.at(start);
        stage
    }
}

/// A phase under way.
pub(crate) struct Stage<'a> {
    reporter: &'a Reporter,
    projection: &'static str,
    phase: Phase,
    start: u64,
    end: u64,
    since: Instant,
}

impl Stage<'_> {
    pub(crate) fn at(&self, position: u64) {
        if let Some(tell) = &self.reporter.tell {
            let Self { projection, phase, start, since, .. } = *self;
            tell(&Progress {
                projection,
                phase,
                start,
                position,
                end: self.end.max(position),
                elapsed: since.elapsed(),
            });
        }
    }
}

/// A position as a count of events.
pub(crate) fn count(position: Position) -> u64 {
    u64::try_from(position.get()).unwrap_or(0)
}
