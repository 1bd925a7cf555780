//! Hazard: the documented encoding is not the one that is written. The script and the query of `docs/`
//! recompute a real ledger.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test ends at the first thing that goes wrong")]

mod support;

use std::io::Write;
use std::process::{Command, Stdio};

use futures::TryStreamExt;
use sqlx::postgres::PgPoolCopyExt;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, PgPool};
use support::{database_url, given, postgres};

const DOCS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs");

/// Events with and without each field, and text that `COPY` and JSON escape.
const SETUP: &[&str] = &[
    r#"{"do":"open_account","account":"Löhne:März","currency":"EUR","type":"asset","name":""}"#,
    r#"{"do":"open_account","account":"sales","currency":"EUR","type":"income","at":"1969-12-31T23:59:59.999999Z"}"#,
    r#"{"do":"post","id":"a\tb\\c\nd\r","legs":[{"account":"Löhne:März","debit":"5"},{"account":"sales","credit":"5"}],"text":"tab\t, quote\", 😀"}"#,
    r#"{"do":"record","entity":"user/1","kind":"user.named","data":{ "name" : "\\N \b" ,"n":1.50e+3},"meta":{"by":"eve\\"}}"#,
    r#"{"do":"record","id":"\\N","entity":"user/1","kind":"user.named","data":{}}"#,
];

/// What `docs/hash.md` says to pipe into the script.
async fn rows(name: &str) -> Vec<u8> {
    let documentation = std::fs::read_to_string(format!("{DOCS}/hash.md")).expect("docs/hash.md");
    let (_, rest) = documentation.split_once("-c \"").expect("the copy command");
    let (copy, _) = rest.split_once("\" |").expect("its end");
    let copy = copy.replace("'main'", &format!("'{name}'"));
    let pool = PgPool::connect(&database_url()).await.unwrap();
    let chunks: Vec<_> = pool.copy_out_raw(&copy).await.unwrap().try_collect().await.unwrap();
    chunks.concat()
}

/// How the script ends, and what it says.
fn script(arguments: &[&str], rows: &[u8]) -> (Option<i32>, String) {
    let mut command = Command::new("python3");
    command.arg(format!("{DOCS}/verify_hashes.py")).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("python3 is not here; this test needs it");
    child.stdin.take().expect("stdin").write_all(rows).expect("the script reads");
    let output = child.wait_with_output().expect("the script ends");
    (output.status.code(), String::from_utf8(output.stdout).expect("text"))
}

/// The positions that the query lists.
async fn query(name: &str) -> Vec<i64> {
    let sql = std::fs::read_to_string(format!("{DOCS}/verify_hashes.sql")).expect("docs/verify_hashes.sql");
    let sql = sql.replace(":'ledger'", &format!("'{name}'"));
    let mut connection = PgConnection::connect(&database_url()).await.unwrap();
    let rows: Vec<(i64, String, String)> =
        sqlx::query_as(AssertSqlSafe(sql)).fetch_all(&mut connection).await.expect("the query runs");
    rows.into_iter().map(|(position, ..)| position).collect()
}

#[tokio::test]
async fn stock_tools_recompute_every_hash() {
    let (ledger, name) = postgres().await;
    given(&ledger, SETUP).await;
    let head = ledger.log().head().await.unwrap();
    let rows = rows(&name).await;
    assert_eq!(script(&[&name], &rows), (Some(0), format!("5 events, head {}\n", head.hash)));
    assert_eq!(query(&name).await, [] as [i64; 0]);

    // From the middle on, behind the hash that stands there.
    let third = ledger.log().hash_at(postfold::Position::new(3)).await.unwrap().unwrap().to_string();
    let second_row_end = rows.iter().enumerate().filter(|(_, byte)| **byte == b'\n').nth(2).unwrap().0;
    let (code, said) = script(&[&name, &third], &rows[second_row_end + 1..]);
    assert_eq!((code, said), (Some(0), format!("2 events, head {}\n", head.hash)));
}

#[tokio::test]
async fn stock_tools_find_the_first_row_that_was_altered() {
    let (ledger, name) = postgres().await;
    given(&ledger, SETUP).await;
    assert_eq!(script(&["another"], &rows(&name).await).0, Some(1), "another ledger's name");

    let mut connection = PgConnection::connect(&database_url()).await.unwrap();
    let sql = format!(
        "set session_replication_role = replica; update postfold.event set meta = '{{}}' \
         where position = 4 and ledger_id = (select ledger_id from postfold.ledger where name = '{name}')"
    );
    connection.execute(AssertSqlSafe(sql)).await.unwrap();
    let (code, said) = script(&[&name], &rows(&name).await);
    assert_eq!(code, Some(1));
    assert!(said.starts_with("position 4: "), "{said}");
    assert_eq!(query(&name).await, [4]);
}
