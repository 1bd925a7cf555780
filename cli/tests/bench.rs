//! `bench`: what it prints, and that it leaves nothing behind. How fast it is, no test says.
#![allow(clippy::expect_used, reason = "a test ends at the first thing that goes wrong")]

mod support;

use serde_json::Value;
use support::{binary, run};

/// Schemas of their own, so that tests can run side by side.
fn fresh_schema() -> String {
    format!("t{}", uuid::Uuid::now_v7().simple())
}

fn bench(schema: &str, rows: &str) -> support::Done {
    run(binary().args(["bench", "--quick", "--json", "--schema", schema, "--only", rows]))
}

#[test]
fn each_row_has_a_rate_and_the_limit_that_it_was_measured_beside() {
    let done = bench(&fresh_schema(), "batch_hot,batch_uniform");
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let rows: Vec<Value> = serde_json::from_str(&done.stdout).expect("one array");
    let names: Vec<&Value> = rows.iter().map(|row| &row["name"]).collect();
    assert_eq!(names, ["batch_uniform", "batch_hot"], "in the order of the table");
    for row in &rows {
        let number = |field: &str| row[field].as_f64().unwrap_or_else(|| panic!("no {field} in {row}"));
        assert!(number("rate") > 0.0 && number("limit") > 0.0, "{row}");
        assert!((number("ratio") - number("rate") / number("limit")).abs() < 0.001, "{row}");
        assert!(number("p50_us") <= number("p99_us"), "{row}");
    }
}

#[test]
fn what_does_not_apply_is_null() {
    let done = bench(&fresh_schema(), "limit");
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let rows: Vec<Value> = serde_json::from_str(&done.stdout).expect("one array");
    let row = rows.first().and_then(Value::as_object).expect("a row");
    assert!(row.contains_key("limit") && row["limit"].is_null(), "{row:?}");
    assert!(row.contains_key("ratio") && row["ratio"].is_null(), "{row:?}");
}

#[test]
fn a_row_that_there_is_not_is_a_usage_error() {
    let done = bench(&fresh_schema(), "batch_of_gold");
    assert_eq!(done.code, Some(2), "{}", done.stderr);
    assert!(done.stderr.contains("batch_of_gold"), "{}", done.stderr);
}

#[test]
fn a_schema_that_is_of_somebody_else_is_left_alone() {
    let schema = fresh_schema();
    let theirs = format!("{schema}_bench");
    let init = run(binary().args(["init", "--schema", &theirs, "--ledger", "theirs"]));
    assert_eq!(init.code, Some(0), "{}", init.stderr);
    let done = bench(&schema, "limit");
    assert_eq!(done.code, Some(2), "{}", done.stderr);
    assert!(done.stderr.contains(&theirs), "{}", done.stderr);
    let head = run(binary().args(["head", "--schema", &theirs, "--ledger", "theirs"]));
    assert_eq!(head.code, Some(0), "{}", head.stderr);
}
