//! One account after the other: our running balance against the bank's column.

use jiff::civil::Date;
use rust_decimal::{Decimal, dec};
use serde::Serialize;

use crate::cause::{Evidence, Finding};
use crate::row::Row;

/// The unit in which the file prints amounts and balances.
pub const TENTH: Decimal = dec!(0.10);

/// One row of an account, replayed.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    /// The row.
    pub row: &'a Row,
    /// The bank's balance before it.
    pub before: Decimal,
    /// Our running balance after it: the sum of the amounts so far.
    pub ours: Decimal,
    /// By how much more than the amount the bank's balance moves.
    pub off: Decimal,
}

/// Replays the rows of one account in the order given, from zero.
pub fn steps<'a, 'r>(rows: &'r [&'a Row]) -> impl Iterator<Item = Step<'a>> + use<'a, 'r> {
    let mut before = Decimal::ZERO;
    let mut ours = Decimal::ZERO;
    rows.iter().copied().map(move |row| {
        ours += row.signed();
        let step = Step { row, before, ours, off: row.balance - before - row.signed() };
        before = row.balance;
        step
    })
}

/// How far an account agrees with the bank.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Agreement {
    /// After every row.
    EveryRow,
    /// After the last row, though not after every row.
    AtTheEnd,
    /// Not after the last row.
    Differs,
}

/// The result for one account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AccountResult {
    /// `account_id`
    pub account: u64,
    /// Its rows in the file.
    pub rows: usize,
    /// How far it agrees.
    pub agreement: Agreement,
    /// Our balance after the last row.
    pub ours: Decimal,
    /// The bank's.
    pub bank: Decimal,
    /// Ours less the bank's.
    pub difference: Decimal,
    /// The first row after which the two differ.
    pub first_difference: Option<Difference>,
    /// Every row where the bank's balance does not move by the amount; they add up to the difference.
    pub breaks: Vec<Break>,
    /// Rows after which the bank's balance is below zero.
    pub rows_overdrawn: usize,
    /// The bank's lowest balance, and zero before the first row.
    pub lowest: Decimal,
}

/// A row after which the two balances differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Its line in the file.
    pub line: u64,
    /// Its date.
    pub date: Date,
    /// Our balance after it.
    pub ours: Decimal,
    /// The bank's.
    pub bank: Decimal,
}

/// A row where the bank's balance moves by something else than the amount, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Break {
    /// Its line in the file.
    pub line: u64,
    /// `trans_id`
    pub trans_id: u64,
    /// Its date.
    pub date: Date,
    /// By how much more than the amount the bank's balance moves.
    pub off: Decimal,
    /// Why.
    #[serde(flatten)]
    pub finding: Finding,
}

impl AccountResult {
    /// Replays the rows of one account, in the order given.
    pub fn of(account: u64, rows: &[&Row], evidence: &Evidence) -> Self {
        let mut judge = evidence.judge(account);
        let mut breaks = Vec::new();
        let mut first_difference = None;
        let mut ours = Decimal::ZERO;
        for step in steps(rows) {
            let Row { line, trans_id, date, balance: bank, .. } = *step.row;
            ours = step.ours;
            if let Some(finding) = judge.step(&step) {
                breaks.push(Break { line, trans_id, date, off: step.off, finding });
            }
            if ours != bank && first_difference.is_none() {
                first_difference = Some(Difference { line, date, ours, bank });
            }
        }
        let bank = rows.last().map_or(Decimal::ZERO, |row| row.balance);
        let agreement = match (first_difference, ours == bank) {
            (None, _) => Agreement::EveryRow,
            (Some(_), true) => Agreement::AtTheEnd,
            (Some(_), false) => Agreement::Differs,
        };
        Self {
            account,
            rows: rows.len(),
            agreement,
            ours,
            bank,
            difference: ours - bank,
            first_difference,
            breaks,
            rows_overdrawn: rows.iter().filter(|row| row.balance < Decimal::ZERO).count(),
            lowest: rows.iter().map(|row| row.balance).fold(Decimal::ZERO, Decimal::min),
        }
    }

