//! Why the bank's balance does not move by the printed amount: computed from the file, never assumed.
//!
//! The file prints amounts and balances in whole tenths of a koruna, and its interest fits only if the bank reckons
//! in hellers (0.01). Then 0.10 too much or too little is no proof of an error, but it is no licence either. Two rules
//! bound what is taken for rounding:
//!
//! 1. [`Hellers`] keeps the range in which the part of the balance that was rounded away must lie. Rounding explains
//!    a step only while some hellers remain that make **every** balance of the account so far come out as printed.
//! 2. Where the amount is exact, only a tie (a balance halfway between two tenths) can be printed the other way, and a
//!    multiple of half a koruna turns a tie only by [rising past a power of two](rises_past_a_power_of_two).
//!
//! What this cannot see is an error of exactly 0.10 that keeps to both rules.

use std::collections::HashMap;

use jiff::civil::Date;
use rust_decimal::{Decimal, dec};
use serde::Serialize;

use crate::bank::{Bank, FaultKind, TRANS_FILE};
use crate::mapping::{self, Amounts};
use crate::replay::{Step, TENTH};

/// What rounding to a tenth takes away at most.
const HALF: Decimal = dec!(0.05);

/// Why a balance does not follow from the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The bank computed the amount to the heller, and prints it rounded to the tenth.
    AmountRounded,
    /// The amount is exact; the balance lies halfway between two tenths, and is printed as the other one.
    BalanceRounded,
    /// A line of this account between the two rows could not be read.
    LineNotRead,
    /// The balance before the account's first row is not zero: rows before it are not in the file.
    EarlierRowsMissing,
    /// The file was cut within this day, and the balance holds a row of it that is not in the file.
    CutDay,
    /// None of these.
    Unexplained,
}

impl Cause {
    /// For people.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AmountRounded => "amount printed rounded",
            Self::BalanceRounded => "balance printed rounded",
            Self::LineNotRead => "line of the account not read",
            Self::EarlierRowsMissing => "earlier rows not in the file",
            Self::CutDay => "row of the cut day not in the file",
            Self::Unexplained => "UNEXPLAINED",
        }
    }

    /// Whether it is a matter of the last digit.
    pub const fn is_rounding(self) -> bool {
        matches!(self, Self::AmountRounded | Self::BalanceRounded)
    }
}

/// A cause, and the line that it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Why.
    pub cause: Cause,
    /// For [`Cause::LineNotRead`]: which line of the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unread_line: Option<u64>,
}

impl From<Cause> for Finding {
    fn from(cause: Cause) -> Self {
        Self { cause, unread_line: None }
    }
}

/// What is known about the file as a whole.
#[derive(Debug)]
pub struct Evidence {
    in_tenths: bool,
    cut_day: Option<Date>,
    unread: HashMap<u64, Vec<(u64, Date)>>,
}

impl Evidence {
    /// Gathers it.
    pub fn of(bank: &Bank) -> Self {
        let mut unread: HashMap<u64, Vec<(u64, Date)>> = HashMap::new();
        let missing = |kind| kind != FaultKind::ZeroAmount && kind != FaultKind::UnknownAccount;
        for fault in bank.faults.iter().filter(|fault| fault.file == TRANS_FILE && missing(fault.kind)) {
            if let (Some(account), Some(date)) = (fault.account, fault.date) {
                unread.entry(account).or_default().push((fault.line, date));
            }
        }
        Self { in_tenths: bank.is_in_tenths(), cut_day: bank.cut_day(), unread }
    }

    /// Begins with an account, before its first row.
    pub fn judge(&self, account: u64) -> Judge<'_> {
        let unread = self.unread.get(&account).cloned().unwrap_or_default();
        Judge { evidence: self, hellers: Hellers::NONE, unread, last: None }
    }
}

/// Follows one account, row by row.
#[derive(Debug)]
pub struct Judge<'a> {
    evidence: &'a Evidence,
    hellers: Hellers,
    /// Lines that were not read and have explained nothing yet.
    unread: Vec<(u64, Date)>,
    last: Option<Date>,
}

