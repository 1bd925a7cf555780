//! `hold`, `settle`, `void` and `expire_due`: two-phase entries.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use rust_decimal::Decimal;

use super::legs::{self, Leg};
use super::{Asked, Decision, NewEvent, Stop, limits};
use crate::account::Side;
use crate::command::{ExpireDue, Held, Part, PlaceHold, SettleHold, VoidHold};
use crate::event::{DailyOut, HoldPlaced, HoldReleased, HoldSettled, Payload, PostedLeg, SideAmount, kind};
use crate::outcome::{Invalid, Rejection, Rule};
use crate::state::{Hold, HoldEnd, IdUse, Need, State, Totals};

pub(super) fn hold(state: &State, hold: &PlaceHold, asked: Asked<'_>) -> Result<Decision, Stop> {
    let legs = match &hold.what {
        Held::Legs(named) => legs::named(state, named)?,
        Held::Amount { amount, route, currency } => legs::between(state, *amount, route, currency.as_deref())?,
    };
    check_sides(&legs)?;
    legs::check_accounts(&legs)?;
    if hold.expires_at.is_some_and(|expires_at| expires_at <= asked.recorded_at) {
        let message = format!("the hold is expired when it is recorded, at {}", asked.recorded_at);
        return Err(Rejection::new(Rule::HoldExpired, message).into());
    }
    legs::check_period(state, asked.effective_at())?;
    legs::check_balance(&legs)?;
    legs::check_overflow(&legs, Totals::pend)?;
    let out = limits::check(&legs::effects(&legs), asked.recorded_at)?;
    let placed = HoldPlaced {
        legs: legs.iter().map(Leg::posted).collect(),
        expires_at: hold.expires_at,
        text: hold.text.clone(),
        out,
    };
    NewEvent::new(kind::HOLD_PLACED, &placed, Payload::HoldPlaced(placed.clone())).map(Decision::Write)
}

pub(super) fn settle(state: &State, settle: &SettleHold, asked: Asked<'_>) -> Result<Decision, Stop> {
    // The legs named go through their stages first; a hold that is not there has none to look at.
    let named = match &settle.part {
        Part::Legs(named) => Some(legs::named(state, named)?),
        Part::All | Part::Amount(_) => None,
    };
    let Some(hold) = find(state, &settle.hold)? else {
        if let Some(named) = &named {
            legs::check_accounts(named)?;
        }
        return Err(not_found(&settle.hold));
    };
    let whole = legs::recorded(state, &hold.legs)?;
    let by_amount = match &settle.part {
        Part::Amount(amount) => Some(amount_legs(hold, *amount, state)?),
        Part::All | Part::Legs(_) => None,
    };
    legs::check_accounts(named.as_deref().unwrap_or(&whole))?;
    check_open(hold, asked.recorded_at)?;
    let part: Vec<PostedLeg> = match named.as_deref().or(by_amount.as_deref()) {
        Some(legs) => legs.iter().map(Leg::posted).collect(),
        None => hold.left(),
    };
    let rest = take(hold, &part)?;
    legs::check_period(state, asked.effective_at())?;
    if let Some(named) = &named {
        legs::check_balance(named)?;
    }
    let settled = legs::recorded(state, &part)?;
    legs::check_overflow(&settled, Totals::post)?;
    write_settled(state, settle, hold, (part, rest), asked)
}

pub(super) fn void(state: &State, void: &VoidHold, asked: Asked<'_>) -> Result<Decision, Stop> {
    let hold = find(state, &void.hold)?.ok_or_else(|| not_found(&void.hold))?;
    legs::recorded(state, &hold.legs)?;
    check_open(hold, asked.recorded_at)?;
    release(state, hold, kind::HOLD_VOIDED, void.reason.clone(), asked).map(Decision::Write)
}

pub(super) fn expire_due(state: &State, expire: &ExpireDue, asked: Asked<'_>) -> Result<Decision, Stop> {
    let now = expire.now.unwrap_or(asked.recorded_at);
    if now > asked.recorded_at {
        let message = format!("at most the recorded time, {}", asked.recorded_at);
        return Err(Invalid::new("now", Some(now.to_string()), message).into());
    }
    // One hold a time: two of them may touch one account, and each must see what the other released.
    let due = state.due(now)?;
    let missing: Vec<Need> =
        due.iter().flat_map(|hold| &hold.legs).filter_map(|leg| state.accounts_of(&leg.account).err()).collect();
    if !missing.is_empty() {
        return Err(Stop::Missing(missing));
    }
    match due.first() {
        None => Ok(Decision::Nothing),
        Some(hold) => release(state, hold, kind::HOLD_EXPIRED, None, asked).map(Decision::Write),
    }
}

fn find<'a>(state: &'a State, id: &str) -> Result<Option<&'a Hold>, Stop> {
    match state.id(id) {
        IdUse::Unverified => Err(Stop::Missing(vec![Need::Id(id.to_owned())])),
        IdUse::Used(record) if record.kind == kind::HOLD_PLACED => Ok(Some(state.hold(record.position)?)),
        IdUse::Used(_) | IdUse::Free => Ok(None),
    }
}

fn not_found(id: &str) -> Stop {
    Rejection::new(Rule::HoldNotFound, format!("there is no hold under the id {id:?}")).into()
}

