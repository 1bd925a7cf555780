//! The fold: how an event changes the state, and which postings it makes.
//!
//! One function for events that were just decided and for events read from the log, so that a
//! writer that lost a race ends where the winner stands. Pure.

use crate::command::Fingerprint;
use crate::event::{
    AccountChanged, AccountOpened, DailyOut, EntryPosted, Envelope, Event, Movement, Payload, PayloadError,
};
use crate::money::{self, Minor};
use crate::position::Position;
use crate::state::{Account, AccountId, Hold, Outflow, PeriodMark, PostedEntry, Record, State, Totals};

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
    let postings = post_legs(state, event, payload);
    match payload {
        Payload::AccountOpened(opened) => account_opened(state, event.position, opened),
        Payload::AccountChanged(changed) => account_changed(state, event, changed),
        Payload::CurrencyRegistered(currency) => state.set_currency(&currency.code, currency.scale, event.position),
        Payload::PeriodMoved(moved) => {
            let version = event.version.unwrap_or_default();
            state.set_period(PeriodMark { through: moved.through, version });
        }
        Payload::EntryPosted(entry) => entry_posted(state, event, entry),
        Payload::HoldPlaced(placed) => {
            state.set_hold(Hold::placed(event, placed));
            if let Some(expires_at) = placed.expires_at {
                state.add_due(event.position, expires_at);
            }
        }
        Payload::HoldSettled(settled) => {
            hold_changed(state, event, payload, settled.placed);
            state.set_entry(event.position, PostedEntry { legs: settled.legs.clone(), reversed: false });
        }
        Payload::HoldReleased(released) => hold_changed(state, event, payload, released.placed),
        Payload::EntityChanged => state.follow(event),
        Payload::BalanceAsserted(_) | Payload::BatchCommitted(_) => {}
    }
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

/// The legs of an entry or a hold, added to their accounts.
fn post_legs(state: &mut State, event: &Event, payload: &Payload) -> Vec<Posting> {
    let mut postings = Vec::new();
    for Movement { leg, posted, pending } in payload.movements() {
        let Some(mut account) = state.account(&leg.account, &leg.currency).cloned() else { continue };
        // Scale and overflow were checked before the event was written.
        let minor = |amount| money::to_minor(amount, account.facts.scale).unwrap_or_default();
        let (posted, pending) = (minor(posted), minor(pending));
        let side = leg.amount.side();
        let totals = account.totals.post(side, posted).and_then(|totals| totals.pend(side, pending));
        account.totals = totals.unwrap_or(account.totals);
        state.post_as_of(account.facts.id, event.effective_at, side.signed(posted));
        postings.push(Posting {
            account_id: account.facts.id,
            position: event.position,
            leg: i32::try_from(postings.len()).unwrap_or(i32::MAX),
            scale: account.facts.scale,
            posted: side.signed(posted),
            pending: side.signed(pending),
            totals: account.totals,
        });
        state.set_account(account);
    }
    count_outflow(state, event, payload.outflow());
    postings
}

fn count_outflow(state: &mut State, event: &Event, counted: &[DailyOut]) {
    for out in counted {
        let Some(mut account) = state.account(&out.account, &out.currency).cloned() else { continue };
        let sum = money::to_minor(out.sum, account.facts.scale).unwrap_or_default();
        account.out = Some(Outflow { day: money::day(event.recorded_at), sum });
        state.set_account(account);
    }
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
        kind: event.kind.clone(),
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

fn account_changed(state: &mut State, event: &Event, changed: &AccountChanged) {
    let Some(mut account) = state.account(&changed.account, &changed.currency).cloned() else { return };
    // Limits were checked against the scale before the event was written.
    if account.changed(event.version.unwrap_or_default(), &changed.status).is_ok() {
        state.set_account(account);
    }
}

fn entry_posted(state: &mut State, event: &Event, entry: &EntryPosted) {
    // A reversal stands in the stream of the entry that it reverses.
    let reversed = event.stream.as_deref().and_then(|stream| stream.strip_prefix("entry:")?.parse().ok());
    if let Some(reversed) = reversed.map(Position::new)
        && let Ok(known) = state.entry(reversed)
    {
        let legs = known.legs.clone();
        state.set_entry(reversed, PostedEntry { legs, reversed: true });
    }
    state.set_entry(event.position, PostedEntry { legs: entry.legs.clone(), reversed: false });
}

fn hold_changed(state: &mut State, event: &Event, payload: &Payload, placed: Position) {
    if let Ok(hold) = state.hold(placed) {
        let mut hold = hold.as_ref().clone();
        hold.changed(event, payload);
        state.set_hold(hold);
    }
}
