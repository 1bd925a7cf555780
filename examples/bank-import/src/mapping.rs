//! Which account stands against the customer's: one table.

use postfold::AccountType;

use crate::row::{Kind, Row};

/// Stands for the partner's bank in an account code.
const BANK: &str = "<bank>";
/// What it becomes where the file names no bank.
const NO_BANK: &str = "unknown";

/// One combination of type, operation and `k_symbol`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// `type`
    pub kind: Kind,
    /// `operation`, without spaces around it.
    pub operation: &'static str,
    /// `k_symbol`, without spaces around it.
    pub k_symbol: &'static str,
    /// The counter-account; `<bank>` stands for the partner's bank.
    pub counter: &'static str,
    /// Its type.
    pub account_type: AccountType,
    /// What the row is, in English.
    pub what: &'static str,
    /// How exact the printed amount is.
    pub amounts: Amounts,
}

/// How exact a printed amount is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Amounts {
    /// Someone named it: it is what it says.
    Exact,
    /// The bank computed it, to the heller (0.01), and prints it to the tenth of a koruna.
    Computed,
}

const fn row(kind: Kind, words: [&'static str; 2], counter: &'static str, what: &'static str) -> Mapping {
    let [operation, k_symbol] = words;
    Mapping { kind, operation, k_symbol, counter, account_type: AccountType::Asset, what, amounts: Amounts::Exact }
}

impl Mapping {
    const fn of_type(mut self, account_type: AccountType) -> Self {
        self.account_type = account_type;
        self
    }

    const fn computed(mut self) -> Self {
        self.amounts = Amounts::Computed;
        self
    }

    /// The code of the counter-account, for this partner's bank.
    pub fn counter_account(&self, bank: &str) -> String {
        self.counter.replace(BANK, if bank.is_empty() { NO_BANK } else { bank })
    }
}

use AccountType::{Expense, Income};
use Kind::{Prijem, Vyber, Vydaj};

/// Every combination that is known, each with its counter-account.
pub const MAPPINGS: &[Mapping] = &[
    row(Prijem, ["VKLAD", ""], "cash:counter", "cash deposit"),
    row(Prijem, ["PREVOD Z UCTU", ""], "clearing:<bank>:transfers", "transfer from another bank"),
    row(Prijem, ["PREVOD Z UCTU", "DUCHOD"], "clearing:<bank>:pensions", "pension from another bank"),
    row(Prijem, ["", "UROK"], "expenses:interest", "interest credited").of_type(Expense).computed(),
    row(Vyber, ["VYBER", ""], "cash:counter", "cash withdrawal"),
    row(Vydaj, ["VYBER", ""], "cash:counter", "cash withdrawal"),
    row(Vydaj, ["VYBER", "SIPO"], "cash:household", "household payment in cash"),
    row(Vydaj, ["VYBER KARTOU", ""], "cash:cards", "card withdrawal"),
    row(Vydaj, ["VYBER", "SLUZBY"], "income:statement-fees", "fee for statements").of_type(Income),
    row(Vydaj, ["VYBER", "SANKC. UROK"], "income:penalty-interest", "interest on an overdraft")
        .of_type(Income)
        .computed(),
    row(Vydaj, ["PREVOD NA UCET", ""], "clearing:<bank>:transfers", "transfer to another bank"),
    row(Vydaj, ["PREVOD NA UCET", "SIPO"], "clearing:<bank>:household", "household payment"),
    row(Vydaj, ["PREVOD NA UCET", "POJISTNE"], "clearing:<bank>:insurance", "insurance payment"),
    row(Vydaj, ["PREVOD NA UCET", "UVER"], "clearing:<bank>:loan-payments", "loan payment").computed(),
];

/// The mapping of a row; `None` if its combination is not known.
pub fn of(row: &Row) -> Option<&'static Mapping> {
    let (operation, k_symbol) = (row.operation.trim(), row.k_symbol.trim());
    MAPPINGS
        .iter()
        .find(|mapping| mapping.kind == row.kind && mapping.operation == operation && mapping.k_symbol == k_symbol)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn the_table_in_the_documentation_is_the_table_in_the_code() {
        let documented: Vec<String> = include_str!("lib.rs")
            .lines()
            .filter(|line| {
                [Prijem, Vyber, Vydaj].iter().any(|kind| line.starts_with(&format!("//! | {} ", kind.as_str())))
            })
            .map(|line| line.split('|').skip(1).take(5).map(str::trim).collect::<Vec<_>>().join("|"))
            .collect();
        let coded: Vec<String> = MAPPINGS
            .iter()
            .map(|m| {
                let words = [m.kind.as_str(), m.operation, m.k_symbol].join("|");
                format!("{words}|`{}`|{}", m.counter, m.account_type.as_str())
            })
            .collect();
        assert_eq!(documented, coded);
    }

    #[test]
    fn a_symbol_of_one_space_means_none_and_the_bank_is_part_of_the_account() {
        let row = testing::row(r#"1;2;930101;"VYDAJ";"PREVOD NA UCET";5.00;5.00;" ";"AB";"9""#);
        assert_eq!(of(&row).unwrap().counter_account(&row.bank), "clearing:AB:transfers");
        assert_eq!(of(&row).unwrap().counter_account(""), "clearing:unknown:transfers");
    }

    #[test]
    fn a_combination_that_is_not_in_the_table_has_no_mapping() {
        assert_eq!(of(&testing::row(r#"1;2;930101;"PRIJEM";"VYBER";5.00;5.00;"";;"#)), None);
    }
}
