//! The ledger against the replay: what was read from the file must stand in the log, and nothing else.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use postfold::event::{EntryPosted, SideAmount};
use postfold::{Balance, Error, Event, Log, Payload, Position, Side};
use rust_decimal::Decimal;
use serde::Serialize;

use crate::bank::Bank;
use crate::mapping;
use crate::order::DayOrder;
use crate::post;
use crate::replay;
use crate::row::Row;

/// Events read at a time.
const PAGE_EVENTS: usize = 2_000;
/// Findings that are named; more are only counted.
const NAMED_MAX: usize = 100;

/// What the ledger holds, compared with the replay.
#[derive(Debug, Default, Serialize)]
pub struct Audit {
    /// The head of the log.
    pub head: Position,
    /// Entries that must be there.
    pub entries_expected: usize,
    /// Entries read back with the same accounts, sides, amount and date as their row.
    pub entries_equal: usize,
    /// Of those, entries after which the log's running balance is the replay's.
    pub running_balances_equal: usize,
    /// Accounts whose balance is the replay's.
    pub balances_equal: usize,
    /// Of those, customers' accounts.
    pub customers_equal: usize,
    /// The sum of the balances of debit-normal accounts.
    pub debits: Decimal,
    /// The sum of the balances of credit-normal accounts.
    pub credits: Decimal,
    /// Events whose hash was recomputed, and postings that were folded anew.
    pub verified: (u64, u64),
    /// Findings in all.
    pub findings_total: usize,
    /// The first of them.
    pub findings: Vec<String>,
}

/// What a row must have become.
struct Expected<'a> {
    row: &'a Row,
    counter: String,
    ours: Decimal,
}

/// Reads the ledger back and compares.
///
/// # Errors
///
/// When the database is not available. What does not agree is in the answer.
pub async fn audit(log: &Log, bank: &Bank) -> Result<Audit, Error> {
    let mut audit = Audit::default();
    let expected = expected(bank);
    audit.entries_expected = expected.len();
    audit.read_back(log, expected).await?;
    audit.compare_balances(&log.balances("").await?, &balances(bank));
    // The whole of customers, asked for as such, must be what the whole ledger says of them.
    let customers = log.balances("customers:").await?.len();
    if customers != bank.accounts.len() {
        audit.find(format!("{customers} accounts of customers are open, {} are in the file", bank.accounts.len()));
    }
    let report = postfold::verify(log, |_| {}).await?;
    audit.verified = (report.events, report.postings);
    for problem in &report.problems {
        audit.find(format!("verify: position {}, {}: {}", problem.position, problem.column, problem.message));
    }
    audit.findings_total += report.problems_total - report.problems.len();
    Ok(audit)
}

fn expected(bank: &Bank) -> HashMap<String, Expected<'_>> {
    let mut expected = HashMap::new();
    for rows in DayOrder::TypeAndBalance.by_account(&bank.rows).values() {
        for step in replay::steps(rows) {
            let row = step.row;
            let Some(mapping) = mapping::of(row).filter(|_| !row.amount.is_zero()) else { continue };
            let counter = mapping.counter_account(&row.bank);
            let id = format!("{}{}", post::ENTRY_ID, row.trans_id);
            expected.insert(id, Expected { row, counter, ours: step.ours });
        }
    }
    expected
}

/// The balance of every account, on its normal side, as the rows say.
fn balances(bank: &Bank) -> BTreeMap<String, Decimal> {
    let mut balances: BTreeMap<String, Decimal> =
        bank.accounts.iter().map(|account| (post::customer(account.account), Decimal::ZERO)).collect();
    for (row, mapping) in bank.posted_rows().filter_map(|row| Some((row, mapping::of(row)?))) {
        *balances.entry(post::customer(row.account)).or_default() += row.signed();
        // What the customer is credited, the counter-account is debited.
        let grows = mapping.account_type.normal() == Side::Debit;
        let counter = if grows { row.signed() } else { -row.signed() };
        *balances.entry(mapping.counter_account(&row.bank)).or_default() += counter;
    }
    balances
}

impl Audit {
    async fn read_back(&mut self, log: &Log, mut expected: HashMap<String, Expected<'_>>) -> Result<(), Error> {
        let mut running: HashMap<u64, Decimal> = HashMap::new();
        loop {
            let page = log.page(self.head, PAGE_EVENTS).await?;
            for event in &page {
                self.head = event.position;
                self.read_event(event, &mut expected, &mut running)?;
            }
            if page.len() < PAGE_EVENTS {
                break;
            }
        }
        let mut missing: Vec<_> = expected.into_iter().map(|(id, expected)| (expected.row.line, id)).collect();
        missing.sort_unstable();
        for (line, id) in missing {
            self.find(format!("line {line}: {id} is not in the ledger"));
        }
        Ok(())
    }

    fn read_event(
        &mut self,
        event: &Event,
        expected: &mut HashMap<String, Expected<'_>>,
        running: &mut HashMap<u64, Decimal>,
    ) -> Result<(), Error> {
        let Payload::EntryPosted(entry) = event.payload()? else { return Ok(()) };
        let id = event.id.as_deref().unwrap_or("an entry without an id");
        let Some(expected) = expected.remove(id) else {
            self.find(format!("position {}: {id} is in the ledger and not in the file", event.position));
            return Ok(());
        };
        let row = expected.row;
        if !is_entry_of(&entry, event.effective_at, &expected) {
            self.find(format!("position {}: {id} is not what line {} says", event.position, row.line));
            return Ok(());
        }
        self.entries_equal += 1;
        let balance = running.entry(row.account).or_default();
        *balance += row.signed();
        self.running_balances_equal += usize::from(*balance == expected.ours);
        Ok(())
    }

