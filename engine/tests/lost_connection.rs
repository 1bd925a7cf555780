//! Hazard: the connection breaks while a commit is under way. Nobody is told "posted" of what is not
//! there, nor "failed" of what is; nothing is done twice.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test ends at the first thing that goes wrong")]

mod support;

use std::str::FromStr;

use postfold::{Account, Change, Command, Data, Entry, Ledger, Outcome, Position};
use rust_decimal::{Decimal, dec};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection, PgConnection};
use support::{assert_verifies, database_url, fresh_name, settings};

/// A ledger whose connections bear a name of their own, so that they can be cut.
async fn marked() -> (Ledger, String) {
    let name = fresh_name();
    postfold::init(database_url(), &name, &settings(), false).await.unwrap();
    let options = PgConnectOptions::from_str(&database_url()).unwrap().application_name(&name);
    let pool = PgPoolOptions::new().max_connections(4).connect_with(options).await.unwrap();
    (Ledger::connect(pool, &name).await.unwrap(), name)
}

/// Ends every backend of that name.
async fn cut(connection: &mut PgConnection, name: &str) -> u64 {
    let cut = sqlx::query("select pg_terminate_backend(pid) from pg_stat_activity where application_name = $1");
    cut.bind(name).execute(connection).await.unwrap().rows_affected()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn terminated_backends_lose_nothing_and_double_nothing() {
    const CALLERS: usize = 8;
    const EACH: usize = 50;
    let (ledger, name) = marked().await;
    ledger.open(Account::asset("a", "EUR")).await.unwrap();
    ledger.open(Account::asset("b", "EUR")).await.unwrap();
    let callers = (0..CALLERS).map(|caller| {
        let ledger = ledger.clone();
        tokio::spawn(async move {
            for number in 0..EACH {
                let id = format!("{caller}-{number}");
                let entry = Entry::new(&id).debit("a", dec!(1)).credit("b", dec!(1));
                // Even without an id, what is answered is what is in the log.
                let change = Change::new(format!("entity/{caller}"), "k", Data::new(&serde_json::json!({})).unwrap());
                for command in
                    [Command::from(entry), Command::from(change.expected_version(number.try_into().unwrap()))]
                {
                    let outcome = loop {
                        match ledger.submit(command.clone()).await {
                            Ok(outcome) => break outcome,
                            // Told that it was not done: to be sent again.
                            Err(error) => assert!(error.is_transient(), "{error}"),
                        }
                    };
                    assert!(
                        matches!(&outcome, Outcome::Ok(receipt) if !receipt.duplicate),
                        "{caller}-{number}: {outcome:?}"
                    );
                }
            }
        })
    });
    let callers: Vec<_> = callers.collect();
    let mut rogue = PgConnection::connect(&database_url()).await.unwrap();
    let mut cuts = 0;
    while callers.iter().any(|caller| !caller.is_finished()) {
        cuts += cut(&mut rogue, &name).await;
        // Some commits must get through: as many as the log grows by one batch.
        let head = ledger.log().head().await.map_or(Position::START, |head| head.position);
        let _ = ledger.log().changed(head.plus(CALLERS), std::time::Duration::from_millis(50)).await;
    }
    for caller in callers {
        caller.await.unwrap();
    }
    assert!(cuts > 0, "no backend was ever cut");
    let expected = 2 + 2 * CALLERS * EACH;
    assert_eq!(ledger.log().head().await.unwrap().position, Position::START.plus(expected));
    assert_eq!(ledger.balance("a").await.unwrap().posted, Decimal::from(u32::try_from(CALLERS * EACH).unwrap()));
    assert_verifies(&ledger).await;
}
