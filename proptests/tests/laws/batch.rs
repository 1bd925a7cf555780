//! Batch = sequence.

use postfold::command::Action;
use postfold::{Batch, Command};
use postfold_proptests::History;
use postfold_proptests::history::{Answered, Step};
use postfold_proptests::model::Expected;
use postfold_proptests::strategy::{Mix, history};
use proptest::prelude::*;

use crate::support::{Broken, Store};
use crate::{law, same};

/// Commands that are no batch, and no time between them: the members of a batch are asked at one time.
fn mix() -> Mix {
    Mix { waits: 0, expiries: 0, batches: 0, ..Mix::default() }
}

law!(a_batch_that_is_not_atomic_is_its_members, (history(&mix(), 0..40), 1..30_usize));

/// Commands in batches that are not atomic, cut anywhere, are answered as one by one, and leave the same log.
async fn a_batch_that_is_not_atomic_is_its_members(
    store: Store,
    (history, size): (History, usize),
) -> Result<(), Broken> {
    let (one_by_one, at_once) = (store.book().await, store.book().await);
    let history = without_batches(history);
    let answers: Vec<_> = answers(&history.send_together(&one_by_one.ledger, &one_by_one.clock).await?);
    let commands: Vec<Command> = history.commands().map(|(_, command)| command.clone()).collect();
    let mut members = Vec::new();
    for part in commands.chunks(size) {
        let receipt = at_once.ledger.execute(Batch::independent(part.to_vec())).await?;
        members.extend(receipt.outcomes.iter().flatten().map(Expected::from));
    }
    same!(members, answers, "the members' answers");
    same!(at_once.said().await?, one_by_one.said().await?, "the log");
    same!(at_once.balances().await?, one_by_one.balances().await?, "the balances");
    Ok(())
}

law!(an_atomic_batch_is_its_members_or_nothing, (history(&mix(), 1..40), any::<prop::sample::Index>()));

/// An atomic batch of what can be done is answered as its members one by one, and leaves the same log. With one
/// more member that fails, it leaves nothing.
async fn an_atomic_batch_is_its_members_or_nothing(
    store: Store,
    (history, place): (History, prop::sample::Index),
) -> Result<(), Broken> {
    let (one_by_one, at_once) = (store.book().await, store.book().await);
    let history = without_batches(history);
    let sent = history.send_together(&one_by_one.ledger, &one_by_one.clock).await?;
    let (done, failed): (Vec<_>, Vec<_>) = sent.iter().partition(|answered| answered.outcome.is_ok());
    let members: Vec<Command> = done.iter().map(|answered| answered.command.clone()).collect();
    if let Some(failed) = failed.last() {
        let mut with_failure = members.clone();
        // At the end it fails as it did; elsewhere it may not. A batch without sense fails anywhere.
        with_failure.insert(members.len(), failed.command.clone());
        with_failure.insert(place.index(members.len() + 1), Command::freeze("no:such:account", ""));
        let outcome = at_once.ledger.submit(Batch::atomic(with_failure).into()).await?;
        same!(outcome.is_ok(), false, "whether a batch with a member that fails is done");
        same!(at_once.said().await?.len(), 0, "the length of the log behind a batch that failed");
    }
    if members.is_empty() {
        return Ok(());
    }
    let receipt = at_once.ledger.execute(Batch::atomic(members)).await?;
    let answered: Vec<_> = receipt.outcomes.iter().flatten().map(Expected::from).collect();
    let expected: Vec<_> = done.iter().map(|answered| Expected::from(&answered.outcome)).collect();
    same!(answered, expected, "the members' answers");
    same!(at_once.said().await?, one_by_one.said().await?, "the log");
    same!(at_once.balances().await?, one_by_one.balances().await?, "the balances");
    Ok(())
}

law!(many_callers_are_one_after_the_other, history(&Mix::default(), 0..25));

/// What is decided and committed together is what is decided and committed one by one.
async fn many_callers_are_one_after_the_other(store: Store, history: History) -> Result<(), Broken> {
    let (one_by_one, at_once) = (store.book().await, store.book().await);
    let first = answers(&history.send(&one_by_one.ledger, &one_by_one.clock).await?);
    let second = answers(&history.send_together(&at_once.ledger, &at_once.clock).await?);
    same!(second, first, "the answers");
    same!(at_once.said().await?, one_by_one.said().await?, "the log");
    same!(at_once.balances().await?, one_by_one.balances().await?, "the balances");
    Ok(())
}

fn answers(answered: &[Answered<'_>]) -> Vec<Expected> {
    answered.iter().map(|answered| Expected::from(&answered.outcome)).collect()
}

/// A batch in a batch makes no sense, and takes its neighbours with it.
fn without_batches(history: History) -> History {
    let is_batch = |step: &Step| matches!(step, Step::Command(command) if matches!(command.action, Action::Batch(_)));
    History(history.0.into_iter().filter(|step| !is_batch(step)).collect())
}
