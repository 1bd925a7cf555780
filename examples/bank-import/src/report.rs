//! The findings: all of them as data, for `--json` and for [`crate::print`].

use std::collections::BTreeMap;

use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::Serialize;

use crate::audit::Audit;
use crate::bank::{Bank, Fault, FaultKind};
use crate::cause::{self, Cause, Evidence};
use crate::mapping::{self, Amounts, MAPPINGS};
use crate::order::{self, DayOrder, OrderFigures};
use crate::post::Tally;
use crate::replay::{self, AccountResult, Agreement, Step, TENTH};
use crate::row::Row;

/// Everything that was found.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The ledger's name.
    pub ledger: String,
    /// How the ledger answered.
    pub import: Import,
    /// What the files say, without the ledger.
    #[serde(flatten)]
    pub file: Reconciliation,
    /// The ledger against the replay.
    pub audit: Audit,
    /// What has no explanation; empty is good.
    pub unexplained: Vec<String>,
}

/// How the ledger answered.
#[derive(Debug, Serialize)]
pub struct Import {
    /// To the commands that open accounts.
    pub accounts: Tally,
    /// To the entries.
    pub entries: Tally,
    /// Entries answered in a second.
    pub entries_per_second: u64,
}

/// The file against itself: its amounts against its balances.
#[derive(Debug, Serialize)]
pub struct Reconciliation {
    /// What the files hold.
    pub files: Files,
    /// Lines that are not posted.
    pub faults: Vec<Fault>,
    /// Each line of the mapping: how many rows, and how the bank's balance moved with them.
    pub mappings: Vec<MappingFigures>,
    /// Each order of the rows within a day that was tried.
    pub orders: Vec<OrderFigures>,
    /// Days on which an account has more than one row.
    pub days_with_several_rows: usize,
    /// The accounts, summed up.
    pub accounts: AccountFigures,
    /// From the bank's balances to ours, cause by cause.
    pub bridge: Bridge,
    /// Balances that were printed rounded the other way, and powers of two.
    pub ties: Ties,
    /// Every account that does not agree in every row.
    pub differing: Vec<AccountResult>,
}

/// What the files hold.
#[derive(Debug, Serialize)]
pub struct Files {
    /// Lines of `account.asc`, the header included.
    pub account_lines: u64,
    /// Accounts read from it.
    pub accounts: usize,
    /// Lines of `trans.asc`, the header included.
    pub trans_lines: u64,
    /// Rows read from it.
    pub rows: usize,
    /// Lines that are not posted.
    pub faults: usize,
    /// The first and the last date.
    pub dates: Option<(Date, Date)>,
    /// The last day, if the file was cut within it.
    pub cut_day: Option<Date>,
    /// Rows whose amount or balance is no whole tenth.
    pub rows_in_hellers: usize,
}

/// The rows of one line of the mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct MappingFigures {
    /// `type`
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// `operation`
    pub operation: &'static str,
    /// `k_symbol`
    pub k_symbol: &'static str,
    /// The counter-account.
    pub counter: &'static str,
    /// How many rows.
    pub rows: usize,
    /// The sum of their amounts.
    pub amount: Decimal,
    /// Rows where the bank's balance moves by exactly the amount.
    pub exact: usize,
    /// Rows where it moves by 0.10 more.
    pub tenth_more: usize,
    /// Rows where it moves by 0.10 less.
    pub tenth_less: usize,
    /// Rows where it moves by something else.
    pub other: usize,
}

/// The accounts, summed up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AccountFigures {
    /// Accounts with rows.
    pub with_rows: usize,
    /// Accounts that agree after every row.
    pub equal_in_every_row: usize,
    /// Accounts that agree after the last row, though not after every row.
    pub equal_at_the_end: usize,
    /// Accounts that differ after the last row.
    pub differing: usize,
    /// Of those, accounts where nothing but rounding is found.
    pub differing_by_rounding: usize,
    /// The largest difference of these, either way.
    pub rounding_largest: Decimal,
    /// Accounts that were ever overdrawn.
    pub overdrawn: usize,
    /// Rows after which the bank's balance is below zero.
    pub rows_overdrawn: usize,
    /// The lowest of the bank's balances.
    pub lowest: Decimal,
}

/// From the sum of the bank's last balances to the sum of ours.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Bridge {
    /// The sum of the bank's last balances.
    pub bank: Decimal,
    /// What each cause takes away.
    pub causes: Vec<BridgeItem>,
    /// The sum of our balances.
    pub ours: Decimal,
}

