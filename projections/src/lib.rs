//! Read models of a [`postfold`] ledger: pure folds of its log, kept in MongoDB.
//!
//! ```text
//! log -> projector (pure fold) -> documents, then checkpoint
//! ```
//!
//! | to | see |
//! |---|---|
//! | use the models that come with the ledger | [`models`] |
//! | write a model of your own | [`Projection`], [`testing::Scenario`] |
//! | run, rebuild, verify, watch | [`Projector`] |
//! | read a model, typed | [`Reader`], [`RowReader`] |
//! | set bounds | [`Settings`], [`MongoSettings`] |
//! | keep the models somewhere else | [`Store`], [`conformance`] |
//! | measure | [`metrics`] |
//!
//! # What is promised
//!
//! A model equals the fold of the log up to its checkpoint, whatever crashed in between; and a rebuild
//! gives the same documents as following the log does. Nothing needs a transaction over several
//! documents: each document tells how far it is (`p`) and of which generation (`g`), every write is
//! guarded by both, and the checkpoint moves only when all documents of a batch are there.

pub mod conformance;
pub mod json;
pub mod metrics;
pub mod models;
pub mod money;
pub mod testing;

mod accounts;
mod applied;
mod checkpoint;
mod event;
mod folder;
mod halt;
mod log;
mod patience;
mod progress;
mod projection;
mod projector;
mod read;
mod reader;
mod rebuild;
mod settings;
mod status;
mod store;
mod verify;

pub use applied::AppliedError;
pub use checkpoint::{Attempt, Bucket, Checkpoint, Halted, Owner, Paused, Switching};
pub use event::{Move, ReadEvent};
pub use folder::is_folding;
pub use halt::Halt;
pub use log::{EntityChange, LogError, LogSource};
pub use progress::{Phase, Progress};
pub use projection::{Added, Change, FoldError, Index, Keys, OnPoison, Projection, RowProjection, row_id};
pub use projector::parking;
pub use projector::{ConfigError, Leftovers, OperateError, Projector, RunError, RunOutcome, RunReport};
pub use read::{Found, Page, ReadError, Reader, RowReader};
pub use rebuild::{RebuildError, RebuildReport};
pub use settings::Settings;
pub use status::{BucketStatus, State, Status, StatusError};
pub use store::{
    CHECKPOINTS, Collection, DOCUMENT_BYTES_MAX, Drift, Guard, MEMBERS, Mark, Member, MemoryStore, MongoSettings,
    MongoStore, PARKED, Parked, RESERVED_FIELDS, Refused, Row, Store, StoreError, StoreErrorKind, WriteForm, Written,
    database_name,
};
pub use verify::{Difference, Verification, VerifyError, Wrong};
