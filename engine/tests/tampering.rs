//! Hazard: a superuser alters the log behind the triggers' back. `verify` names the first bad place.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test ends at the first thing that goes wrong")]

mod support;

use postfold::{Ledger, Position, Report};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use support::{assert_verifies, database_url, given, open, postgres};

const SETUP: &[&str] = &[
    r#"{"do":"open_account","account":"till","currency":"EUR","type":"asset"}"#,
    r#"{"do":"open_account","account":"sales","currency":"EUR","type":"income"}"#,
    r#"{"do":"post","id":"one","legs":[{"account":"till","debit":"5"},{"account":"sales","credit":"5"}]}"#,
    r#"{"do":"record","entity":"user/1","kind":"user.named","data":{"name":"Ann"},"meta":{"by":"eve"},"correlation":"c"}"#,
    r#"{"do":"post","id":"two","legs":[{"account":"till","debit":"2"},{"account":"sales","credit":"2"}]}"#,
    r#"{"do":"hold","id":"three","amount":"1","debit":"till","credit":"sales"}"#,
    r#"{"do":"record","entity":"user/1","kind":"user.named","data":{"name":"Bea"}}"#,
];

/// A ledger in PostgreSQL, the name it has there, and a session that no trigger looks at.
struct Tampered {
    ledger: Ledger,
    name: String,
    id: i64,
    connection: PgConnection,
}

impl Tampered {
    async fn set_up() -> Self {
        let (ledger, name) = postgres().await;
        given(&ledger, SETUP).await;
        assert_verifies(&ledger).await;
        let mut connection = PgConnection::connect(&database_url()).await.unwrap();
        let find = sqlx::query_scalar("select ledger_id from postfold.ledger where name = $1").bind(&name);
        let id: i64 = find.fetch_one(&mut connection).await.unwrap();
        // Nothing but this session is spared the triggers.
        connection.execute("set session_replication_role = replica").await.unwrap();
        Self { ledger, name, id, connection }
    }

    async fn run(&mut self, sql: &str) {
        let sql = sql.replace("{ledger}", &self.id.to_string());
        let done = self.connection.execute(AssertSqlSafe(sql.as_str())).await.unwrap();
        assert!(done.rows_affected() > 0, "nothing was altered by {sql}");
    }

    async fn verify(&self) -> Report {
        postfold::verify(self.ledger.log(), |_| {}).await.unwrap()
    }
}

/// Sets up a ledger, runs the SQL with all triggers off, and answers what `verify` finds first.
async fn tamper(sql: &str) -> Option<(i64, String)> {
    let mut tampered = Tampered::set_up().await;
    tampered.run(sql).await;
    let report = tampered.verify().await;
    report.problems.first().map(|problem| (problem.position.get(), problem.column.clone()))
}

/// Every column of the log's tables, with its type, as the database has them: a new one is not forgotten.
async fn columns(table: &str) -> Vec<(String, String)> {
    let mut connection = PgConnection::connect(&database_url()).await.unwrap();
    let columns = sqlx::query_as(
        "select column_name::text, data_type::text from information_schema.columns \
         where table_schema = 'postfold' and table_name = $1 order by ordinal_position",
    );
    let columns: Vec<(String, String)> = columns.bind(table).fetch_all(&mut connection).await.unwrap();
    assert!(!columns.is_empty(), "there is no table {table}");
    columns
}

/// Another value of the same type that no constraint refuses.
fn altered(column: &str, data_type: &str) -> String {
    match (column, data_type) {
        ("type", _) => "case \"type\" when 'asset' then 'expense' else 'asset' end".to_owned(),
        ("normal", _) => "case normal when 'debit' then 'credit' else 'debit' end".to_owned(),
        (_, "bigint" | "integer") => format!("coalesce({column}, 0) + 1000000"),
        (_, "smallint" | "numeric") => format!("{column} + 1"),
        (_, "text") => format!("coalesce({column}, '') || 'x'"),
        (_, "json") => "'{\"x\":1}'".to_owned(),
        (_, "timestamp with time zone") => format!("{column} + interval '1 microsecond'"),
        (_, "bytea") => format!("sha256({column})"),
        other => panic!("say how to alter {other:?}"),
    }
}

