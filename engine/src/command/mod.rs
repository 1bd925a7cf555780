//! What may be asked of a ledger: the commands, their builders, and their JSON.
//!
//! A [`Command`] is plain data. The JSON of the contract and the Rust types are two spellings of the
//! same thing: [`Command::from_json`] reads it, serde writes it. Whether a command makes sense at all
//! is `shape`'s to say; whether the ledger allows it, `decide`'s.

mod build;
mod fingerprint;
pub(crate) mod json;
mod read;
mod shape;
mod write;

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;
use rust_decimal::Decimal;

pub use build::{Account, Batch, Change, Currency, Entry, Hold, Settle, Transfer, Void};
pub use fingerprint::Fingerprint;
pub(crate) use read::time as parse_time;

use crate::account::{AccountType, Limits, Side};
use crate::aggregate::Execution;
use crate::event::SideAmount;
use crate::outcome::Invalid;

/// The caller's own remarks on a command: a flat object of strings.
pub type Meta = BTreeMap<String, String>;

/// Most commands in one batch.
pub const MAX_BATCH: usize = 10_000;
/// Most legs in one entry.
pub const MAX_LEGS: usize = 10_000;
/// Most characters in an id, an account code, an entity, a kind or a correlation.
pub const MAX_NAME_CHARS: usize = 128;
/// Most characters in a currency code.
pub const MAX_CURRENCY_CHARS: usize = 24;
/// Most characters in a text, a reason, a name or an owner.
pub const MAX_TEXT_CHARS: usize = 1_024;
/// Most bytes of `meta`, as compact JSON.
pub const MAX_META_BYTES: usize = 4 * 1_024;
/// Most bytes of `data`, as compact JSON.
pub const MAX_DATA_BYTES: usize = 1_024 * 1_024;

/// One thing asked of a ledger.
///
/// ```
/// use postfold::Command;
///
/// let command = Command::from_json(
///     r#"{"do":"transfer","id":"t-1","amount":"5.00","from":"wallet:1","to":"wallet:2"}"#,
/// )?;
/// assert_eq!(command.id.as_deref(), Some("t-1"));
/// # Ok::<(), postfold::Invalid>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Command {
    /// The idempotency key: a repeat of the same command under it answers the first receipt.
    pub id: Option<String>,
    /// The caller's own remarks, kept with the event.
    pub meta: Meta,
    /// Ties the events of one business process.
    pub correlation: Option<String>,
    /// When it counts; default: the recorded time.
    pub at: Option<Timestamp>,
    /// What is asked.
    pub action: Action,
}

/// What a command asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// `register_currency`
    RegisterCurrency(RegisterCurrency),
    /// `open_account`
    OpenAccount(OpenAccount),
    /// `set_limits`
    SetLimits(SetLimits),
    /// `freeze`
    Freeze(Freeze),
    /// `unfreeze`
    Unfreeze(Freeze),
    /// `close_account`
    CloseAccount(CloseAccount),
    /// `post`
    Post(Post),
    /// `transfer`
    Transfer(TransferMoney),
    /// `hold`
    Hold(PlaceHold),
    /// `settle`
    Settle(SettleHold),
    /// `void`
    Void(VoidHold),
    /// `expire_due`
    ExpireDue(ExpireDue),
    /// `reverse`
    Reverse(ReverseEntry),
    /// `assert_balance`
    AssertBalance(AssertBalance),
    /// `close_period`
    ClosePeriod(ClosePeriod),
    /// `reopen_period`
    ReopenPeriod(ReopenPeriod),
    /// `record`
    Record(Record),
    /// `batch`
    Batch(CommandBatch),
    /// A command of an aggregate; not in the contract's JSON.
    Execute(Execution),
    /// A member of a batch that could not be read; it answers this, and its neighbours go on.
    Unreadable(Invalid),
}

/// Registers a currency that is not in ISO 4217, such as `POINTS`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisterCurrency {
    /// Its code.
    pub code: String,
    /// Digits behind the decimal point, 0 to 18.
    pub scale: u8,
    /// A name for people.
    pub name: Option<String>,
}

/// Opens an account: a code in one currency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenAccount {
    /// The code, segments parted by `:`.
    pub account: String,
    /// The currency it is kept in.
    pub currency: String,
    /// Asset, expense, liability, equity or income.
    pub account_type: AccountType,
    /// The side on which its balance grows; default: by type. The other side makes a contra account.
    pub normal: Option<Side>,
    /// Floor, ceiling and daily outflow.
    pub limits: Limits,
    /// Whom it belongs to.
    pub owner: Option<String>,
    /// A name for people.
    pub name: Option<String>,
}

