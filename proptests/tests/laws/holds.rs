//! Settle and void conserve.

use std::collections::BTreeMap;

use futures::TryStreamExt;
use postfold::event::PostedLeg;
use postfold::{Command, EntryKind, HoldFilter, HoldState, Outcome, Side, Void};
use postfold_proptests::History;
use postfold_proptests::strategy::{Mix, history};
use rust_decimal::Decimal;

use crate::support::{Book, Broken, Store};
use crate::{law, same};

/// Mostly holds, and what becomes of them.
fn mix() -> Mix {
    Mix { holds: 40, odd_amounts: 0, unknown: 0, unbalanced: 0, openings: 0, ..Mix::default() }
}

/// Sums of debit less credit by account and currency.
type Sums = BTreeMap<(String, String), Decimal>;

law!(what_a_hold_reserves_is_settled_released_or_left, history(&mix(), 0..30));

/// Each leg of a hold is settled, released or left, at any time. When every hold has ended, nothing is pending, and
/// what is posted are the entries and the settles.
async fn what_a_hold_reserves_is_settled_released_or_left(store: Store, history: History) -> Result<(), Broken> {
    let book = store.book().await;
    history.send_together(&book.ledger, &book.clock).await?;
    every_hold_is_conserved(&book).await?;
    end_all(&book).await?;
    every_hold_is_conserved(&book).await?;
    let posted = posted(&book).await?;
    for balance in book.balances().await? {
        same!(balance.pending_in + balance.pending_out, Decimal::ZERO, "what is pending of {}", balance.account);
        let sign = if balance.normal == Side::Debit { Decimal::ONE } else { Decimal::NEGATIVE_ONE };
        let name = (balance.account.to_string(), balance.currency.to_string());
        let entries = posted.get(&name).copied().unwrap_or_default();
        same!(balance.posted * sign, entries, "what is posted of {}", balance.account);
    }
    Ok(())
}

async fn every_hold_is_conserved(book: &Book) -> Result<(), Broken> {
    let holds: Vec<_> = book.ledger.log().holds(HoldFilter::all()).try_collect().await?;
    for hold in holds {
        let hold = book.ledger.log().entry(&hold.id).await?;
        let state = hold.state.expect("the state of a hold");
        let mut left = Sums::new();
        add(&mut left, &hold.legs, Decimal::ONE);
        for settle in &state.settles {
            let settle = book.ledger.log().entry(settle).await?;
            add(&mut left, &settle.legs, Decimal::NEGATIVE_ONE);
            add(&mut left, &settle.released, Decimal::NEGATIVE_ONE);
        }
        let mut answered = Sums::new();
        add(&mut answered, &state.left, Decimal::ONE);
        if matches!(state.state, HoldState::Open | HoldState::Settled) {
            left.retain(|_, left| !left.is_zero());
            same!(answered, left, "what is left of {}, which is {:?}", hold.id, state.state);
        }
        same!(state.state == HoldState::Open, !answered.is_empty(), "whether {} is open", hold.id);
    }
    Ok(())
}

/// Voids what can be voided, and lets the rest expire.
async fn end_all(book: &Book) -> Result<(), Broken> {
    let open: Vec<_> = book.ledger.log().holds(HoldFilter::all().open()).try_collect().await?;
    for hold in &open {
        let outcome = book.ledger.submit(Void::new(format!("end-{}", hold.id), &hold.id).into()).await?;
        let overdue = hold.state.as_ref().is_some_and(|state| state.overdue);
        // The clock stands where the history ended; the head's time may be before it.
        same!(outcome.is_ok() || overdue || hold_is_due(book, hold), true, "whether {} can be voided", hold.id);
    }
    let outcome = book.ledger.submit(Command::expire_due()).await?;
    same!(matches!(outcome, Outcome::Ok(_)), true, "whether holds expire");
    Ok(())
}

fn hold_is_due(book: &Book, hold: &postfold::EntryView) -> bool {
    let expires_at = hold.state.as_ref().and_then(|state| state.expires_at);
    expires_at.is_some_and(|time| time <= postfold::Clock::now(&*book.clock))
}

/// What all entries posted: told by the ids of those that were done.
async fn posted(book: &Book) -> Result<Sums, Broken> {
    let mut sums = Sums::new();
    for event in book.events().await? {
        let Some(id) = &event.id else { continue };
        match book.ledger.log().entry(id).await {
            Ok(entry) if entry.kind != EntryKind::Hold => add(&mut sums, &entry.legs, Decimal::ONE),
            _ => {}
        }
    }
    Ok(sums)
}

fn add(sums: &mut Sums, legs: &[PostedLeg], sign: Decimal) {
    for leg in legs {
        let debit = if leg.amount.side() == Side::Debit { leg.amount.amount() } else { -leg.amount.amount() };
        *sums.entry((leg.account.clone(), leg.currency.clone())).or_default() += sign * debit;
    }
}
