//! Entries, transfers and holds.

use jiff::SignedDuration;
use postfold::{Command, Entry, Hold, Leg, Timestamp, Transfer};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use rust_decimal::Decimal;

use super::{Mix, permille, sometimes};
use crate::history;

/// An amount: whole or with up to two decimals; the odd ones have three, are zero, negative or close to the most
/// that a ledger holds.
pub fn amount(mix: &Mix) -> impl Strategy<Value = Decimal> + use<> {
    let odd = prop_oneof![
        (1..5_000_i64).prop_map(|mills| Decimal::new(mills, 3)),
        (-1_000..=0_i64).prop_map(|cents| Decimal::new(cents, 2)),
        (0..3_u32).prop_map(|less| Decimal::new(9, 0) * Decimal::from(10_i128.pow(27 - less))),
    ];
    let even =
        prop_oneof![(1..300_i64).prop_map(Decimal::from), (1..30_000_i64).prop_map(|cents| Decimal::new(cents, 2)),];
    (even, odd, permille(mix.odd_amounts)).prop_map(|(even, odd, is_odd)| if is_odd { odd } else { even })
}

/// A transfer, by sides or by direction, sometimes `up_to`.
pub fn transfer(mix: &Mix) -> impl Strategy<Value = Command> + use<> {
    let route = (code(mix), other(mix), currency(mix));
    let how = (permille(300), permille(250), when(mix));
    (id(), amount(mix), route, how).prop_map(|(id, amount, (one, other, currency), (direction, up_to, at))| {
        let other = other.unless(&one);
        let new = if direction { Transfer::between } else { Transfer::sides };
        let mut transfer = new(id, one, other, amount);
        if up_to {
            transfer = transfer.up_to();
        }
        dated(currency.into_iter().fold(transfer, Transfer::currency).into(), at)
    })
}

/// An entry of two to four legs.
pub fn entry(mix: &Mix) -> impl Strategy<Value = Command> + use<> {
    (id(), legs(mix), permille(mix.unbalanced), when(mix)).prop_map(|(id, mut legs, unbalanced, at)| {
        if unbalanced {
            legs.truncate(legs.len().saturating_sub(1).max(2));
            legs.push(Leg::debit(legs[0].account.clone(), Decimal::ONE));
        }
        dated(legs.into_iter().fold(Entry::new(id), Entry::leg).into(), at)
    })
}

/// A hold between two accounts, or of two to four legs, that may expire.
pub fn hold(mix: &Mix) -> impl Strategy<Value = Command> + use<> {
    let two = (code(mix), other(mix), amount(mix), currency(mix), permille(300));
    let expires = sometimes(300, -1..72_i64);
    (id(), two, legs(mix), permille(250), expires, when(mix)).prop_map(|(id, two, legs, by_legs, expires, at)| {
        let (one, other, amount, currency, direction) = two;
        let other = other.unless(&one);
        let mut hold = match (by_legs, direction) {
            (true, _) => Hold::legs(id, legs),
            (_, false) => Hold::sides(id, one, other, amount),
            (_, true) => Hold::between(id, one, other, amount),
        };
        if let Some(hours) = expires {
            hold = hold.expires_at(history::start() + SignedDuration::from_hours(hours));
        }
        dated(currency.into_iter().fold(hold, Hold::currency).into(), at)
    })
}

/// Balanced legs: one to three on one side, and their sum on the other, whole or in two parts.
fn legs(mix: &Mix) -> impl Strategy<Value = Vec<Leg>> + use<> {
    let first = vec((code(mix), amount(mix), currency(mix)), 1..4);
    (first, code(mix), other(mix), any::<(bool, bool)>()).prop_map(|(first, one, other, (split, credits))| {
        let leg = |debit: bool, account: String, amount| {
            if debit == credits { Leg::credit(account, amount) } else { Leg::debit(account, amount) }
        };
        let currency = first.first().and_then(|(_, _, currency)| currency.clone());
        let sum: Decimal = first.iter().map(|(_, amount, _)| *amount).sum();
        let mut against = vec![sum];
        if split && sum > Decimal::ONE {
            against = vec![sum - Decimal::ONE, Decimal::ONE];
        }
        let against = against.into_iter().zip([other.unless(&one), one]);
        let mut legs: Vec<Leg> = first.into_iter().map(|(account, amount, _)| leg(true, account, amount)).collect();
        legs.extend(against.map(|(amount, account)| leg(false, account, amount)));
        match currency {
            Some(currency) => legs.into_iter().map(|leg| leg.currency(currency.clone())).collect(),
            None => legs,
        }
    })
}

/// The code of an account of the mix, or now and then of none.
pub(super) fn code(mix: &Mix) -> impl Strategy<Value = String> + use<> {
    let mut codes = mix.codes.clone();
    if codes.is_empty() {
        codes.push("account".to_owned());
    }
    (select(codes), permille(mix.unknown)).prop_map(|(code, unknown)| if unknown { "unknown".to_owned() } else { code })
}

/// Another account than the first one, which is known later.
#[derive(Clone, Debug)]
struct Other {
    codes: Vec<String>,
    wanted: usize,
    unknown: bool,
}

impl Other {
    /// Another one than this, where there is one.
    fn unless(&self, one: &str) -> String {
        let mut others = self.codes.iter().filter(|code| *code != one).cycle().skip(self.wanted);
        let other = others.next().filter(|_| !self.unknown && self.codes.len() > 1);
        other.cloned().unwrap_or_else(|| "elsewhere".to_owned())
    }
}

fn other(mix: &Mix) -> impl Strategy<Value = Other> + use<> {
    let codes = mix.codes.clone();
    (0..codes.len().max(2) - 1, permille(mix.unknown)).prop_map(move |(wanted, unknown)| Other {
        codes: codes.clone(),
        wanted,
        unknown,
    })
}

/// A currency of the mix, where one is said; now and then one that nobody has registered.
pub(super) fn currency(mix: &Mix) -> impl Strategy<Value = Option<String>> + use<> {
    let currency = prop_oneof![12 => select(mix.currencies.clone()), 1 => Just("GOLD".to_owned())];
    sometimes(if mix.currencies.len() > 1 { 150 } else { 0 }, currency)
}

/// When something counts, where that is said: up to five days around the beginning.
pub(super) fn when(mix: &Mix) -> impl Strategy<Value = Option<Timestamp>> + use<> {
    let hours = -120..120_i64;
    let time = hours.prop_map(|hours| history::start() + SignedDuration::from_hours(hours));
    sometimes(mix.dated, time)
}

pub(super) fn id() -> impl Strategy<Value = String> {
    (0..1_000_u16).prop_map(|number| format!("id-{number}"))
}

fn dated(command: Command, at: Option<Timestamp>) -> Command {
    Command { at, ..command }
}
