//! Retry = once.

use postfold::Command;
use postfold::command::Action;
use postfold_proptests::History;
use postfold_proptests::history::Step;
use postfold_proptests::model::{Expected, Told};
use postfold_proptests::strategy::{Mix, history};
use proptest::collection::vec;

use crate::support::{Broken, Store};
use crate::{law, same};

law!(a_command_sent_again_is_done_once, (history(&Mix::default(), 0..25), vec(0..4_usize, 8)));

/// Each command is sent up to four times in a row, by one writer or by several, and at the end all that was done
/// is sent once more: a repeat answers what the first answered, and the log is as if each had been sent once.
async fn a_command_sent_again_is_done_once(
    store: Store,
    (history, repeats): (History, Vec<usize>),
) -> Result<(), Broken> {
    let history = with_ids(history);
    let (once, again) = (store.book().await, store.book().await);
    let first = history.send_together(&once.ledger, &once.clock).await?;
    let other = again.another_writer().await;
    for (index, (now, command)) in history.commands().enumerate() {
        again.clock.set(now);
        let sends = 1 + repeats[index % repeats.len()];
        let mut answers = Vec::new();
        for _ in 0..sends {
            answers.push(again.ledger.enqueue(command.clone()).await?);
        }
        let expected = Expected::from(&first[index].outcome);
        for (nth, answer) in answers.into_iter().enumerate() {
            let answered = Expected::from(&answer.await.expect("an answer")?);
            let expected = if nth == 0 { expected.clone() } else { repeated(expected.clone()) };
            same!(answered, expected, "answer {nth} to {}", serde_json::to_string(command)?);
        }
    }
    let done = first
        .iter()
        .filter(|answered| matches!(&answered.outcome, postfold::Outcome::Ok(receipt) if receipt.position.is_some()));
    for answered in done.filter(|answered| answered.command.id.is_some()) {
        let late = Expected::from(&other.submit(answered.command.clone()).await?);
        same!(
            late,
            repeated(Expected::from(&answered.outcome)),
            "a late repeat of {}",
            serde_json::to_string(answered.command)?
        );
    }
    same!(again.said().await?, once.said().await?, "the log");
    same!(again.balances().await?, once.balances().await?, "the balances");
    Ok(())
}

/// What a repeat is answered: done before, or refused as it was.
fn repeated(first: Expected) -> Expected {
    match first {
        // What wrote nothing has used no id: it is done anew, to the same effect.
        Expected::Ok(told) if told.position.is_some() => {
            Expected::Ok(Told { duplicate: true, count: None, outcomes: None, ..told })
        }
        other => other,
    }
}

/// Every command under an id of its own, where it has none. Batches that are not atomic take none: they are made so.
fn with_ids(history: History) -> History {
    let step = |(index, step)| match step {
        Step::Command(mut command) => {
            if let Action::Batch(batch) = &mut command.action {
                batch.atomic = true;
            }
            let id = command.id.take().unwrap_or_else(|| format!("said-{index}"));
            Step::Command(Command { id: Some(id), ..command })
        }
        wait @ Step::Wait(_) => wait,
    };
    History(history.0.into_iter().enumerate().map(step).collect())
}