impl Judge<'_> {
    /// Why the bank's balance does not move by the row's amount; `None` where it does.
    pub fn step(&mut self, step: &Step<'_>) -> Option<Finding> {
        let in_tenths = self.evidence.in_tenths;
        let computed = mapping::of(step.row).is_some_and(|mapping| mapping.amounts == Amounts::Computed);
        let previous = self.last.replace(step.row.date);
        if let Some(hellers) = self.hellers.after(step.off, computed)
            && (step.off.is_zero() || in_tenths && (computed || may_turn_a_tie(step)))
        {
            self.hellers = hellers;
            let rounded = if computed { Cause::AmountRounded } else { Cause::BalanceRounded };
            return (!step.off.is_zero()).then(|| rounded.into());
        }
        // What is missing has hellers of its own.
        self.hellers = Hellers::ANY;
        Some(self.missing(step.row.date, previous))
    }

    fn missing(&mut self, date: Date, previous: Option<Date>) -> Finding {
        let between = |at: Date| at <= date && previous.is_none_or(|previous| at >= previous);
        if let Some(index) = self.unread.iter().position(|(_, at)| between(*at)) {
            let (line, _) = self.unread.remove(index);
            return Finding { cause: Cause::LineNotRead, unread_line: Some(line) };
        }
        let cause = match previous {
            None => Cause::EarlierRowsMissing,
            Some(_) if self.evidence.cut_day == Some(date) => Cause::CutDay,
            Some(_) => Cause::Unexplained,
        };
        cause.into()
    }
}

/// The range in which the true balance less the printed one must lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hellers {
    low: Decimal,
    high: Decimal,
}

impl Hellers {
    /// A balance that is known: an account begins with zero.
    pub const NONE: Self = Self { low: Decimal::ZERO, high: Decimal::ZERO };
    /// A balance of which only the printed tenth is known.
    pub const ANY: Self = Self { low: dec!(-0.05), high: HALF };

    /// The range after a row whose printed balance moved by `off` more than its printed amount; `None` if no hellers
    /// can explain that.
    pub fn after(self, off: Decimal, computed: bool) -> Option<Self> {
        if off.abs() > TENTH {
            return None;
        }
        let slack = if computed { HALF } else { Decimal::ZERO };
        let low = (self.low - off - slack).max(Self::ANY.low);
        let high = (self.high - off + slack).min(Self::ANY.high);
        (low <= high).then_some(Self { low, high })
    }
}

fn may_turn_a_tie(step: &Step<'_>) -> bool {
    !is_in_halves(step.row.amount) || rises_past_a_power_of_two(step.before, step.row.balance)
}

/// Whether an amount is a multiple of half a koruna, which a binary fraction holds exactly.
pub fn is_in_halves(amount: Decimal) -> bool {
    (amount + amount).fract().is_zero()
}

/// Whether the later balance needs more binary digits before the point.
///
/// A computer that keeps balances as binary fractions cannot hold a tie between two tenths exactly, so it rounds the
/// tie one way or the other. Adding or taking away a multiple of half a koruna leaves the fraction as it is, to the
/// last binary digit, unless the sum needs one more digit before the point and so loses one behind it.
pub fn rises_past_a_power_of_two(before: Decimal, after: Decimal) -> bool {
    let digits = |amount: Decimal| u64::try_from(amount.abs().trunc().mantissa()).ok().and_then(u64::checked_ilog2);
    digits(before) < digits(after)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exact_amount_cannot_be_off_when_the_balance_before_is_exact() {
        assert_eq!(Hellers::NONE.after(dec!(0.10), false), None);
        assert_eq!(Hellers::NONE.after(Decimal::ZERO, false), Some(Hellers::NONE));
    }

    #[test]
    fn a_computed_amount_may_be_off_by_a_tenth_and_by_no_more() {
        let after = Hellers::NONE.after(dec!(0.10), true).unwrap();
        assert_eq!(after, Hellers { low: dec!(-0.05), high: dec!(-0.05) });
        assert_eq!(Hellers::ANY.after(dec!(0.11), true), None);
        assert_eq!(Hellers::ANY.after(dec!(-0.20), true), None);
    }

    #[test]
    fn hellers_that_were_used_up_cannot_be_used_again() {
        let after = Hellers::ANY.after(dec!(0.10), false).unwrap();
        assert_eq!(after.after(dec!(0.10), false), None, "twice up without a computed amount between");
        assert!(after.after(dec!(-0.10), false).is_some(), "but back down is possible");
        assert_eq!(after.after(dec!(0.10), true), None, "one computed amount brings half a tenth at most");
        let refilled = after.after(Decimal::ZERO, true).unwrap();
        assert!(refilled.after(dec!(0.10), true).is_some(), "two of them bring enough");
    }

    #[test]
    fn a_rise_past_a_power_of_two_is_told_from_a_fall_and_from_a_rise_between_two() {
        assert!(rises_past_a_power_of_two(dec!(32000.10), dec!(33000.10)));
        assert!(rises_past_a_power_of_two(dec!(0.50), dec!(1.50)));
        assert!(!rises_past_a_power_of_two(dec!(33000.10), dec!(32000.10)));
        assert!(!rises_past_a_power_of_two(dec!(33000.10), dec!(65535.90)));
    }
}
