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
    /// The server refuses a document.
    #[error("{projection}: the server refuses the document {key:?}, changed by the event at {position}: {message}")]
    Document {
        /// The projection.
        projection: &'static str,
        /// The document's key.
        key: String,
        /// The first event that is new in it.
        position: Position,
        /// What the server said.
        message: String,
    },
    /// More keys are parked than may be: most likely something is wrong with all of them.
    #[error("{projection} has {parked} keys parked already, and the event at {position} would park another: {message}")]
    TooManyParked {
        /// The projection.
        projection: &'static str,
        /// How many are parked.
        parked: usize,
        /// The event.
        position: Position,
        /// Why it would be parked.
        message: String,
    },
    /// It had stopped before, by itself, and nobody has mended it since.
    #[error("{projection} stopped before: {reason}; `postfold project resume {projection}` lets it try again")]
    Before {
        /// The projection.
        projection: &'static str,
        /// Why.
        reason: String,
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
    /// The lease has run out: another process may have taken over.
    Suspended,
    /// The server refuses these documents.
    Poison(Vec<Poison>),
    /// It cannot go on.
    Halt(Halt),
}

impl From<Halt> for Stop {
    fn from(halt: Halt) -> Self {
        Self::Halt(halt)
    }
}

/// A document that the server refuses, and takes all others.
#[derive(Clone, Debug)]
pub(crate) struct Poison {
    /// The key whose fold made it.
    pub(crate) key: String,
    /// The first event that is new in it.
    pub(crate) position: Position,
    /// What the server said.
    pub(crate) message: String,
}

impl Poison {
    pub(crate) fn halt(self, projection: &'static str) -> Halt {
        let Self { key, position, message } = self;
        Halt::Document { projection, key, position, message }
    }
}