/// In a hold an account stands on one side only, so that what is pending of it is one number.
fn check_sides(legs: &[Leg<'_>]) -> Result<(), Stop> {
    let mut sides = HashMap::with_capacity(legs.len());
    for (index, leg) in legs.iter().enumerate() {
        if *sides.entry(leg.account.facts.id).or_insert(leg.side) != leg.side {
            let code = leg.account.facts.code.to_string();
            let message = "in a hold, an account stands on one side only";
            return Err(Invalid::new(format!("legs[{index}].account"), Some(code), message).into());
        }
    }
    Ok(())
}

fn check_open(hold: &Hold, recorded_at: Timestamp) -> Result<(), Stop> {
    let overdue = hold.expires_at.is_some_and(|expires_at| expires_at <= recorded_at);
    let (rule, how) = match hold.end {
        Some(HoldEnd::Settled) => (Rule::HoldSettled, "was settled"),
        Some(HoldEnd::Voided) => (Rule::HoldVoided, "was voided"),
        Some(HoldEnd::Expired) => (Rule::HoldExpired, "is expired"),
        None if overdue => (Rule::HoldExpired, "is expired"),
        None => return Ok(()),
    };
    Err(Rejection::new(rule, format!("the hold {} {how}", hold.id)).into())
}

/// An amount of a hold of one debit and one credit leg.
fn amount_legs<'a>(hold: &Hold, amount: Decimal, state: &'a State) -> Result<Vec<Leg<'a>>, Stop> {
    let sides: Vec<Side> = hold.legs.iter().map(|leg| leg.amount.side()).collect();
    if !matches!(sides.as_slice(), [Side::Debit, Side::Credit] | [Side::Credit, Side::Debit]) {
        let message = "an amount is for a hold of one debit and one credit leg; name the legs";
        return Err(Invalid::new("amount", Some(amount.to_string()), message).into());
    }
    let leg = |leg: &PostedLeg| PostedLeg { amount: SideAmount::new(leg.amount.side(), amount), ..leg.clone() };
    let part: Vec<PostedLeg> = hold.legs.iter().map(leg).collect();
    legs::recorded_as_amount(state, &part)
}

/// What is left of each leg of the hold after a part is taken.
fn take(hold: &Hold, part: &[PostedLeg]) -> Result<Vec<Decimal>, Stop> {
    let mut rest = hold.rest.clone();
    for leg in part {
        let mut wanted = leg.amount.amount();
        for (held, left) in hold.legs.iter().zip(&mut rest) {
            let same = held.account == leg.account && held.currency == leg.currency;
            if same && held.amount.side() == leg.amount.side() {
                let taken = wanted.min(*left);
                *left -= taken;
                wanted -= taken;
            }
        }
        if !wanted.is_zero() {
            let message = format!(
                "{} {} more than is left of the hold {} on the {} side of {}",
                wanted,
                leg.currency,
                hold.id,
                leg.amount.side().as_str(),
                leg.account,
            );
            let mut rejection =
                Rejection::new(Rule::SettleExceedsHold, message).account(&leg.account).currency(&leg.currency);
            rejection.available = Some(leg.amount.amount() - wanted);
            rejection.requested = Some(leg.amount.amount());
            return Err(rejection.into());
        }
    }
    Ok(rest)
}

fn write_settled(
    state: &State,
    settle: &SettleHold,
    hold: &Hold,
    (part, rest): (Vec<PostedLeg>, Vec<Decimal>),
    asked: Asked<'_>,
) -> Result<Decision, Stop> {
    let ends = !settle.keep_rest || rest.iter().all(Decimal::is_zero);
    let (released, rest) = if ends { (hold.of(&rest), Vec::new()) } else { (Vec::new(), rest) };
    let settled = HoldSettled {
        hold: hold.id.clone(),
        placed: hold.placed,
        out: give_back(state, hold, &released, asked.recorded_at)?,
        legs: Arc::from(part),
        released,
        rest,
        text: settle.text.clone(),
    };
    let mut event = NewEvent::new(kind::HOLD_SETTLED, &settled, Payload::HoldSettled(settled.clone()))?;
    event.stream = Some((Hold::stream(hold.placed), hold.version + 1));
    Ok(Decision::Write(event))
}

/// Ends a hold by releasing all that is left of it.
fn release(state: &State, hold: &Hold, kind: &str, reason: Option<String>, asked: Asked<'_>) -> Result<NewEvent, Stop> {
    let released = hold.left();
    let out = give_back(state, hold, &released, asked.recorded_at)?;
    let data = HoldReleased { hold: hold.id.clone(), placed: hold.placed, released, reason, out };
    let mut event = NewEvent::new(kind, &data, Payload::HoldReleased(data.clone()))?;
    event.stream = Some((Hold::stream(hold.placed), hold.version + 1));
    Ok(event)
}

/// What is released on the day on which it was held is given back to that day's outflow.
fn give_back(
    state: &State,
    hold: &Hold,
    released: &[PostedLeg],
    recorded_at: Timestamp,
) -> Result<Vec<DailyOut>, Stop> {
    if crate::money::day(hold.recorded_at) != crate::money::day(recorded_at) {
        return Ok(Vec::new());
    }
    let counted = |leg: &PostedLeg| {
        let mut legs = hold.legs.iter().zip(&hold.counts);
        legs.any(|(held, counts)| *counts && held.account == leg.account && held.currency == leg.currency)
    };
    let counted: Vec<PostedLeg> = released.iter().filter(|leg| counted(leg)).cloned().collect();
    let released = legs::recorded(state, &counted)?;
    Ok(limits::give_back(&legs::effects(&released), recorded_at))
}
