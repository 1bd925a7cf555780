//! Property tests for what is built on a Postfold ledger.
//!
//! - [`flow`]: your own flows and aggregates, run on generated steps, interrupted at any command and tried again;
//! - [`strategy`]: accounts, entries, holds, changes of entities, batches and whole histories, good and bad, which
//!   meet each other and shrink well; a [`strategy::Mix`] weights them;
//! - [`history`]: commands in order, with the time that passes between them; sent to a ledger, or printed as JSON Lines;
//! - [`model`]: an independent reference model of the contract, which shares no code with the engine's rules and says
//!   what every command has to be answered;
//! - [`invariant`]: what must hold on any ledger at any time, and one call that checks all of it on a live one.
//!
//! How many cases a test tries, and from which seed, is proptest's to say: `PROPTEST_CASES`, `PROPTEST_RNG_SEED`.
//!
//! A ledger in PostgreSQL is tested as one in memory is: open it with a [`ManualClock`](postfold::ManualClock) and
//! send the history.
//!
//! ```
//! use std::sync::Arc;
//!
//! use postfold::{Ledger, ManualClock};
//! use postfold_proptests::model::{Expected, Model};
//! use postfold_proptests::strategy::{self, Mix};
//! use postfold_proptests::{History, history, invariant};
//! use proptest::test_runner::{Config, TestCaseError, TestRunner};
//!
//! async fn answers_as_the_model_does(history: &History) -> Result<(), TestCaseError> {
//!     let fail = |error: postfold::Error| TestCaseError::fail(error.to_string());
//!     let clock = Arc::new(ManualClock::new(history::start()));
//!     let ledger = Ledger::builder().clock(clock.clone()).in_memory();
//!     let mut model = Model::new();
//!     for answered in history.send(&ledger, &clock).await.map_err(fail)? {
//!         model.set_clock(answered.clock);
//!         proptest::prop_assert_eq!(Expected::from(&answered.outcome), model.apply(answered.command));
//!     }
//!     let checked = invariant::check_all(ledger.log()).await.map_err(fail)?;
//!     proptest::prop_assert!(checked.is_whole(), "{checked}");
//!     Ok(())
//! }
//!
//! let runtime = tokio::runtime::Builder::new_current_thread().build()?;
//! let mut runner = TestRunner::new(Config { cases: 10, ..Config::default() });
//! let histories = strategy::history(&Mix::default(), 0..20);
//! runner.run(&histories, |history| runtime.block_on(answers_as_the_model_does(&history)))?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod flow;
pub mod history;
pub mod invariant;
pub mod model;
pub mod strategy;

pub use flow::{Flow, check_flow};
pub use history::{History, Step};
