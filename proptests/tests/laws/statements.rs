//! Statement pages, one behind the other = the whole statement.

use postfold::{Balance, StatementQuery, Timestamp, Transfer};
use postfold_proptests::History;
use postfold_proptests::strategy::{Mix, history};
use proptest::option;
use proptest::prelude::*;
use rust_decimal::Decimal;

use crate::support::{Book, Broken, Store};
use crate::{law, same};

/// Entries that count at many times, in whatever order they come.
fn mix() -> Mix {
    Mix { entries: 20, transfers: 20, dated: 700, nonsense: 0, changes: 0, ..Mix::default() }
}

/// A part of the time around the beginning of a history, open at one end or both.
fn span() -> impl Strategy<Value = (Option<Timestamp>, Option<Timestamp>)> {
    let time = || {
        option::of(
            (-120..120_i64)
                .prop_map(|hours| postfold_proptests::history::start() + jiff::SignedDuration::from_hours(hours)),
        )
    };
    (time(), time()).prop_map(|(from, to)| match (from, to) {
        (Some(from), Some(to)) if from > to => (Some(to), Some(from)),
        other => other,
    })
}

law!(pages_of_a_statement_are_the_whole_of_it, (history(&mix(), 1..40), 1..6_usize, span()));

/// Pages of any size, concatenated, are the statement in one piece, also when more is posted while they are read; the
/// spans before, in and after a part of the time join.
async fn pages_of_a_statement_are_the_whole_of_it(
    store: Store,
    (history, size, (from, to)): (History, usize, (Option<Timestamp>, Option<Timestamp>)),
) -> Result<(), Broken> {
    let book = store.book().await;
    history.send_together(&book.ledger, &book.clock).await?;
    for (nth, balance) in book.balances().await?.iter().enumerate() {
        let bounds = |query: StatementQuery| {
            let query = from.into_iter().fold(query, StatementQuery::from);
            to.into_iter().fold(query, StatementQuery::to)
        };
        let query = bounds(StatementQuery::of(&*balance.account).currency(&*balance.currency));
        let whole = book.ledger.log().statement(&query.clone().limit(10_000)).await?;
        let mut lines = Vec::new();
        let mut next = query.limit(size);
        loop {
            let page = book.ledger.log().statement(&next).await?;
            let before = lines.last().map_or(whole.opening, |line: &postfold::StatementLine| line.balance);
            same!(page.forward, before, "what is brought forward");
            same!(
                (page.opening, page.closing, page.position),
                (whole.opening, whole.closing, whole.position),
                "a page's frame"
            );
            same!(page.lines.len() == size || page.next.is_none(), true, "whether a page is full or the last");
            lines.extend(page.lines);
            let Some(cursor) = page.next else { break };
            next = next.cursor(cursor);
            disturb(&book, balance, nth, lines.len(), from).await?;
        }
        same!(lines.last().map_or(whole.opening, |line| line.balance), whole.closing, "the last balance");
        same!(lines, whole.lines, "the lines of {}", balance.account);
    }
    Ok(())
}

/// Posts more to the account while its statement is read.
async fn disturb(book: &Book, balance: &Balance, nth: usize, line: usize, at: Option<Timestamp>) -> Result<(), Broken> {
    let id = format!("disturb-{nth}-{line}");
    let transfer = Transfer::sides(id, &*balance.account, "account:5", Decimal::ONE).currency(&*balance.currency);
    let command = at.into_iter().fold(postfold::Command::from(transfer), postfold::Command::at);
    // Refused where the account is closed, or the other one kept in another currency.
    book.ledger.submit(command).await?;
    Ok(())
}