/// What one cause accounts for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BridgeItem {
    /// Which.
    pub cause: Cause,
    /// Rows where it is found.
    pub rows: usize,
    /// Accounts where it is found.
    pub accounts: usize,
    /// The sum of what the bank's balances moved beyond the amounts.
    pub sum: Decimal,
    /// The same without the signs.
    pub absolute: Decimal,
}

/// Was it binary fractions that were rounded? Among rows with an exact amount in half koruny.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Ties {
    /// Rows where the printed balance moves by a tenth too much or too little.
    pub off: usize,
    /// Of those, rows where the balance rises past a power of two.
    pub off_at_a_power_of_two: usize,
    /// All the other rows.
    pub exact: usize,
    /// Of those, rows where the balance rises past a power of two.
    pub exact_at_a_power_of_two: usize,
}

impl Reconciliation {
    /// Reconciles the file's amounts with its balances.
    pub fn of(bank: &Bank) -> Self {
        let evidence = Evidence::of(bank);
        let accounts = DayOrder::TypeAndBalance.by_account(&bank.rows);
        let results: Vec<_> =
            accounts.iter().map(|(account, rows)| AccountResult::of(*account, rows, &evidence)).collect();
        let steps = || accounts.values().flat_map(|rows| replay::steps(rows));
        Self {
            files: Files::of(bank),
            faults: bank.faults.clone(),
            mappings: mapping_figures(steps()),
            orders: DayOrder::ALL.iter().map(|order| OrderFigures::of(*order, &bank.rows)).collect(),
            days_with_several_rows: order::days_with_several_rows(&bank.rows),
            accounts: AccountFigures::of(&results),
            bridge: Bridge::of(&results),
            ties: Ties::of(steps()),
            differing: results.into_iter().filter(|result| result.agreement != Agreement::EveryRow).collect(),
        }
    }

    /// What the file itself does not explain.
    pub fn unexplained(&self) -> Vec<String> {
        let mut found = Vec::new();
        for result in &self.differing {
            for step in result.breaks.iter().filter(|step| step.finding.cause == Cause::Unexplained) {
                let what = format!("the bank's balance moves by {} more than the amount", step.off);
                found.push(format!("account {}, line {}: {what}", result.account, step.line));
            }
        }
        let unmapped = self.faults.iter().filter(|fault| fault.kind == FaultKind::NoMapping);
        found.extend(unmapped.map(|fault| format!("{}, line {}: {}", fault.file, fault.line, fault.reason)));
        if !self.bridge.closes() {
            found.push("the causes do not add up to the difference".to_owned());
        }
        found
    }
}

impl Files {
    fn of(bank: &Bank) -> Self {
        let dates = || bank.rows.iter().map(|row| row.date);
        Self {
            account_lines: bank.account_lines,
            accounts: bank.accounts.len(),
            trans_lines: bank.trans_lines,
            rows: bank.rows.len(),
            faults: bank.faults.len(),
            dates: dates().min().zip(dates().max()),
            cut_day: bank.cut_day(),
            rows_in_hellers: bank.rows_in_hellers(),
        }
    }
}

fn mapping_figures<'a>(steps: impl Iterator<Item = Step<'a>>) -> Vec<MappingFigures> {
    let mut figures: Vec<_> = MAPPINGS
        .iter()
        .map(|mapping| MappingFigures {
            kind: mapping.kind.as_str(),
            operation: mapping.operation,
            k_symbol: mapping.k_symbol,
            counter: mapping.counter,
            rows: 0,
            amount: Decimal::ZERO,
            exact: 0,
            tenth_more: 0,
            tenth_less: 0,
            other: 0,
        })
        .collect();
    for step in steps {
        let mapping = mapping::of(step.row);
        let index = MAPPINGS.iter().position(|line| Some(line) == mapping);
        if let Some(figures) = index.and_then(|index| figures.get_mut(index)) {
            figures.count(&step);
        }
    }
    figures
}

impl MappingFigures {
    fn count(&mut self, step: &Step<'_>) {
        self.rows += 1;
        self.amount += step.row.amount;
        if step.off.is_zero() {
            self.exact += 1;
        } else if step.off == TENTH {
            self.tenth_more += 1;
        } else if step.off == -TENTH {
            self.tenth_less += 1;
        } else {
            self.other += 1;
        }
    }
}

