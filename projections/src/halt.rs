//! Why a projector stops by itself.

use postfold::Position;
use serde::Serialize;

/// Why a projection stopped, and what to do about it. The other projections go on.
///
/// Its model stays as it is: everything before the trouble is in it, and in its checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "halt", rename_all = "snake_case")]
pub enum Halt {
    /// An event cannot be folded.
    #[error("{projection} cannot fold the event at {position}{}: {message}", .key.as_ref().map(|key| format!(" into {key:?}")).unwrap_or_default())]
    Fold {
        /// The projection.
        projection: &'static str,
        /// The event.
        position: Position,
        /// The document, where it is known.
        key: Option<String>,
        /// What the fold said.
        message: String,
    },
    /// Another version of the projection built the model.
    #[error(
        "version {built} of {projection} built the model, this program has version {wanted}: run `postfold project rebuild --only {projection}`"
    )]
    VersionChanged {
        /// The projection.
        projection: &'static str,
        /// The version that built the model.
        built: u32,
        /// The version of this program.
        wanted: u32,
    },
    /// The log is not the one that was folded: it was restored from an older backup, or altered.
    #[error(
        "the log at {position} is not the one that {projection} was folded from (restored from an older backup?): run `postfold project rebuild --only {projection}`"
    )]
    LogDiffers {
        /// The projection.
        projection: &'static str,
        /// The position of the checkpoint.
        position: Position,
    },
    /// The database holds the models of another ledger.
    #[error(
        "the checkpoint of {projection} belongs to the ledger {found:?}, not to {wanted:?}: give each ledger a database of its own"
    )]
    OtherLedger {
        /// The projection.
        projection: &'static str,
        /// The ledger that the checkpoint names.
        found: String,
        /// The ledger of this projector.
        wanted: String,
    },
    /// Another projector took the projection over.
    #[error("{owner} took {projection} over (epoch {epoch}); this projector stops")]
    TakenOver {
        /// The projection.
        projection: &'static str,
        /// The new owner.
        owner: String,
        /// The epoch of the take-over.
        epoch: i64,
    },
    /// There are documents, and no checkpoint that says how far they are.
    #[error(
        "the collection {projection} has documents but no checkpoint: run `postfold project rebuild --only {projection}`, or drop the collection"
    )]
    NoCheckpoint {
        /// The projection.
        projection: &'static str,
    },
    /// The server refuses what the fold made, and takes everything else.
    #[error("{projection}: the server refuses to {what}: {message}")]
    Refused {
        /// The projection.
        projection: &'static str,
        /// What was asked of the server.
        what: &'static str,
        /// What it said.
        message: String,
    },
    /// The log cannot be read, and trying again will not help.
    #[error("{projection}: {message}")]
    Log {
        /// The projection.
        projection: &'static str,
        /// What the log said.
        message: String,
    },
}

/// Why work on a projection ends before it is done.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The caller asked for it.
    Cancelled,
    /// The checkpoint, or the documents, are not ours as they were: look at the checkpoint.
    Displaced,
    /// It cannot go on.
    Halt(Halt),
}

impl From<Halt> for Stop {
    fn from(halt: Halt) -> Self {
        Self::Halt(halt)
    }
}
