//! The whole way: commands, log, projector, documents.

use std::time::Duration;

use postfold::{Account, Change, Data, Entry, Ledger, PostgresSettings};
use postfold_projections::models::{Balance, Balances, Changelogs, Entities, Preferences, Statements};
use postfold_projections::{MemoryStore, Projector, Store};
use rust_decimal::Decimal;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::database::Database;

#[tokio::test]
async fn the_balances_are_those_of_the_ledger_in_memory() {
    the_balances_are_those_of_the_ledger(&Ledger::in_memory(), MemoryStore::new()).await;
}

#[tokio::test]
async fn the_balances_are_those_of_the_ledger_on_the_servers() {
    let url = std::env::var("DATABASE_URL")
        .expect("this test needs a server: eval \"$(make -s stack-env)\" sets DATABASE_URL");
    let name = format!("projections-{}", Uuid::now_v7());
    postfold::init(url.as_str(), &name, &PostgresSettings::default(), false).await.unwrap();
    let ledger = Ledger::connect(url.as_str(), &name).await.unwrap();
    let database = Database::create().await;
    the_balances_are_those_of_the_ledger(&ledger, database.store.clone()).await;
    database.drop().await;
}

async fn the_balances_are_those_of_the_ledger(ledger: &Ledger, store: impl Store + Clone) {
    let log = ledger.log().clone();
    let keyed = Projector::new(log.clone(), store.clone()).with(Balances).with(Entities).with(Preferences);
    let projector = keyed.with_rows(Statements).with_rows(Changelogs);
    let shutdown = CancellationToken::new();
    let running = tokio::spawn({
        let (projector, shutdown) = (projector.clone(), shutdown.clone());
        async move { projector.run(shutdown).await }
    });

    ledger.open(Account::asset("cash:till-1", "EUR")).await.unwrap();
    ledger.open(Account::income("sales", "EUR").owner("shop/1")).await.unwrap();
    let dark = Data::new(&serde_json::json!({ "theme": "dark" })).unwrap();
    ledger.record(Change::new("user/1", "preference.changed", dark)).await.unwrap();
    for number in 1..=40 {
        let amount = Decimal::new(number * 125, 2);
        let entry = Entry::new(format!("sale-{number}")).debit("cash:till-1", amount).credit("sales", amount);
        let posted = ledger.post(entry).await.unwrap().position.expect("an entry has a position");
        // A caller reads its own write.
        projector.applied_through("balances", posted, Duration::from_mins(1)).await.unwrap();
        let row = store.fetch("balances", &["sales|EUR"]).await.unwrap().remove(0);
        assert_eq!(row.position, posted);
    }
    let head = log.head().await.unwrap().position;
    for model in projector.names() {
        projector.applied_through(model, head, Duration::from_mins(1)).await.unwrap();
    }
    for expected in log.balances("").await.unwrap() {
        let key = Balances::key(&expected.account, &expected.currency);
        let row = store.fetch("balances", &[&key]).await.unwrap().remove(0);
        let found: Balance = bson::deserialize_from_slice(row.state.unwrap().as_bytes()).unwrap();
        let texts = |posted: Decimal, available: Decimal| (posted.to_string(), available.to_string());
        assert_eq!(texts(found.posted, found.available), texts(expected.posted, expected.available), "{key}");
        assert_eq!((found.account_type, found.normal), (expected.account_type, expected.normal));
    }
    let models = [("balances", 2), ("entities", 1), ("preferences", 1), ("statements", 80), ("changelogs", 1)];
    for (model, documents) in models {
        for _ in 0..2 {
            let found = projector.verify(model, CancellationToken::new()).await.unwrap();
            assert!(found.is_clean(), "{:?}", found.differences);
            assert_eq!(found.documents, documents);
            projector.rebuild(model, CancellationToken::new()).await.unwrap();
        }
    }
    shutdown.cancel();
    running.await.unwrap().unwrap();
}
