//! What the engine's own events say: kinds and the shape of their data.

use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::account::{AccountType, Limits, Side};
use crate::position::Position;

/// The names of the engine's own kinds.
pub mod kind {
    /// A currency was registered with its scale.
    pub const CURRENCY_REGISTERED: &str = "currency.registered";
    /// An account was opened.
    pub const ACCOUNT_OPENED: &str = "account.opened";
    /// An account's limits were replaced.
    pub const LIMITS_SET: &str = "account.limits_set";
    /// An account takes no more legs.
    pub const ACCOUNT_FROZEN: &str = "account.frozen";
    /// An account takes legs again.
    pub const ACCOUNT_UNFROZEN: &str = "account.unfrozen";
    /// An account was closed for good.
    pub const ACCOUNT_CLOSED: &str = "account.closed";
    /// A balanced entry was posted.
    pub const ENTRY_POSTED: &str = "entry.posted";
    /// A pending entry reserves what it will move.
    pub const HOLD_PLACED: &str = "hold.placed";
    /// All of a hold, or part, was posted.
    pub const HOLD_SETTLED: &str = "hold.settled";
    /// What was left of a hold was released by its owner.
    pub const HOLD_VOIDED: &str = "hold.voided";
    /// What was left of a hold was released because its time was over.
    pub const HOLD_EXPIRED: &str = "hold.expired";
    /// A balance was found to be what the caller said.
    pub const BALANCE_ASSERTED: &str = "balance.asserted";
    /// No entry takes effect any more on or before a date.
    pub const PERIOD_CLOSED: &str = "period.closed";
    /// That date was moved back.
    pub const PERIOD_REOPENED: &str = "period.reopened";
    /// An atomic batch came to its end that carried an id, remarks, a correlation or a time of its own.
    pub const BATCH_COMMITTED: &str = "batch.committed";
}

/// What an event says, typed by its kind.
#[derive(Clone, Debug, PartialEq)]
pub enum Payload {
    /// `currency.registered`
    CurrencyRegistered(CurrencyRegistered),
    /// `account.opened`
    AccountOpened(AccountOpened),
    /// `account.limits_set`, `account.frozen`, `account.unfrozen`, `account.closed`
    AccountChanged(AccountChanged),
    /// `entry.posted`
    EntryPosted(EntryPosted),
    /// `hold.placed`
    HoldPlaced(HoldPlaced),
    /// `hold.settled`
    HoldSettled(HoldSettled),
    /// `hold.voided`, `hold.expired`
    HoldReleased(HoldReleased),
    /// `balance.asserted`
    BalanceAsserted(BalanceAsserted),
    /// `period.closed`, `period.reopened`
    PeriodMoved(PeriodMoved),
    /// `batch.committed`
    BatchCommitted(BatchCommitted),
    /// A change of an entity: kind and data are the embedder's own.
    EntityChanged,
}

/// What one leg does to its account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Movement<'a> {
    /// Account, currency and side; its amount is what is posted, held, settled or released.
    pub leg: &'a PostedLeg,
    /// What is posted on that side; zero or above.
    pub posted: Decimal,
    /// What becomes pending on that side; below zero where it is settled or released.
    pub pending: Decimal,
}

impl Payload {
    /// What the event does to accounts, leg by leg, in the order of the postings it makes.
    pub fn movements(&self) -> impl Iterator<Item = Movement<'_>> {
        const POST: [i8; 2] = [1, 0];
        const HOLD: [i8; 2] = [0, 1];
        const SETTLE: [i8; 2] = [1, -1];
        const RELEASE: [i8; 2] = [0, -1];
        let (legs, effect, released): (&[PostedLeg], _, &[PostedLeg]) = match self {
            Self::EntryPosted(entry) => (&entry.legs, POST, &[]),
            Self::HoldPlaced(placed) => (&placed.legs, HOLD, &[]),
            Self::HoldSettled(settled) => (&settled.legs, SETTLE, &settled.released),
            Self::HoldReleased(released) => (&[], POST, &released.released),
            _ => (&[], POST, &[]),
        };
        let movement = |(leg, [posted, pending]): (_, [i8; 2])| {
            let leg: &PostedLeg = leg;
            let times = |factor: i8| match factor {
                0 => Decimal::ZERO,
                1 => leg.amount.amount(),
                _ => -leg.amount.amount(),
            };
            Movement { leg, posted: times(posted), pending: times(pending) }
        };
        let effects = legs.iter().map(move |leg| (leg, effect));
        effects.chain(released.iter().map(|leg| (leg, RELEASE))).map(movement)
    }

    /// The daily outflow that the event counts.
    pub fn outflow(&self) -> &[DailyOut] {
        match self {
            Self::EntryPosted(entry) => &entry.out,
            Self::HoldPlaced(placed) => &placed.out,
            Self::HoldSettled(settled) => &settled.out,
            Self::HoldReleased(released) => &released.out,
            _ => &[],
        }
    }
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

