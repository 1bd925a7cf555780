//! A read model of one's own: the loyalty points of a shop's customers.
//!
//! A customer pays from `wallet:<name>` to `sales:<shop>` and gets a point for every whole euro spent; a
//! reversal takes them back. A change `points.granted` of the entity `customer/<name>` gives some for nothing.

use postfold::event::SideAmount;
use postfold_projections::{Change, FoldError, Index, Keys, OnPoison, Projection, ReadEvent, money};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use serde::{Deserialize, Serialize};

/// The kind of the change that grants points.
const GRANTED: &str = "points.granted";

/// One document per customer: the collection `loyalty`, with the customer's name as `_id`.
pub struct Loyalty;

/// A document of [`Loyalty`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Customer {
    /// One for every whole euro spent, and those granted.
    pub points: i64,
    /// Euros spent in all, less what was reversed.
    #[serde(with = "money::decimal")]
    pub spent: Decimal,
    /// Points given for nothing.
    pub granted: i64,
}

/// The data of [`GRANTED`].
#[derive(Deserialize)]
struct Granted {
    points: i64,
}

impl Projection for Loyalty {
    type Document = Customer;
    const NAME: &'static str = "loyalty";
    const VERSION: u32 = 1;
    // One customer's trouble is no reason to keep the others waiting.
    const ON_POISON: OnPoison = OnPoison::Park;

    fn indexes() -> Vec<Index> {
        vec![Index::descending(["points"])]
    }

    fn keys(event: &ReadEvent) -> Result<Keys, FoldError> {
        if event.kind == GRANTED {
            let customer = event.entity().and_then(|entity| entity.strip_prefix("customer/"));
            return Ok(customer.map_or_else(Keys::none, Keys::one));
        }
        Ok(purchases(event)?.into_iter().map(|(customer, _)| customer.to_owned()).collect())
    }

    fn fold(document: Option<&Customer>, key: &str, event: &ReadEvent) -> Result<Change<Customer>, FoldError> {
        let Customer { mut spent, mut granted, .. } = document.cloned().unwrap_or_default();
        if event.kind == GRANTED {
            let Granted { points } = event.change()?;
            granted = granted.checked_add(points).ok_or_else(too_many)?;
        }
        for (_, amount) in purchases(event)?.into_iter().filter(|(customer, _)| *customer == key) {
            spent = spent.checked_add(amount).ok_or_else(too_many)?;
        }
        let points = spent.trunc().to_i64().and_then(|euros| euros.checked_add(granted)).ok_or_else(too_many)?;
        Ok(Change::Put(Customer { points, spent, granted }))
    }
}

/// Who spent how much; below zero where it is taken back. A wallet is what the shop owes: a debit is spent.
fn purchases(event: &ReadEvent) -> Result<Vec<(&str, Decimal)>, FoldError> {
    let payload = event.payload()?;
    let is_sale = payload.movements().any(|moved| moved.leg.account.starts_with("sales:"));
    let in_euros = payload.movements().filter(|moved| is_sale && moved.leg.currency == "EUR");
    let spent = in_euros.filter_map(|moved| {
        let customer = moved.leg.account.strip_prefix("wallet:")?;
        Some(match moved.leg.amount {
            SideAmount::Debit(_) => (customer, moved.posted),
            SideAmount::Credit(_) => (customer, -moved.posted),
        })
    });
    Ok(spent.collect())
}

fn too_many() -> FoldError {
    FoldError::new("more points than can be counted")
}

#[cfg(test)]
mod tests {
    use postfold_projections::testing::{EventLog, Scenario};
    use rust_decimal::dec;

    use super::*;

    fn buys(log: &EventLog, euros: Decimal) {
        log.post("wallet:ann", "sales:books", "EUR", euros);
    }

    #[test]
    fn a_point_is_given_for_every_whole_euro_of_all_purchases_together() {
        let ann = Customer { points: 20, spent: dec!(20.40), granted: 0 };
        Scenario::<Loyalty>::new()
            .given(|log| buys(log, dec!(12.90)))
            .when(|log| buys(log, dec!(7.50)))
            .then_touches(&["ann"])
            .then_is("ann", &ann)
            .then_none("bob");
    }

    #[test]
    fn a_reversal_takes_the_points_back_and_what_was_granted_stays() {
        Scenario::<Loyalty>::new()
            .given(|log| {
                log.change("customer/ann", GRANTED, r#"{"points": 50}"#);
                buys(log, dec!(99));
            })
            .when(|log| drop(log.post("sales:books", "wallet:ann", "EUR", dec!(99))))
            .then("ann", |ann| assert_eq!((ann.points, ann.spent), (50, dec!(0))));
    }

    #[test]
    fn nothing_else_gives_points() {
        Scenario::<Loyalty>::new()
            .when(|log| {
                log.post("assets:bank", "wallet:ann", "EUR", dec!(100));
                log.post("wallet:ann", "sales:books", "USD", dec!(10));
                log.change("customer/ann", "customer.renamed", r#"{"name": "Ann"}"#);
            })
            .then_touches(&[]);
    }

    #[test]
    fn points_that_are_no_number_are_refused_with_the_reason() {
        Scenario::<Loyalty>::new()
            .when(|log| drop(log.change("customer/ann", GRANTED, r#"{"points": "many"}"#)))
            .then_refuses(|error| assert!(error.to_string().contains("the data of points.granted"), "{error}"));
    }
}
