//! Hazard: someone writes SQL past the engine. The database itself refuses bad books, and refuses the
//! application's own role any change of what is written.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test ends at the first thing that goes wrong")]

mod support;

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use support::{assert_verifies, database_url, given, postgres};

const SETUP: &[&str] = &[
    r#"{"do":"open_account","account":"till","currency":"EUR","type":"asset"}"#,
    r#"{"do":"open_account","account":"sales","currency":"EUR","type":"income"}"#,
    r#"{"do":"post","id":"one","legs":[{"account":"till","debit":"5"},{"account":"sales","credit":"5"}]}"#,
];

/// A copy of the newest event, at a position that many behind the head.
const EVENT: &str = "insert into postfold.event (ledger_id, position, kind, schema, data, meta, effective_at, recorded_at, hash) \
     select ledger_id, position + {ahead}, kind, schema, data, meta, effective_at, recorded_at, hash \
     from postfold.event where ledger_id = {ledger} order by position desc limit 1;";

/// Postings of so much to the first two accounts, at a position that many behind the newest posting.
const POSTINGS: &str = "insert into postfold.posting \
     select ledger_id, account_id, position + {ahead}, leg + {legs}, case account_id when 1 then {debit} else {credit} end, 0, 9, 9, 0, 0 \
     from postfold.posting where ledger_id = {ledger} and position = 3;";

struct Rogue {
    connection: PgConnection,
    ledger: i64,
}

impl Rogue {
    async fn new(name: &str, role: Option<&str>) -> Self {
        let mut connection = PgConnection::connect(&database_url()).await.unwrap();
        let ledger = sqlx::query_scalar("select ledger_id from postfold.ledger where name = $1");
        let ledger = ledger.bind(name).fetch_one(&mut connection).await.unwrap();
        if let Some(role) = role {
            connection.execute(AssertSqlSafe(format!("set role {role}"))).await.unwrap();
        }
        Self { connection, ledger }
    }

    /// The SQLSTATE with which the statements, run as one transaction, are refused.
    async fn refused(&mut self, sql: &str) -> String {
        let sql = sql.replace("{ledger}", &self.ledger.to_string());
        let ran = self.connection.execute(AssertSqlSafe(format!("begin; {sql} commit;"))).await;
        let error = ran.expect_err(&sql);
        self.connection.execute("rollback").await.unwrap();
        error.as_database_error().unwrap().code().unwrap().into_owned()
    }
}

fn event(ahead: i64) -> String {
    EVENT.replace("{ahead}", &ahead.to_string())
}

fn postings(ahead: i64, legs: i32, debit: &str, credit: &str) -> String {
    let sql = POSTINGS.replace("{ahead}", &ahead.to_string()).replace("{legs}", &legs.to_string());
    sql.replace("{debit}", debit).replace("{credit}", credit)
}

#[tokio::test]
async fn the_application_role_may_not_change_or_remove_a_row() {
    let (ledger, name) = postgres().await;
    given(&ledger, SETUP).await;
    let mut rogue = Rogue::new(&name, Some("postfold_app")).await;
    for table in ["ledger", "event", "account", "posting"] {
        let column = if table == "ledger" { "name = name" } else { "ledger_id = ledger_id" };
        assert_eq!(rogue.refused(&format!("update postfold.{table} set {column};")).await, "42501", "update {table}");
        assert_eq!(rogue.refused(&format!("delete from postfold.{table};")).await, "42501", "delete {table}");
        assert_eq!(rogue.refused(&format!("truncate postfold.{table};")).await, "42501", "truncate {table}");
    }
    assert_eq!(rogue.refused("alter table postfold.event disable trigger all;").await, "42501");
    assert_eq!(rogue.refused("insert into postfold.ledger (name) values ('mine');").await, "42501");
    assert_verifies(&ledger).await;
}

#[tokio::test]
async fn even_the_owner_is_refused_by_the_triggers() {
    let (ledger, name) = postgres().await;
    given(&ledger, SETUP).await;
    let mut rogue = Rogue::new(&name, None).await;
    for table in ["ledger", "event", "account", "posting"] {
        let column = if table == "ledger" { "name = name" } else { "ledger_id = ledger_id" };
        assert_eq!(rogue.refused(&format!("update postfold.{table} set {column};")).await, "PF001");
        assert_eq!(rogue.refused(&format!("delete from postfold.{table} where false;")).await, "PF001");
        assert_eq!(rogue.refused(&format!("truncate postfold.{table};")).await, "PF001");
    }
}

#[tokio::test]
async fn bad_books_are_refused_at_the_insert() {
    let (ledger, name) = postgres().await;
    given(&ledger, SETUP).await;
    let mut rogue = Rogue::new(&name, Some("postfold_app")).await;
    // A gap in positions, an overlap, a batch with a hole.
    assert_eq!(rogue.refused(&event(2)).await, "PF002");
    assert_eq!(rogue.refused(&event(0)).await, "23505");
    // Postings that do not balance, in sum or in a pair of entries.
    assert_eq!(rogue.refused(&(event(1) + &postings(1, 0, "7", "-6"))).await, "PF005");
    assert_eq!(rogue.refused(&(event(1) + &postings(1, 0, "7", "0"))).await, "PF005");
    // An account that does not exist.
    let unknown =
        postings(1, 0, "7", "-7").replace("select ledger_id, account_id", "select ledger_id, account_id + 100");
    assert_eq!(rogue.refused(&(event(1) + &unknown)).await, "PF004");
    // A balanced pair under an old event, and one without any event.
    assert_eq!(rogue.refused(&postings(0, 2, "7", "-7")).await, "PF006");
    assert_eq!(rogue.refused(&postings(1, 0, "7", "-7")).await, "PF006");
    assert_eq!(rogue.refused(&(event(1) + &postings(0, 2, "7", "-7"))).await, "PF006");
    // An account that no event opened.
    let account = "insert into postfold.account values ({ledger}, 3, 'x', 'EUR', 2, 'asset', 'debit');";
    assert_eq!(rogue.refused(account).await, "PF003");
    assert_verifies(&ledger).await;
}

#[tokio::test]
async fn rows_written_within_a_savepoint_count_as_the_transactions_own() {
    let (ledger, name) = postgres().await;
    given(&ledger, SETUP).await;
    let mut rogue = Rogue::new(&name, Some("postfold_app")).await;
    let sql = format!(
        "begin; savepoint a; {} release savepoint a; savepoint b; {} rollback;",
        event(1),
        postings(1, 0, "7", "-7")
    );
    let sql = sql.replace("{ledger}", &rogue.ledger.to_string());
    rogue.connection.execute(AssertSqlSafe(sql)).await.unwrap();
}
