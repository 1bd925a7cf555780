//! `statements`: what was posted to every account, line by line.

use std::sync::Arc;

use jiff::Timestamp;
use postfold::event::{AccountOpened, Payload, PostedLeg};
use postfold::{AccountType, EntryKind, Position, Side};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::balances::Balances;
use crate::event::ReadEvent;
use crate::projection::{Added, Change, FoldError, Index, Keys, RowProjection};

/// Other accounts of an entry that a line names; where there are more, it names none.
pub const COUNTERPARTIES_MAX: usize = 5;

/// One row per posted leg, in the order of the log: the collection `statements`.
///
/// ```json
/// { "_id": "0000000000000812:00001", "account": "wallet:42", "currency": "EUR", "type": "liability",
///   "owner": "user/42", "position": 812, "leg": 1, "kind": "entry", "id": "pay-1", "text": "Coffee",
///   "side": "debit", "amount": Decimal128("2.50"), "change": Decimal128("-2.50"),
///   "balance": Decimal128("7.50"), "counterparties": ["shop:7"],
///   "effective_at": ISODate(".."), "recorded_at": ISODate(".."), "g": 1, "p": 812 }
/// ```
///
/// The lines are those of the ledger's own statement: entries, reversals and what settles post. Holds are
/// pending, and are not lines. `balance` is the posted balance after the line in the order of the log; an
/// entry that counts earlier than one before it does not alter the lines that are there. In the order of
/// effective time, balances are sums of `change`.
#[derive(Clone, Copy, Debug)]
pub struct Statements;

/// A row of [`Statements`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatementRow {
    /// The account's code.
    pub account: String,
    /// Its currency.
    pub currency: String,
    /// Its type.
    #[serde(rename = "type")]
    pub account_type: AccountType,
    /// Whom the account belongs to.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub owner: Option<Arc<str>>,
    /// The place of the entry in the log.
    pub position: Position,
    /// The place of the leg in its entry, from 0.
    pub leg: u32,
    /// What kind of entry.
    pub kind: EntryKind,
    /// The entry's id.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub id: Option<String>,
    /// What it was for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub text: Option<String>,
    /// Of a reversal: the id of the entry that it reverses.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reverses: Option<String>,
    /// Of a settle: the id of its hold.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub hold: Option<String>,
    /// The side of the leg.
    pub side: Side,
    /// How much, above zero.
    #[serde(with = "crate::money::decimal")]
    pub amount: Decimal,
    /// What it adds to the balance; below zero where it lowers it.
    #[serde(with = "crate::money::decimal")]
    pub change: Decimal,
    /// The posted balance after the leg, on the account's normal side.
    #[serde(with = "crate::money::decimal")]
    pub balance: Decimal,
    /// The accounts on the other side of the entry in this currency, at most [`COUNTERPARTIES_MAX`] of them.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub counterparties: Vec<String>,
    /// When it counts.
    #[serde(with = "crate::money::date")]
    pub effective_at: Timestamp,
    /// When the ledger learnt it.
    #[serde(with = "crate::money::date")]
    pub recorded_at: Timestamp,
}

/// What [`Statements`] carries from one line of an account to the next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunningBalance {
    /// What is posted, at the currency's scale.
    #[serde(with = "crate::money::decimal")]
    pub posted: Decimal,
    /// The side on which it grows.
    pub normal: Side,
    /// The account's type.
    #[serde(rename = "type")]
    pub account_type: AccountType,
    /// Whom the account belongs to.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub owner: Option<Arc<str>>,
}

impl RowProjection for Statements {
    type Row = StatementRow;
    type Carry = RunningBalance;
    const NAME: &'static str = "statements";
    const VERSION: u32 = 1;

    fn indexes() -> Vec<Index> {
        vec![Index::ascending(["account", "currency", "_id"]), Index::text(["text"])]
    }

    fn keys(event: &ReadEvent) -> Result<Keys, FoldError> {
        let payload = event.payload()?;
        Ok(match payload {
            Payload::AccountOpened(opened) => Keys::one(Balances::key(&opened.account, &opened.currency)),
            _ => Entry::of(payload)
                .map(|entry| entry.legs.iter().map(|leg| Balances::key(&leg.account, &leg.currency)).collect())
                .unwrap_or_default(),
        })
    }