impl AccountFigures {
    fn of(results: &[AccountResult]) -> Self {
        let count = |agreement| results.iter().filter(|result| result.agreement == agreement).count();
        let by_rounding = || {
            let differing = results.iter().filter(|result| result.agreement == Agreement::Differs);
            differing.filter(|result| result.missing().next().is_none())
        };
        Self {
            with_rows: results.len(),
            equal_in_every_row: count(Agreement::EveryRow),
            equal_at_the_end: count(Agreement::AtTheEnd),
            differing: count(Agreement::Differs),
            differing_by_rounding: by_rounding().count(),
            rounding_largest: by_rounding().map(|result| result.difference.abs()).max().unwrap_or_default(),
            overdrawn: results.iter().filter(|result| result.rows_overdrawn > 0).count(),
            rows_overdrawn: results.iter().map(|result| result.rows_overdrawn).sum(),
            lowest: results.iter().map(|result| result.lowest).min().unwrap_or_default(),
        }
    }
}

impl Bridge {
    fn of(results: &[AccountResult]) -> Self {
        let mut items: BTreeMap<Cause, BridgeItem> = BTreeMap::new();
        for result in results {
            let mut causes: Vec<_> = result.breaks.iter().map(|found| found.finding.cause).collect();
            for (found, cause) in result.breaks.iter().zip(causes.iter().copied()) {
                let empty = BridgeItem { cause, rows: 0, accounts: 0, sum: Decimal::ZERO, absolute: Decimal::ZERO };
                let item = items.entry(cause).or_insert(empty);
                item.rows += 1;
                item.sum += found.off;
                item.absolute += found.off.abs();
            }
            causes.sort_unstable();
            causes.dedup();
            for cause in causes {
                items.entry(cause).and_modify(|item| item.accounts += 1);
            }
        }
        Self {
            bank: results.iter().map(|result| result.bank).sum(),
            causes: items.into_values().collect(),
            ours: results.iter().map(|result| result.ours).sum(),
        }
    }

    /// Whether the causes lead from one sum to the other, to the heller.
    pub fn closes(&self) -> bool {
        self.bank - self.causes.iter().map(|item| item.sum).sum::<Decimal>() == self.ours
    }
}

impl Ties {
    fn of<'a>(steps: impl Iterator<Item = Step<'a>>) -> Self {
        let mut ties = Self::default();
        let exact = |row: &Row| mapping::of(row).is_some_and(|mapping| mapping.amounts == Amounts::Exact);
        // The first row of an account has no balance before it, and what is missing is no rounding.
        let counted = |step: &Step<'_>| !step.before.is_zero() && step.off.abs() <= TENTH;
        for step in steps.filter(|step| counted(step) && exact(step.row) && cause::is_in_halves(step.row.amount)) {
            let passes = usize::from(cause::rises_past_a_power_of_two(step.before, step.row.balance));
            let off = usize::from(!step.off.is_zero());
            ties.off += off;
            ties.off_at_a_power_of_two += off * passes;
            ties.exact += 1 - off;
            ties.exact_at_a_power_of_two += (1 - off) * passes;
        }
        ties
    }
}

#[cfg(test)]
mod tests {
    use rust_decimal::dec;

    use super::*;
    use crate::testing;

    const LINES: [&str; 4] = [
        r#"1;1;930101;"PRIJEM";"VKLAD";700.00;700.00;"";;"#,
        r#"2;1;930131;"PRIJEM";"";3.10;703.20;"UROK";;"#,
        r#"3;2;930101;"PRIJEM";"VKLAD";500.00;500.00;"";;"#,
        r#"4;2;930131;"VYDAJ";"VYBER";30.00;471.40;"SLUZBY";;"#,
    ];

    #[test]
    fn the_bridge_leads_from_the_banks_sum_to_ours() {
        let mut lines = LINES.to_vec();
        lines.push("5;3~");
        let found = Reconciliation::of(&testing::bank(&lines));
        assert_eq!((found.bridge.bank, found.bridge.ours), (dec!(1174.60), dec!(1173.10)));
        let sums: Vec<_> = found.bridge.causes.iter().map(|item| (item.cause, item.sum)).collect();
        assert_eq!(sums, [(Cause::AmountRounded, dec!(0.10)), (Cause::CutDay, dec!(1.40))]);
        assert!(found.bridge.closes() && found.unexplained().is_empty());
        assert_eq!((found.accounts.differing, found.accounts.differing_by_rounding), (2, 1));
    }

    #[test]
    fn without_the_cut_the_same_difference_is_unexplained() {
        let found = Reconciliation::of(&testing::bank(&LINES));
        assert_eq!(found.unexplained().len(), 1);
        assert!(found.unexplained()[0].starts_with("account 2, line 5"), "{:?}", found.unexplained());
    }

    #[test]
    fn a_row_without_a_counter_account_is_ours_to_explain() {
        let found = Reconciliation::of(&testing::bank(&[r#"5;1;930101;"PRIJEM";"LOTERIE";1.00;1.00;"";;"#]));
        assert_eq!(found.unexplained().len(), 1);
    }
}
