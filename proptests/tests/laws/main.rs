//! The laws of the ledger, each on both stores.
//!
//! In `make test` each runs as many cases as a few seconds hold; `make laws CASES=5000` runs more of each.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test ends at the first thing that goes wrong")]

mod batch;
mod export;
mod folds;
mod holds;
mod model;
mod order;
mod replay;
mod retry;
mod reversal;
mod statements;
mod support;
