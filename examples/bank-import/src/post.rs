//! Rows as commands, and the commands to the ledger.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use jiff::Timestamp;
use jiff::tz::Offset;
use postfold::{Account, AccountType, Command, Entry, Error, Ledger, Outcome};
use serde::Serialize;
use tokio::sync::oneshot;

use crate::CURRENCY;
use crate::bank::Bank;
use crate::mapping;
use crate::order::DayOrder;
use crate::row::{AccountRow, Kind, Row};

/// Commands on their way at a time: enough to fill a commit while the next one gathers.
const WINDOW: usize = 4_000;
/// Answers between two lines of progress.
const PROGRESS_EVERY: u64 = 100_000;
/// Refused commands that are named; more are only counted.
const REFUSED_MAX: usize = 100;
/// The first day of the data set, as year, month and day: the counter-accounts are opened on it.
const FIRST_DAY: (i16, i8, i8) = (1993, 1, 1);

/// What the id of every entry of a row begins with.
pub const ENTRY_ID: &str = "pkdd99-trans-";

/// The code of a customer's account.
pub fn customer(account: u64) -> String {
    format!("customers:{account}")
}

/// The command that opens a customer's account.
pub fn open_customer(row: &AccountRow) -> Command {
    Command::from(Account::liability(customer(row.account), CURRENCY))
        .id(format!("pkdd99-account-{}", row.account))
        .at(row.opened)
        .meta("district_id", &row.district)
        .meta("frequency", &row.frequency)
}

/// The command that opens a counter-account.
pub fn open_counter(code: &str, account_type: AccountType) -> Command {
    let (year, month, day) = FIRST_DAY;
    let first_day = Offset::UTC.to_timestamp(jiff::civil::date(year, month, day).at(0, 0, 0, 0));
    Command::from(Account::new(account_type, code, CURRENCY))
        .id(format!("pkdd99-counter-{code}"))
        .at(first_day.unwrap_or(Timestamp::UNIX_EPOCH))
}

/// The balanced entry of a row; `None` where there is nothing to post it against.
pub fn entry(row: &Row) -> Option<Command> {
    let mapping = mapping::of(row)?;
    let (customer, counter) = (customer(row.account), mapping.counter_account(&row.bank));
    let (debit, credit) = if row.kind == Kind::Prijem { (counter, customer) } else { (customer, counter) };
    let entry = Entry::new(format!("{ENTRY_ID}{}", row.trans_id))
        .debit(debit, row.amount)
        .credit(credit, row.amount)
        .text(mapping.what);
    let remarks = [
        ("trans_id", row.trans_id.to_string()),
        ("type", row.kind.as_str().to_owned()),
        ("operation", row.operation.clone()),
        ("k_symbol", row.k_symbol.clone()),
        ("bank", row.bank.clone()),
        ("account", row.partner.clone()),
        ("balance", row.balance.to_string()),
    ];
    let said = remarks.into_iter().filter(|(_, value)| !value.is_empty());
    Some(said.fold(Command::from(entry).at(row.at), |command, (key, value)| command.meta(key, value)))
}

/// The commands that open the counter-accounts of these rows, in order of code.
pub fn counters(bank: &Bank) -> Vec<Command> {
    let mut codes = BTreeMap::new();
    for (row, mapping) in bank.posted_rows().filter_map(|row| Some((row, mapping::of(row)?))) {
        codes.entry(mapping.counter_account(&row.bank)).or_insert(mapping.account_type);
    }
    codes.iter().map(|(code, account_type)| open_counter(code, *account_type)).collect()
}

/// The entries of all rows, day by day; within a day in the order in which the bank's balance moved.
pub fn entries(bank: &Bank) -> impl Iterator<Item = Command> {
    let mut rows: Vec<&Row> = bank.posted_rows().collect();
    rows.sort_by(|a, b| {
        let day = a.date.cmp(&b.date).then(a.account.cmp(&b.account));
        day.then_with(|| DayOrder::TypeAndBalance.compare(a, b))
    });
    rows.into_iter().filter_map(entry)
}

/// How the ledger answered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Done now.
    pub done: u64,
    /// Done before, by the same command.
    pub duplicates: u64,
    /// Refused.
    pub refused: u64,
    /// The first of those, with the reason.
    pub refusals: Vec<String>,
    /// How long it took, in milliseconds.
    pub elapsed_ms: u64,
}

impl Tally {
    /// Commands answered in a second.
    pub fn per_second(&self) -> u64 {
        (self.done + self.duplicates + self.refused).saturating_mul(1_000) / self.elapsed_ms.max(1)
    }

