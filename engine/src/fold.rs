//! The fold: how an event changes the state, and which postings it makes.
//!
//! One function for events that were just decided and for events read from the log, so that a
//! writer that lost a race ends where the winner stands. Pure.

use crate::account::Side;
use crate::command::Fingerprint;
use crate::event::{AccountOpened, EntryPosted, Envelope, Event, Payload, PayloadError, SideAmount};
use crate::money::{self, Minor};
use crate::position::Position;
use crate::state::{Account, AccountId, Outflow, Record, State, Totals};

/// One row of the `posting` table: a leg, and its account's running totals after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Posting {
    pub(crate) account_id: AccountId,
    pub(crate) position: Position,
    /// Place of the leg in its entry, from 0.
    pub(crate) leg: i32,
    pub(crate) scale: u8,
    /// Debit minus credit, posted.
    pub(crate) posted: Minor,
    /// Debit minus credit, pending.
    pub(crate) pending: Minor,
    pub(crate) totals: Totals,
}

/// Advances the state by one event that follows its head.
///
/// Accounts that the state does not hold are passed over: they are loaded when a command names them.
pub(crate) fn fold(state: &mut State, event: &Event, payload: &Payload) -> Result<Vec<Posting>, PayloadError> {
    let postings = match payload {
        Payload::AccountOpened(opened) => {
            account_opened(state, event.position, opened);
            Vec::new()
        }
        Payload::CurrencyRegistered(currency) => {
            state.set_currency(&currency.code, currency.scale, event.position);
            Vec::new()
        }
        Payload::EntryPosted(entry) => entry_posted(state, event, entry),
        Payload::BatchCommitted(_) | Payload::EntityChanged => Vec::new(),
    };
    if let (Some(stream), Some(version)) = (&event.stream, event.version) {
        state.set_version(stream, version);
    }
    let opening = matches!(payload, Payload::AccountOpened(_) | Payload::CurrencyRegistered(_));
    if event.id.is_some() || opening {
        state.set_record(record(event, payload)?, opening);
    }
    state.head.position = event.position;
    state.head.hash = event.hash;
    state.head.recorded_at = Some(event.recorded_at);
    Ok(postings)
}

/// What a repeat of the command that wrote this event is answered with.
pub(crate) fn record(event: &Event, payload: &Payload) -> Result<Record, PayloadError> {
    let Envelope { fingerprint, .. } = event.envelope()?;
    let amount = match payload {
        Payload::EntryPosted(entry) => entry.amount,
        _ => None,
    };
    Ok(Record {
        position: event.position,
        id: event.id.clone(),
        fingerprint: Fingerprint::from_hex(&fingerprint),
        hash: event.hash,
        recorded_at: event.recorded_at,
        amount,
    })
}

fn account_opened(state: &mut State, position: Position, opened: &AccountOpened) {
    // Limits were checked against the scale before the event was written.
    if let Ok(account) = Account::opened(position, opened) {
        state.add_account(account);
    }
}

fn entry_posted(state: &mut State, event: &Event, entry: &EntryPosted) -> Vec<Posting> {
    let mut postings = Vec::with_capacity(entry.legs.len());
    for (leg, index) in entry.legs.iter().zip(0..) {
        let Some(mut account) = state.account(&leg.account, &leg.currency).cloned() else { continue };
        let (side, amount) = minor(&account, leg.amount);
        // Overflow was checked before the event was written.
        if let Some(totals) = account.totals.post(side, amount) {
            account.totals = totals;
        }
        let posted = if side == Side::Debit { amount } else { -amount };
        postings.push(Posting {
            account_id: account.facts.id,
            position: event.position,
            leg: index,
            scale: account.facts.scale,
            posted,
            pending: 0,
            totals: account.totals,
        });
        state.set_account(account);
    }
    for out in &entry.out {
        if let Some(mut account) = state.account(&out.account, &out.currency).cloned() {
            let day = event.recorded_at.to_zoned(jiff::tz::TimeZone::UTC).date();
            let sum = money::to_minor(out.sum, account.facts.scale).unwrap_or_default();
            account.out = Some(Outflow { day, sum });
            state.set_account(account);
        }
    }
    postings
}

fn minor(account: &Account, amount: SideAmount) -> (Side, Minor) {
    // The amount was checked against the scale before the event was written.
    (amount.side(), money::to_minor(amount.amount(), account.facts.scale).unwrap_or_default())
}
