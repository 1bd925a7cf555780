//! Replay = live.

use std::collections::BTreeMap;

use postfold::{AsOf, Balance, Outcome, Position};
use postfold_proptests::History;
use postfold_proptests::history::Step;
use postfold_proptests::invariant;
use postfold_proptests::model::Expected;
use postfold_proptests::strategy::{Mix, history};

use crate::support::{Broken, Store};
use crate::{law, same};

law!(a_new_writer_goes_on_as_the_old_one_would, (history(&Mix::default(), 0..30), 1..15_usize));

/// A writer that begins anew in the middle, and knows nothing but the log, goes on as one that was there all along.
async fn a_new_writer_goes_on_as_the_old_one_would(
    store: Store,
    (history, part): (History, usize),
) -> Result<(), Broken> {
    let (one, several) = (store.book().await, store.book().await);
    let answers = history.send_together(&one.ledger, &one.clock).await?;
    let mut answers = answers.iter();
    for part in parts(&history, part) {
        let writer = several.another_writer().await;
        for answered in part.send_together(&writer, &several.clock).await? {
            let expected = answers.next().map(|answered| Expected::from(&answered.outcome));
            same!(Some(Expected::from(&answered.outcome)), expected, "the answer to {:?}", answered.command);
        }
    }
    same!(several.said().await?, one.said().await?, "the log");
    Ok(())
}

law!(balances_as_of_a_position_are_those_of_the_time, history(&Mix { batches: 0, ..Mix::default() }, 0..30));

/// The balances in each receipt, as the writer knew them, are those that the log gives as of that position; and at
/// the end every invariant holds.
async fn balances_as_of_a_position_are_those_of_the_time(store: Store, history: History) -> Result<(), Broken> {
    let book = store.book().await;
    let answers = history.send_together(&book.ledger, &book.clock).await?;
    let mut live: BTreeMap<Position, Vec<Balance>> = BTreeMap::new();
    for answered in &answers {
        let Outcome::Ok(receipt) = &answered.outcome else { continue };
        if let (Some(position), Some(balances)) = (receipt.position, receipt.balances.clone()) {
            live.insert(position, balances);
        }
    }
    for (position, balances) in live {
        for balance in balances {
            let as_of = AsOf::position(position);
            let (code, currency) = (&*balance.account, Some(&*balance.currency));
            same!(book.ledger.log().balance_as_of(code, currency, as_of).await?, balance, "{code} at {position}");
        }
    }
    let checked = invariant::check_all(book.ledger.log()).await?;
    same!(checked.is_whole(), true, "{checked}");
    Ok(())
}

/// The history in parts of so many steps; the time that has passed goes before each.
fn parts(history: &History, size: usize) -> Vec<History> {
    let mut waited = 0;
    let part = |steps: &[Step]| {
        let before = Step::Wait(waited);
        waited += steps.iter().map(|step| if let Step::Wait(minutes) = step { *minutes } else { 0 }).sum::<i32>();
        History([&[before], steps].concat())
    };
    history.0.chunks(size).map(part).collect()
}
