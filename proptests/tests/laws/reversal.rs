//! Reversal restores.

use postfold::command::Action;
use postfold::{Command, Outcome, Rule, Void};
use postfold_proptests::History;
use postfold_proptests::history::Step;
use postfold_proptests::model::Expected;
use postfold_proptests::strategy::{Mix, happening, history};

use crate::support::{Book, Broken, Store, held};
use crate::{law, same};

/// What can be done without limits.
fn mix(names: &str) -> Mix {
    Mix { names: names.to_owned(), batches: 0, ..Mix::default().plain() }
}

law!(
    reversing_everything_since_a_moment_takes_the_balances_back_to_it,
    (history(&mix("before-"), 0..15), happening(&mix("later-"), 1..15))
);

/// All entries since a moment, settles among them, reversed from the newest to the oldest, and all holds voided that
/// are still open, take every balance back to that moment. Each entry can be reversed once.
async fn reversing_everything_since_a_moment_takes_the_balances_back_to_it(
    store: Store,
    (before, later): (History, History),
) -> Result<(), Broken> {
    let book = store.book().await;
    before.send_together(&book.ledger, &book.clock).await?;
    void_all(&book, &before).await?;
    let moment = held(book.balances().await?);
    let later = without_reversals(later);
    let answers = later.send_together(&book.ledger, &book.clock).await?;
    let entries = answers.iter().filter(|answered| match (&answered.command.action, &answered.outcome) {
        (Action::Post(_) | Action::Transfer(_) | Action::Settle(_), Outcome::Ok(receipt)) => !receipt.duplicate,
        _ => false,
    });
    for (nth, entry) in entries.filter_map(|answered| answered.command.id.as_deref()).rev().enumerate() {
        let reversal = book.ledger.execute(Command::reverse(format!("undo-{nth}"), entry)).await?;
        let view = book.ledger.log().entry(entry).await?;
        same!(view.reversed_by, reversal.id, "what reverses {entry}");
        let again = book.ledger.submit(Command::reverse(format!("undo-again-{nth}"), entry)).await?;
        same!(Expected::from(&again), Expected::rejected(Rule::AlreadyReversed), "a second reversal of {entry}");
    }
    void_all(&book, &later).await?;
    same!(held(book.balances().await?), moment, "the balances");
    Ok(())
}

fn without_reversals(history: History) -> History {
    let reverses = |step: &Step| matches!(step, Step::Command(command) if matches!(command.action, Action::Reverse(_)));
    History(history.0.into_iter().filter(|step| !reverses(step)).collect())
}

async fn void_all(book: &Book, history: &History) -> Result<(), Broken> {
    for (_, command) in history.commands().filter(|(_, command)| matches!(command.action, Action::Hold(_))) {
        let hold = command.id.clone().unwrap_or_default();
        // Refused where the hold has ended, or was never placed.
        book.ledger.submit(Void::new(format!("void-all-{hold}"), hold).into()).await?;
    }
    Ok(())
}
