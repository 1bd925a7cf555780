//! The report for people.

use std::fmt::Display;
use std::io::{self, Write};

use comfy_table::{CellAlignment, ContentArrangement, ContentLineStyle, LineStyle, Table, TableStyle};
use rust_decimal::Decimal;

use crate::bank::FaultKind;
use crate::replay::AccountResult;
use crate::report::{Reconciliation, Report, Ties};

/// Accounts that differ by rounding and are shown without `--details`.
const ROUNDED_SHOWN: usize = 5;
/// Lines, refusals and findings that are shown without `--details`.
const NAMED_SHOWN: usize = 20;
/// A line below the header and no others: a row is a line.
const STYLE: TableStyle = TableStyle::new()
    .header_lines(ContentLineStyle::none())
    .header_separator(LineStyle::none().fill('─'))
    .content_lines(ContentLineStyle::none());
/// Characters of a line that are shown.
const LINE_CHARS: usize = 60;

/// Writes the report; with `details`, every account and line is listed.
///
/// # Errors
///
/// When `out` does not take it.
pub fn report(out: &mut dyn Write, report: &Report, details: bool) -> io::Result<()> {
    let file = &report.file;
    writeln!(out, "Bank import into ledger {:?}", report.ledger)?;
    files(out, file)?;
    faults(out, file, details)?;
    import(out, report)?;
    mappings(out, file)?;
    orders(out, file)?;
    accounts(out, file)?;
    causes(out, file)?;
    missing(out, file)?;
    rounded(out, file, details)?;
    audit(out, report)?;
    verdict(out, report)
}

fn files(out: &mut dyn Write, file: &Reconciliation) -> io::Result<()> {
    let files = &file.files;
    heading(out, "Files")?;
    writeln!(out, "account.asc: {} lines, {} accounts", count(files.account_lines), count(files.accounts))?;
    let dates = files.dates.map(|(first, last)| format!(", {first} to {last}")).unwrap_or_default();
    writeln!(out, "trans.asc: {} lines, {} rows{dates}", count(files.trans_lines), count(files.rows))?;
    if let Some(day) = files.cut_day {
        writeln!(out, "trans.asc was cut within its last day, {day}: what follows the cut is not known.")?;
    }
    let hellers = count(files.rows_in_hellers);
    writeln!(out, "No amount and no balance has more than two decimals; {hellers} rows are not in whole tenths.")
}

fn faults(out: &mut dyn Write, file: &Reconciliation, details: bool) -> io::Result<()> {
    let zeros = file.faults.iter().filter(|fault| fault.kind == FaultKind::ZeroAmount).count();
    heading(out, "Lines that are not posted")?;
    writeln!(out, "{}, of them {} with an amount of zero", count(file.faults.len()), count(zeros))?;
    if file.faults.is_empty() {
        return Ok(());
    }
    let shown = shown(file.faults.len(), NAMED_SHOWN, details);
    let mut table = table(&["file", "#line", "what", "account", "date", "reason", "text"]);
    for fault in file.faults.iter().take(shown) {
        table.add_row([
            fault.file.to_owned(),
            fault.line.to_string(),
            fault.kind.as_str().to_owned(),
            or_dash(fault.account),
            or_dash(fault.date),
            fault.reason.clone(),
            fault.text.chars().filter(|character| !character.is_control()).take(LINE_CHARS).collect(),
        ]);
    }
    writeln!(out, "{table}")?;
    more(out, file.faults.len() - shown, "lines")
}

fn import(out: &mut dyn Write, report: &Report) -> io::Result<()> {
    heading(out, "Import")?;
    let mut table = table(&["commands", "#posted", "#duplicates", "#refused", "#seconds", "#a second"]);
    for (name, tally) in [("accounts", &report.import.accounts), ("entries", &report.import.entries)] {
        table.add_row([
            name.to_owned(),
            count(tally.done),
            count(tally.duplicates),
            count(tally.refused),
            format!("{}.{:03}", tally.elapsed_ms / 1_000, tally.elapsed_ms % 1_000),
            count(tally.per_second()),
        ]);
    }
    writeln!(out, "{table}")?;
    let refusals = report.import.accounts.refusals.iter().chain(&report.import.entries.refusals);
    list(out, refusals.take(NAMED_SHOWN))
}

fn mappings(out: &mut dyn Write, file: &Reconciliation) -> io::Result<()> {
    heading(out, "Rows by counter-account, and how the bank's balance moves with them")?;
    let columns =
        ["type", "operation", "k_symbol", "counter-account", "#rows", "#amount", "#exact", "#+0.10", "#-0.10"];
    let mut table = table(&[&columns[..], &["#other"]].concat());
    for line in &file.mappings {
        let words = [line.kind, line.operation, line.k_symbol, line.counter].map(str::to_owned);
        let sums = [count(line.rows), money(line.amount)];
        let counts = [line.exact, line.tenth_more, line.tenth_less, line.other].map(count);
        table.add_row(words.into_iter().chain(sums).chain(counts));
    }
    writeln!(out, "{table}")
}

