//! What a ledger promises, as checks that run on any set-up: your own PostgreSQL, managed, pooled or
//! distributed, with the versions and settings that you will use.
//!
//! Each case is one promise; it creates ledgers of its own through a [`Fixture`] and opens several writers
//! on each. What is found is in the [`Report`], by the promise that is not kept.
//!
//! ```no_run
//! use postfold::conformance::{self, Fixture};
//! use postfold::{Error, Ledger, PostgresSettings};
//!
//! struct OurDatabase;
//!
//! impl Fixture for OurDatabase {
//!     async fn create(&self, name: &str) -> Result<(), Error> {
//!         postfold::init("postgres://...", name, &PostgresSettings::default(), true).await.map(drop)
//!     }
//!
//!     async fn open(&self, name: &str) -> Result<Ledger, Error> {
//!         Ledger::connect("postgres://...", name).await
//!     }
//! }
//!
//! # async fn test() {
//! let report = conformance::run(&OurDatabase).await;
//! assert!(report.is_clean(), "{report}");
//! # }
//! ```

mod cases;
#[cfg(test)]
mod tests;

use std::fmt;
use std::time::Duration;

use crate::error::Error;
use crate::ledger::Ledger;

/// How long one case may take; a set-up that hangs is told so.
const CASE_TIMEOUT: Duration = Duration::from_mins(1);

/// Where the cases find their ledgers.
pub trait Fixture: Sync {
    /// Creates an empty ledger of this name.
    ///
    /// Names begin with `conformance-` and a number that no two runs share, as far as clocks tell them
    /// apart; what is created stays there.
    fn create(&self, name: &str) -> impl Future<Output = Result<(), Error>> + Send;

    /// Opens one more writer on a ledger that was created.
    fn open(&self, name: &str) -> impl Future<Output = Result<Ledger, Error>> + Send;
}

/// What was found.
#[derive(Clone, Debug)]
pub struct Report {
    /// Every case that was run, in order.
    pub cases: Vec<Case>,
}

/// One promise.
#[derive(Clone, Debug)]
pub struct Case {
    /// The promise, a sentence.
    pub name: &'static str,
    /// What was seen instead; `None`: it was kept.
    pub failure: Option<String>,
}

impl Report {
    /// Whether every promise was kept.
    pub fn is_clean(&self) -> bool {
        self.failures().next().is_none()
    }

    /// The promises that were not kept.
    pub fn failures(&self) -> impl Iterator<Item = &Case> {
        self.cases.iter().filter(|case| case.failure.is_some())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Case { name, failure } in &self.cases {
            match failure {
                None => writeln!(f, "kept    {name}")?,
                Some(failure) => writeln!(f, "BROKEN  {name}: {failure}")?,
            }
        }
        Ok(())
    }
}

/// Runs every case, one after the other. Must be called within a tokio runtime.
pub async fn run<F: Fixture>(fixture: &F) -> Report {
    let run = crate::Timestamp::now().as_nanosecond();
    let mut cases = Vec::new();
    for number in 0..cases::NAMES.len() {
        let name = cases::NAMES[number];
        let ledger = format!("conformance-{run}-{number}");
        let outcome = tokio::time::timeout(CASE_TIMEOUT, cases::run(fixture, number, &ledger)).await;
        let failure = match outcome {
            Ok(Ok(())) => None,
            Ok(Err(broken)) => Some(broken.0),
            Err(_) => Some(format!("no end within {} s", CASE_TIMEOUT.as_secs())),
        };
        cases.push(Case { name, failure });
    }
    Report { cases }
}

/// A promise that was not kept, and what was seen.
struct Broken(String);

impl From<Error> for Broken {
    fn from(error: Error) -> Self {
        Self(format!("an error came instead: {error}"))
    }
}
