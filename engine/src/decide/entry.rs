//! `post`, `transfer` and `reverse`: balanced entries.

use std::sync::Arc;

use super::legs::{self, Leg};
use super::{Asked, Decision, NewEvent, Stop, limits};
use crate::command::{Post, ReverseEntry, TransferMoney};
use crate::event::{EntryPosted, Payload, PostedLeg, kind};
use crate::outcome::{Rejection, Rule};
use crate::position::Position;
use crate::state::{IdUse, State, Totals, reversal_stream};

pub(super) fn post(state: &State, post: &Post, asked: Asked<'_>) -> Result<Decision, Stop> {
    let legs = legs::named(state, &post.legs)?;
    check(state, &legs, asked)?;
    write(&legs, asked, EntryPosted { text: post.text.clone(), ..EntryPosted::new([]) })
}

pub(super) fn transfer(state: &State, transfer: &TransferMoney, asked: Asked<'_>) -> Result<Decision, Stop> {
    let mut legs = legs::between(state, transfer.amount, &transfer.route, transfer.currency.as_deref())?;
    let mut entry = EntryPosted { text: transfer.text.clone(), ..EntryPosted::new([]) };
    if transfer.up_to {
        // The amount asked for is checked by itself: what it would add up to is not what is moved.
        check_amounts(state, &legs, asked)?;
        let amount = limits::up_to(&legs::effects(&legs), legs[0].amount())?;
        entry.amount = Some(legs[0].account.decimal(amount));
        legs = legs.into_iter().map(|leg| leg.with_amount(amount)).collect();
    }
    check(state, &legs, asked)?;
    write(&legs, asked, entry)
}

pub(super) fn reverse(state: &State, reverse: &ReverseEntry, asked: Asked<'_>) -> Result<Decision, Stop> {
    let position = entry_position(state, &reverse.entry)?;
    let entry = state.entry(position)?;
    let legs: Vec<_> = legs::recorded(state, &entry.legs)?.into_iter().map(Leg::mirrored).collect();
    legs::check_accounts(&legs)?;
    if entry.reversed {
        let message = format!("{} was reversed already; an entry is reversed once", reverse.entry);
        return Err(Rejection::new(Rule::AlreadyReversed, message).into());
    }
    legs::check_period(state, asked.effective_at())?;
    legs::check_overflow(&legs, Totals::post)?;
    let reversal =
        EntryPosted { reverses: Some(reverse.entry.clone()), reason: reverse.reason.clone(), ..EntryPosted::new([]) };
    let mut event = event(&legs, asked, reversal)?;
    event.stream = Some((reversal_stream(position), 1));
    Ok(Decision::Write(event))
}

/// Where the entry of this id stands; settles and reversals are entries, too.
fn entry_position(state: &State, id: &str) -> Result<Position, Stop> {
    match state.id(id) {
        IdUse::Unverified => Err(Stop::Missing(vec![crate::state::Need::Id(id.to_owned())])),
        IdUse::Free => {
            Err(Rejection::new(Rule::EntryNotFound, format!("there is no entry under the id {id:?}")).into())
        }
        IdUse::Used(record) if [kind::ENTRY_POSTED, kind::HOLD_SETTLED].contains(&record.kind.as_str()) => {
            Ok(record.position)
        }
        IdUse::Used(record) => {
            let message = format!("{id:?} is the id of a {} event, which is no entry", record.kind);
            Err(Rejection::new(Rule::NotAnEntry, message).into())
        }
    }
}

/// The stages between the legs' amounts and the limits.
fn check(state: &State, legs: &[Leg<'_>], asked: Asked<'_>) -> Result<(), Stop> {
    check_stages(state, legs, asked)?;
    legs::check_overflow(legs, Totals::post)
}

/// The same, without what the accounts' totals come to.
fn check_amounts(state: &State, legs: &[Leg<'_>], asked: Asked<'_>) -> Result<(), Stop> {
    check_stages(state, legs, asked)?;
    legs::check_overflow(legs, |totals, _, _| Some(totals))
}

fn check_stages(state: &State, legs: &[Leg<'_>], asked: Asked<'_>) -> Result<(), Stop> {
    legs::check_accounts(legs)?;
    legs::check_period(state, asked.effective_at())?;
    legs::check_balance(legs)
}

fn write(legs: &[Leg<'_>], asked: Asked<'_>, entry: EntryPosted) -> Result<Decision, Stop> {
    event(legs, asked, entry).map(Decision::Write)
}

/// The last stage, limits, and the event.
fn event(legs: &[Leg<'_>], asked: Asked<'_>, mut entry: EntryPosted) -> Result<NewEvent, Stop> {
    entry.out = limits::check(&legs::effects(legs), asked.recorded_at)?;
    entry.legs = legs.iter().map(Leg::posted).collect::<Arc<[PostedLeg]>>();
    NewEvent::new(kind::ENTRY_POSTED, &entry, Payload::EntryPosted(entry.clone()))
}
