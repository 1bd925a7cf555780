//! What the ledger answers, compared with what its log adds up to.

use std::collections::BTreeMap;
use std::fmt::Display;

use futures::TryStreamExt;
use postfold::{
    AsOf, Balance, EntryView, Error, HoldFilter, HoldState, Log, Position, Side, Statement, StatementQuery,
};
use rust_decimal::Decimal;

use super::books::Books;
use super::{Broken, Invariant};

/// Lines of a statement read at a time.
const PAGE_LINES: usize = 1_000;

/// Balances and trial balance.
pub(super) async fn balances(
    log: &Log,
    books: &Books,
    at: Position,
    tell: &mut impl FnMut(Broken),
) -> Result<(), Error> {
    let balances: Vec<Balance> = log.stream_balances("", AsOf::position(at)).try_collect().await?;
    let mut sums: BTreeMap<&str, Decimal> = BTreeMap::new();
    for balance in &balances {
        *sums.entry(&balance.currency).or_default() += debit_of(balance);
    }
    for (currency, sum) in sums.into_iter().filter(|(_, sum)| !sum.is_zero()) {
        tell(broken(Invariant::SumsAreZero, format!("the sum of all balances in {currency}"), "0", sum));
    }
    if balances.len() != books.accounts() {
        let (opened, found) = (books.accounts(), balances.len());
        tell(broken(Invariant::BalancesAreTheFold, "the number of accounts".to_owned(), opened, found));
    }
    for balance in &balances {
        let Some(account) = books.accounts.get(&(balance.account.to_string(), balance.currency.to_string())) else {
            tell(broken(Invariant::BalancesAreTheFold, subject(balance), "nothing", "a balance"));
            continue;
        };
        let compared = [
            ("posted", account.posted, balance.posted),
            ("pending_in", account.pending_in, balance.pending_in),
            ("pending_out", account.pending_out, balance.pending_out),
            ("available", account.available(), balance.available),
        ];
        for (what, folded, answered) in compared.into_iter().filter(|(_, folded, answered)| folded != answered) {
            let subject = format!("{what} of {}", subject(balance));
            tell(broken(Invariant::BalancesAreTheFold, subject, folded, answered));
        }
    }
    trial_balance(log, &balances, at, tell).await
}

async fn trial_balance(
    log: &Log,
    balances: &[Balance],
    at: Position,
    tell: &mut impl FnMut(Broken),
) -> Result<(), Error> {
    let trial = log.trial_balance(AsOf::position(at)).await?;
    let mut lines = BTreeMap::new();
    for currency in &trial.currencies {
        if currency.debit != currency.credit {
            let subject = format!("the debit side in {}", currency.currency);
            tell(broken(Invariant::TrialBalanceIsZero, subject, currency.credit, currency.debit));
        }
        for line in &currency.accounts {
            lines.insert((line.account.to_string(), currency.currency.to_string()), line.debit - line.credit);
        }
    }
    for balance in balances {
        let line = lines.remove(&(balance.account.to_string(), balance.currency.to_string()));
        if line.unwrap_or_default() != debit_of(balance) {
            let subject = format!("the line of {}", subject(balance));
            tell(broken(Invariant::TrialBalanceIsZero, subject, debit_of(balance), format!("{line:?}")));
        }
    }
    Ok(())
}