/// Replaces the limits of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetLimits {
    /// The account's code.
    pub account: String,
    /// May be left out where the code is open in one currency only.
    pub currency: Option<String>,
    /// The limits from now on; an absent one is none.
    pub limits: Limits,
    /// Whether to set limits that the balance breaks already.
    pub force: bool,
}

/// Freezes or unfreezes an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Freeze {
    /// The account's code.
    pub account: String,
    /// May be left out where the code is open in one currency only.
    pub currency: Option<String>,
    /// Why.
    pub reason: String,
}

/// Closes an account for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloseAccount {
    /// The account's code.
    pub account: String,
    /// May be left out where the code is open in one currency only.
    pub currency: Option<String>,
}

/// Posts one balanced entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Post {
    /// 2 to 10,000 legs; debits equal credits in every currency.
    pub legs: Vec<Leg>,
    /// What it is for.
    pub text: Option<String>,
}

/// One leg of an entry that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leg {
    /// The account's code.
    pub account: String,
    /// Debit or credit, and how much, above zero.
    pub amount: SideAmount,
    /// May be left out where the code is open in one currency only.
    pub currency: Option<String>,
}

/// The two-leg entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransferMoney {
    /// How much, above zero.
    pub amount: Decimal,
    /// Between which accounts.
    pub route: Route,
    /// May be left out where each code is open in one currency only.
    pub currency: Option<String>,
    /// Whether to move less where there is less.
    pub up_to: bool,
    /// What it is for.
    pub text: Option<String>,
}

/// A pending entry: takes from the available balance, not from the posted one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlaceHold {
    /// What it will move.
    pub what: Held,
    /// From when on it is expired.
    pub expires_at: Option<Timestamp>,
    /// What it is for.
    pub text: Option<String>,
}

/// What a hold will move: legs, or an amount between two accounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Held {
    /// 2 to 10,000 legs; an account appears on one side only.
    Legs(Vec<Leg>),
    /// The two-leg form.
    Amount {
        /// How much, above zero.
        amount: Decimal,
        /// Between which accounts.
        route: Route,
        /// May be left out where each code is open in one currency only.
        currency: Option<String>,
    },
}

/// Posts all of a hold, or part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettleHold {
    /// The id of the hold.
    pub hold: String,
    /// How much of it.
    pub part: Part,
    /// Whether the rest stays held, instead of being released.
    pub keep_rest: bool,
    /// What it is for.
    pub text: Option<String>,
}

/// How much of a hold is settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// All that is left.
    All,
    /// So much, of a hold of one debit and one credit leg.
    Amount(Decimal),
    /// These legs, at most what is left for each account, currency and side.
    Legs(Vec<Leg>),
}

/// Releases what is left of a hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VoidHold {
    /// The id of the hold.
    pub hold: String,
    /// Why.
    pub reason: Option<String>,
}

/// Voids every hold that is expired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpireDue {
    /// Those that expire up to here; default, and at most: the recorded time.
    pub now: Option<Timestamp>,
}

/// Posts the mirror image of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReverseEntry {
    /// The id of the entry.
    pub entry: String,
    /// Why.
    pub reason: Option<String>,
}

/// Records that a posted balance is what the caller says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssertBalance {
    /// The account's code.
    pub account: String,
    /// May be left out where the code is open in one currency only.
    pub currency: Option<String>,
    /// The posted balance, on the normal side; may be negative.
    pub amount: Decimal,
    /// What counts: all that took effect up to here, inclusive; default: everything.
    pub as_of: Option<Timestamp>,
}

/// Closes the books: no entry may take effect on or before a date.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClosePeriod {
    /// The last date that is closed, in UTC.
    pub through: Date,
}

/// Moves the closed period's mark back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReopenPeriod {
    /// What stays closed; left out: nothing.
    pub through: Option<Date>,
    /// Why.
    pub reason: String,
}

/// The two accounts of a transfer, named by side or by direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// One account is debited, the other credited.
    Sides {
        /// The account debited.
        debit: String,
        /// The account credited.
        credit: String,
    },
    /// One account gives, the other receives; both have the same normal side.
    Direction {
        /// The account that gives.
        from: String,
        /// The account that receives.
        to: String,
    },
}

impl Route {
    /// The codes of the two accounts, in the order in which the contract names them.
    pub fn codes(&self) -> [&str; 2] {
        match self {
            Self::Sides { debit, credit } => [debit, credit],
            Self::Direction { from, to } => [from, to],
        }
    }
}

