//! What is written: one [`Event`] a row of the log, and what it says, [`Payload`].

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::account::{AccountType, Limits, Side};
use crate::hash::Hash;
use crate::position::Position;
use rust_decimal::Decimal;

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
            (kind::ENTRY_POSTED, 1) => self.read(data).map(Payload::EntryPosted),
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

/// The names of the engine's own kinds.
pub mod kind {
    /// A currency was registered with its scale.
    pub const CURRENCY_REGISTERED: &str = "currency.registered";
    /// An account was opened.
    pub const ACCOUNT_OPENED: &str = "account.opened";
    /// A balanced entry was posted.
    pub const ENTRY_POSTED: &str = "entry.posted";
    /// An atomic batch that carried an id came to its end.
    pub const BATCH_COMMITTED: &str = "batch.committed";
}

/// What an event says, typed by its kind.
#[derive(Clone, Debug, PartialEq)]
pub enum Payload {
    /// `currency.registered`
    CurrencyRegistered(CurrencyRegistered),
    /// `account.opened`
    AccountOpened(AccountOpened),
    /// `entry.posted`
    EntryPosted(EntryPosted),
    /// `batch.committed`
    BatchCommitted(BatchCommitted),
    /// A change of an entity: kind and data are the embedder's own.
    EntityChanged,
}

/// Data of `currency.registered`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CurrencyRegistered {
    /// The code, such as `POINTS`.
    pub code: String,
    /// Digits behind the decimal point, 0 to 18.
    pub scale: u8,
    /// A name for people.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub name: Option<String>,
}

/// Data of `account.opened`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountOpened {
    /// The account's code, such as `assets:cash:till-1`.
    pub account: String,
    /// The one currency it is kept in.
    pub currency: String,
    /// Digits behind the decimal point of that currency.
    pub scale: u8,
    /// Asset, expense, liability, equity or income.
    #[serde(rename = "type")]
    pub account_type: AccountType,
    /// The side on which its balance grows.
    pub normal: Side,
    /// Floor, ceiling and daily outflow, on the normal side.
    #[serde(skip_serializing_if = "Limits::is_empty", default)]
    pub limits: Limits,
    /// Whom it belongs to.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub owner: Option<String>,
    /// A name for people.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub name: Option<String>,
}

/// Data of `entry.posted`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryPosted {
    /// The legs; debits equal credits in every currency.
    pub legs: Vec<PostedLeg>,
    /// What it was for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub text: Option<String>,
    /// What a transfer moved, where the caller is told so (`up_to`).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub amount: Option<Decimal>,
    /// For accounts that count their daily outflow: the sum of the day after this entry.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub out: Vec<DailyOut>,
}

/// One leg of an entry: `{"account": "assets:cash", "currency": "EUR", "debit": "12.50"}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "LegColumns", into = "LegColumns")]
pub struct PostedLeg {
    /// The account's code.
    pub account: String,
    /// The account's currency.
    pub currency: String,
    /// Debit or credit, and how much, above zero.
    pub amount: SideAmount,
}

/// A leg as JSON has it: two columns, of which one is filled.
#[derive(Serialize, Deserialize)]
struct LegColumns {
    account: String,
    currency: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    debit: Option<Decimal>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    credit: Option<Decimal>,
}

impl TryFrom<LegColumns> for PostedLeg {
    type Error = &'static str;

    fn try_from(columns: LegColumns) -> Result<Self, Self::Error> {
        let amount = match (columns.debit, columns.credit) {
            (Some(amount), None) => SideAmount::Debit(amount),
            (None, Some(amount)) => SideAmount::Credit(amount),
            _ => return Err("a leg has either a debit or a credit"),
        };
        Ok(Self { account: columns.account, currency: columns.currency, amount })
    }
}

impl From<PostedLeg> for LegColumns {
    fn from(leg: PostedLeg) -> Self {
        let (debit, credit) = match leg.amount {
            SideAmount::Debit(amount) => (Some(amount), None),
            SideAmount::Credit(amount) => (None, Some(amount)),
        };
        Self { account: leg.account, currency: leg.currency, debit, credit }
    }
}

/// An amount on a side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SideAmount {
    /// So much on the debit side.
    Debit(Decimal),
    /// So much on the credit side.
    Credit(Decimal),
}

impl SideAmount {
    /// An amount on the side given.
    pub const fn new(side: Side, amount: Decimal) -> Self {
        match side {
            Side::Debit => Self::Debit(amount),
            Side::Credit => Self::Credit(amount),
        }
    }

    /// The side.
    pub const fn side(self) -> Side {
        match self {
            Self::Debit(_) => Side::Debit,
            Self::Credit(_) => Side::Credit,
        }
    }

    /// The amount, above zero.
    pub const fn amount(self) -> Decimal {
        match self {
            Self::Debit(amount) | Self::Credit(amount) => amount,
        }
    }
}

/// What left an account in the UTC day of the event's recorded time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DailyOut {
    /// The account's code.
    pub account: String,
    /// The account's currency.
    pub currency: String,
    /// The sum of the day so far.
    pub sum: Decimal,
}

/// Data of `batch.committed`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchCommitted {
    /// How many commands the batch had.
    pub commands: usize,
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
