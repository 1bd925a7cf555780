//! The two files together: all accounts, all rows, and every line that could not be taken as it is.

use std::collections::HashSet;
use std::io::BufRead;
use std::path::Path;

use anyhow::{Context, Result};
use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::Serialize;

use crate::mapping;
use crate::row::{self, AccountRow, Row};
use crate::source::{self, Line};

/// The name of the file of accounts.
pub const ACCOUNT_FILE: &str = "account.asc";
/// The name of the file of transactions.
pub const TRANS_FILE: &str = "trans.asc";

/// What the files hold. Kept in memory as a whole: the complete data set has a million rows.
#[derive(Debug)]
pub struct Bank {
    /// The accounts, in the order of the file.
    pub accounts: Vec<AccountRow>,
    /// The rows that were read, in the order of the file; those of zero are among them.
    pub rows: Vec<Row>,
    /// What is wrong with lines, in order.
    pub faults: Vec<Fault>,
    /// Lines of the file of accounts, the header included.
    pub account_lines: u64,
    /// Lines of the file of transactions, the header included.
    pub trans_lines: u64,
}

/// A line that is not posted, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// Which file.
    pub file: &'static str,
    /// Which line of it, from 1.
    pub line: u64,
    /// What sort of fault.
    pub kind: FaultKind,
    /// Whose line it is, as far as that can be told.
    pub account: Option<u64>,
    /// Its date, as far as that can be told.
    pub date: Option<Date>,
    /// What is wrong, for people.
    pub reason: String,
    /// The line itself.
    pub text: String,
}

/// Why a line is not posted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// The file ends within the line.
    CutOff,
    /// It is not written as the format says.
    Malformed,
    /// Its account is not in the file of accounts.
    UnknownAccount,
    /// Its number was used by a line before it.
    Repeated,
    /// It moves nothing, and an entry of zero cannot be posted.
    ZeroAmount,
    /// The table of counter-accounts has nothing for it.
    NoMapping,
}

impl FaultKind {
    /// For people.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CutOff => "cut off",
            Self::Malformed => "malformed",
            Self::UnknownAccount => "unknown account",
            Self::Repeated => "number used before",
            Self::ZeroAmount => "amount of zero",
            Self::NoMapping => "no counter-account",
        }
    }
}

impl Bank {
    /// Reads both files of a directory, each plain or with `.gz`.
    ///
    /// # Errors
    ///
    /// When a file is missing, is another one by its header, or cannot be read to its end.
    pub fn read(directory: &Path) -> Result<Self> {
        let open = |name| -> Result<_> {
            let path = source::find(directory, name)?;
            source::open(&path).with_context(|| path.display().to_string())
        };
        Self::parse(open(ACCOUNT_FILE)?, open(TRANS_FILE)?)
    }

    /// The same from readers.
    ///
    /// # Errors
    ///
    /// As [`Bank::read`].
    pub fn parse(accounts: impl BufRead, transactions: impl BufRead) -> Result<Self> {
        let mut bank =
            Self { accounts: Vec::new(), rows: Vec::new(), faults: Vec::new(), account_lines: 0, trans_lines: 0 };
        let mut known = HashSet::new();
        bank.account_lines = source::read_lines(accounts, row::ACCOUNT_HEADER, |line| bank.account(line, &mut known))
            .context(ACCOUNT_FILE)?;
        let mut seen = HashSet::new();
        bank.trans_lines =
            source::read_lines(transactions, row::TRANS_HEADER, |line| bank.transaction(line, &known, &mut seen))
                .context(TRANS_FILE)?;
        Ok(bank)
    }

    /// The rows that become entries.
    pub fn posted_rows(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| !row.amount.is_zero())
    }

    /// The last day of the file, if the file was cut within it.
    pub fn cut_day(&self) -> Option<Date> {
        let cut = self.faults.iter().any(|fault| fault.file == TRANS_FILE && fault.kind == FaultKind::CutOff);
        self.rows.iter().map(|row| row.date).max().filter(|_| cut)
    }

    /// Whether all amounts and balances are whole tenths, so that hellers may have been rounded away.
    pub fn is_in_tenths(&self) -> bool {
        self.rows_in_hellers() == 0
    }

    /// Rows with an amount or a balance that is no whole tenth.
    pub fn rows_in_hellers(&self) -> usize {
        let tenths = |amount: Decimal| amount == amount.trunc_with_scale(1);
        self.rows.iter().filter(|row| !tenths(row.amount) || !tenths(row.balance)).count()
    }

    fn account(&mut self, line: &Line, known: &mut HashSet<u64>) {
        let faulty = |kind, reason| Fault::new(ACCOUNT_FILE, line, kind, (None, None), reason);
        let read = row::account(line);
        match read {
            _ if !line.ended => self.faults.push(faulty(FaultKind::CutOff, CUT_OFF.to_owned())),
            Err(reason) => self.faults.push(faulty(FaultKind::Malformed, reason)),
            Ok(account) if known.insert(account.account) => self.accounts.push(account),
            Ok(account) => {
                let reason = format!("account_id {} was there before", account.account);
                self.faults.push(faulty(FaultKind::Repeated, reason));
            }
        }
    }

    fn transaction(&mut self, line: &Line, known: &HashSet<u64>, seen: &mut HashSet<u64>) {
        let read = match row::transaction(line) {
            // Even ten good fields may lack the end of the last one.
            _ if !line.ended => Err((FaultKind::CutOff, CUT_OFF.to_owned())),
            Err(reason) => Err((FaultKind::Malformed, reason)),
            Ok(row) => fit(row, known, seen),
        };
        let fault = |kind, reason| Fault::new(TRANS_FILE, line, kind, row::salvage(line), reason);
        match read {
            Ok(row) => {
                if row.amount.is_zero() {
                    self.faults.push(fault(FaultKind::ZeroAmount, "it moves nothing".to_owned()));
                }
                self.rows.push(row);
            }
            Err((kind, reason)) => self.faults.push(fault(kind, reason)),
        }
    }
}

