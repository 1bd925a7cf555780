//! Hazard: the money of one order pays for another. The escrow always holds what was paid for the orders that have not
//! ended, whatever is done in which order, interrupted where it may be, and tried again.

use std::collections::{BTreeMap, BTreeSet};

use checked_flow::{ESCROW, Market, MarketError, Planted};
use postfold::{Ledger, Receipt};
use postfold_proptests::flow::{BrokenFlow, Fault, Flow, check_flow};
use proptest::prelude::*;
use rust_decimal::Decimal;

/// What buyers and sellers may ask for.
#[derive(Clone, Debug)]
enum Step {
    Pay { order: u8, euros: u8 },
    Release { order: u8 },
    Refund { order: u8 },
}

fn step() -> impl Strategy<Value = Step> {
    let order = 0..4_u8;
    prop_oneof![
        (order.clone(), 1..100_u8).prop_map(|(order, euros)| Step::Pay { order, euros }),
        order.clone().prop_map(|order| Step::Release { order }),
        order.prop_map(|order| Step::Refund { order }),
    ]
}

/// The marketplace, and what its users were told.
struct Orders {
    market: Market,
    paid: BTreeMap<u8, u8>,
    ended: BTreeSet<u8>,
}

impl Flow for Orders {
    type Step = Step;

    fn ledger(&self) -> &Ledger {
        self.market.ledger()
    }

    async fn step(&mut self, step: &Step) -> Result<(), Fault> {
        match step {
            Step::Pay { order, euros } => {
                let paid = self.market.pay(&order.to_string(), "ann", Decimal::from(*euros)).await;
                if told(paid)? {
                    self.paid.insert(*order, *euros);
                }
            }
            Step::Release { order } => {
                if told(self.market.release(&order.to_string()).await)? {
                    self.ended.insert(*order);
                }
            }
            Step::Refund { order } => {
                if told(self.market.refund(&order.to_string()).await)? {
                    self.ended.insert(*order);
                }
            }
        }
        Ok(())
    }

    async fn check(&self) -> Result<(), Fault> {
        let open = self.paid.iter().filter(|(order, _)| !self.ended.contains(order));
        let due: Decimal = open.map(|(_, euros)| Decimal::from(*euros)).sum();
        let escrow = self.ledger().balance(ESCROW).await?.posted;
        if escrow == due { Ok(()) } else { Err(format!("the escrow holds {escrow} for orders of {due}").into()) }
    }
}

/// Whether it was done; a refusal is no fault.
fn told(answer: Result<Receipt, MarketError>) -> Result<bool, Fault> {
    match answer {
        Ok(_) => Ok(true),
        Err(MarketError::Ended | MarketError::NotPaid) => Ok(false),
        Err(error @ MarketError::Ledger(_)) => Err(error.into()),
    }
}

fn check(planted: Planted) -> Result<(), BrokenFlow<Step>> {
    check_flow(step(), 0..20, async || {
        let market = Market::open(Ledger::in_memory()).await?.planted(planted);
        market.welcome("ann").await?;
        Ok(Orders { market, paid: BTreeMap::new(), ended: BTreeSet::new() })
    })
}

#[test]
fn the_escrow_holds_what_was_paid_for_orders_that_have_not_ended() {
    check(Planted::Nothing).unwrap_or_else(|broken| panic!("{broken}"));
}

#[test]
fn ends_in_a_table_are_found_by_a_payment_and_an_end_that_is_interrupted() {
    let broken = check(Planted::EndsInATable).expect_err("the bug is found");
    println!("{broken}");
    assert!(broken.steps.len() <= 3, "{broken}");
    assert!(broken.steps.iter().any(|tried| tried.interrupted.is_some()), "{broken}");
}

#[test]
fn an_id_for_each_end_is_found_by_two_payments_a_release_and_a_refund() {
    let broken = check(Planted::AnIdForEachEnd).expect_err("the bug is found");
    println!("{broken}");
    assert!(broken.steps.len() <= 4, "{broken}");
    assert!(broken.steps.iter().all(|tried| tried.interrupted.is_none()), "{broken}");
}
