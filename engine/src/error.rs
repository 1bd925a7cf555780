//! What can go wrong besides a refusal: the network, the database, the set-up.

use crate::event::PayloadError;
use crate::outcome::{Invalid, Refusal};
use crate::position::Position;

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The command was refused; nothing changed.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// No ledger of this name was initialised in the database.
    #[error("there is no ledger {name:?} in schema {schema:?}; create it with `postfold init --ledger {name}`")]
    NoLedger {
        /// The name asked for.
        name: String,
        /// Where it was looked for.
        schema: String,
    },
    /// A name that cannot be used for a ledger or a schema.
    #[error("{what} {name:?} cannot be used: {why}")]
    Name {
        /// `ledger` or `schema`.
        what: &'static str,
        /// The name.
        name: String,
        /// Which rule it breaks.
        why: &'static str,
    },
    /// The URL is not one of PostgreSQL. It is not repeated: it may hold a password.
    #[error("the database URL cannot be read: {0}")]
    Url(String),
    /// The schema in the database is not the one that this library writes.
    #[error("the schema {schema:?} is at version {found}, this library needs version {needed}; {way_out}")]
    Schema {
        /// The schema.
        schema: String,
        /// Its version in the database.
        found: i64,
        /// The library's version.
        needed: i64,
        /// What to do about it.
        way_out: &'static str,
    },
    /// The database cannot be reached, or did not answer in time.
    #[error("the database is not available: {0}")]
    Unavailable(String),
    /// The database refused a statement.
    #[error("the database refused: {message} (SQLSTATE {code})")]
    Database {
        /// The five characters that say why.
        code: String,
        /// What the server said.
        message: String,
    },
    /// The connection was lost while a commit was under way, and the log could not be read back in
    /// time. The command was done once or not at all; the same command under its id tells which.
    #[error("the outcome is not known: {0}; send the same command under the same id again")]
    OutcomeUnknown(String),
    /// The command cannot take part in the host's transaction.
    #[error("the transaction cannot be joined: {0}")]
    HostTransaction(&'static str),
    /// An event of the log cannot be read.
    #[error(transparent)]
    Payload(#[from] PayloadError),
    /// The log does not hold what it must; see `postfold verify`.
    #[error("the log is damaged at position {position}: {what}")]
    Damaged {
        /// Where.
        position: Position,
        /// How.
        what: String,
    },
    /// There is no account of this code (in this currency).
    #[error(
        "there is no account {account}{} as of position {position}",
        currency.as_ref().map(|currency| format!(" in {currency}")).unwrap_or_default()
    )]
    UnknownAccount {
        /// The code.
        account: String,
        /// The currency asked for.
        currency: Option<String>,
        /// Up to where the log was looked at.
        position: Position,
    },
    /// A query that cannot be answered as it was asked: a position behind the head, a cursor of another
    /// statement.
    #[error("{0}")]
    Query(Invalid),
    /// There is no entry or hold under this id.
    #[error("there is no entry under the id {id:?}")]
    EntryNotFound {
        /// The id.
        id: String,
    },
    /// The id is of something that is no entry.
    #[error("{id:?} is the id of a {kind} event at position {position}, which is no entry")]
    NotAnEntry {
        /// The id.
        id: String,
        /// What it was used for.
        kind: String,
        /// Where.
        position: Position,
    },
    /// A sum over many accounts that has more digits than a decimal holds.
    #[error("the sum of the accounts in {currency} has more digits than an amount can have")]
    SumTooLarge {
        /// The currency.
        currency: String,
    },
    /// The code is open in several currencies and none was named.
    #[error("{account} is open in several currencies: say which of {currencies:?}")]
    SeveralCurrencies {
        /// The code.
        account: String,
        /// The currencies.
        currencies: Vec<String>,
    },
    /// The ledger was closed while the call was under way.
    #[error("the ledger was closed")]
    Closed,
}

impl Error {
    /// The same error for each caller of a batch that failed as a whole.
    pub(crate) fn for_each_caller(&self) -> Self {
        match self {
            Self::OutcomeUnknown(why) => Self::OutcomeUnknown(why.clone()),
            Self::Database { code, message } => Self::Database { code: code.clone(), message: message.clone() },
            Self::Damaged { position, what } => Self::Damaged { position: *position, what: what.clone() },
            other => Self::Unavailable(other.to_string()),
        }
    }

    /// Whether the same call may succeed a little later, with nothing changed by anyone.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unavailable(_) | Self::OutcomeUnknown(_) => true,
            // Connections, resources, operator intervention, lock and serialisation trouble.
            Self::Database { code, .. } => ["08", "53", "57", "40", "55"].iter().any(|class| code.starts_with(class)),
            _ => false,
        }
    }
}