#[tokio::test]
async fn every_altered_column_of_an_event_is_found_at_its_position() {
    for (column, data_type) in columns("event").await {
        // The change of an entity has a stream and a version, the entry an id.
        let position = if ["stream", "version"].contains(&column.as_str()) { 4 } else { 3 };
        let value = altered(&column, &data_type);
        let set = format!("update postfold.event set {column} = {value}");
        let found = tamper(&format!("{set} where ledger_id = {{ledger}} and position = {position}")).await;
        let expected = match column.as_str() {
            // The row is gone from here, whatever is found where it went.
            "ledger_id" | "position" => "event.position",
            _ => "event.hash",
        };
        assert_eq!(found, Some((position, expected.to_owned())), "{column}");
    }
    let cases = [
        ("id = null", 3),
        ("data = '{\"name\": \"Ann\"}'", 4),
        ("meta = '{}'", 4),
        ("effective_at = effective_at - interval '1 microsecond'", 4),
    ];
    for (set, position) in cases {
        let sql = format!("update postfold.event set {set} where ledger_id = {{ledger}} and position = {position}");
        assert_eq!(tamper(&sql).await, Some((position, "event.hash".to_owned())), "{set}");
    }
}

#[tokio::test]
async fn every_altered_column_of_a_posting_is_found_with_its_name() {
    for (column, data_type) in columns("posting").await {
        let value = altered(&column, &data_type);
        let set = format!("update postfold.posting set {column} = {value}");
        let found = tamper(&format!("{set} where ledger_id = {{ledger}} and account_id = 1 and position = 3")).await;
        let expected = match column.as_str() {
            // The row is gone from here.
            "ledger_id" | "account_id" | "position" | "leg" => "posting.position".to_owned(),
            amount => format!("posting.{amount}"),
        };
        assert_eq!(found, Some((3, expected)), "{column}");
    }
    // So large, or so fine, that the engine itself could not have written it.
    for value in ["1e40", "0.0000000000000000000000000000000001", "'NaN'", "'Infinity'"] {
        let set = format!("update postfold.posting set debits_posted = {value}");
        let found = tamper(&format!("{set} where ledger_id = {{ledger}} and account_id = 1 and position = 6")).await;
        assert_eq!(found, Some((6, "posting.debits_posted".to_owned())), "{value}");
    }
}

#[tokio::test]
async fn every_altered_column_of_an_account_is_found_with_its_name() {
    for (column, data_type) in columns("account").await {
        let value = altered(&column, &data_type);
        let set = format!("update postfold.account set \"{column}\" = {value}");
        let found = tamper(&format!("{set} where ledger_id = {{ledger}} and account_id = 2")).await;
        let expected = match column.as_str() {
            "ledger_id" => "account.account_id".to_owned(),
            fact => format!("account.{fact}"),
        };
        assert_eq!(found, Some((2, expected)), "{column}");
    }
}

#[tokio::test]
async fn a_ledger_under_another_name_is_found_at_its_first_event() {
    for (column, _) in columns("ledger").await {
        let mut tampered = Tampered::set_up().await;
        let other = format!("{}-other", tampered.name);
        match column.as_str() {
            "name" => {
                tampered
                    .run(&format!("update postfold.ledger set name = '{other}' where ledger_id = {{ledger}}"))
                    .await;
            }
            // An identity, which the database itself does not let be updated; and when the row was made,
            // on which nothing of the log depends.
            "ledger_id" | "created_at" => continue,
            new => panic!("say what verify makes of {new}"),
        }
        let report = postfold::verify(open(&other).await.log(), |_| {}).await.unwrap();
        let first = report.problems.first().map(|problem| (problem.position.get(), problem.column.as_str()));
        assert_eq!(first, Some((1, "event.hash")));
    }
}

