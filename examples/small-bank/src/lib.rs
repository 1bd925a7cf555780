//! The demonstration of Postfold: a small bank, made up from a seed, and the books it must end with.
//!
//! This library is the pure half. [`bank::Bank`] writes a year of commands as JSON Lines and keeps its own simple
//! books beside them, so it can say what the ledger must answer to each command and what every balance must be at the
//! end. The binary beside it feeds those commands to the real `postfold` and compares.
//!
//! ```
//! use small_bank::bank::Bank;
//!
//! let mut bank = Bank::new(7, 20);
//! let script = bank.year();
//! assert!(script.text.starts_with(r#"{"clock":"2025-01-01T06:00:00Z"}"#));
//! assert_eq!(bank.balances()["equity:capital"].1, 500_000_000);
//! ```

pub mod amount;
pub mod bank;
pub mod book;
mod command;
pub mod expectation;
pub mod outcome;
mod people;
pub mod preferences;
pub mod script;