/// Data of `account.limits_set`, `account.frozen`, `account.unfrozen` and `account.closed`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountChanged {
    /// The account's code.
    pub account: String,
    /// Its currency.
    pub currency: String,
    /// Why, where the caller said so.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    /// What holds from now on, whole: so the newest event of an account says it all.
    pub status: AccountStatus,
}

/// What may change of an account while it lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountStatus {
    /// Floor, ceiling and daily outflow.
    #[serde(skip_serializing_if = "Limits::is_empty", default)]
    pub limits: Limits,
    /// Takes no legs.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub frozen: bool,
    /// Takes nothing any more.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub closed: bool,
    /// Counts its daily outflow: from the first `daily_out` on, for ever.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub counting: bool,
}

/// Data of `entry.posted`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryPosted {
    /// The legs; debits equal credits in every currency. Shared: a reversal needs them again.
    pub legs: Arc<[PostedLeg]>,
    /// What it was for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub text: Option<String>,
    /// The id of the entry that this one reverses.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reverses: Option<String>,
    /// Why it is reversed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    /// What a transfer moved, where the caller is told so (`up_to`).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub amount: Option<Decimal>,
    /// For accounts that count their daily outflow: the sum of the day after this entry.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub out: Vec<DailyOut>,
}

impl EntryPosted {
    /// An entry of these legs, and nothing besides.
    pub fn new(legs: impl Into<Arc<[PostedLeg]>>) -> Self {
        Self { legs: legs.into(), text: None, reverses: None, reason: None, amount: None, out: Vec::new() }
    }
}

/// Data of `hold.placed`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldPlaced {
    /// The legs, pending; an account appears on one side only.
    pub legs: Vec<PostedLeg>,
    /// From when on it is expired; six fractional digits, so that texts sort as times do.
    #[serde(skip_serializing_if = "Option::is_none", default, serialize_with = "sortable")]
    pub expires_at: Option<Timestamp>,
    /// What it is for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub text: Option<String>,
    /// For accounts that count their daily outflow: the sum of the day after this hold.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub out: Vec<DailyOut>,
}

/// Data of `hold.settled`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldSettled {
    /// The id of the hold.
    pub hold: String,
    /// The position of the hold.
    pub placed: Position,
    /// What is posted, out of what was pending. Shared: a reversal needs them again.
    pub legs: Arc<[PostedLeg]>,
    /// What is released unposted.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub released: Vec<PostedLeg>,
    /// What stays held, for each leg of the hold, in its order; empty when the hold has ended.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub rest: Vec<Decimal>,
    /// What it was for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub text: Option<String>,
    /// For accounts that count their daily outflow: the sum of the day after what was given back.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub out: Vec<DailyOut>,
}

/// Data of `hold.voided` and `hold.expired`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldReleased {
    /// The id of the hold.
    pub hold: String,
    /// The position of the hold.
    pub placed: Position,
    /// What is released.
    pub released: Vec<PostedLeg>,
    /// Why, where the caller said so.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    /// For accounts that count their daily outflow: the sum of the day after what was given back.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub out: Vec<DailyOut>,
}

/// Data of `balance.asserted`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BalanceAsserted {
    /// The account's code.
    pub account: String,
    /// Its currency.
    pub currency: String,
    /// Its posted balance, on its normal side.
    pub amount: Decimal,
    /// What counted: all that took effect up to here; absent: everything.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub as_of: Option<Timestamp>,
}

/// Data of `period.closed` and `period.reopened`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeriodMoved {
    /// No entry takes effect on or before this date; absent: nothing is closed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub through: Option<Date>,
    /// Why it was reopened.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
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

/// A time whose text sorts as it does.
#[expect(clippy::ref_option, reason = "serde hands over a reference to the field")]
fn sortable<S: serde::Serializer>(time: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    time.map(|time| format!("{time:.6}")).serialize(serializer)
}
