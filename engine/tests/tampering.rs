//! Hazard: a superuser alters the log behind the triggers' back. `verify` names the first bad place.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test ends at the first thing that goes wrong")]

mod support;

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use support::{assert_verifies, database_url, given, postgres};

const SETUP: &[&str] = &[
    r#"{"do":"open_account","account":"till","currency":"EUR","type":"asset"}"#,
    r#"{"do":"open_account","account":"sales","currency":"EUR","type":"income"}"#,
    r#"{"do":"post","id":"one","legs":[{"account":"till","debit":"5"},{"account":"sales","credit":"5"}]}"#,
    r#"{"do":"record","entity":"user/1","kind":"user.named","data":{"name":"Ann"},"meta":{"by":"eve"},"correlation":"c"}"#,
    r#"{"do":"post","id":"two","legs":[{"account":"till","debit":"2"},{"account":"sales","credit":"2"}]}"#,
];

/// Sets up a ledger, runs the SQL with all triggers off, and answers what `verify` finds first.
async fn tamper(sql: &str) -> Option<(i64, String)> {
    let (ledger, name) = postgres().await;
    given(&ledger, SETUP).await;
    assert_verifies(&ledger).await;
    let mut connection = PgConnection::connect(&database_url()).await.unwrap();
    let id: i64 = sqlx::query_scalar("select ledger_id from postfold.ledger where name = $1")
        .bind(&name)
        .fetch_one(&mut connection)
        .await
        .unwrap();
    let sql = sql.replace("{ledger}", &id.to_string());
    // Nothing but this session is spared the triggers.
    let sql = format!("set session_replication_role = replica; {sql};");
    connection.execute(AssertSqlSafe(sql)).await.unwrap();
    let report = postfold::verify(ledger.log(), |_| {}).await.unwrap();
    report.problems.first().map(|problem| (problem.position.get(), problem.column.clone()))
}

#[tokio::test]
async fn every_altered_column_of_an_event_is_found_at_its_position() {
    let alterations = [
        ("id = 'other'", 3),
        ("id = null", 3),
        ("stream = 'user/2'", 4),
        ("version = 2", 4),
        ("kind = 'user.renamed'", 4),
        ("schema = 2", 4),
        ("data = '{\"name\":\"Eve\"}'", 4),
        ("data = '{\"name\": \"Ann\"}'", 4),
        ("meta = '{}'", 4),
        ("effective_at = effective_at + interval '1 microsecond'", 4),
        ("recorded_at = recorded_at + interval '1 microsecond'", 4),
        ("hash = sha256('x')", 4),
    ];
    for (alteration, position) in alterations {
        let sql =
            format!("update postfold.event set {alteration} where ledger_id = {{ledger}} and position = {position}");
        let found = tamper(&sql).await.map(|(position, _)| position);
        assert_eq!(found, Some(position), "{alteration}");
    }
}

#[tokio::test]
async fn every_altered_column_of_a_posting_is_found_with_its_name() {
    for column in ["posted", "pending", "debits_posted", "credits_posted", "debits_pending", "credits_pending"] {
        let sql = format!(
            "update postfold.posting set {column} = {column} + 1 where ledger_id = {{ledger}} and account_id = 1 and position = 3"
        );
        assert_eq!(tamper(&sql).await, Some((3, format!("posting.{column}"))), "{column}");
    }
    let sql = "update postfold.posting set leg = 7 where ledger_id = {ledger} and account_id = 1 and position = 5";
    assert_eq!(tamper(sql).await, Some((5, "posting.position".to_owned())));
}

#[tokio::test]
async fn removed_and_added_rows_are_found() {
    let cases = [
        ("delete from postfold.event where ledger_id = {ledger} and position = 4", 4),
        ("delete from postfold.event where ledger_id = {ledger} and position = 1", 1),
        ("delete from postfold.posting where ledger_id = {ledger} and account_id = 2 and position = 5", 5),
        (
            "insert into postfold.posting values ({ledger}, 1, 5, 2, 1, 0, 8, 0, 0, 0), ({ledger}, 2, 5, 3, -1, 0, 0, 8, 0, 0)",
            5,
        ),
        ("update postfold.account set code = 'safe' where ledger_id = {ledger} and account_id = 1", 0),
        ("delete from postfold.account where ledger_id = {ledger} and account_id = 2", 0),
    ];
    for (sql, position) in cases {
        assert_eq!(tamper(sql).await.map(|(position, _)| position), Some(position), "{sql}");
    }
}
