//! Everything that parses, on texts that are nearly right: no panic, no unbounded memory, and what is read means the same
//! however it was said.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test ends at the first thing that goes wrong")]

mod commands;
mod cursors;
mod hashes;
mod imports;
mod memory;
mod payloads;
mod times;

use std::sync::Arc;

use postfold::{Command, Ledger, ManualClock, Outcome};
use serde_json::Value;

/// A ledger in memory whose clock stands still.
fn ledger() -> Ledger {
    let clock = ManualClock::new("2025-03-01T12:00:00Z".parse().unwrap());
    Ledger::builder().clock(Arc::new(clock)).in_memory()
}

/// What a ledger answers to a command that was read, or not.
async fn send(ledger: &Ledger, read: Result<Command, postfold::Invalid>) -> Value {
    let outcome = match read {
        Ok(command) => ledger.submit(command).await.expect("infrastructure"),
        Err(invalid) => Outcome::Invalid(invalid),
    };
    serde_json::to_value(outcome).unwrap()
}

/// Accounts that the corpus speaks of.
async fn open(ledger: &Ledger) {
    for (account, kind) in
        [("till", "asset"), ("sales", "income"), ("wallet:1", "liability"), ("wallet:2", "liability")]
    {
        let open = format!(r#"{{"do":"open_account","account":"{account}","currency":"EUR","type":"{kind}"}}"#);
        assert!(send(ledger, Command::from_json(&open)).await.get("ok").is_some(), "{open}");
    }
}

/// What runs a ledger on this thread, whenever something is waited for.
fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
}