    fn count(&mut self, id: &str, outcome: Outcome) {
        match outcome.into_result() {
            Ok(receipt) if receipt.duplicate => self.duplicates += 1,
            Ok(_) => self.done += 1,
            Err(refusal) => {
                self.refused += 1;
                if self.refusals.len() < REFUSED_MAX {
                    self.refusals.push(format!("{id}: {refusal}"));
                }
            }
        }
        let answered = self.done + self.duplicates + self.refused;
        if answered.is_multiple_of(PROGRESS_EVERY) {
            eprintln!("{answered} commands answered");
        }
    }
}

/// Sends commands in order, a bounded number of them on their way at a time.
///
/// # Errors
///
/// When one of them has no answer. Sending the same commands again is safe: what was done answers as a
/// duplicate.
pub async fn send(ledger: &Ledger, commands: impl Iterator<Item = Command>) -> Result<Tally, Error> {
    let started = Instant::now();
    let mut tally = Tally::default();
    let mut on_their_way: VecDeque<(String, oneshot::Receiver<Result<Outcome, Error>>)> = VecDeque::new();
    for command in commands {
        if on_their_way.len() == WINDOW {
            answer(&mut on_their_way, &mut tally).await?;
        }
        let id = command.id.clone().unwrap_or_default();
        on_their_way.push_back((id, ledger.enqueue(command).await?));
    }
    while !on_their_way.is_empty() {
        answer(&mut on_their_way, &mut tally).await?;
    }
    tally.elapsed_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok(tally)
}

async fn answer(
    on_their_way: &mut VecDeque<(String, oneshot::Receiver<Result<Outcome, Error>>)>,
    tally: &mut Tally,
) -> Result<(), Error> {
    if let Some((id, outcome)) = on_their_way.pop_front() {
        tally.count(&id, outcome.await.unwrap_or(Err(Error::Closed))?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    fn json(line: &str) -> serde_json::Value {
        serde_json::to_value(entry(&testing::row(line)).unwrap()).unwrap()
    }

    #[test]
    fn a_deposit_credits_the_customer_on_its_date() {
        let command = json(r#"7;42;930131;"PRIJEM";"VKLAD";12.50;20.00;"";;"#);
        assert_eq!(command["id"], "pkdd99-trans-7");
        assert_eq!(command["at"], "1993-01-31T00:00:00Z");
        assert_eq!(command["legs"][0]["account"], "cash:counter");
        assert_eq!(command["legs"][0]["debit"], "12.50");
        assert_eq!(command["legs"][1]["account"], "customers:42");
        assert_eq!(command["legs"][1]["credit"], "12.50");
    }

    #[test]
    fn a_payment_debits_the_customer_and_keeps_what_the_file_says_of_it() {
        let command = json(r#"8;42;930131;"VYDAJ";"PREVOD NA UCET";5.00;15.00;"SIPO";"AB";"99""#);
        assert_eq!(command["legs"][0]["account"], "customers:42");
        assert_eq!(command["legs"][0]["debit"], "5.00");
        assert_eq!(command["legs"][1]["account"], "clearing:AB:household");
        let remarks = serde_json::json!({
            "account": "99", "balance": "15.00", "bank": "AB", "k_symbol": "SIPO",
            "operation": "PREVOD NA UCET", "trans_id": "8", "type": "VYDAJ",
        });
        assert_eq!(command["meta"], remarks);
    }

    #[test]
    fn rows_are_sent_in_the_order_in_which_the_balance_moved_and_zero_is_left_out() {
        let bank = testing::bank(&[
            r#"1;1;930101;"VYDAJ";"VYBER";50.00;650.00;"";;"#,
            r#"2;1;930101;"PRIJEM";"VKLAD";700.00;700.00;"";;"#,
            r#"3;1;930101;"PRIJEM";"VKLAD";0.00;650.00;"";;"#,
        ]);
        let ids: Vec<_> = entries(&bank).filter_map(|command| command.id).collect();
        assert_eq!(ids, ["pkdd99-trans-2", "pkdd99-trans-1"]);
        assert_eq!(counters(&bank).len(), 1);
    }

    #[tokio::test]
    async fn a_refused_command_is_counted_with_its_reason_and_the_others_go_on() {
        let bank = testing::bank(&[r#"2;1;930101;"PRIJEM";"VKLAD";700.00;700.00;"";;"#]);
        let ledger = Ledger::in_memory();
        let tally = send(&ledger, entries(&bank).chain(counters(&bank))).await.unwrap();
        assert_eq!((tally.done, tally.refused), (1, 1));
        assert!(tally.refusals[0].starts_with("pkdd99-trans-2: unknown_account"), "{:?}", tally.refusals);
    }
}