/// Records one change of an entity; no money.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Whose change: `type/id`.
    pub entity: String,
    /// What happened, such as `user.renamed`.
    pub kind: String,
    /// The content: a JSON object.
    pub data: Data,
    /// Version of the shape of `data` for this kind, from 1; in JSON always 1.
    pub schema: i16,
    /// The number of the entity's changes so far, if the caller relies on it; 0 = must be new.
    pub expected_version: Option<i64>,
}

/// A JSON object as compact text, its numbers and keys as they were given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Data(pub(crate) String);

impl Data {
    /// The object that this value serialises to.
    ///
    /// # Errors
    ///
    /// When the value does not serialise to a JSON object, or holds a duplicate key or U+0000.
    pub fn new<T: serde::Serialize>(value: &T) -> Result<Self, Invalid> {
        let text = serde_json::to_string(value).map_err(|error| Invalid::new("data", None, error.to_string()))?;
        match json::Json::parse(&text) {
            Ok(json) if json.refused().is_some() => {
                let (path, why) = json.refused().unwrap_or_default();
                Err(Invalid::new(json::join("data", &path), None, why))
            }
            Ok(object @ json::Json::Object(_)) => Ok(Self(object.compact())),
            Ok(_) => Err(Invalid::new("data", Some(text), "data is a JSON object")),
            Err(message) => Err(Invalid::new("data", Some(text), message)),
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Several commands in one.
#[derive(Clone, Debug, PartialEq)]
pub struct CommandBatch {
    /// The members, 1 to 10,000, none of them a batch.
    pub commands: Vec<Command>,
    /// All or nothing, each seeing those before it; otherwise as if sent one by one.
    pub atomic: bool,
}

impl Command {
    /// A command without an id, without remarks, effective when it is recorded.
    pub const fn new(action: Action) -> Self {
        Self { id: None, meta: Meta::new(), correlation: None, at: None, action }
    }

    /// Sets the idempotency key.
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Sets when it counts; default: the recorded time.
    pub fn at(mut self, at: Timestamp) -> Self {
        self.at = Some(at);
        self
    }

    /// Adds a remark of the caller's own.
    pub fn meta(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.meta.insert(key.into(), value.into());
        self
    }

    /// Ties it to a business process.
    pub fn correlation(mut self, correlation: impl Into<String>) -> Self {
        self.correlation = Some(correlation.into());
        self
    }

    /// Reads a command from one JSON object.
    ///
    /// # Errors
    ///
    /// [`Invalid`] with the field, its value and what is wrong: an unknown or missing field, a
    /// duplicate key, a number where an amount is a string, an amount or time out of grammar. The
    /// field is empty when the text is no JSON object at all.
    pub fn from_json(text: &str) -> Result<Self, Invalid> {
        read::command(text)
    }

    /// Whether the command makes sense whatever the state of the ledger.
    ///
    /// # Errors
    ///
    /// [`Invalid`] with the first field that does not, and why.
    pub fn check(&self) -> Result<(), Invalid> {
        shape::check(self)
    }

    /// What tells a repeat of this command from another one: everything the caller gave, by meaning,
    /// except the id.
    pub fn fingerprint(&self) -> Fingerprint {
        fingerprint::of(self)
    }

    /// How many commands this is: the members of a batch, otherwise one.
    pub(crate) fn count(&self) -> usize {
        match &self.action {
            Action::Batch(batch) => batch.commands.len(),
            _ => 1,
        }
    }

    /// The word of the contract for what is asked.
    pub const fn name(&self) -> &'static str {
        match self.action {
            Action::RegisterCurrency(_) => "register_currency",
            Action::OpenAccount(_) => "open_account",
            Action::Post(_) => "post",
            Action::Transfer(_) => "transfer",
            Action::SetLimits(_) => "set_limits",
            Action::Freeze(_) => "freeze",
            Action::Unfreeze(_) => "unfreeze",
            Action::CloseAccount(_) => "close_account",
            Action::Hold(_) => "hold",
            Action::Settle(_) => "settle",
            Action::Void(_) => "void",
            Action::ExpireDue(_) => "expire_due",
            Action::Reverse(_) => "reverse",
            Action::AssertBalance(_) => "assert_balance",
            Action::ClosePeriod(_) => "close_period",
            Action::ReopenPeriod(_) => "reopen_period",
            Action::Record(_) => "record",
            Action::Batch(_) => "batch",
            Action::Execute(_) => "execute",
            Action::Unreadable(_) => "unreadable",
        }
    }
}
