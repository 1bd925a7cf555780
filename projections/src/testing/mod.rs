//! For tests of projections: a log to write by hand, and given / when / then.
//!
//! What is here panics where a test should fail.

mod log;
mod scenario;

pub use log::EventLog;
pub use scenario::{RowScenario, Scenario};
