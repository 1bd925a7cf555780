//! Models with everything a projector has to get right: documents that change, that go and come again, and rows.

use postfold_projections::{Added, Change, FoldError, Keys, Projection, ReadEvent, RowProjection};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::bank::to_cents;

/// What each account has, and how many legs it took.
pub(super) struct Sums;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Sum {
    cents: i64,
    legs: i64,
}

impl Projection for Sums {
    type Document = Sum;
    const NAME: &'static str = "sums";
    const VERSION: u32 = 1;

    fn keys(event: &ReadEvent) -> Result<Keys, FoldError> {
        Ok(event.payload()?.movements().map(|moved| moved.leg.account.clone()).collect())
    }

    fn fold(sum: Option<&Sum>, account: &str, event: &ReadEvent) -> Result<Change<Sum>, FoldError> {
        let mut sum = sum.cloned().unwrap_or(Sum { cents: 0, legs: 0 });
        for moved in event.moves_of(account, "EUR")? {
            sum.cents += cents(moved.side, moved.posted)?;
            sum.legs += 1;
        }
        Ok(Change::Put(sum))
    }
}

/// Cards, which go and come again.
pub(super) struct Cards;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Card {
    changes: i64,
    last: i64,
}

impl Projection for Cards {
    type Document = Card;
    const NAME: &'static str = "cards";
    const VERSION: u32 = 1;

    fn keys(event: &ReadEvent) -> Result<Keys, FoldError> {
        Ok(event.entity().map_or_else(Keys::none, Keys::one))
    }

    fn fold(card: Option<&Card>, _key: &str, event: &ReadEvent) -> Result<Change<Card>, FoldError> {
        if event.kind == "card.gone" {
            return Ok(Change::Delete);
        }
        let changes = card.map_or(0, |card| card.changes) + 1;
        Ok(Change::Put(Card { changes, last: event.position.get() }))
    }
}

/// A row for every leg, with the balance of its account after it.
pub(super) struct Trail;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Step {
    account: String,
    balance: i64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Carried {
    balance: i64,
}

impl RowProjection for Trail {
    type Row = Step;
    type Carry = Carried;
    const NAME: &'static str = "trail";
    const VERSION: u32 = 1;

    fn keys(event: &ReadEvent) -> Result<Keys, FoldError> {
        Sums::keys(event)
    }

    fn fold(carried: Option<&Carried>, account: &str, event: &ReadEvent) -> Result<Added<Carried, Step>, FoldError> {
        let (mut balance, mut rows) = (carried.map_or(0, |carried| carried.balance), Vec::new());
        for moved in event.moves_of(account, "EUR")? {
            balance += cents(moved.side, moved.posted)?;
            let ordinal = u32::try_from(moved.leg).unwrap_or(u32::MAX);
            rows.push((ordinal, Step { account: account.to_owned(), balance }));
        }
        Ok(Added { carry: Change::Put(Carried { balance }), rows })
    }
}

/// On the credit side, in cents.
fn cents(side: postfold::Side, amount: Decimal) -> Result<i64, FoldError> {
    let cents = to_cents(amount).map_err(FoldError::new)?;
    Ok(if side == postfold::Side::Credit { cents } else { -cents })
}
