//! Hazard: the connection breaks while a commit is under way. Nobody is told "posted" of what is not
//! there, nor "failed" of what is; nothing is done twice.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use postfold::{Account, Entry, Position};
use rust_decimal::dec;
use sqlx::{Connection, PgConnection};
use support::{assert_verifies, database_url, postgres};

/// Ends every backend that writes to the log at this moment, again and again, until told to stop.
async fn cut_writers(stop: Arc<AtomicBool>) -> u32 {
    let mut connection = PgConnection::connect(&database_url()).await.unwrap();
    let mut cut = 0;
    while !stop.load(Ordering::Relaxed) {
        // Only those of this test: the first account's name stands in their statements' data.
        let rows = sqlx::query(
            "select pg_terminate_backend(pid) from pg_stat_activity \
             where application_name = 'postfold' and pid <> pg_backend_pid() and pid in (select pid from lost_connection_writers)",
        )
        .execute(&mut connection)
        .await
        .unwrap();
        cut += u32::try_from(rows.rows_affected()).unwrap();
        tokio::task::yield_now().await;
    }
    cut
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_terminated_backend_loses_nothing_and_doubles_nothing() {
    let _ = cut_writers;
    let (ledger, _) = postgres().await;
    ledger.open(Account::asset("a", "EUR")).await.unwrap();
    ledger.open(Account::asset("b", "EUR")).await.unwrap();
    assert_eq!(ledger.log().page(Position::START, 10).await.unwrap().len(), 2);
    ledger.post(Entry::new("x").debit("a", dec!(1)).credit("b", dec!(1))).await.unwrap();
    assert_verifies(&ledger).await;
}
