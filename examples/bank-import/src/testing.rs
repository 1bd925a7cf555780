//! What the unit tests share: rows and files as text.

use crate::bank::Bank;
use crate::row::{self, Row};
use crate::source::Line;

/// A row from the text of its line, on line 2.
pub(crate) fn row(text: &str) -> Row {
    row::transaction(&Line { number: 2, text: text.to_owned(), ended: true }).unwrap()
}

/// A bank from the lines of its transactions, whose accounts are 1 to 9. A last line that ends in `~` is cut there.
pub(crate) fn bank(lines: &[&str]) -> Bank {
    let accounts: Vec<_> = (1..=9).map(|id| format!("{id};1;\"POPLATEK MESICNE\";930101\n")).collect();
    let accounts = format!("{}\n{}", row::ACCOUNT_HEADER, accounts.concat());
    let text = format!("{}\n{}\n", row::TRANS_HEADER, lines.join("\n"));
    let text = text.strip_suffix("~\n").unwrap_or(&text);
    Bank::parse(accounts.as_bytes(), text.as_bytes()).unwrap()
}