fn orders(out: &mut dyn Write, file: &Reconciliation) -> io::Result<()> {
    heading(out, "Order of the rows within a day")?;
    let mut table =
        table(&["order", "#exact", "#off by 0.10", "#broken", "#rows equal", "#accounts equal in every row"]);
    for order in &file.orders {
        let counts = [
            order.steps_exact,
            order.steps_off_by_a_tenth,
            order.steps_broken,
            order.rows_equal,
            order.accounts_equal_in_every_row,
        ];
        table.add_row(std::iter::once(order.order.as_str().to_owned()).chain(counts.map(count)));
    }
    let days = count(file.days_with_several_rows);
    writeln!(
        out,
        "{table}\nOn {days} days an account has several rows. Exact, off and broken say how the bank's balance moves from\n\
         one row to the next; equal says that our running balance is the bank's. The types follow each other as PRIJEM,\n\
         VYBER, VYDAJ; rows of one type can only be told apart by the balance itself, which what comes in raises and\n\
         what goes out lowers."
    )
}

fn accounts(out: &mut dyn Write, file: &Reconciliation) -> io::Result<()> {
    let figures = &file.accounts;
    heading(out, "Accounts, row by row, in the order by type and balance")?;
    let mut table = table(&["accounts", "#count"]);
    for (name, number) in [
        ("with rows in the file", figures.with_rows),
        ("equal after every row", figures.equal_in_every_row),
        ("equal at the end, not after every row", figures.equal_at_the_end),
        ("different at the end", figures.differing),
        ("- by rounding alone", figures.differing_by_rounding),
        ("- because a row is missing", figures.differing - figures.differing_by_rounding),
    ] {
        table.add_row([name.to_owned(), count(number)]);
    }
    writeln!(
        out,
        "{table}\nRounding adds up to {} CZK at most in an account. {} accounts were ever overdrawn ({} rows, the lowest\n\
         balance being {} CZK), so customers have no floor.",
        money(figures.rounding_largest),
        count(figures.overdrawn),
        count(figures.rows_overdrawn),
        money(figures.lowest),
    )
}

fn causes(out: &mut dyn Write, file: &Reconciliation) -> io::Result<()> {
    let bridge = &file.bridge;
    heading(out, "From the bank's balances to ours")?;
    let mut table = table(&["why", "#rows", "#accounts", "#without signs", "#CZK"]);
    let total = |name: &str, sum| [name.to_owned(), String::new(), String::new(), String::new(), money(sum)];
    table.add_row(total("the bank's last balances", bridge.bank));
    for item in &bridge.causes {
        let counts = [count(item.rows), count(item.accounts), money(item.absolute), money(-item.sum)];
        table.add_row(std::iter::once(item.cause.as_str().to_owned()).chain(counts));
    }
    table.add_row(total("our balances", bridge.ours));
    writeln!(
        out,
        "{table}\nA tenth is taken for rounding only while the hellers that printing in tenths leaves out can make every balance\n\
         of the account come out as printed, and on an exact amount only where a tie can turn. An error of exactly 0.10\n\
         that keeps to this cannot be told from rounding."
    )?;
    ties(out, &file.ties)
}

fn ties(out: &mut dyn Write, ties: &Ties) -> io::Result<()> {
    let [all, off] = [ties.off + ties.exact, ties.off].map(count);
    let [off_rising, others_rising] = [ties.off_at_a_power_of_two, ties.exact_at_a_power_of_two].map(count);
    writeln!(
        out,
        "Of {all} rows with an exact amount in half koruny {off} are off by a tenth. In {off_rising} of these the balance rises past\n\
         a power of two, and in {others_rising} of the others: ties turn there if balances are kept as binary fractions."
    )
}

fn missing(out: &mut dyn Write, file: &Reconciliation) -> io::Result<()> {
    heading(out, "Accounts that differ by more than rounding")?;
    let missing = |result| AccountResult::missing(result).map(move |found| (result, found));
    let lacking: Vec<_> = file.differing.iter().flat_map(missing).collect();
    if lacking.is_empty() {
        return writeln!(out, "none");
    }
    let mut table = table(&["#account", "#rows", "#line", "date", "#missing", "#ours", "#bank", "#difference", "why"]);
    let mut sum = Decimal::ZERO;
    for (result, found) in lacking {
        sum += found.off;
        table.add_row([
            result.account.to_string(),
            count(result.rows),
            found.line.to_string(),
            found.date.to_string(),
            money(found.off),
            money(result.ours),
            money(result.bank),
            money(result.difference),
            found
                .finding
                .unread_line
                .map_or_else(|| found.finding.cause.as_str().to_owned(), |line| format!("line {line} not read")),
        ]);
    }
    let sum = money(sum);
    writeln!(out, "{table}\nIn sum {sum} CZK are missing; what the differences have beyond that is rounding.")
}

