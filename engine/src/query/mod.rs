//! Answers from the log itself, strongly consistent.
//!
//! Every query is exact while others write: it finds the position that it is as of first, and all its
//! look-ups go up to that position; rows are only ever added.

mod as_of;
mod balances;
mod cursor;
mod entry;
mod events;
mod holds;
mod matching;
mod statement;
mod summary;

pub use as_of::AsOf;
pub use balances::Balance;
pub use entry::{EntryKind, EntryView, HoldState, HoldView};
pub use events::EventFilter;
pub use holds::HoldFilter;
pub use statement::{Statement, StatementLine, StatementQuery};
pub use summary::{Counts, Summary};
