//! Accounts and streams, row by row.

use std::collections::HashMap;

use super::books::{Book, Books};
use super::{PAGE_ROWS, Problem, Range};
use crate::error::Error;
use crate::log::Log;
use crate::position::Position;
use crate::state::AccountId;
use crate::store::{StoredAccount, StreamKey};

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
        after = last.facts.id;
        for stored in page {
            let Some(book) = missing.remove(&stored.facts.id) else {
                let message = format!("{} in {} was opened by no event", stored.facts.code, stored.facts.currency);
                problems.push(Problem::new(stored.facts.id, "account.account_id", message));
                continue;
            };
            problems.extend(wrong_fact(book, &stored));
            if stored.totals != book.totals && !differing.contains(&stored.facts.id) {
                let message = format!("{}: {:?} stored, {:?} folded", book.facts.code, stored.totals, book.totals);
                problems.push(Problem::new(stored.facts.id, "posting.position", message));
            }
        }
    }
    for book in missing.into_values() {
        let message = format!("the row of {} in {} is missing", book.facts.code, book.facts.currency);
        problems.push(Problem::new(book.facts.id, "account.account_id", message));
    }
    Ok(problems)
}

fn wrong_fact(book: &Book, stored: &StoredAccount) -> Option<Problem> {
    let (folded, stored) = (&book.facts, &stored.facts);
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
            before = row;
        }
    }
}
