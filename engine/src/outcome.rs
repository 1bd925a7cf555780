//! What a caller is answered: a [`Receipt`], a refusal by rule, a conflict, or why the command makes
//! no sense.

use std::fmt;

use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::Serialize;

use crate::hash::Hash;
use crate::position::Position;

/// The longest value that an error repeats, in characters; longer ones are cut.
const MAX_VALUE_CHARS: usize = 200;

/// The answer to one command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Done and durable.
    Ok(Receipt),
    /// A rule of the ledger forbids it, given its state.
    Rejected(Box<Rejection>),
    /// The caller's knowledge is out of date.
    Conflict(Conflict),
    /// It makes no sense, whatever the state.
    Invalid(Invalid),
}

impl Outcome {
    /// Whether it was done (or had been done before).
    pub const fn is_ok(&self) -> bool {
        matches!(self, Self::Ok(_))
    }

    /// The receipt, or why there is none.
    ///
    /// # Errors
    ///
    /// The refusal, if it is one.
    pub fn into_result(self) -> Result<Receipt, Refusal> {
        match self {
            Self::Ok(receipt) => Ok(receipt),
            Self::Rejected(rejection) => Err(Refusal::Rejected(rejection)),
            Self::Conflict(conflict) => Err(Refusal::Conflict(conflict)),
            Self::Invalid(invalid) => Err(Refusal::Invalid(invalid)),
        }
    }
}

impl From<Refusal> for Outcome {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Rejected(rejection) => Self::Rejected(rejection),
            Refusal::Conflict(conflict) => Self::Conflict(conflict),
            Refusal::Invalid(invalid) => Self::Invalid(invalid),
        }
    }
}

/// What a caller gets back for a command that was done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Receipt {
    /// The last position it wrote; absent when it wrote nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<Position>,
    /// The id it came under.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The log's hash at that position.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hash: Option<Hash>,
    /// When it was recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recorded_at: Option<Timestamp>,
    /// Whether it had been done before, by the same command.
    pub duplicate: bool,
    /// What a transfer with `up_to` moved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amount: Option<Decimal>,
    /// For `expire_due`: how many holds were voided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<usize>,
    /// For a batch: the outcome of each member, in order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcomes: Option<Vec<Outcome>>,
    /// The balances of the touched accounts after it, in order of first appearance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub balances: Option<Vec<crate::Balance>>,
}

/// Why a command was not done; nothing changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A rule of the ledger forbids it.
    #[error("{0}")]
    Rejected(Box<Rejection>),
    /// The caller's knowledge is out of date.
    #[error("{0}")]
    Conflict(Conflict),
    /// It makes no sense, whatever the state.
    #[error("{0}")]
    Invalid(Invalid),
}

/// The rules of the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// No account of this code (in this currency).
    UnknownAccount,
    /// No such currency.
    UnknownCurrency,
    /// The currency is there already, registered or by ISO 4217.
    CurrencyExists,
    /// The account is there already, opened otherwise.
    AccountExists,
    /// The code is open in another currency, with another type.
    TypeDiffers,
    /// `from` and `to` have different normal sides.
    SidesDiffer,
    /// The account takes no legs for now.
    AccountFrozen,
    /// The account takes nothing any more.
    AccountClosed,
    /// The account still holds something, or something is pending.
    AccountNotEmpty,
    /// Debits do not equal credits.
    Unbalanced,
    /// The available balance would fall below the floor.
    InsufficientFunds,
    /// The balance would rise above the ceiling.
    CeilingExceeded,
    /// More would leave in a day than may.
    DailyOutExceeded,
    /// The balance breaks the limits that are to be set.
    LimitsBroken,
    /// A transfer `up_to` finds nothing to move.
    NothingAvailable,
    /// There is no hold under this id.
    HoldNotFound,
    /// The hold was settled.
    HoldSettled,
    /// The hold was voided.
    HoldVoided,
    /// The hold's time is over.
    HoldExpired,
    /// More is to be settled than is left.
    SettleExceedsHold,
    /// There is no entry under this id.
    EntryNotFound,
    /// The id is of something that is no entry.
    NotAnEntry,
    /// The entry was reversed already.
    AlreadyReversed,
    /// The books are closed at that time.
    PeriodClosed,
    /// The books are not closed there.
    PeriodOpen,
    /// The balance is not what the caller said.
    BalanceDiffers,
    /// The id was used by another command.
    IdReused,
    /// A member of an atomic batch failed.
    BatchFailed,
}

