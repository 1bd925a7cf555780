//! One account's book.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use postfold::{Command, Limits, Side, Timestamp};
use rust_decimal::Decimal;

use super::answer::{Refused, Told};
use super::legs::Amount;
use postfold::Rule;

/// 10^28 minor units: what no amount and no running total reaches.
pub(super) const TOO_MUCH: Amount = 10_i128.pow(28);

/// What an account holds, in units of its currency, on its normal side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Totals {
    /// What is posted.
    pub posted: Decimal,
    /// What holds will bring.
    pub pending_in: Decimal,
    /// What holds reserve.
    pub pending_out: Decimal,
}

impl Totals {
    /// What may still leave.
    pub fn available(&self) -> Decimal {
        self.posted - self.pending_out
    }
}

/// One account in the model: amounts in whole minor units, sides apart.
#[derive(Clone, Debug)]
pub(super) struct Book {
    pub(super) account_type: postfold::AccountType,
    pub(super) normal: Side,
    pub(super) scale: u8,
    pub(super) floor: Option<Amount>,
    pub(super) ceiling: Option<Amount>,
    pub(super) daily_out: Option<Amount>,
    /// Counts what leaves in a day: from its first daily limit on.
    pub(super) counting: bool,
    pub(super) frozen: bool,
    pub(super) closed: bool,
    pub(super) opened_by: Option<(Command, Told)>,
    pub(super) posted: Sides,
    pub(super) pending: Sides,
    pub(super) left_today: Option<(Date, Amount)>,
    /// Every posted leg by the time when it counts, debit less credit: for assertions about the past.
    pub(super) dated: Vec<(Timestamp, Amount)>,
}

/// A sum on each side.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sides {
    pub(super) debit: Amount,
    pub(super) credit: Amount,
}

impl Sides {
    pub(super) const fn on(&mut self, side: Side) -> &mut Amount {
        match side {
            Side::Debit => &mut self.debit,
            Side::Credit => &mut self.credit,
        }
    }

    const fn of(self, side: Side) -> Amount {
        match side {
            Side::Debit => self.debit,
            Side::Credit => self.credit,
        }
    }

    pub(super) const fn reach_too_much(self) -> bool {
        self.debit >= TOO_MUCH || self.credit >= TOO_MUCH
    }
}

impl Book {
    pub(super) fn new(account_type: postfold::AccountType, normal: Side, scale: u8) -> Self {
        Self {
            account_type,
            normal,
            scale,
            floor: None,
            ceiling: None,
            daily_out: None,
            counting: false,
            frozen: false,
            closed: false,
            opened_by: None,
            posted: Sides::default(),
            pending: Sides::default(),
            left_today: None,
            dated: Vec::new(),
        }
    }

    pub(super) fn totals(&self) -> Totals {
        let decimal = |amount| decimal(amount, self.scale);
        Totals {
            posted: decimal(self.balance()),
            pending_in: decimal(self.coming()),
            pending_out: decimal(self.reserved()),
        }
    }

    /// What is posted, on the normal side.
    pub(super) const fn balance(&self) -> Amount {
        self.posted.of(self.normal) - self.posted.of(self.normal.opposite())
    }

    pub(super) const fn coming(&self) -> Amount {
        self.pending.of(self.normal)
    }

    pub(super) const fn reserved(&self) -> Amount {
        self.pending.of(self.normal.opposite())
    }

    pub(super) const fn available(&self) -> Amount {
        self.balance() - self.reserved()
    }

    /// Takes over limits that were checked against the scale.
    pub(super) fn limit(&mut self, limits: &Limits) {
        let minor = |limit: Option<Decimal>| limit.and_then(|limit| minor(limit, self.scale));
        (self.floor, self.ceiling) = (minor(limits.floor), minor(limits.ceiling));
        self.daily_out = minor(limits.daily_out);
        self.counting |= limits.daily_out.is_some();
    }

    /// Whether the account is closed or frozen.
    pub(super) fn takes_legs(&self) -> Result<(), Refused> {
        match (self.closed, self.frozen) {
            (true, _) => Err(Rule::AccountClosed.into()),
            (_, true) => Err(Rule::AccountFrozen.into()),
            _ => Ok(()),
        }
    }

    /// What left on the day of this time.
    pub(super) fn left_on(&self, time: Timestamp) -> Amount {
        self.left_today.filter(|(day, _)| *day == day_of(time)).map_or(0, |(_, amount)| amount)
    }

    /// Looks at an entry's net effect on the account, on its normal side.
    pub(super) fn check_limits(&self, net: Amount, now: Timestamp) -> Result<(), Refused> {
        if net < 0 && self.floor.is_some_and(|floor| self.available() + net < floor) {
            return Err(Rule::InsufficientFunds.into());
        }
        if net > 0 && self.ceiling.is_some_and(|ceiling| self.balance() + self.coming() + net > ceiling) {
            return Err(Rule::CeilingExceeded.into());
        }
        if net < 0 && self.counting && self.daily_out.is_some_and(|most| self.left_on(now) - net > most) {
            return Err(Rule::DailyOutExceeded.into());
        }
        Ok(())
    }

    /// Counts what an entry lets out.
    pub(super) fn count_out(&mut self, net: Amount, now: Timestamp) {
        if net < 0 && self.counting {
            self.left_today = Some((day_of(now), self.left_on(now) - net));
        }
    }

    /// Gives back what a hold of the same day had counted.
    pub(super) fn give_back(&mut self, released: Amount, now: Timestamp) {
        self.left_today = Some((day_of(now), (self.left_on(now) - released).max(0)));
    }
}

/// The UTC day of a time.
pub(super) fn day_of(time: Timestamp) -> Date {
    time.to_zoned(TimeZone::UTC).date()
}

/// An amount in minor units, unless it has more digits behind the point than the currency. What is too much
/// to hold stays too much.
pub(super) fn minor(amount: Decimal, scale: u8) -> Option<Amount> {
    let missing = u32::from(scale).checked_sub(amount.scale())?;
    Some(amount.mantissa().saturating_mul(10_i128.pow(missing)))
}

pub(super) fn decimal(amount: Amount, scale: u8) -> Decimal {
    Decimal::try_from_i128_with_scale(amount, u32::from(scale)).unwrap_or(Decimal::MAX)
}
