//! Hazard: a ledger that is newer than the planner's statistics. They know other ledgers only, so it seems to
//! have no rows at all, and to read its whole log for each of them seems to cost nothing.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test ends at the first thing that goes wrong")]

mod support;

use postfold::{Account, Batch, Command, Ledger, Transfer};
use rust_decimal::dec;
use sqlx::{Connection, PgConnection};
use support::{database_url, open, postgres};

/// Deposits to one account.
const DEPOSITS: usize = 500;

/// An account that counts what leaves it, and that all of a day's entries went into.
async fn deposits(ledger: &Ledger) {
    ledger.open(Account::asset("till", "EUR")).await.unwrap();
    ledger.open(Account::liability("wallet", "EUR").daily_out(dec!(100))).await.unwrap();
    let deposit = |number| Command::from(Transfer::sides(format!("in-{number}"), "till", "wallet", dec!(1)));
    let batch = Batch::atomic((0..DEPOSITS).map(deposit));
    assert!(ledger.submit(Command::from(batch)).await.unwrap().is_ok());
}

#[tokio::test]
async fn an_account_is_loaded_by_keys_and_not_by_reading_the_log_for_each_row() {
    let mut host = PgConnection::connect(&database_url()).await.unwrap();
    deposits(&postgres().await.0).await;
    sqlx::query("analyze postfold.event").execute(&mut host).await.unwrap();
    let (ledger, name) = postgres().await;
    deposits(&ledger).await;

    let knows_nothing = open(&name).await;
    let mut transaction = host.begin().await.unwrap();
    let payment = Transfer::sides("out-1", "wallet", "till", dec!(5));
    assert!(knows_nothing.post_in(&mut transaction, payment).await.unwrap().is_ok());
    let fetched: i64 = sqlx::query_scalar(
        "select idx_tup_fetch from pg_stat_xact_user_tables where schemaname = 'postfold' and relname = 'event'",
    )
    .fetch_one(&mut *transaction)
    .await
    .unwrap();
    let (read, limit) = (usize::try_from(fetched).unwrap(), 3 * DEPOSITS);
    assert!(read < limit, "{read} events were read to know two accounts, of a log of {DEPOSITS}");
}
