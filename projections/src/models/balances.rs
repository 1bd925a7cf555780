//! `balances`: what every account holds.

use std::sync::Arc;

use jiff::Timestamp;
use postfold::event::{AccountOpened, Payload};
use postfold::{AccountType, Position, Side};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::add;
use crate::event::ReadEvent;
use crate::projection::{Change, FoldError, Index, Keys, Projection};

/// One document per account and currency: the collection `balances`.
///
/// ```json
/// { "_id": "assets:cash:till-1|EUR", "account": "assets:cash:till-1", "currency": "EUR",
///   "type": "asset", "normal": "debit", "posted": Decimal128("12.50"), "pending_in": Decimal128("0.00"),
///   "pending_out": Decimal128("0.00"), "available": Decimal128("12.50"), "opened_at": ISODate(".."),
///   "moved": { "position": 812, "effective_at": ISODate(".."), "recorded_at": ISODate("..") },
///   "owner": "user/42", "name": "Till 1", "g": 1, "p": 812 }
/// ```
///
/// Amounts are on the account's normal side and at its currency's scale; `moved` is absent until the
/// first entry, `owner` and `name` where the account has none. Since `_id` begins with the account's
/// code, a part of the chart of accounts is a range of it, without a further index:
///
/// ```text
/// db.balances.find({ _id: /^assets:cash:/ })
/// db.balances.aggregate([{ $match: { _id: /^assets:/ } },
///                        { $group: { _id: "$currency", posted: { $sum: "$posted" } } }])
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Balances;

/// A document of [`Balances`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Balance {
    /// The account's code.
    pub account: Arc<str>,
    /// Its currency.
    pub currency: Arc<str>,
    /// Asset, expense, liability, equity or income.
    #[serde(rename = "type")]
    pub account_type: AccountType,
    /// The side on which the balance grows.
    pub normal: Side,
    /// What was posted.
    #[serde(with = "crate::money::decimal")]
    pub posted: Decimal,
    /// What holds will bring.
    #[serde(with = "crate::money::decimal")]
    pub pending_in: Decimal,
    /// What holds will take.
    #[serde(with = "crate::money::decimal")]
    pub pending_out: Decimal,
    /// What can be disposed of: posted less what holds will take.
    #[serde(with = "crate::money::decimal")]
    pub available: Decimal,
    /// When the account was opened, as recorded.
    #[serde(with = "crate::money::date")]
    pub opened_at: Timestamp,
    /// The last event that moved the balance.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub moved: Option<Moved>,
    /// Whom the account belongs to.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub owner: Option<Arc<str>>,
    /// A name for people.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub name: Option<Arc<str>>,
}

/// The event that moved a balance last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    /// Its position.
    pub position: Position,
    /// When it counts; a later event may count earlier.
    #[serde(with = "crate::money::date")]
    pub effective_at: Timestamp,
    /// When the ledger learnt it.
    #[serde(with = "crate::money::date")]
    pub recorded_at: Timestamp,
}

impl Balances {
    /// The key of an account's document: `<account>|<currency>`.
    ///
    /// No currency's code holds a `|`, so the last one always parts the two.
    pub fn key(account: &str, currency: &str) -> String {
        [account, "|", currency].concat()
    }

    /// The account and the currency of a key.
    pub(super) fn account_of(key: &str) -> Result<(&str, &str), FoldError> {
        key.rsplit_once('|').ok_or_else(|| FoldError::new(format!("{key:?} is no account and currency")))
    }
}

impl Projection for Balances {
    type Document = Balance;
    const NAME: &'static str = "balances";
    const VERSION: u32 = 1;

    fn indexes() -> Vec<Index> {
        vec![Index::ascending(["owner"]).sparse()]
    }

    fn keys(event: &ReadEvent) -> Result<Keys, FoldError> {
        Ok(match event.payload()? {
            Payload::AccountOpened(opened) => Keys::one(Self::key(&opened.account, &opened.currency)),
            payload => payload.movements().map(|moved| Self::key(&moved.leg.account, &moved.leg.currency)).collect(),
        })
    }

    fn fold(document: Option<&Balance>, key: &str, event: &ReadEvent) -> Result<Change<Balance>, FoldError> {
        if let Payload::AccountOpened(opened) = event.payload()? {
            return Ok(Change::Put(open(opened, event.recorded_at)));
        }
        let before = document.ok_or_else(|| FoldError::new("the entry names an account that was never opened"))?;
        moved(before.clone(), key, event).map(Change::Put)
    }
}

fn open(opened: &AccountOpened, recorded_at: Timestamp) -> Balance {
    // Zero at the currency's scale: every sum from here on has it.
    let zero = Decimal::new(0, u32::from(opened.scale));
    Balance {
        account: opened.account.as_str().into(),
        currency: opened.currency.as_str().into(),
        account_type: opened.account_type,
        normal: opened.normal,
        posted: zero,
        pending_in: zero,
        pending_out: zero,
        available: zero,
        opened_at: recorded_at,
        moved: None,
        owner: opened.owner.as_deref().map(Into::into),
        name: opened.name.as_deref().map(Into::into),
    }
}

fn moved(mut balance: Balance, key: &str, event: &ReadEvent) -> Result<Balance, FoldError> {
    let (account, currency) = Balances::account_of(key)?;
    for moved in event.moves_of(account, currency)? {
        if moved.side == balance.normal {
            balance.posted = add(balance.posted, moved.posted)?;
            balance.pending_in = add(balance.pending_in, moved.pending)?;
        } else {
            balance.posted = add(balance.posted, -moved.posted)?;
            balance.pending_out = add(balance.pending_out, moved.pending)?;
        }
    }
    balance.available = add(balance.posted, -balance.pending_out)?;
    balance.moved =
        Some(Moved { position: event.position, effective_at: event.effective_at, recorded_at: event.recorded_at });
    Ok(balance)
}