impl Rule {
    /// The word of the contract.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UnknownAccount => "unknown_account",
            Self::UnknownCurrency => "unknown_currency",
            Self::CurrencyExists => "currency_exists",
            Self::AccountExists => "account_exists",
            Self::TypeDiffers => "type_differs",
            Self::SidesDiffer => "sides_differ",
            Self::AccountFrozen => "account_frozen",
            Self::AccountClosed => "account_closed",
            Self::AccountNotEmpty => "account_not_empty",
            Self::Unbalanced => "unbalanced",
            Self::InsufficientFunds => "insufficient_funds",
            Self::CeilingExceeded => "ceiling_exceeded",
            Self::DailyOutExceeded => "daily_out_exceeded",
            Self::LimitsBroken => "limits_broken",
            Self::NothingAvailable => "nothing_available",
            Self::HoldNotFound => "hold_not_found",
            Self::HoldSettled => "hold_settled",
            Self::HoldVoided => "hold_voided",
            Self::HoldExpired => "hold_expired",
            Self::SettleExceedsHold => "settle_exceeds_hold",
            Self::EntryNotFound => "entry_not_found",
            Self::NotAnEntry => "not_an_entry",
            Self::AlreadyReversed => "already_reversed",
            Self::PeriodClosed => "period_closed",
            Self::PeriodOpen => "period_open",
            Self::BalanceDiffers => "balance_differs",
            Self::IdReused => "id_reused",
            Self::BatchFailed => "batch_failed",
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A rule that forbids the command, with the values that broke it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rejection {
    /// Which rule.
    pub rule: Rule,
    /// The account concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The currency concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// What was there, in units of the currency.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub available: Option<Decimal>,
    /// What was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requested: Option<Decimal>,
    /// The limit that stands against it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<Decimal>,
    /// The position that the id was used at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<Position>,
    /// Which member of the batch failed, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<usize>,
    /// What that member was answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Box<Outcome>>,
    /// For people.
    pub message: String,
}

impl Rejection {
    /// A rejection by this rule, without values yet.
    pub fn new(rule: Rule, message: impl Into<String>) -> Self {
        Self {
            rule,
            account: None,
            currency: None,
            available: None,
            requested: None,
            limit: None,
            position: None,
            index: None,
            outcome: None,
            message: message.into(),
        }
    }

    /// Names the account concerned.
    pub fn account(mut self, account: impl Into<String>) -> Self {
        self.account = Some(account.into());
        self
    }

    /// Names the currency concerned.
    pub fn currency(mut self, currency: impl Into<String>) -> Self {
        self.currency = Some(currency.into());
        self
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.rule, self.message)
    }
}

/// The caller relied on a version of an entity that is not the current one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Conflict {
    /// Which entity.
    pub entity: String,
    /// The version that the caller expected.
    pub expected: i64,
    /// The version that is there.
    pub found: i64,
    /// For people.
    pub message: String,
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// A field that makes no sense, its value and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{}{}", if field.is_empty() { String::new() } else { format!("{field}: ") }, message)]
pub struct Invalid {
    /// The path of the field, such as `legs[1].debit`; empty for the command as a whole.
    pub field: String,
    /// Its value: a string as it is, anything else as JSON, cut after 200 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// For people.
    pub message: String,
}

impl Invalid {
    /// A field, its value and what is wrong with it.
    pub fn new(field: impl Into<String>, value: Option<String>, message: impl Into<String>) -> Self {
        let value = value.map(|value| match value.char_indices().nth(MAX_VALUE_CHARS) {
            Some((end, _)) => format!("{}...", &value[..end]),
            None => value,
        });
        Self { field: field.into(), value, message: message.into() }
    }

    /// The same, said of the field at this path.
    pub(crate) fn at(mut self, field: String) -> Self {
        self.field = field;
        self
    }
}
