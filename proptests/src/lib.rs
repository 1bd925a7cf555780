//! Property tests for flows on a Postfold ledger.
//!
//! - [`strategy`]: histories of commands, valid and invalid, that shrink well;
//! - [`model`]: an independent reference model, which shares no code with the engine's rules;
//! - [`invariant`]: what must hold on any ledger at any time, as functions.
//!
//! ```
//! use postfold::{Account, Entry, Ledger};
//! use rust_decimal::dec;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let ledger = Ledger::in_memory();
//! ledger.open(Account::asset("till", "EUR")).await?;
//! ledger.open(Account::income("sales", "EUR")).await?;
//! ledger.post(Entry::new("sale-1").debit("till", dec!(5)).credit("sales", dec!(5))).await?;
//!
//! postfold_proptests::invariant::check_all(ledger.log()).await?;
//! # Ok(())
//! # }
//! ```

pub mod invariant;
pub mod model;
pub mod strategy;
