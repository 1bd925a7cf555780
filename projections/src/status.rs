//! What an operator wants to know about a projection.

use jiff::Timestamp;
use postfold::{Head, Position};
use serde::Serialize;

use crate::checkpoint::{Bucket, Checkpoint};
use crate::folder::Folder;
use crate::log::LogError;
use crate::progress::count;
use crate::store::{Drift, Parked, StoreError};

/// How far a projection is, and who moves it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Status {
    /// The projection.
    pub name: &'static str,
    /// The version of this program.
    pub version: u32,
    /// The version that built the model; absent where there is none.
    pub model_version: Option<u32>,
    /// The generation of the model.
    pub generation: Option<i64>,
    /// Every event up to here is in the model.
    pub position: Position,
    /// The newest event of the log.
    pub head: Position,
    /// Events between the two.
    pub lag: u64,
    /// Seconds that the oldest event which is not in the model yet has waited, by this process's clock.
    pub lag_seconds: f64,
    /// What it is doing, as far as its checkpoint tells.
    pub state: State,
    /// Why it stopped by itself.
    pub halted: Option<String>,
    /// Why it is paused.
    pub paused: Option<String>,
    /// Keys that are parked.
    pub parked: usize,
    /// How the indexes differ from those that are declared.
    pub drift: Vec<Drift>,
    /// Goes up with every rebuild, switch and pause.
    pub epoch: Option<i64>,
    /// When the checkpoint moved last, by that projector's clock.
    pub updated_at: Option<Timestamp>,
    /// Its buckets: how far each is, and who moves it.
    pub buckets: Vec<BucketStatus>,
}

/// How far a bucket of a projection is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BucketStatus {
    /// Every event up to here is in its documents.
    pub position: Position,
    /// The process that moves it.
    pub owner: Option<String>,
    /// Goes up at every take-over.
    pub epoch: i64,
    /// When it moved last, by that process's clock.
    pub updated_at: Timestamp,
}

/// What a projection is doing, as far as its checkpoint tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It never ran.
    New,
    /// Everything is in the model.
    CaughtUp,
    /// There are events that are not in the model yet.
    Behind,
    /// A new generation is taking over.
    Switching,
    /// An operator paused it.
    Paused,
    /// It stopped by itself: see [`Status::halted`].
    Halted,
    /// Another version built the model: it wants a rebuild.
    Outdated,
    /// The model is ahead of the log, which was restored from an older backup: it wants a rebuild.
    Ahead,
}

impl Status {
    pub(crate) fn of(
        folder: &dyn Folder,
        checkpoint: Option<Checkpoint>,
        head: &Head,
        parked: &[Parked],
        drift: Vec<Drift>,
    ) -> Self {
        let (name, version) = (folder.name(), folder.version());
        let state = state(folder, checkpoint.as_ref(), head);
        let position = checkpoint.as_ref().map_or(Position::START, Checkpoint::position);
        let lag = count(head.position).saturating_sub(count(position));
        let generation = checkpoint.as_ref().map(|checkpoint| checkpoint.generation);
        let mut status = Self {
            name,
            version,
            model_version: None,
            generation,
            position,
            head: head.position,
            lag,
            lag_seconds: 0.0,
            state,
            halted: None,
            paused: None,
            parked: parked.iter().filter(|parked| Some(parked.generation) == generation).count(),
            drift,
            epoch: None,
            updated_at: None,
            buckets: Vec::new(),
        };
        if let Some(found) = checkpoint {
            (status.model_version, status.epoch) = (Some(found.version), Some(found.epoch));
            status.paused = found.paused.map(|paused| paused.reason);
            status.updated_at = found.buckets.iter().map(|bucket| bucket.updated_at).max();
            status.halted = found.buckets.iter().find_map(|bucket| Some(bucket.halted.as_ref()?.reason.clone()));
            let bucket = |bucket: Bucket| BucketStatus {
                position: bucket.position,
                owner: bucket.owner.map(|owner| owner.name),
                epoch: bucket.epoch,
                updated_at: bucket.updated_at,
            };
            status.buckets = found.buckets.into_iter().map(bucket).collect();
        }
        status
    }
}

fn state(folder: &dyn Folder, checkpoint: Option<&Checkpoint>, head: &Head) -> State {
    let Some(checkpoint) = checkpoint else { return State::New };
    if checkpoint.switching.is_some() {
        State::Switching
    } else if checkpoint.version != folder.version() {
        State::Outdated
    } else if checkpoint.furthest() > head.position {
        State::Ahead
    } else if checkpoint.paused.is_some() {
        State::Paused
    } else if checkpoint.buckets.iter().any(|bucket| bucket.halted.is_some()) {
        State::Halted
    } else if checkpoint.position() < head.position {
        State::Behind
    } else {
        State::CaughtUp
    }
}

/// Why the status cannot be told.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StatusError {
    /// The log could not be read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The store could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}