fn rounded(out: &mut dyn Write, file: &Reconciliation, details: bool) -> io::Result<()> {
    let rounded: Vec<_> = file.differing.iter().filter(|result| result.missing().next().is_none()).collect();
    let shown = shown(rounded.len(), ROUNDED_SHOWN, details);
    heading(out, "Accounts that differ in some row, by rounding alone")?;
    if rounded.is_empty() {
        return writeln!(out, "none");
    }
    let mut table =
        table(&["#account", "#rows", "#first line", "date", "#ours", "#bank", "#rounded rows", "#at the end"]);
    for result in rounded.iter().take(shown) {
        let first = result.first_difference;
        table.add_row([
            result.account.to_string(),
            count(result.rows),
            or_dash(first.map(|first| first.line)),
            or_dash(first.map(|first| first.date)),
            or_dash(first.map(|first| money(first.ours))),
            or_dash(first.map(|first| money(first.bank))),
            count(result.breaks.len()),
            money(result.difference),
        ]);
    }
    writeln!(out, "{table}")?;
    more(out, rounded.len() - shown, "accounts")
}

fn audit(out: &mut dyn Write, report: &Report) -> io::Result<()> {
    let audit = &report.audit;
    let of_expected = |number| format!("{} of {}", count(number), count(audit.entries_expected));
    let counters = count(audit.balances_equal - audit.customers_equal);
    let (events, postings) = audit.verified;
    heading(out, "The ledger, read back")?;
    let mut table = table(&["check", "result"]);
    for (name, result) in [
        ("entries with the accounts, amount and date of their row", of_expected(audit.entries_equal)),
        ("running balance in the log equal to the replay", of_expected(audit.running_balances_equal)),
        ("customers' balances equal to the replay", count(audit.customers_equal)),
        ("counter-accounts' balances equal to the rows", counters),
        ("trial balance, debits", money(audit.debits)),
        ("trial balance, credits", money(audit.credits)),
        ("verified", format!("{} events, {} postings", count(events), count(postings))),
        ("findings", count(audit.findings_total)),
    ] {
        table.add_row([name.to_owned(), result]);
    }
    writeln!(out, "{table}")?;
    list(out, audit.findings.iter().take(NAMED_SHOWN))
}

fn verdict(out: &mut dyn Write, report: &Report) -> io::Result<()> {
    if report.unexplained.is_empty() {
        return writeln!(out, "\nEvery difference is explained by the file itself; the ledger equals the replay.");
    }
    heading(out, &format!("UNEXPLAINED: {}", count(report.unexplained.len())))?;
    list(out, report.unexplained.iter())
}

fn heading(out: &mut dyn Write, title: &str) -> io::Result<()> {
    writeln!(out, "\n{title}\n")
}

fn list<'a>(out: &mut dyn Write, mut items: impl Iterator<Item = &'a String>) -> io::Result<()> {
    items.try_for_each(|item| writeln!(out, "- {item}"))
}

/// A table; columns named with a `#` in front hold numbers.
fn table(columns: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(STYLE).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(columns.iter().map(|column| column.trim_start_matches('#')));
    for (index, _) in columns.iter().enumerate().filter(|(_, column)| column.starts_with('#')) {
        if let Some(numbers) = table.column_mut(index) {
            numbers.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

fn shown(all: usize, few: usize, details: bool) -> usize {
    if details { all } else { all.min(few) }
}

fn more(out: &mut dyn Write, hidden: usize, what: &str) -> io::Result<()> {
    if hidden == 0 { Ok(()) } else { writeln!(out, "and {} more {what}: see --details or --json", count(hidden)) }
}

fn or_dash(value: Option<impl Display>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

/// A count with its thousands set apart: `12,345`.
fn count(number: impl TryInto<u64>) -> String {
    grouped(&number.try_into().unwrap_or(u64::MAX).to_string())
}

/// An amount with two decimals and its thousands set apart: `-12,345.60`.
fn money(amount: Decimal) -> String {
    let text = format!("{:.2}", amount.abs());
    let (whole, decimals) = text.split_once('.').unwrap_or((&text, "00"));
    let sign = if amount.is_sign_negative() && !amount.is_zero() { "-" } else { "" };
    format!("{sign}{}.{decimals}", grouped(whole))
}

fn grouped(digits: &str) -> String {
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use rust_decimal::dec;

    use super::*;

    #[test]
    fn counts_and_amounts_are_written_with_thousands_set_apart() {
        assert_eq!(
            (count(0_u64), count(999_u64), count(1_234_567_u64)),
            ("0".into(), "999".into(), "1,234,567".into())
        );
        assert_eq!((money(dec!(-1234567.8)), money(dec!(0))), ("-1,234,567.80".to_owned(), "0.00".to_owned()));
    }
}