#[tokio::test]
async fn removed_and_added_rows_are_found() {
    let cases = [
        ("delete from postfold.event where ledger_id = {ledger} and position = 4", 4),
        ("delete from postfold.event where ledger_id = {ledger} and position = 1", 1),
        ("delete from postfold.posting where ledger_id = {ledger} and account_id = 2 and position = 5", 5),
        ("delete from postfold.posting where ledger_id = {ledger}", 3),
        (
            "insert into postfold.posting values ({ledger}, 1, 5, 2, 1, 0, 8, 0, 0, 0), ({ledger}, 2, 5, 3, -1, 0, 0, 8, 0, 0)",
            5,
        ),
        ("insert into postfold.posting values ({ledger}, 99, 5, 2, 0, 0, 0, 0, 0, 0)", 5),
        ("insert into postfold.account values ({ledger}, 5, 'safe', 'EUR', 2, 'asset', 'debit')", 5),
        ("delete from postfold.account where ledger_id = {ledger} and account_id = 2", 2),
    ];
    for (sql, position) in cases {
        assert_eq!(tamper(sql).await.map(|(position, _)| position), Some(position), "{sql}");
    }
}

#[tokio::test]
async fn swapped_rows_are_found() {
    let swap = |table: &str, key: &str| {
        format!(
            "update postfold.{table} set position = case position when 3 then 10000005 else 10000003 end \
             where ledger_id = {{ledger}} and position in (3, 5) {key}; \
             update postfold.{table} set position = position - 10000000 where ledger_id = {{ledger}} and position > 10000000"
        )
    };
    assert_eq!(tamper(&swap("event", "")).await, Some((3, "event.hash".to_owned())));
    assert_eq!(tamper(&swap("posting", "and account_id = 1")).await.map(|(position, _)| position), Some(3));
}

/// Whoever can rewrite rows can hash them anew; the fold still tells what does not follow.
#[tokio::test]
async fn a_version_out_of_order_is_found_though_its_hash_is_right() {
    let mut tampered = Tampered::set_up().await;
    let page = tampered.ledger.log().page(Position::new(5), 2).await.unwrap();
    let mut last = page[1].clone();
    last.version = Some(3);
    let hash = page[0].hash.chain(&postfold::hash::Fields::from(&last));
    let sql = format!(
        "update postfold.event set version = 3, hash = '\\x{hash}' where ledger_id = {{ledger}} and position = 7"
    );
    tampered.run(&sql).await;
    let report = tampered.verify().await;
    assert_eq!(report.problems_total, 1, "{:?}", report.problems);
    assert_eq!((report.problems[0].position.get(), report.problems[0].column.as_str()), (7, "event.version"));
}

#[tokio::test]
async fn a_tail_that_was_cut_off_is_told_by_what_it_left_or_by_a_noted_head() {
    let mut tampered = Tampered::set_up().await;
    let noted = tampered.ledger.log().head().await.unwrap();
    // The event alone: its postings are left.
    tampered.run("delete from postfold.event where ledger_id = {ledger} and position >= 6").await;
    let report = tampered.verify().await;
    assert_eq!(report.problems.first().map(|problem| problem.position.get()), Some(6));
    // All of it: what is left is a whole log, shorter than the one that was noted.
    tampered.run("delete from postfold.posting where ledger_id = {ledger} and position >= 6").await;
    assert!(tampered.verify().await.is_clean());
    assert_eq!(tampered.ledger.log().hash_at(noted.position).await.unwrap(), None);
}

#[tokio::test]
async fn a_part_of_the_log_is_verified_on_what_is_stored_before_it() {
    let mut tampered = Tampered::set_up().await;
    let altered = "update postfold.posting set posted = posted + 1 where ledger_id = {ledger} and account_id = 1 and position = 3";
    tampered.run(altered).await;
    for (after, upto, found) in [(0, None, Some(3)), (2, Some(3), Some(3)), (3, None, None), (0, Some(2), None)] {
        let (after, upto) = (Position::new(after), upto.map(Position::new));
        let report = postfold::verify_between(tampered.ledger.log(), after, upto, |_| {}).await.unwrap();
        assert_eq!(report.problems.first().map(|problem| problem.position.get()), found, "{after}..{upto:?}");
        assert_eq!(report.head.position, upto.unwrap_or(Position::new(7)));
        assert_eq!(report.events, (report.head.position.get() - after.get()).unsigned_abs());
    }
    // A total that was altered before the part shows in the part, since the fold begins with it.
    tampered
        .run("update postfold.posting set debits_posted = debits_posted + 1 where ledger_id = {ledger} and account_id = 1 and position = 3")
        .await;
    let report = postfold::verify_between(tampered.ledger.log(), Position::new(4), None, |_| {}).await.unwrap();
    assert_eq!(report.problems.first().map(|problem| problem.position.get()), Some(5));
}
