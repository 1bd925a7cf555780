//! The order of independent commands does not matter.

use postfold::{Command, Ledger};
use postfold_proptests::History;
use postfold_proptests::model::Expected;
use postfold_proptests::strategy::{Mix, history};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::support::{Broken, Store, held};
use crate::{law, same};

/// Histories over accounts, ids and entities of their own, without what concerns the ledger as a whole.
fn mix(side: &str) -> Mix {
    let codes = (0..4).map(|number| format!("{side}:{number}"));
    let currencies = ["EUR", "JPY"].map(str::to_owned).to_vec();
    Mix { names: format!("{side}-"), currencies, ..Mix::over(codes).local() }
}

law!(
    independent_commands_may_come_in_any_order,
    (history(&mix("left"), 0..20), history(&mix("right"), 0..20), vec(any::<bool>(), 32))
);

/// Two histories that share nothing are answered alike one after the other, mixed in any way, and sent by two
/// writers at the same time; and end with the same balances.
async fn independent_commands_may_come_in_any_order(
    store: Store,
    (left, right, turns): (History, History, Vec<bool>),
) -> Result<(), Broken> {
    let (left, right) = (commands(&left), commands(&right));
    let one_by_one = store.book().await;
    let expected = [send(&one_by_one.ledger, &left).await?, send(&one_by_one.ledger, &right).await?];
    let balances = held(one_by_one.balances().await?);

    let mixed = store.book().await;
    same!(send_mixed(&mixed.ledger, [&left, &right], &turns).await?, expected, "the answers, mixed");
    same!(held(mixed.balances().await?), balances, "the balances, mixed");

    let at_once = store.book().await;
    let other = at_once.another_writer().await;
    let (first, second) = tokio::join!(send(&at_once.ledger, &left), send(&other, &right));
    same!([first?, second?], expected, "the answers, at the same time");
    same!(held(at_once.balances().await?), balances, "the balances, at the same time");
    Ok(())
}

fn commands(history: &History) -> Vec<Command> {
    history.commands().map(|(_, command)| command.clone()).collect()
}

async fn send(ledger: &Ledger, commands: &[Command]) -> Result<Vec<Expected>, Broken> {
    let turns = [true];
    let [answers, _] = send_mixed(ledger, [commands, &[]], &turns).await?;
    Ok(answers)
}

/// Takes the next command from the left while it is its turn, or while the right has none.
async fn send_mixed(ledger: &Ledger, sides: [&[Command]; 2], turns: &[bool]) -> Result<[Vec<Expected>; 2], Broken> {
    let mut sides = sides.map(|side| side.iter());
    let mut sent = Vec::new();
    for left in turns.iter().cycle() {
        let first = usize::from(!left);
        let next = [first, 1 - first].into_iter().find_map(|side| Some((side, sides[side].next()?)));
        let Some((side, command)) = next else { break };
        sent.push((side, ledger.enqueue(command.clone()).await?));
    }
    let mut answers = [Vec::new(), Vec::new()];
    for (side, answer) in sent {
        answers[side].push(Expected::from(&answer.await.expect("an answer")?).anywhere());
    }
    Ok(answers)
}
