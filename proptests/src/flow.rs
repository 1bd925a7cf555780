//! Tests of an embedder's own flows and aggregates.
//!
//! A flow is code that posts to a ledger: a payout, a subscription, a hold that is captured later. [`check_flow`]
//! generates steps of it, runs them on a new ledger, and interrupts some on the way, after any command, as a crash or a
//! lost connection would; the step is then tried again, as its caller would. After each step the flow says what must
//! hold ([`Flow::check`]), and at the end every [invariant](crate::invariant) of the ledger is checked. What fails is
//! shrunk to the fewest steps that show it.
//!
//! ```
//! use postfold::{Account, Ledger, Transfer};
//! use postfold_proptests::flow::{Fault, Flow, check_flow};
//! use proptest::prelude::*;
//! use rust_decimal::Decimal;
//!
//! struct Wallet {
//!     ledger: Ledger,
//!     spent: std::collections::BTreeMap<u8, u8>,
//! }
//!
//! impl Flow for Wallet {
//!     /// An order, and what it costs.
//!     type Step = (u8, u8);
//!
//!     fn ledger(&self) -> &Ledger {
//!         &self.ledger
//!     }
//!
//!     async fn step(&mut self, (order, euros): &(u8, u8)) -> Result<(), Fault> {
//!         let pay = Transfer::between(format!("order-{order}"), "wallet", "shop", Decimal::from(*euros));
//!         // A refusal is no fault of the flow.
//!         if self.ledger.submit(pay.into()).await?.is_ok() {
//!             self.spent.insert(*order, *euros);
//!         }
//!         Ok(())
//!     }
//!
//!     async fn check(&self) -> Result<(), Fault> {
//!         let spent: u32 = self.spent.values().map(|euros| u32::from(*euros)).sum();
//!         let shop = self.ledger.balance("shop").await?.posted;
//!         if shop == Decimal::from(spent) { Ok(()) } else { Err(format!("the shop has {shop}, not {spent}").into()) }
//!     }
//! }
//!
//! let orders = (0..5_u8, 1..50_u8);
//! check_flow(orders, 0..10, async || {
//!     let ledger = Ledger::in_memory();
//!     ledger.open(Account::asset("till", "EUR")).await?;
//!     ledger.open(Account::liability("wallet", "EUR").floor(Decimal::ZERO)).await?;
//!     ledger.open(Account::liability("shop", "EUR")).await?;
//!     ledger.transfer(Transfer::sides("top-up", "till", "wallet", Decimal::from(100))).await?;
//!     Ok(Wallet { ledger, spent: Default::default() })
//! })?;
//! # Ok::<(), postfold_proptests::flow::BrokenFlow<(u8, u8)>>(())
//! ```
//!
//! An [aggregate](postfold::aggregate) is tested the same way: a step sends it a command with
//! [`execute_on`](postfold::Ledger::execute_on) under an id that follows from the step, and `check` looks at its fold.
//! `examples/checked-flow` finds two bugs in a marketplace; `examples/course-desk` tests an aggregate.

use std::fmt;
use std::future::{Future, poll_fn};
use std::ops::Range;
use std::pin::pin;
use std::task::Poll;

use postfold::Ledger;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestError, TestRunner};

use crate::invariant;

/// Most commands of a step that are waited for before it is interrupted.
const WAITS_MAX: u8 = 6;

/// Why a flow is wrong: any error, or a text.
pub type Fault = Box<dyn std::error::Error>;

/// Code of an embedder's that posts to a ledger, as a test drives it.
pub trait Flow {
    /// What may be done.
    type Step: Clone + fmt::Debug;

    /// The ledger that it posts to.
    fn ledger(&self) -> &Ledger;

    /// Does a step. It may be dropped while it waits for the ledger, and is then asked to do the same step again.
    ///
    /// # Errors
    ///
    /// What must not happen; a refusal that may is none.
    fn step(&mut self, step: &Self::Step) -> impl Future<Output = Result<(), Fault>>;

    /// Looks at what must hold after every step.
    ///
    /// # Errors
    ///
    /// What does not.
    fn check(&self) -> impl Future<Output = Result<(), Fault>>;
}

