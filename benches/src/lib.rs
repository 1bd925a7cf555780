//! The canonical workload of Postfold, and what it is measured against: what `postfold bench` runs.
//!
//! Every rate stands beside a limit that was measured in the same minutes on the same server: see
//! [`Row`]. All of it happens in a schema of its own, which is dropped at the end; nobody's ledger is
//! touched.
//!
//! | file | job |
//! |---|---|
//! | `row` | the rows of the table: work, what it is compared with, goal |
//! | `bench` | runs them in turns, takes the median run |
//! | `figure` | one row's result |
//! | `scratch` | the schema and its ledger |
//! | `growth` | posting and asking while the log grows |
//! | `load` | callers that post |
//! | `limit` | the same rows by `COPY`, with nothing checked |
//! | `single` | the same rows one by one, by a statement by hand |
//! | `processes` | several processes on one ledger |
//! | `program`, `file` | the command as a process, its memory, and what it applies |
//! | `models` | read models kept up, rebuilt and verified, and the bare driver's share of that |
//! | `pages` | a log read and decoded, nothing more |
//!
//! The pure parts have criterion benches: `cargo bench -p postfold-benches`.

mod bench;
mod error;
mod figure;
mod file;
mod growth;
mod limit;
mod load;
mod models;
mod pages;
mod processes;
mod program;
mod row;
mod scratch;
mod single;

pub use bench::{Bench, Sizes, Step};
pub use error::BenchError;
pub use figure::{Figure, More};
pub use growth::{Quantiles, Station};
pub use processes::Worker;
pub use program::Program;
pub use row::Row;
