//! In which order do the rows of a day follow each other? The file does not say; it is found out here.
//!
//! Dates have no time of day, and neither the place in the file nor `trans_id` is the order in which the bank's
//! balance moved. What the balances show is this: within a day, `PRIJEM` comes before `VYBER`, and `VYBER` before
//! `VYDAJ`. Among rows of one type the file keeps no trace of the order but the balance itself; since what comes in
//! can only raise it and what goes out only lower it, ascending or descending balance is the one order possible.
//! This cannot hide a wrong amount: an order that fits exists only if the amounts fit.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde::Serialize;

use crate::replay::{self, Step};
use crate::row::{Kind, Row};

/// An order of the rows of one account; all are by date first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DayOrder {
    /// As they stand in the file.
    File,
    /// By `trans_id`.
    TransId,
    /// By type, then as they stand in the file.
    Type,
    /// By type, then by the balance: rising for what comes in, falling for what goes out.
    TypeAndBalance,
}

impl DayOrder {
    /// All that are tried.
    pub const ALL: [Self; 4] = [Self::File, Self::TransId, Self::Type, Self::TypeAndBalance];

    /// For people.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::File => "line in the file",
            Self::TransId => "trans_id",
            Self::Type => "type, then line in the file",
            Self::TypeAndBalance => "type, then balance",
        }
    }

    /// Which of two rows of an account comes first.
    pub fn compare(self, a: &Row, b: &Row) -> Ordering {
        let within_day = match self {
            Self::File => Ordering::Equal,
            Self::TransId => a.trans_id.cmp(&b.trans_id),
            Self::Type => a.kind.cmp(&b.kind),
            Self::TypeAndBalance => a.kind.cmp(&b.kind).then_with(|| match a.kind {
                Kind::Prijem => a.balance.cmp(&b.balance),
                Kind::Vyber | Kind::Vydaj => b.balance.cmp(&a.balance),
            }),
        };
        a.date.cmp(&b.date).then(within_day).then(a.line.cmp(&b.line))
    }

    /// The rows of each account, in this order.
    pub fn by_account(self, rows: &[Row]) -> BTreeMap<u64, Vec<&Row>> {
        let mut accounts: BTreeMap<u64, Vec<&Row>> = BTreeMap::new();
        for row in rows {
            accounts.entry(row.account).or_default().push(row);
        }
        for rows in accounts.values_mut() {
            rows.sort_by(|a, b| self.compare(a, b));
        }
        accounts
    }
}

/// How well the bank's column follows the amounts in one order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OrderFigures {
    /// Which order.
    pub order: DayOrder,
    /// Rows from whose predecessor the bank's balance moves by exactly the amount.
    pub steps_exact: usize,
    /// Rows where it moves by 0.10 more or less.
    pub steps_off_by_a_tenth: usize,
    /// Rows where it moves by something else.
    pub steps_broken: usize,
    /// Rows after which our running balance is the bank's.
    pub rows_equal: usize,
    /// Accounts where it is so after every row.
    pub accounts_equal_in_every_row: usize,
}

impl OrderFigures {
    /// Tries one order.
    pub fn of(order: DayOrder, rows: &[Row]) -> Self {
        let mut figures = Self {
            order,
            steps_exact: 0,
            steps_off_by_a_tenth: 0,
            steps_broken: 0,
            rows_equal: 0,
            accounts_equal_in_every_row: 0,
        };
        for rows in order.by_account(rows).values() {
            let equal = replay::steps(rows).filter(|step| figures.count(step)).count();
            figures.rows_equal += equal;
            figures.accounts_equal_in_every_row += usize::from(equal == rows.len());
        }
        figures
    }

    fn count(&mut self, step: &Step<'_>) -> bool {
        if step.off.is_zero() {
            self.steps_exact += 1;
        } else if step.off.abs() == replay::TENTH {
            self.steps_off_by_a_tenth += 1;
        } else {
            self.steps_broken += 1;
        }
        step.ours == step.row.balance
    }
}

/// Days on which an account has more than one row.
pub fn days_with_several_rows(rows: &[Row]) -> usize {
    let mut days: BTreeMap<_, usize> = BTreeMap::new();
    for row in rows {
        *days.entry((row.account, row.date)).or_default() += 1;
    }
    days.values().filter(|rows| **rows > 1).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    /// One day: 1000 and 300 come in, 200 goes out in cash, 50 and 14.60 go out.
    const DAY: [&str; 5] = [
        r#"10;1;930101;"VYDAJ";"VYBER";14.60;1035.40;"SLUZBY";;"#,
        r#"11;1;930101;"PRIJEM";"VKLAD";300.00;1300.00;"";;"#,
        r#"12;1;930101;"VYBER";"VYBER";200.00;1100.00;"";;"#,
        r#"13;1;930101;"VYDAJ";"VYBER";50.00;1050.00;"";;"#,
        r#"14;1;930101;"PRIJEM";"VKLAD";1000.00;1000.00;"";;"#,
    ];

    #[test]
    fn the_order_by_type_and_balance_follows_the_banks_column() {
        let bank = testing::bank(&DAY);
        let figures = OrderFigures::of(DayOrder::TypeAndBalance, &bank.rows);
        assert_eq!((figures.steps_exact, figures.rows_equal, figures.accounts_equal_in_every_row), (5, 5, 1));
        for other in [DayOrder::File, DayOrder::TransId, DayOrder::Type] {
            assert!(OrderFigures::of(other, &bank.rows).steps_broken > 0, "{other:?}");
        }
        assert_eq!(days_with_several_rows(&bank.rows), 1);
    }

    #[test]
    fn no_order_hides_a_wrong_amount() {
        let mut lines = DAY;
        lines[3] = r#"13;1;930101;"VYDAJ";"VYBER";51.00;1050.00;"";;"#;
        let bank = testing::bank(&lines);
        for order in DayOrder::ALL {
            assert!(OrderFigures::of(order, &bank.rows).steps_broken > 0, "{order:?}");
        }
    }
}