/// A step as it was tried.
#[derive(Clone, PartialEq, Eq)]
pub struct Tried<S> {
    /// What was done.
    pub step: S,
    /// The answer for which it was no longer waited (0: the first): interrupted there, and then done again. A step with
    /// fewer commands was done twice.
    pub interrupted: Option<u8>,
}

/// The fewest steps that were found to break a flow, and how.
#[derive(Clone, Debug)]
pub struct BrokenFlow<S> {
    /// The steps, in order.
    pub steps: Vec<Tried<S>>,
    /// What went wrong.
    pub why: String,
}

/// Checks a flow on so many generated steps, a quarter of them interrupted and done again; as many cases as
/// `PROPTEST_CASES` says, by default 256. `start` sets up a new ledger and the flow on it.
///
/// # Errors
///
/// [`BrokenFlow`] with the steps that break it.
pub fn check_flow<F: Flow>(
    step: impl Strategy<Value = F::Step>,
    steps: Range<usize>,
    start: impl AsyncFn() -> Result<F, Fault>,
) -> Result<(), BrokenFlow<F::Step>> {
    // The steps are in the error, shrunk: no seeds are kept.
    check_flow_with(Config { failure_persistence: None, ..Config::default() }, step, steps, start)
}

/// The same with proptest's settings: how many cases, from which seed, how long to shrink.
///
/// # Errors
///
/// As [`check_flow`].
pub fn check_flow_with<F: Flow>(
    config: Config,
    step: impl Strategy<Value = F::Step>,
    steps: Range<usize>,
    start: impl AsyncFn() -> Result<F, Fault>,
) -> Result<(), BrokenFlow<F::Step>> {
    let broken = |why: String, steps| Err(BrokenFlow { steps, why });
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return broken(error.to_string(), Vec::new()),
    };
    let interrupted = prop::option::weighted(0.25, 0..WAITS_MAX);
    let tried = (step, interrupted).prop_map(|(step, interrupted)| Tried { step, interrupted });
    let outcome = TestRunner::new(config).run(&vec(tried, steps), |steps| {
        runtime.block_on(run(&steps, &start)).map_err(|fault| TestCaseError::fail(fault.to_string()))
    });
    match outcome {
        Ok(()) => Ok(()),
        Err(TestError::Fail(why, steps)) => broken(why.to_string(), steps),
        Err(TestError::Abort(why)) => broken(why.to_string(), Vec::new()),
    }
}

async fn run<F: Flow>(steps: &[Tried<F::Step>], start: &impl AsyncFn() -> Result<F, Fault>) -> Result<(), Fault> {
    let mut flow = start().await?;
    for Tried { step, interrupted } in steps {
        if let Some(waits) = interrupted {
            cut(flow.step(step), *waits).await.unwrap_or(Ok(()))?;
        }
        flow.step(step).await?;
        flow.check().await?;
    }
    let checked = invariant::check_all(flow.ledger().log()).await?;
    if checked.is_whole() { Ok(()) } else { Err(checked.to_string().into()) }
}

/// Lets a future wait so many times, and drops it when it waits once more.
async fn cut<T>(future: impl Future<Output = T>, mut waits: u8) -> Option<T> {
    let mut future = pin!(future);
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(value) => Poll::Ready(Some(value)),
        Poll::Pending => match waits.checked_sub(1) {
            None => Poll::Ready(None),
            Some(left) => {
                waits = left;
                Poll::Pending
            }
        },
    })
    .await
}

impl<S: fmt::Debug> fmt::Debug for Tried<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.step.fmt(f)?;
        match self.interrupted {
            None => Ok(()),
            Some(waits) => write!(f, ", interrupted after {waits} answers, and again"),
        }
    }
}

impl<S: fmt::Debug> fmt::Display for BrokenFlow<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\nafter these steps:", self.why)?;
        self.steps.iter().enumerate().try_for_each(|(number, step)| write!(f, "\n  {}. {step:?}", number + 1))
    }
}

impl<S: fmt::Debug> std::error::Error for BrokenFlow<S> {}
