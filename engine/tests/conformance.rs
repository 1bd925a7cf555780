//! The public conformance suite, on PostgreSQL as an embedder would run it.

#![allow(clippy::expect_used, reason = "a test ends at the first thing that goes wrong")]

mod support;

use postfold::conformance::{self, Fixture};
use postfold::{Error, Ledger};
use support::{database_url, settings};

struct Postgres;

impl Fixture for Postgres {
    async fn create(&self, name: &str) -> Result<(), Error> {
        postfold::init(database_url(), name, &settings(), true).await.map(drop)
    }

    async fn open(&self, name: &str) -> Result<Ledger, Error> {
        Ledger::builder().postgres(settings()).connect(database_url(), name).await
    }
}

#[tokio::test]
async fn a_ledger_in_postgresql_keeps_every_promise() {
    let report = conformance::run(&Postgres).await;
    assert!(report.is_clean(), "{report}");
}
