//! What an entry does to an account, and what it may not do.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use postfold::event::{AccountStatus, PostedLeg};
use postfold::{Limits, Side};
use rust_decimal::Decimal;

use super::Invariant;

/// An account, folded. Amounts are on its normal side.
pub(super) struct Account {
    pub(super) normal: Side,
    pub(super) posted: Decimal,
    pub(super) pending_in: Decimal,
    pub(super) pending_out: Decimal,
    pub(super) counting: bool,
    limits: Limits,
    frozen: bool,
    closed: bool,
    left_today: Option<(Date, Decimal)>,
}

/// What is done to the accounts of legs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Post,
    Hold,
    /// Posts what was pending.
    Settle,
}

/// An entry's legs on one account, each side summed up.
pub(super) struct Effect {
    pub(super) name: (String, String),
    debit: Decimal,
    credit: Decimal,
}

/// An invariant, what should be, and what is.
type Wrong = (Invariant, String, String);

impl Effect {
    /// One for each account.
    pub(super) fn of(legs: &[PostedLeg]) -> Vec<Self> {
        let mut effects: Vec<Self> = Vec::new();
        for leg in legs {
            let known = effects.iter().position(|effect| effect.name == name(leg)).unwrap_or_else(|| {
                effects.push(Self { name: name(leg), debit: Decimal::ZERO, credit: Decimal::ZERO });
                effects.len() - 1
            });
            match leg.amount.side() {
                Side::Debit => effects[known].debit += leg.amount.amount(),
                Side::Credit => effects[known].credit += leg.amount.amount(),
            }
        }
        effects
    }

    pub(super) fn subject(&self) -> String {
        format!("{} in {}", self.name.0, self.name.1)
    }
}

impl Account {
    pub(super) const fn new(normal: Side, limits: Limits) -> Self {
        let counting = limits.daily_out.is_some();
        let (frozen, closed) = (false, false);
        let [posted, pending_in, pending_out] = [Decimal::ZERO; 3];
        Self { normal, posted, pending_in, pending_out, counting, limits, frozen, closed, left_today: None }
    }

    pub(super) fn changed(&mut self, status: &AccountStatus) {
        (self.limits, self.frozen, self.closed) = (status.limits, status.frozen, status.closed);
        self.counting |= status.limits.daily_out.is_some();
    }

    pub(super) fn available(&self) -> Decimal {
        self.posted - self.pending_out
    }

    pub(super) fn pend(&mut self, side: Side, amount: Decimal) {
        if side == self.normal {
            self.pending_in += amount;
        } else {
            self.pending_out += amount;
        }
    }

    pub(super) fn give_back(&mut self, amount: Decimal, now: Timestamp) {
        self.left_today = Some((day(now), (self.left_on(now) - amount).max(Decimal::ZERO)));
    }

    /// Does it, and tells what may not be.
    pub(super) fn apply(&mut self, effect: &Effect, kind: Kind, now: Timestamp) -> Vec<Wrong> {
        let mut wrong = self.check_state();
        let (grows, shrinks) = match self.normal {
            Side::Debit => (effect.debit, effect.credit),
            Side::Credit => (effect.credit, effect.debit),
        };
        let before = (self.available(), self.posted + self.pending_in);
        if kind != Kind::Hold {
            self.posted += grows - shrinks;
        }
        if kind != Kind::Post {
            let sign = if kind == Kind::Hold { Decimal::ONE } else { Decimal::NEGATIVE_ONE };
            self.pending_in += sign * grows;
            self.pending_out += sign * shrinks;
        }
        wrong.extend(self.check_limits(before));
        let out = shrinks - grows;
        if kind != Kind::Settle && out > Decimal::ZERO && self.counting {
            wrong.extend(self.count_out(out, now));
        }
        wrong
    }

    fn check_state(&self) -> Vec<Wrong> {
        let states = [(self.closed, "closed"), (self.frozen, "frozen")];
        let is = states.into_iter().filter(|(is, _)| *is);
        is.map(|(_, state)| (Invariant::StatesHold, "untouched".to_owned(), state.to_owned())).collect()
    }

    /// A limit that is broken may be broken still: only what moves towards it is wrong.
    fn check_limits(&self, (available, held): (Decimal, Decimal)) -> Vec<Wrong> {
        let mut wrong = Vec::new();
        let floor = self.limits.floor.filter(|floor| self.available() < *floor && self.available() < available);
        if let Some(floor) = floor {
            let least = format!("{floor} or more available");
            wrong.push((Invariant::LimitsHold, least, self.available().to_string()));
        }
        let holds = self.posted + self.pending_in;
        if let Some(ceiling) = self.limits.ceiling.filter(|ceiling| holds > *ceiling && holds > held) {
            wrong.push((Invariant::LimitsHold, format!("{ceiling} or less"), holds.to_string()));
        }
        wrong
    }

    fn count_out(&mut self, out: Decimal, now: Timestamp) -> Option<Wrong> {
        let sum = self.left_on(now) + out;
        self.left_today = Some((day(now), sum));
        let most = self.limits.daily_out.filter(|most| sum > *most)?;
        Some((Invariant::LimitsHold, format!("{most} or less out in a day"), sum.to_string()))
    }

    fn left_on(&self, now: Timestamp) -> Decimal {
        self.left_today.filter(|(of, _)| *of == day(now)).map_or(Decimal::ZERO, |(_, sum)| sum)
    }
}

/// Code and currency.
pub(super) fn name(leg: &PostedLeg) -> (String, String) {
    (leg.account.clone(), leg.currency.clone())
}

/// The UTC day of a time.
pub(super) fn day(time: Timestamp) -> Date {
    time.to_zoned(TimeZone::UTC).date()
}
