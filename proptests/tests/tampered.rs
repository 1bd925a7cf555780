//! Hazard: a check of a live ledger that says all is well because it asks the ledger about itself. What a superuser has
//! altered in its tables is told, by each invariant that it breaks.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test ends at the first thing that goes wrong")]

use std::collections::BTreeSet;

use postfold::{Account, Ledger, PostgresSettings, Transfer};
use postfold_proptests::invariant::{Invariant, check_all};
use rust_decimal::dec;
use sqlx::{Connection, Executor};

#[tokio::test]
async fn an_altered_posting_is_told_by_every_answer_that_rests_on_it() {
    let url = std::env::var("DATABASE_URL").expect("DATABASE_URL is not set; `make stack` tells it");
    let name = format!("tampered-{}", uuid::Uuid::now_v7());
    postfold::init(&url, &name, &PostgresSettings::default(), false).await.unwrap();
    let ledger = Ledger::connect(&url, &name).await.unwrap();
    ledger.open(Account::asset("till", "EUR")).await.unwrap();
    ledger.open(Account::income("sales", "EUR")).await.unwrap();
    ledger.transfer(Transfer::sides("e-1", "till", "sales", dec!(5))).await.unwrap();
    let checked = check_all(ledger.log()).await.unwrap();
    assert!(checked.is_whole(), "{checked}");

    let mut superuser = sqlx::PgConnection::connect(&url).await.unwrap();
    superuser.execute("set session_replication_role = replica").await.unwrap();
    let alter = "update postfold.posting set posted = posted + 1, debits_posted = debits_posted + 1 \
                 where account_id = 1 and ledger_id = (select ledger_id from postfold.ledger where name = $1)";
    sqlx::query(alter).bind(&name).execute(&mut superuser).await.unwrap();

    let checked = check_all(ledger.log()).await.unwrap();
    let told: BTreeSet<_> = checked.broken.iter().map(|broken| format!("{:?}", broken.invariant)).collect();
    let expected = [
        Invariant::SumsAreZero,
        Invariant::BalancesAreTheFold,
        Invariant::TrialBalanceIsZero,
        Invariant::StatementsClose,
        Invariant::HashChainIsWhole,
    ];
    assert_eq!(told, expected.iter().map(|invariant| format!("{invariant:?}")).collect(), "{checked}");
    for invariant in Invariant::ALL {
        let checked = invariant.check(ledger.log()).await.unwrap();
        assert_eq!(checked.is_whole(), !expected.contains(&invariant), "{invariant:?}: {checked}");
    }
}