    /// The causes that are more than rounding.
    pub fn missing(&self) -> impl Iterator<Item = &Break> {
        self.breaks.iter().filter(|found| !found.finding.cause.is_rounding())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cause::Cause;
    use crate::order::DayOrder;
    use crate::testing;

    /// The result for account 1.
    fn result(lines: &[&str]) -> AccountResult {
        let bank = testing::bank(lines);
        let rows = DayOrder::TypeAndBalance.by_account(&bank.rows);
        AccountResult::of(1, &rows[&1], &Evidence::of(&bank))
    }

    fn causes(lines: &[&str]) -> Vec<(u64, Cause)> {
        result(lines).breaks.iter().map(|found| (found.line, found.finding.cause)).collect()
    }

    const DEPOSIT: &str = r#"1;1;930101;"PRIJEM";"VKLAD";700.00;700.00;"";;"#;

    #[test]
    fn an_account_that_follows_its_amounts_agrees_in_every_row() {
        let found = result(&[DEPOSIT, r#"2;1;930102;"VYDAJ";"VYBER";900.50;-200.50;"";;"#]);
        assert_eq!((found.agreement, found.breaks.len()), (Agreement::EveryRow, 0));
        assert_eq!((found.rows_overdrawn, found.lowest), (1, dec!(-200.50)));
    }

    #[test]
    fn interest_may_be_a_tenth_off_and_two_such_rows_may_cancel_out() {
        let up = r#"2;1;930131;"PRIJEM";"";3.10;703.20;"UROK";;"#;
        let down = r#"3;1;930228;"PRIJEM";"";3.10;706.20;"UROK";;"#;
        assert_eq!(result(&[DEPOSIT, up]).difference, dec!(-0.10));
        assert_eq!(result(&[DEPOSIT, up]).first_difference.unwrap().line, 3);
        assert_eq!(result(&[DEPOSIT, up, down]).agreement, Agreement::AtTheEnd);
        assert_eq!(causes(&[DEPOSIT, up, down]), [(3, Cause::AmountRounded), (4, Cause::AmountRounded)]);
    }

    #[test]
    fn a_deposit_may_be_off_where_it_takes_a_tie_past_a_power_of_two_and_nowhere_else() {
        let interest = r#"2;1;930131;"PRIJEM";"";3.10;703.10;"UROK";;"#;
        let past_1024 = r#"3;1;930201;"PRIJEM";"VKLAD";400.00;1103.20;"";;"#;
        let not_past = r#"3;1;930201;"PRIJEM";"VKLAD";100.00;803.20;"";;"#;
        let back_below_512 = r#"3;1;930201;"VYDAJ";"VYBER";400.00;303.00;"";;"#;
        let no_tie = r#"3;1;930201;"PRIJEM";"VKLAD";400.00;1100.10;"";;"#;
        assert_eq!(causes(&[DEPOSIT, interest, past_1024]), [(4, Cause::BalanceRounded)]);
        assert_eq!(causes(&[DEPOSIT, interest, not_past]), [(4, Cause::Unexplained)]);
        assert_eq!(causes(&[DEPOSIT, interest, back_below_512]), [(4, Cause::Unexplained)]);
        assert_eq!(causes(&[DEPOSIT, no_tie]), [(3, Cause::Unexplained)]);
    }

    #[test]
    fn nothing_is_rounding_in_a_file_that_prints_hellers() {
        let interest = r#"2;1;930131;"PRIJEM";"";3.10;703.20;"UROK";;"#;
        let heller = r#"3;2;930201;"PRIJEM";"VKLAD";0.01;0.01;"";;"#;
        assert_eq!(causes(&[DEPOSIT, interest, heller]), [(3, Cause::Unexplained)]);
    }

    #[test]
    fn a_wrong_amount_has_no_explanation() {
        let wrong = r#"2;1;930102;"VYDAJ";"VYBER";100.00;500.00;"";;"#;
        assert_eq!(causes(&[DEPOSIT, wrong]), [(3, Cause::Unexplained)]);
    }

    #[test]
    fn a_line_that_was_not_read_explains_one_break_of_its_own_account() {
        let after = r#"4;1;930103;"VYDAJ";"VYBER";100.00;500.00;"";;"#;
        let again = r#"5;1;930104;"VYDAJ";"VYBER";100.00;300.00;"";;"#;
        let unread = r#"3;1;930102;"VYDAJ";"VYBER";1O0.00;600.00;"";;"#;
        let anothers = r#"3;2;930102;"VYDAJ";"VYBER";1O0.00;600.00;"";;"#;
        assert_eq!(causes(&[DEPOSIT, unread, after, again]), [(4, Cause::LineNotRead), (5, Cause::Unexplained)]);
        assert_eq!(result(&[DEPOSIT, unread, after]).breaks[0].finding.unread_line, Some(3));
        assert_eq!(causes(&[DEPOSIT, anothers, after]), [(4, Cause::Unexplained)]);
    }

    #[test]
    fn a_first_row_that_does_not_begin_at_its_amount_lacks_earlier_rows() {
        assert_eq!(causes(&[r#"1;1;930101;"PRIJEM";"VKLAD";700.00;900.00;"";;"#]), [(2, Cause::EarlierRowsMissing)]);
    }

    #[test]
    fn the_last_day_of_a_cut_file_may_lack_a_row_and_no_other_day_may() {
        let fee = r#"2;1;930131;"VYDAJ";"VYBER";14.60;780.40;"SLUZBY";;"#;
        let next_day = r#"3;2;930201;"PRIJEM";"VKLAD";5.00;5.00;"";;"#;
        assert_eq!(causes(&[DEPOSIT, fee, "9;3~"]), [(3, Cause::CutDay)]);
        assert_eq!(causes(&[DEPOSIT, fee]), [(3, Cause::Unexplained)]);
        assert_eq!(causes(&[DEPOSIT, fee, next_day, "9;3~"]), [(3, Cause::Unexplained)]);
    }

    #[test]
    fn the_breaks_add_up_to_the_difference() {
        let interest = r#"2;1;930131;"PRIJEM";"";3.10;703.20;"UROK";;"#;
        let wrong = r#"3;1;930202;"VYDAJ";"VYBER";100.00;500.00;"";;"#;
        let found = result(&[DEPOSIT, interest, wrong]);
        let sum: Decimal = found.breaks.iter().map(|found| found.off).sum();
        assert_eq!(found.difference, -sum);
    }
}
