//! Accounts and streams, row by row.

use std::collections::HashMap;

use super::books::{Book, Books};
use super::{PAGE_ROWS, Problem, Range};
use crate::error::Error;
use crate::log::Log;
use crate::position::Position;
use crate::state::{AccountId, Facts};
use crate::store::{StoredAccount, Stray, StreamKey};

/// The accounts as they are stored, with the totals of their newest posting, against the events.
///
/// The totals of accounts that `differ` were reported where their postings went wrong.
pub(super) async fn accounts(
    log: &Log,
    range: Range,
    books: &Books,
    differing: &[AccountId],
) -> Result<Vec<Problem>, Error> {
    let mut problems = Vec::new();
    let mut missing: HashMap<AccountId, &Book> = books.iter().map(|book| (book.facts.id, book)).collect();
    let mut after = Position::START;
    loop {
        let page = log.store().accounts(after, range.upto, PAGE_ROWS).await?;
        let Some(last) = page.last() else { break };
        after = last.id;
        for StoredAccount { id, facts, totals } in page {
            let facts = match facts {
                Ok(facts) => facts,
                Err(why) => {
                    problems.push(Problem::new(id, "account", why));
                    missing.remove(&id);
                    continue;
                }
            };
            let Some(book) = missing.remove(&id) else {
                let message = format!("{} in {} was opened by no event", facts.code, facts.currency);
                problems.push(Problem::new(id, "account.account_id", message));
                continue;
            };
            problems.extend(wrong_fact(book, &facts));
            if totals != book.totals && !differing.contains(&id) {
                let message = format!("{}: {totals:?} stored, {:?} folded", book.facts.code, book.totals);
                problems.push(Problem::new(id, "posting.position", message));
            }
        }
    }
    for book in missing.into_values() {
        let message = format!("the row of {} in {} is missing", book.facts.code, book.facts.currency);
        problems.push(Problem::new(book.facts.id, "account.account_id", message));
    }
    Ok(problems)
}

fn wrong_fact(book: &Book, stored: &Facts) -> Option<Problem> {
    let folded = &book.facts;
    let columns = [
        ("account.code", stored.code.to_string(), folded.code.to_string()),
        ("account.currency", stored.currency.to_string(), folded.currency.to_string()),
        ("account.scale", stored.scale.to_string(), folded.scale.to_string()),
        ("account.type", stored.account_type.as_str().to_owned(), folded.account_type.as_str().to_owned()),
        ("account.normal", stored.normal.as_str().to_owned(), folded.normal.as_str().to_owned()),
    ];
    let (column, stored, folded) = columns.into_iter().find(|(_, stored, folded)| stored != folded)?;
    Some(Problem::new(book.facts.id, column, format!("{stored} is stored, the account was opened with {folded}")))
}

/// Rows that stand where the log has no place for them.
pub(super) async fn strays(log: &Log) -> Result<Vec<Problem>, Error> {
    let problem = |stray: Stray| {
        let message = format!("a row stands at {}, where the log has none", stray.stands_at);
        Problem::new(stray.position, &stray.column, message)
    };
    Ok(log.store().strays().await?.into_iter().map(problem).collect())
}

/// Versions count the events of a stream, from 1, in the order of the log.
pub(super) async fn streams(log: &Log, range: Range) -> Result<Vec<Problem>, Error> {
    let mut problems = Vec::new();
    let mut before = StreamKey::default();
    loop {
        let page = log.store().streams(&before, PAGE_ROWS).await?;
        if page.is_empty() {
            return Ok(problems);
        }
        for row in page {
            let known = if row.stream == before.stream { before.version } else { 0 };
            let back = row.stream == before.stream && row.position <= before.position;
            if row.position > range.after && row.position <= range.upto && (row.version != known + 1 || back) {
                let at =
                    if known == 0 { "new".to_owned() } else { format!("at version {known} from {}", before.position) };
                let message = format!("{} was {at}, this is version {}", row.stream, row.version);
                problems.push(Problem::new(row.position, "event.version", message));
            }
            // Of two at one version the first is the one that others follow.
            if (&row.stream, row.version) != (&before.stream, before.version) {
                before = row;
            }
        }
    }
}
