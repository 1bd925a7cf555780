//! The law that holds most others: whatever the history, the ledger answers as the reference model does, and ends
//! with its books.

use postfold::{Balance, Outcome};
use postfold_proptests::history::Answered;
use postfold_proptests::model::{Expected, Model, Totals};
use postfold_proptests::strategy::{Mix, history};
use postfold_proptests::{History, invariant};

use crate::support::{Book, Broken, Store};
use crate::{law, same};

law!(the_ledger_answers_as_the_model_does, history(&Mix::default(), 0..50));

law!(a_ledger_with_many_callers_answers_as_the_model_does, history(&Mix::default(), 0..50));

/// One command after the other: also the balances in each receipt.
async fn the_ledger_answers_as_the_model_does(store: Store, history: History) -> Result<(), Broken> {
    let book = store.book().await;
    let answers = history.send(&book.ledger, &book.clock).await?;
    let model = answered_as_the_model_does(&answers)?;
    ends_as_the_model_does(&book, &model).await
}

/// Many commands on their way: decided together, committed together.
async fn a_ledger_with_many_callers_answers_as_the_model_does(store: Store, history: History) -> Result<(), Broken> {
    let book = store.book().await;
    let answers = history.send_together(&book.ledger, &book.clock).await?;
    let model = answered_as_the_model_does(&answers)?;
    ends_as_the_model_does(&book, &model).await
}

fn answered_as_the_model_does(answers: &[Answered<'_>]) -> Result<Model, Broken> {
    let mut model = Model::new();
    for Answered { clock, command, outcome } in answers {
        model.set_clock(*clock);
        let expected = model.apply(command);
        same!(Expected::from(outcome), expected, "the answer to {}", serde_json::to_string(command)?);
        if let Outcome::Ok(receipt) = outcome {
            for balance in receipt.balances.iter().flatten() {
                is_in_the_model(&model, balance)?;
            }
        }
    }
    Ok(model)
}

async fn ends_as_the_model_does(book: &Book, model: &Model) -> Result<(), Broken> {
    let balances = book.balances().await?;
    same!(balances.len(), model.balances().count(), "the number of accounts");
    balances.iter().try_for_each(|balance| is_in_the_model(model, balance))?;
    same!(book.ledger.log().head().await?.position.get(), model.position(), "the head");
    let checked = invariant::check_all(book.ledger.log()).await?;
    same!(checked.is_whole(), true, "{checked}");
    Ok(())
}

fn is_in_the_model(model: &Model, balance: &Balance) -> Result<(), Broken> {
    let Balance { account, currency, posted, pending_in, pending_out, available, .. } = balance;
    let totals = Totals { posted: *posted, pending_in: *pending_in, pending_out: *pending_out };
    same!(Some(totals), model.balance(account, currency), "{account} in {currency}");
    same!(*available, totals.available(), "what is available of {account} in {currency}");
    Ok(())
}
