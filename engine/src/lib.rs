//! Postfold: an embeddable, event-sourced, double-entry ledger engine on PostgreSQL.
//!
//! Money movements and entity changes are **posted** to an append-only log, the single source of truth;
//! projections **fold** that log into read models (crate `postfold-projections`).
//!
//! ```text
//! command -> decide (pure) -> append (one commit) -> log -> projector (pure fold) -> read model
//! ```
//!
//! [`Ledger`] is what an application holds; [`Log`] is its read half. [`Command`] lists what may be asked,
//! [`Outcome`] what is answered.

pub mod account;
pub mod aggregate;
mod clock;
pub mod command;
pub mod conformance;
mod decide;
mod draft;
mod error;
pub mod event;
mod fold;
pub mod hash;
mod ledger;
mod log;
mod money;
pub mod observe;
mod outcome;
mod position;
mod query;
mod settings;
#[cfg(feature = "simulation")]
pub mod simulation;
mod state;
mod store;
mod verify;
mod writer;

pub use account::{AccountType, Limits, Side};
pub use aggregate::{Aggregate, ExecuteError};
pub use clock::{Clock, ManualClock, SystemClock};
pub use command::{Account, Batch, Change, Command, Currency, Data, Entry, Hold, Leg, Settle, Transfer, Void};
pub use error::Error;
pub use event::{Envelope, Event, Payload, PayloadError};
pub use hash::Hash;
pub use jiff::Timestamp;
pub use ledger::{Ledger, LedgerBuilder};
pub use log::Log;
pub use observe::describe_metrics;
pub use outcome::{Conflict, Invalid, Outcome, Receipt, Refusal, Rejection, Rule};
pub use position::Position;
pub use query::{
    AsOf, Balance, BalanceSheet, BalanceSheetIn, Counts, EntryKind, EntryView, EventFilter, HoldFilter, HoldState,
    HoldView, IncomeStatement, IncomeStatementIn, Revision, Section, SectionLine, Statement, StatementLine,
    StatementQuery, Summary, TreeBalance, TrialBalance, TrialBalanceIn, TrialLine,
};
pub use settings::Settings;
pub use state::Head;
pub use store::postgres::{
    Connection, Examination, PostgresSettings, SchemaFacts, SchemaTrouble, examine, init, reach,
};
pub use verify::{Problem, Progress, Report, verify, verify_between};

/// Reads a time as the contract writes it: RFC 3339 with an offset, at most 6 fractional digits.
///
/// # Errors
///
/// What the text lacks.
pub fn parse_time(text: &str) -> Result<Timestamp, &'static str> {
    command::parse_time(text)
}

/// The code of the README compiles.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
