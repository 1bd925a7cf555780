//! Hazards of setting up: several processes at once, a schema of another version, names, rights.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test ends at the first thing that goes wrong")]

mod support;

use postfold::{Error, Ledger, PostgresSettings};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use support::{database_url, fresh_name, settings};

/// A schema of the test's own, and a connection to drop it with.
async fn own_schema() -> (PostgresSettings, PgConnection) {
    let schema = format!("test_{}", uuid::Uuid::now_v7().simple());
    let connection = PgConnection::connect(&database_url()).await.unwrap();
    (PostgresSettings { schema, ..settings() }, connection)
}

async fn drop_schema(connection: &mut PgConnection, settings: &PostgresSettings) {
    let sql = format!("drop schema {} cascade", settings.schema);
    connection.execute(AssertSqlSafe(sql)).await.unwrap();
}

#[tokio::test]
async fn several_processes_may_initialise_at_once_and_one_creates() {
    let (settings, mut connection) = own_schema().await;
    let inits = (0..6).map(|_| {
        let settings = settings.clone();
        tokio::spawn(async move { postfold::init(database_url(), "shop", &settings, true).await })
    });
    let mut created = 0;
    for init in inits.collect::<Vec<_>>() {
        created += i32::from(init.await.unwrap().unwrap());
    }
    assert_eq!(created, 1);
    drop_schema(&mut connection, &settings).await;
}

#[tokio::test]
async fn a_schema_that_was_never_initialised_is_named_with_the_way_out() {
    let (settings, _) = own_schema().await;
    let opened = Ledger::builder().postgres(settings).connect(database_url(), "shop").await;
    let message = opened.err().unwrap().to_string();
    assert!(message.contains("run `postfold init`"), "{message}");
}

#[tokio::test]
async fn a_newer_schema_than_the_library_knows_is_refused() {
    let (settings, mut connection) = own_schema().await;
    postfold::init(database_url(), "shop", &settings, false).await.unwrap();
    let newer = format!(
        "insert into {}.migration (version, description, success, checksum, execution_time) values (9999, 'later', true, '', 0)",
        settings.schema
    );
    connection.execute(AssertSqlSafe(newer)).await.unwrap();
    let opened = Ledger::builder().postgres(settings.clone()).connect(database_url(), "shop").await;
    assert!(matches!(opened.err(), Some(Error::Schema { found: 9999, .. })));
    let again = postfold::init(database_url(), "shop", &settings, false).await;
    assert!(matches!(again.err(), Some(Error::Schema { found: 9999, .. })));
    drop_schema(&mut connection, &settings).await;
}

#[tokio::test]
async fn a_ledger_that_does_not_exist_and_names_that_cannot_be_used_are_told() {
    let (settings, mut connection) = own_schema().await;
    assert!(postfold::init(database_url(), "shop", &settings, false).await.unwrap());
    assert!(!postfold::init(database_url(), "shop", &settings, false).await.unwrap());
    let opened = Ledger::builder().postgres(settings.clone()).connect(database_url(), "other").await;
    assert!(matches!(opened.err(), Some(Error::NoLedger { name, .. }) if name == "other"));
    for name in ["", "a\nb", &"x".repeat(129)] {
        let created = postfold::init(database_url(), name, &settings, false).await;
        assert!(matches!(created.err(), Some(Error::Name { what: "ledger", .. })), "{name:?}");
    }
    for schema in ["", "Upper", "with space", "1digit", "a;drop", &"x".repeat(64)] {
        let settings = PostgresSettings { schema: schema.to_owned(), ..settings.clone() };
        let created = postfold::init(database_url(), "shop", &settings, false).await;
        assert!(matches!(created.err(), Some(Error::Name { what: "schema", .. })), "{schema:?}");
    }
    drop_schema(&mut connection, &settings).await;
}

#[tokio::test]
async fn a_server_that_cannot_be_reached_is_told_without_the_password() {
    let settings = PostgresSettings { connect_timeout: std::time::Duration::from_secs(2), ..settings() };
    let url = "postgres://someone:hunter2@127.0.0.1:1/none";
    let created = postfold::init(url, &fresh_name(), &settings, false).await;
    let error = created.err().unwrap();
    assert!(error.is_transient(), "{error}");
    assert!(!error.to_string().contains("hunter2"), "{error}");
}