/// Every hold's state and rest, and that what is pending of an account is what its open holds reserve.
pub(super) async fn holds(log: &Log, books: &Books, at: Position, tell: &mut impl FnMut(Broken)) -> Result<(), Error> {
    let mut pending: BTreeMap<(&str, &str), [Decimal; 2]> = BTreeMap::new();
    for hold in books.holds.values() {
        for (leg, left) in hold.legs.iter().zip(&hold.left) {
            let side = usize::from(leg.amount.side() == Side::Credit);
            pending.entry((&leg.account, &leg.currency)).or_default()[side] += left;
        }
    }
    for ((code, currency), account) in &books.accounts {
        let [debit, credit] = pending.get(&(code.as_str(), currency.as_str())).copied().unwrap_or_default();
        let (coming, going) = if account.normal == Side::Debit { (debit, credit) } else { (credit, debit) };
        let found = (account.pending_in, account.pending_out);
        if found != (coming, going) {
            let subject = format!("what holds bring and reserve of {code} in {currency}");
            let (expected, found) = (format!("{coming} and {going}"), format!("{} and {}", found.0, found.1));
            tell(broken(Invariant::HoldsAreConserved, subject, expected, found));
        }
    }
    // Holds are answered as of the head, which may have moved on: then there is nothing to compare with.
    let answered: Vec<EntryView> = log.holds(HoldFilter::all()).try_collect().await?;
    if log.head().await?.position != at {
        return Ok(());
    }
    for view in answered {
        let Some((hold, state)) = books.holds.get(&view.position).zip(view.state) else {
            tell(broken(Invariant::HoldsAreConserved, format!("the hold {:?}", view.id), "placed", "nowhere"));
            continue;
        };
        let left: Decimal = hold.left.iter().sum();
        let answered: Decimal = state.left.iter().map(|leg| leg.amount.amount()).sum();
        let is_open = state.state == HoldState::Open;
        if is_open == hold.ended || left != answered {
            let tell_of =
                |ended: bool, left: Decimal| format!("{} with {left} left", if ended { "ended" } else { "open" });
            let subject = format!("the hold {:?}", view.id);
            let (expected, found) = (tell_of(hold.ended, left), tell_of(!is_open, answered));
            tell(broken(Invariant::HoldsAreConserved, subject, expected, found));
        }
    }
    Ok(())
}

/// The statement of every account, page by page.
pub(super) async fn statements(
    log: &Log,
    books: &Books,
    at: Position,
    tell: &mut impl FnMut(Broken),
) -> Result<(), Error> {
    for ((code, currency), account) in &books.accounts {
        let mut query = StatementQuery::of(code).currency(currency).limit(PAGE_LINES).as_of(AsOf::position(at));
        let mut running = Decimal::ZERO;
        loop {
            let page = log.statement(&query).await?;
            running = page_adds_up(&page, running, tell);
            let Some(next) = page.next else {
                let subject = format!("the closing balance of {code} in {currency}");
                if page.closing != running || page.closing != account.posted {
                    let expected = format!("{} by its lines and {} by the log", running, account.posted);
                    tell(broken(Invariant::StatementsClose, subject, expected, page.closing));
                }
                break;
            };
            query = query.cursor(next);
        }
    }
    Ok(())
}

/// The balance behind the last line.
fn page_adds_up(page: &Statement, before: Decimal, tell: &mut impl FnMut(Broken)) -> Decimal {
    let of = |what: &str| format!("{what} of {} in {}", page.account, page.currency);
    if !page.opening.is_zero() {
        tell(broken(Invariant::StatementsClose, of("the opening balance"), "0", page.opening));
    }
    if page.forward != before {
        tell(broken(Invariant::StatementsClose, of("what is brought forward"), before, page.forward));
    }
    let mut balance = before;
    for line in &page.lines {
        let debit = line.debit.unwrap_or_default() - line.credit.unwrap_or_default();
        balance += if page.normal == Side::Debit { debit } else { -debit };
        if line.balance != balance {
            let position = Some(line.position);
            let wrong = broken(Invariant::StatementsClose, of("the balance in a line"), balance, line.balance);
            tell(Broken { position, ..wrong });
        }
    }
    balance
}

/// What `verify` finds.
pub(super) async fn hashes(log: &Log, at: Position, tell: &mut impl FnMut(Broken)) -> Result<(), Error> {
    let report = postfold::verify_between(log, Position::START, Some(at), |_| {}).await?;
    for problem in report.problems {
        let position = Some(problem.position);
        let wrong = broken(Invariant::HashChainIsWhole, problem.column.clone(), "as written", problem.message);
        tell(Broken { position, ..wrong });
    }
    Ok(())
}

fn debit_of(balance: &Balance) -> Decimal {
    if balance.normal == Side::Debit { balance.posted } else { -balance.posted }
}

fn subject(balance: &Balance) -> String {
    format!("{} in {}", balance.account, balance.currency)
}

fn broken(invariant: Invariant, subject: String, expected: impl Display, found: impl Display) -> Broken {
    Broken { invariant, position: None, subject, expected: expected.to_string(), found: found.to_string() }
}
