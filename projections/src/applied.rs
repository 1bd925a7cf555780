//! Waiting until a model has what was just written.

use std::time::Duration;

use postfold::Position;

use crate::checkpoint::Checkpoint;
use crate::store::{Store, StoreError};

/// Why [`Projector::applied_through`](crate::Projector::applied_through) did not return in time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppliedError {
    /// The model is not that far yet.
    #[error("{projection} is at {reached}, not yet at {wanted}")]
    TimedOut {
        /// The projection.
        projection: String,
        /// How far it is.
        reached: Position,
        /// How far it should be.
        wanted: Position,
    },
    /// The projection stopped by itself before it was that far.
    #[error("the projection stopped: {reason}")]
    Halted {
        /// Why.
        reason: String,
    },
    /// The checkpoint could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// First wait before [`applied_through`] looks again; it grows to the largest.
const APPLIED_POLL_MIN: Duration = Duration::from_millis(2);
/// Longest wait before [`applied_through`] looks again.
const APPLIED_POLL_MAX: Duration = Duration::from_millis(50);

/// Returns as soon as the model has everything up to this position.
pub(crate) async fn applied_through(
    store: &dyn Store,
    projection: &str,
    position: Position,
    timeout: Duration,
) -> Result<(), AppliedError> {
    let deadline = tokio::time::Instant::now() + timeout;
    let mut wait = APPLIED_POLL_MIN;
    loop {
        let checkpoint = store.checkpoint(projection).await?;
        let reached = checkpoint.as_ref().map_or(Position::START, Checkpoint::position);
        if reached >= position {
            return Ok(());
        }
        let halted = checkpoint.and_then(|found| found.buckets.into_iter().find_map(|bucket| bucket.halted));
        if let Some(halted) = halted {
            return Err(AppliedError::Halted { reason: halted.reason });
        }
        if tokio::time::Instant::now() >= deadline {
            return Err(AppliedError::TimedOut { projection: projection.to_owned(), reached, wanted: position });
        }
        tokio::time::sleep_until((tokio::time::Instant::now() + wait).min(deadline)).await;
        wait = wait.saturating_mul(2).min(APPLIED_POLL_MAX);
    }
}