    fn fold(
        carry: Option<&RunningBalance>,
        key: &str,
        event: &ReadEvent,
    ) -> Result<Added<RunningBalance, StatementRow>, FoldError> {
        let payload = event.payload()?;
        if let Payload::AccountOpened(opened) = payload {
            return Ok(Added { carry: Change::Put(RunningBalance::opened(opened)), rows: Vec::new() });
        }
        let Some(entry) = Entry::of(payload) else { return Ok(Added { carry: Change::Keep, rows: Vec::new() }) };
        let mut running =
            carry.cloned().ok_or_else(|| FoldError::new("the entry names an account that was never opened"))?;
        let mut rows = Vec::with_capacity(1);
        let (account, currency) = Balances::account_of(key)?;
        for moved in event.moves_of(account, currency)? {
            // What a settle releases comes behind its legs, and is no line.
            let Some(leg) = entry.legs.get(moved.leg) else { break };
            let place = u32::try_from(moved.leg).unwrap_or(u32::MAX);
            rows.push((place, entry.row(&mut running, place, leg, event)?));
        }
        Ok(Added { carry: Change::Put(running), rows })
    }
}

impl RunningBalance {
    fn opened(opened: &AccountOpened) -> Self {
        Self {
            posted: Decimal::new(0, u32::from(opened.scale)),
            normal: opened.normal,
            account_type: opened.account_type,
            owner: opened.owner.as_deref().map(Into::into),
        }
    }
}

/// What posts, and what its lines say of it.
struct Entry<'a> {
    kind: EntryKind,
    legs: &'a [PostedLeg],
    text: &'a Option<String>,
    reverses: &'a Option<String>,
    hold: Option<&'a String>,
}

impl<'a> Entry<'a> {
    fn of(payload: &'a Payload) -> Option<Self> {
        match payload {
            Payload::EntryPosted(entry) => Some(Self {
                kind: if entry.reverses.is_some() { EntryKind::Reversal } else { EntryKind::Entry },
                legs: &entry.legs,
                text: &entry.text,
                reverses: &entry.reverses,
                hold: None,
            }),
            Payload::HoldSettled(settled) => Some(Self {
                kind: EntryKind::Settle,
                legs: &settled.legs,
                text: &settled.text,
                reverses: &None,
                hold: Some(&settled.hold),
            }),
            _ => None,
        }
    }

    fn row(
        &self,
        running: &mut RunningBalance,
        place: u32,
        leg: &PostedLeg,
        event: &ReadEvent,
    ) -> Result<StatementRow, FoldError> {
        let amount = super::at_scale(leg.amount.amount(), running.posted.scale());
        let change = if leg.amount.side() == running.normal { amount } else { -amount };
        running.posted = super::add(running.posted, change)?;
        Ok(StatementRow {
            account: leg.account.clone(),
            currency: leg.currency.clone(),
            account_type: running.account_type,
            owner: running.owner.clone(),
            position: event.position,
            leg: place,
            kind: self.kind,
            id: event.id.clone(),
            text: self.text.clone(),
            reverses: self.reverses.clone(),
            hold: self.hold.cloned(),
            side: leg.amount.side(),
            amount,
            change,
            balance: running.posted,
            counterparties: self.counterparties(leg),
            effective_at: event.effective_at,
            recorded_at: event.recorded_at,
        })
    }

    fn counterparties(&self, leg: &PostedLeg) -> Vec<String> {
        let mut found: Vec<String> = Vec::new();
        let other_side = leg.amount.side().opposite();
        for other in self.legs.iter().filter(|other| other.amount.side() == other_side) {
            let known = other.account == leg.account || found.contains(&other.account);
            if known || other.currency != leg.currency {
                continue;
            }
            if found.len() == COUNTERPARTIES_MAX {
                return Vec::new();
            }
            found.push(other.account.clone());
        }
        found
    }
}
