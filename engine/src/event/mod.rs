//! What is written: one [`Event`] a row of the log, and what it says, [`Payload`].

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::hash::Hash;
use crate::position::Position;

mod payload;

pub use payload::{
    AccountChanged, AccountOpened, AccountStatus, BalanceAsserted, BatchCommitted, CurrencyRegistered, DailyOut,
    EntryPosted, HoldPlaced, HoldReleased, HoldSettled, Movement, Payload, PeriodMoved, PostedLeg, SideAmount, kind,
};

/// One event as it stands in the log, immutable.
///
/// The hash covers every other field and the hash before it: see [`crate::hash`].
#[derive(Clone, Debug, Serialize)]
pub struct Event {
    /// Place in the ledger's log.
    pub position: Position,
    /// The idempotency key of the command that wrote it, if it had one.
    pub id: Option<String>,
    /// The stream it belongs to: an entity (`user/42`), or one of the engine's own (without a `/`).
    pub stream: Option<String>,
    /// Place in that stream, from 1.
    pub version: Option<i64>,
    /// What kind of event, such as `entry.posted` or `user.renamed`.
    pub kind: String,
    /// Version of the shape of `data` for this kind, from 1.
    pub schema: i16,
    /// The content, a JSON object, as the exact text that is stored.
    pub data: Box<RawValue>,
    /// The envelope, a JSON object: see [`Envelope`].
    pub meta: Box<RawValue>,
    /// When it counts.
    pub effective_at: Timestamp,
    /// When the ledger learnt it; never goes back along positions.
    pub recorded_at: Timestamp,
    /// SHA-256 over the previous hash and every other field.
    pub hash: Hash,
}

impl Event {
    /// The entity this event changed, if it is an entity change.
    ///
    /// Entities are named `type/id`; the engine's own streams hold no `/`, so the two never collide.
    pub fn entity(&self) -> Option<&str> {
        self.stream.as_deref().filter(|stream| stream.contains('/'))
    }

    /// What the event says, typed.
    ///
    /// # Errors
    ///
    /// When the data does not have the shape that its kind and schema promise, or the engine's kind
    /// is unknown (written by a newer version of this library).
    pub fn payload(&self) -> Result<Payload, PayloadError> {
        if self.entity().is_some() {
            return Ok(Payload::EntityChanged);
        }
        let data = self.data.get();
        match (self.kind.as_str(), self.schema) {
            (kind::CURRENCY_REGISTERED, 1) => self.read(data).map(Payload::CurrencyRegistered),
            (kind::ACCOUNT_OPENED, 1) => self.read(data).map(Payload::AccountOpened),
            (kind::LIMITS_SET | kind::ACCOUNT_FROZEN | kind::ACCOUNT_UNFROZEN | kind::ACCOUNT_CLOSED, 1) => {
                self.read(data).map(Payload::AccountChanged)
            }
            (kind::ENTRY_POSTED, 1) => self.read(data).map(Payload::EntryPosted),
            (kind::HOLD_PLACED, 1) => self.read(data).map(Payload::HoldPlaced),
            (kind::HOLD_SETTLED, 1) => self.read(data).map(Payload::HoldSettled),
            (kind::HOLD_VOIDED | kind::HOLD_EXPIRED, 1) => self.read(data).map(Payload::HoldReleased),
            (kind::BALANCE_ASSERTED, 1) => self.read(data).map(Payload::BalanceAsserted),
            (kind::PERIOD_CLOSED | kind::PERIOD_REOPENED, 1) => self.read(data).map(Payload::PeriodMoved),
            (kind::BATCH_COMMITTED, 1) => self.read(data).map(Payload::BatchCommitted),
            _ => Err(PayloadError::Unknown { position: self.position, kind: self.kind.clone(), schema: self.schema }),
        }
    }

    /// The envelope, typed.
    ///
    /// # Errors
    ///
    /// When `meta` is not the object that this library writes.
    pub fn envelope(&self) -> Result<Envelope, PayloadError> {
        self.read(self.meta.get())
    }

    fn read<'a, T: Deserialize<'a>>(&self, text: &'a str) -> Result<T, PayloadError> {
        serde_json::from_str(text).map_err(|source| PayloadError::Malformed {
            position: self.position,
            kind: self.kind.clone(),
            source,
        })
    }
}

/// What stands in `meta` beside the event's own data.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// 128 bits that tell a repeated command from another one under the same id: hexadecimal.
    pub fingerprint: String,
    /// Ties the events of one business process.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub correlation: Option<String>,
    /// The caller's own remarks.
    #[serde(skip_serializing_if = "crate::command::Meta::is_empty", default)]
    pub meta: crate::command::Meta,
}

/// An event that this version of the library cannot read.
#[derive(Debug, thiserror::Error)]
pub enum PayloadError {
    /// The kind or its schema is not known here.
    #[error("event {position}: kind {kind:?} in schema {schema} is unknown to this version; upgrade the library")]
    Unknown {
        /// Where it stands.
        position: Position,
        /// Its kind.
        kind: String,
        /// Its schema.
        schema: i16,
    },
    /// An older event could not be turned into the shape of today.
    #[error("event {position} ({kind}) could not be read from schema {schema} to the next: {why}")]
    Upcast {
        /// Where it stands.
        position: Position,
        /// Its kind.
        kind: String,
        /// The schema from which the step failed.
        schema: i16,
        /// What is wrong with the data.
        why: String,
    },
    /// The data has another shape than the kind promises.
    #[error("event {position} ({kind}) is malformed: {source}")]
    Malformed {
        /// Where it stands.
        position: Position,
        /// Its kind.
        kind: String,
        /// What the JSON reader said.
        source: serde_json::Error,
    },
}
