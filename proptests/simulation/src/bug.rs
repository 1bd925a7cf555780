//! Bugs that can be planted between the product and its stores, to see that a run finds them.

/// A deliberate bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Bug {
    /// A commit whose answer is lost is told as one that did not happen.
    LostCommitIsAFailure,
    /// Documents are acknowledged first, and written when the checkpoint has moved.
    CheckpointBeforeDocuments,
    /// A bucket is moved by whoever asks, whatever its epoch and revision.
    StaleLeaseAccepted,
    /// The new collection takes the name before the checkpoint says that it will.
    RenameBeforeIntent,
    /// A reader sees an event before the one that stands in front of it, as with numbers from a sequence.
    GapInPositions,
}

impl Bug {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::LostCommitIsAFailure,
        Self::CheckpointBeforeDocuments,
        Self::StaleLeaseAccepted,
        Self::RenameBeforeIntent,
        Self::GapInPositions,
    ];
}