/// What is said of a line without a line end.
const CUT_OFF: &str = "the file ends within this line, or before its line end";

fn fit(row: Row, known: &HashSet<u64>, seen: &mut HashSet<u64>) -> Result<Row, (FaultKind, String)> {
    if !known.contains(&row.account) {
        return Err((FaultKind::UnknownAccount, format!("account {} is not in {ACCOUNT_FILE}", row.account)));
    }
    if mapping::of(&row).is_none() {
        let words = [row.kind.as_str(), &row.operation, &row.k_symbol];
        return Err((FaultKind::NoMapping, format!("no counter-account for {words:?}")));
    }
    if !seen.insert(row.trans_id) {
        return Err((FaultKind::Repeated, format!("trans_id {} was there before", row.trans_id)));
    }
    Ok(row)
}

impl Fault {
    fn new(
        file: &'static str,
        line: &Line,
        kind: FaultKind,
        (account, date): (Option<u64>, Option<Date>),
        reason: String,
    ) -> Self {
        Self { file, line: line.number, kind, account, date, reason, text: line.text.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    const DEPOSIT: &str = r#"1;1;930101;"PRIJEM";"VKLAD";700.00;700.00;"";;"#;

    fn faults(lines: &[&str]) -> Vec<(u64, FaultKind)> {
        testing::bank(lines).faults.iter().map(|fault| (fault.line, fault.kind)).collect()
    }

    #[test]
    fn every_line_that_is_not_posted_is_reported_with_its_number() {
        let found = faults(&[
            DEPOSIT,
            "2;1;930101",
            r#"3;77;930101;"PRIJEM";"VKLAD";700.00;700.00;"";;"#,
            DEPOSIT,
            r#"4;1;930101;"PRIJEM";"VKLAD";0.00;700.00;"";;"#,
            r#"5;1;930101;"PRIJEM";"LOTERIE";1.00;701.00;"";;"#,
            "",
            r#"6;1;930102;"PRIJ~"#,
        ]);
        let expected = [
            (3, FaultKind::Malformed),
            (4, FaultKind::UnknownAccount),
            (5, FaultKind::Repeated),
            (6, FaultKind::ZeroAmount),
            (7, FaultKind::NoMapping),
            (8, FaultKind::Malformed),
            (9, FaultKind::CutOff),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_last_line_without_a_line_end_is_not_trusted_even_if_it_reads_well() {
        let whole = format!("{DEPOSIT}~");
        let bank = testing::bank(&[&whole]);
        assert!(bank.rows.is_empty());
        assert_eq!(bank.faults[0].kind, FaultKind::CutOff);
    }

    #[test]
    fn a_row_of_zero_is_reported_and_kept_for_its_balance() {
        let bank = testing::bank(&[r#"4;1;930101;"PRIJEM";"VKLAD";0.00;0.00;"";;"#]);
        assert_eq!((bank.rows.len(), bank.posted_rows().count()), (1, 0));
    }

    #[test]
    fn an_account_that_is_there_twice_is_reported() {
        let accounts = format!("{}\n1;2;\"A\";930101\n1;3;\"A\";930101\nx\n", row::ACCOUNT_HEADER);
        let bank = Bank::parse(accounts.as_bytes(), format!("{}\n", row::TRANS_HEADER).as_bytes()).unwrap();
        let kinds: Vec<_> = bank.faults.iter().map(|fault| (fault.file, fault.line, fault.kind)).collect();
        assert_eq!(bank.accounts.len(), 1);
        assert_eq!(kinds, [(ACCOUNT_FILE, 3, FaultKind::Repeated), (ACCOUNT_FILE, 4, FaultKind::Malformed)]);
    }

    #[test]
    fn only_a_file_that_was_cut_has_a_cut_day() {
        assert_eq!(testing::bank(&[DEPOSIT]).cut_day(), None);
        assert_eq!(testing::bank(&[DEPOSIT, "2;1~"]).cut_day(), "1993-01-01".parse().ok());
    }
}
