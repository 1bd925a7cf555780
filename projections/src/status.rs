//! What an operator wants to know about a projection.

use jiff::Timestamp;
use postfold::{Head, Position};
use serde::Serialize;

use crate::checkpoint::Checkpoint;
use crate::folder::Folder;
use crate::log::LogError;
use crate::progress::count;
use crate::store::StoreError;

/// How far a projection is, and who moves it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
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
    /// What it is doing, as far as its checkpoint tells.
    pub state: State,
    /// Why it stopped by itself.
    pub halted: Option<String>,
    /// The projector that moves the checkpoint.
    pub owner: Option<String>,
    /// Goes up with every take-over, rebuild and switch.
    pub epoch: Option<i64>,
    /// When the checkpoint moved last, by that projector's clock.
    pub updated_at: Option<Timestamp>,
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
    /// It stopped by itself: see [`Status::halted`].
    Halted,
    /// Another version built the model: it wants a rebuild.
    Outdated,
    /// The model is ahead of the log, which was restored from an older backup: it wants a rebuild.
    Ahead,
}

impl Status {
    pub(crate) fn of(folder: &dyn Folder, checkpoint: Option<Checkpoint>, head: &Head) -> Self {
        let position = checkpoint.as_ref().map_or(Position::START, |checkpoint| checkpoint.position);
        Self {
            name: folder.name(),
            version: folder.version(),
            model_version: checkpoint.as_ref().map(|checkpoint| checkpoint.version),
            generation: checkpoint.as_ref().map(|checkpoint| checkpoint.generation),
            position,
            head: head.position,
            lag: count(head.position).saturating_sub(count(position)),
            state: state(folder, checkpoint.as_ref(), head),
            halted: checkpoint
                .as_ref()
                .and_then(|checkpoint| checkpoint.halted.as_ref())
                .map(|halted| halted.reason.clone()),
            epoch: checkpoint.as_ref().map(|checkpoint| checkpoint.epoch),
            updated_at: checkpoint.as_ref().map(|checkpoint| checkpoint.updated_at),
            owner: checkpoint.and_then(|checkpoint| checkpoint.owner),
        }
    }
}

fn state(folder: &dyn Folder, checkpoint: Option<&Checkpoint>, head: &Head) -> State {
    let Some(checkpoint) = checkpoint else { return State::New };
    if checkpoint.switching.is_some() {
        State::Switching
    } else if checkpoint.version != folder.version() {
        State::Outdated
    } else if checkpoint.position > head.position {
        State::Ahead
    } else if checkpoint.halted.is_some() {
        State::Halted
    } else if checkpoint.position < head.position {
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
