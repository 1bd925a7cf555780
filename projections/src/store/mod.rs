//! Where read models live: the [`Store`] trait, and its two implementations.
//!
//! A model's documents are in one collection, named like the projection. Every document carries
//! three fields of the projector beside its own:
//!
//! | field | meaning |
//! |---|---|
//! | `_id` | the key |
//! | `g` | the generation of the model that it belongs to |
//! | `p` | the position of the event that changed it last: it holds everything up to there |
//! | `dead` | `true` in a tombstone, which has no fields of its own; absent otherwise |
//!
//! Every write is guarded by `g` and `p`, so that sending it twice, late, or beside another writer
//! never moves a document back.

mod memory;
mod mongo;

use async_trait::async_trait;
use bson::raw::RawDocumentBuf;
use jiff::Timestamp;
use postfold::Position;
use serde::{Deserialize, Serialize};

pub use memory::MemoryStore;
pub use mongo::{MongoSettings, MongoStore, WriteForm, database_name};

use crate::checkpoint::{Bucket, Checkpoint};
use crate::projection::Index;

/// The fields at the top of a document that belong to the projector.
pub const RESERVED_FIELDS: [&str; 4] = ["_id", "g", "p", "dead"];

/// Bytes that a projection's document may take: a little less than the 16 MiB that MongoDB allows, since
/// a compatible server allows a whole command no more than that.
pub const DOCUMENT_BYTES_MAX: usize = 16_000_000;

/// The collection that holds one [`Checkpoint`] per projection.
pub const CHECKPOINTS: &str = "postfold_checkpoints";
/// The collection that holds one [`Member`] per process.
pub const MEMBERS: &str = "postfold_members";
/// The collection that holds one [`Parked`] per parked key.
pub const PARKED: &str = "postfold_parked";

/// A document as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The key.
    pub id: String,
    /// The generation it belongs to.
    pub generation: i64,
    /// The position of the event that changed it last.
    pub position: Position,
    /// The projection's own fields; `None` in a tombstone.
    pub state: Option<RawDocumentBuf>,
}

impl Row {
    /// Bytes that the row takes in a command, roughly.
    pub(crate) fn weight(&self) -> usize {
        self.id.len() + self.state.as_ref().map_or(0, |state| state.as_bytes().len()) + ROW_OVERHEAD_BYTES
    }
}

/// What a statement adds to a document: its filter, its own fields and their names.
const ROW_OVERHEAD_BYTES: usize = 200;

/// How far a stored document is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The key.
    pub id: String,
    /// The generation it belongs to.
    pub generation: i64,
    /// The position of the event that changed it last.
    pub position: Position,
}

/// Which stored documents a replace may touch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// Those of the same generation at a lower position.
    Behind,
    /// Those of an earlier generation: what a late writer left behind.
    OlderGeneration,
}

/// What became of the statements of one write.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// How many were done.
    pub done: usize,
    /// Those that the server refused one by one; the others are not affected by them.
    pub refused: Vec<Refused>,
}

/// A statement that the server refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Its place among the rows sent.
    pub index: usize,
    /// Why.
    pub error: StoreError,
}

/// A collection and what tells it from another one of the same name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collection {
    /// Its name.
    pub name: String,
    /// Its UUID, which a rename does not change; hexadecimal.
    pub uuid: String,
}

/// A process that works on projections.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Tells it from every other; a process that starts anew is another one.
    #[serde(rename = "_id")]
    pub id: String,
    /// Its name, for people.
    pub name: String,
    /// Goes up as long as it lives. Whoever sees the same number for the length of the lease, by a clock of
    /// its own, takes the process for dead.
    pub beat: i64,
    /// How long it may be silent, in milliseconds.
    pub lease_ms: i64,
    /// The projections that it can work on.
    pub projections: Vec<String>,
    /// When it beat last, by its own clock: for people, nothing is decided by it.
    #[serde(with = "crate::money::date")]
    pub at: Timestamp,
}

/// A key whose document takes no event until an operator decides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parked {
    /// The projection.
    pub projection: String,
    /// The generation of the model.
    pub generation: i64,
    /// The key.
    pub key: String,
    /// The event that could not be folded into it; this one and all later ones wait.
    pub position: Position,
    /// Why not.
    pub reason: String,
    /// How often it was tried.
    pub attempts: i64,
    /// When it was tried last, by the projector's clock.
    #[serde(with = "crate::money::date")]
    pub at: Timestamp,
}

/// How an index of a collection differs from what its projection declares.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "drift", content = "index", rename_all = "snake_case")]
pub enum Drift {
    /// It is declared, and not there.
    Missing(String),
    /// It is there with other options.
    Different(String),
    /// It is there, and not declared.
    Extra(String),
}

/// Why a store did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct StoreError {
    /// What kind of failure.
    pub kind: StoreErrorKind,
    /// What the store said.
    pub message: String,
}

/// The kinds of failure that a caller has to tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreErrorKind {
    /// The server is away, busy or changing its primary; what was sent may or may not have happened.
    Unavailable,
    /// The server answered with this code, which may be an outage, or a fault of the request.
    Server(i32),
    /// The server refused the document or the request itself: the same will be refused again.
    Refused(i32),
    /// There is another document with this key, or with these values of a unique index.
    Duplicate,
    /// No such collection.
    NotFound,
    /// What is stored cannot be read.
    Malformed,
}