    fn compare_balances(&mut self, found: &[Balance], expected: &BTreeMap<String, Decimal>) {
        let found: BTreeMap<&str, &Balance> = found.iter().map(|balance| (&*balance.account, balance)).collect();
        for balance in found.values() {
            match balance.normal {
                Side::Debit => self.debits += balance.posted,
                Side::Credit => self.credits += balance.posted,
            }
            if !expected.contains_key(&*balance.account) && !balance.posted.is_zero() {
                self.find(format!("{} holds {}, and no row says so", balance.account, balance.posted));
            }
        }
        for (account, expected) in expected {
            match found.get(account.as_str()).map(|balance| balance.posted) {
                Some(posted) if posted == *expected => {
                    self.balances_equal += 1;
                    self.customers_equal += usize::from(account.starts_with("customers:"));
                }
                Some(posted) => self.find(format!("{account} holds {posted}, the rows add up to {expected}")),
                None => self.find(format!("{account} is not open")),
            }
        }
        if self.debits != self.credits {
            self.find(format!("trial balance: debits {}, credits {}", self.debits, self.credits));
        }
    }

    fn find(&mut self, what: String) {
        self.findings_total += 1;
        if self.findings.len() < NAMED_MAX {
            self.findings.push(what);
        }
    }
}

fn is_entry_of(entry: &EntryPosted, at: Timestamp, expected: &Expected<'_>) -> bool {
    let row = expected.row;
    let customer = if row.signed() > Decimal::ZERO { SideAmount::Credit } else { SideAmount::Debit };
    let counter = if row.signed() > Decimal::ZERO { SideAmount::Debit } else { SideAmount::Credit };
    let legs = [(post::customer(row.account), customer(row.amount)), (expected.counter.clone(), counter(row.amount))];
    let has = |(account, amount): &(String, SideAmount)| {
        entry.legs.iter().any(|leg| leg.account == *account && leg.amount == *amount && leg.currency == crate::CURRENCY)
    };
    at == row.at && entry.legs.len() == legs.len() && legs.iter().all(has)
}

#[cfg(test)]
mod tests {
    use postfold::{Entry, Ledger};
    use rust_decimal::dec;

    use super::*;
    use crate::testing;

    const LINES: [&str; 3] = [
        r#"1;1;930101;"PRIJEM";"VKLAD";700.00;700.00;"";;"#,
        r#"2;1;930131;"VYDAJ";"VYBER";14.60;688.50;"SLUZBY";;"#,
        r#"3;1;930131;"PRIJEM";"";3.10;703.10;"UROK";;"#,
    ];

    async fn imported(bank: &Bank) -> Ledger {
        let ledger = Ledger::in_memory();
        let accounts = bank.accounts.iter().map(post::open_customer).chain(post::counters(bank));
        post::send(&ledger, accounts).await.unwrap();
        post::send(&ledger, post::entries(bank)).await.unwrap();
        ledger
    }

    #[tokio::test]
    async fn a_ledger_that_holds_the_rows_and_nothing_else_passes() {
        let bank = testing::bank(&LINES);
        let audit = audit(imported(&bank).await.log(), &bank).await.unwrap();
        assert_eq!(audit.findings, Vec::<String>::new());
        assert_eq!((audit.entries_equal, audit.running_balances_equal), (3, 3));
        assert_eq!((audit.balances_equal, audit.customers_equal), (12, 9));
        assert_eq!((audit.debits, audit.credits), (dec!(703.10), dec!(703.10)));
    }

    #[tokio::test]
    async fn an_entry_that_is_in_no_row_is_found() {
        let bank = testing::bank(&LINES);
        let ledger = imported(&bank).await;
        let entry = Entry::new("other").debit("cash:counter", dec!(1)).credit("customers:1", dec!(1));
        ledger.post(entry).await.unwrap();
        let audit = audit(ledger.log(), &bank).await.unwrap();
        assert_eq!(audit.findings_total, 3, "{:?}", audit.findings);
        assert!(audit.findings[0].contains("other is in the ledger and not in the file"));
    }

    #[tokio::test]
    async fn a_row_that_is_not_in_the_ledger_or_stands_there_otherwise_is_found() {
        let ledger = imported(&testing::bank(&LINES)).await;
        let mut lines = LINES.to_vec();
        lines[1] = r#"2;1;930131;"VYDAJ";"VYBER";14.70;688.40;"SLUZBY";;"#;
        lines.push(r#"4;1;930201;"PRIJEM";"VKLAD";1.00;704.10;"";;"#);
        let audit = audit(ledger.log(), &testing::bank(&lines)).await.unwrap();
        assert!(audit.findings[0].contains("pkdd99-trans-2 is not what line 3 says"), "{:?}", audit.findings);
        assert!(audit.findings[1].contains("line 5: pkdd99-trans-4 is not in the ledger"), "{:?}", audit.findings);
    }
}
