//! Answers from the log itself, strongly consistent.
//!
//! Every query is exact while others write: it finds the position that it is as of first, and all its
//! look-ups go up to that position; rows are only ever added.

mod as_of;
mod balances;
mod cursor;
mod entry;
mod events;
mod history;
mod holds;
mod matching;
mod reports;
mod statement;
mod summary;
mod tree;

pub use as_of::AsOf;
pub use balances::Balance;
pub use entry::{EntryKind, EntryView, HoldState, HoldView};
pub use events::EventFilter;
pub use history::Revision;
pub use holds::HoldFilter;
pub use reports::{
    BalanceSheet, BalanceSheetIn, IncomeStatement, IncomeStatementIn, Section, SectionLine, TrialBalance,
    TrialBalanceIn, TrialLine,
};
pub use statement::{Statement, StatementLine, StatementQuery};
pub use summary::{Counts, Summary};
pub use tree::TreeBalance;

use jiff::Timestamp;

use crate::error::Error;
use crate::outcome::Invalid;

/// Refuses a span of effective time that ends before it begins, or that is said twice.
fn check_span(from: Option<Timestamp>, to: Option<Timestamp>, as_of: AsOf) -> Result<(), Error> {
    let refused = |field: &str, value: Timestamp, message| {
        Err(Error::Query(Invalid::new(field, Some(value.to_string()), message)))
    };
    if let Some(time) = as_of.effective_at() {
        return refused("effective_at", time, "the effective time at which this ends is said with `to`".to_owned());
    }
    match (from, to) {
        (Some(from), Some(to)) if from > to => {
            refused("to", to, format!("it ends at {to}, before it begins at {from}"))
        }
        _ => Ok(()),
    }
}
