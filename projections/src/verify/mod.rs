//! Whether a model is what its log says: the log folded anew, document by document against the store.
//!
//! The projector may go on meanwhile: see `keyed` and `rows`.

mod differ;
mod keyed;
mod rows;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use postfold::{Hash, Position};
use serde::Serialize;

use crate::checkpoint::{Bucket, Checkpoint};
use crate::folder::{Folder, Shape};
use crate::halt::{Halt, Stop};
use crate::log::LogSource;
use crate::patience::Context;
use crate::progress::Reporter;
use crate::projector::ConfigError;
use crate::rebuild::switch;

/// What a verification found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verification {
    /// The projection.
    pub projection: &'static str,
    /// The generation that was compared.
    pub generation: i64,
    /// Everything up to here was in the model when it was compared.
    pub position: Position,
    /// Documents compared.
    pub documents: u64,
    /// Documents that differ. More than the second look takes (10,000) are counted after the first.
    pub different: u64,
    /// Keys that are parked: their documents were compared as of the event before.
    pub parked: usize,
    /// What differs, by key, up to [`verify_differences_max`](crate::Settings::verify_differences_max).
    pub differences: Vec<Difference>,
    /// How long it took.
    pub elapsed: Duration,
}

impl Verification {
    /// Whether the model is what the log says.
    pub const fn is_clean(&self) -> bool {
        self.different == 0
    }
}

/// A document that is not what the log says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The document.
    pub key: String,
    /// What is wrong with it.
    pub what: Wrong,
}

/// What is wrong with a document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Wrong {
    /// The log has it and the store does not.
    Missing,
    /// The store has it and the log does not.
    Extra,
    /// It is of another generation than the model.
    Generation {
        /// Its generation.
        found: i64,
    },
    /// It says that another event changed it last.
    Position {
        /// The event that did.
        expected: Position,
        /// The one that it names.
        found: Position,
    },
    /// A field has another value; absent values are `None`. Long ones are cut off.
    Field {
        /// The field, at the top of the document.
        name: String,
        /// By the log.
        expected: Option<String>,
        /// In the store.
        found: Option<String>,
    },
}

/// Why a verification did not come to its end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The projector is put together wrongly, or does not have this projection.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// There is nothing to compare.
    #[error("there is no model of {0} yet")]
    NoModel(&'static str),
    /// The caller cancelled it.
    #[error("the verification was cancelled")]
    Cancelled,
    /// The log cannot be folded, or something cannot be read.
    #[error(transparent)]
    Halted(#[from] Halt),
}

impl From<Stop> for VerifyError {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Halt(halt) => Self::Halted(halt),
            Stop::Cancelled | Stop::Displaced | Stop::Suspended | Stop::Poison(_) => Self::Cancelled,
        }
    }
}

/// Compares one model with the log.
pub(crate) struct Verify {
    pub(crate) context: Context,
    pub(crate) folder: Arc<dyn Folder>,
    pub(crate) log: Arc<dyn LogSource>,
    pub(crate) reporter: Reporter,
    /// Documents that have expired by now need not be there any more.
    pub(crate) now: Timestamp,
}

/// What one way of comparing came to.
struct Compared {
    checkpoint: Checkpoint,
    documents: u64,
    different: u64,
    differences: Vec<Difference>,
}

impl Verify {
    pub(crate) async fn run(&self) -> Result<Verification, VerifyError> {
        let began = tokio::time::Instant::now();
        let compared = match self.folder.shape() {
            Shape::Keyed => self.keyed().await?,
            Shape::Rows => self.rows().await?,
        };
        let Compared { checkpoint, documents, different, mut differences } = compared;
        differences.sort_by(|one, other| one.key.cmp(&other.key));
        differences.truncate(self.context.settings.verify_differences_max);
        let parked = self.context.store("read the parked keys", || self.context.store.parked(&checkpoint.name)).await?;
        Ok(Verification {
            projection: self.context.projection,
            generation: checkpoint.generation,
            position: checkpoint.position(),
            documents,
            different,
            parked: parked.iter().filter(|parked| parked.generation == checkpoint.generation).count(),
            differences,
            elapsed: began.elapsed(),
        })
    }

    /// The checkpoint, when it is one that can be compared with this log by this program.
    async fn open(&self) -> Result<Checkpoint, VerifyError> {
        let projection = self.context.projection;
        loop {
            let found = self.context.checkpoint().await?;
            let found = found.ok_or(VerifyError::NoModel(projection))?;
            if found.switching.is_some() {
                switch::settle(&self.context, found).await?;
                continue;
            }
            let (wanted, ledger) = (self.folder.version(), self.log.ledger_name());
            if found.ledger != ledger {
                return Err(Halt::OtherLedger { projection, found: found.ledger, wanted: ledger.to_owned() }.into());
            }
            if found.version != wanted {
                return Err(Halt::VersionChanged { projection, built: found.version, wanted }.into());
            }
            let Some(Bucket { position, hash: noted, .. }) = found.slowest().cloned() else {
                return Err(VerifyError::NoModel(projection));
            };
            let hash = match position {
                Position::START => Some(Hash::genesis(ledger)),
                _ => self.context.log(|| self.log.hash_at(position)).await?,
            };
            if hash != Some(noted) {
                return Err(Halt::LogDiffers { projection, position }.into());
            }
            return Ok(found);
        }
    }
}