impl StoreError {
    /// A failure of this kind.
    pub fn new(kind: StoreErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }
}

/// A place for read models. See [`crate::conformance`] for what each method has to keep.
///
/// Rows of one write come sorted by `id`, each at most once, and have to be written in that order:
/// two writers that meet in different orders could block each other for ever.
///
/// An insert that names a collection that is not there creates it, as in MongoDB; no other write does.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Asks the server for a sign of life.
    async fn ping(&self) -> Result<(), StoreError>;

    /// Proves that the server takes writes, by one to the checkpoint that changes nothing in it.
    async fn probe(&self, projection: &str) -> Result<(), StoreError>;

    /// The documents with these keys, tombstones included, in any order.
    async fn fetch(&self, collection: &str, ids: &[&str]) -> Result<Vec<Row>, StoreError>;

    /// How far the documents with these keys are, tombstones included, in any order.
    async fn marks(&self, collection: &str, ids: &[&str]) -> Result<Vec<Mark>, StoreError>;

    /// At most `limit` documents with keys behind `after` and not behind `through`, by key, tombstones
    /// included.
    async fn scan(
        &self,
        collection: &str,
        after: Option<&str>,
        through: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError>;

    /// How many documents the collection has, tombstones included.
    async fn count(&self, collection: &str) -> Result<u64, StoreError>;

    /// Replaces what the guard lets through, each document on its own; the others stay as they are.
    async fn replace(&self, collection: &str, guard: Guard, rows: &[&Row]) -> Result<Written, StoreError>;

    /// Inserts documents, each on its own; a key that is taken is refused as
    /// [`StoreErrorKind::Duplicate`].
    async fn insert(&self, collection: &str, rows: &[&Row]) -> Result<Written, StoreError>;

    /// Removes the tombstones with these keys that are of this generation and not beyond `through`.
    async fn bury(&self, collection: &str, ids: &[&str], generation: i64, through: Position)
    -> Result<u64, StoreError>;

    /// Removes every document of an earlier generation, and every tombstone not beyond `through`.
    async fn sweep(&self, collection: &str, generation: i64, through: Position) -> Result<u64, StoreError>;

    /// All collections of the database.
    async fn collections(&self) -> Result<Vec<Collection>, StoreError>;

    /// Makes a collection with these indexes, and reads the indexes back; one that is there already
    /// gets the indexes that it lacks.
    async fn create(&self, collection: &str, indexes: &[Index]) -> Result<(), StoreError>;

    /// How the indexes of a collection differ from these, beside the one on `_id`.
    async fn drift(&self, collection: &str, indexes: &[Index]) -> Result<Vec<Drift>, StoreError>;

    /// Drops the indexes that are not among these or differ, and builds those that lack. A compatible server
    /// blocks the collection's writers meanwhile.
    async fn reindex(&self, collection: &str, indexes: &[Index]) -> Result<(), StoreError>;

    /// Gives a collection another name in one step; one that has that name is dropped with it.
    async fn rename(&self, from: &str, to: &str) -> Result<(), StoreError>;

    /// Drops a collection; one that is not there is fine.
    async fn drop_collection(&self, collection: &str) -> Result<(), StoreError>;

    /// All checkpoints, by name.
    async fn checkpoints(&self) -> Result<Vec<Checkpoint>, StoreError>;

    /// The checkpoint of a projection.
    async fn checkpoint(&self, projection: &str) -> Result<Option<Checkpoint>, StoreError>;

    /// Writes a first checkpoint; `false` when there is one already.
    async fn create_checkpoint(&self, checkpoint: &Checkpoint) -> Result<bool, StoreError>;

    /// Puts `new` in the place of `old`, buckets aside; `false` when epoch or revision are not those of `old`
    /// any more.
    async fn swap_header(&self, old: &Checkpoint, new: &Checkpoint) -> Result<bool, StoreError>;

    /// Puts `new` in the place of `old`, buckets included; `false` when epoch or revision are not those of `old`
    /// any more. Only while `old` says that a switch is under way: no bucket is written then.
    async fn swap_checkpoint(&self, old: &Checkpoint, new: &Checkpoint) -> Result<bool, StoreError>;

    /// Puts `new` in the place of the bucket `index` of `of`; `false` when the generation or the number of
    /// buckets is not that of `of` any more, a switch is under way, or the bucket's epoch or revision is not
    /// the one in `of` any more.
    async fn swap_bucket(&self, of: &Checkpoint, index: usize, new: &Bucket) -> Result<bool, StoreError>;

    /// All processes that said that they live, and have not left.
    async fn members(&self) -> Result<Vec<Member>, StoreError>;

    /// Says that this process lives.
    async fn beat(&self, member: &Member) -> Result<(), StoreError>;

    /// Forgets a process; one that is not there is fine.
    async fn leave(&self, member: &str) -> Result<(), StoreError>;

    /// The parked keys of a projection, of all generations, by key.
    async fn parked(&self, projection: &str) -> Result<Vec<Parked>, StoreError>;

    /// Parks a key, or notes another try of one that is parked.
    async fn park(&self, parked: &Parked) -> Result<(), StoreError>;

    /// Takes a key out of the parked ones; one that is not there is fine.
    async fn unpark(&self, projection: &str, generation: i64, key: &str) -> Result<(), StoreError>;
}
