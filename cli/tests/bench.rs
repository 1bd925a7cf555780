//! `bench`: what it prints, and that it leaves nothing behind. How fast it is, no test says.
#![allow(clippy::expect_used, reason = "a test ends at the first thing that goes wrong")]

mod support;

use nix::sys::signal::Signal;
use serde_json::Value;
use support::{binary, run, start};

/// Schemas of their own, so that tests can run side by side.
fn fresh_schema() -> String {
    format!("t{}", uuid::Uuid::now_v7().simple())
}

fn bench(schema: &str, rows: &str) -> support::Done {
    run(binary().args(["bench", "--quick", "--json", "--schema", schema, "--only", rows]))
}

#[test]
fn every_row_has_a_rate_and_the_limit_that_it_was_measured_beside() {
    let schema = fresh_schema();
    let done = run(binary().args(["bench", "--quick", "--json", "--schema", &schema]));
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let mut rows: Vec<Value> = serde_json::from_str(&done.stdout).expect("one array");
    let names: Vec<&str> = rows.iter().filter_map(|row| row["name"].as_str()).collect();
    let expected = "limit batch_uniform batch_hot callers_64 callers_1024 apply_file single_post processes_4 \
                    processes_8 growth verify catch_up_balances catch_up_statements rebuild_balances rebuild_all \
                    rebuild_memory verify_models lag_1000";
    assert_eq!(names.join(" "), expected);
    for alone in [rows.remove(0), rows.pop().expect("the last row")] {
        let absent = ["limit", "ratio"].map(|field| alone.get(field));
        assert_eq!(absent, [Some(&Value::Null); 2], "what does not apply is null: {alone}");
        assert!(alone["p50_us"].as_f64() <= alone["p99_us"].as_f64(), "{alone}");
    }
    for row in &rows {
        let number = |field: &str| row[field].as_f64().unwrap_or_else(|| panic!("no {field} in {row}"));
        assert!(number("rate") > 0.0 && number("limit") > 0.0, "{row}");
        assert!((number("ratio") - number("rate") / number("limit")).abs() < 0.01, "{row}");
        match row["name"].as_str() {
            Some(name) if is_one_piece(name) => assert!(row["p50_us"].is_null() && row["p99_us"].is_null(), "{row}"),
            _ => assert!(number("p50_us") <= number("p99_us"), "{row}"),
        }
    }
}

/// What is timed as a whole has no latencies.
fn is_one_piece(row: &str) -> bool {
    matches!(row, "apply_file" | "verify" | "verify_models")
        || row.starts_with("catch_up")
        || row.starts_with("rebuild")
}

#[test]
fn rows_can_be_chosen_and_come_in_the_order_of_the_table() {
    let done = bench(&fresh_schema(), "batch_hot,limit");
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let rows: Vec<Value> = serde_json::from_str(&done.stdout).expect("one array");
    let names: Vec<&Value> = rows.iter().map(|row| &row["name"]).collect();
    assert_eq!(names, ["limit", "batch_hot"]);
}

#[test]
fn nothing_is_left_behind() {
    let schema = fresh_schema();
    let done = bench(&schema, "limit");
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    for scratch in ["_bench", "_bench_grown"] {
        let head = run(binary().args(["head", "--ledger", "bench", "--schema", &format!("{schema}{scratch}")]));
        assert_eq!(head.code, Some(3), "{scratch}: {}{}", head.stdout, head.stderr);
    }
}

#[test]
fn one_that_is_interrupted_leaves_nothing_behind_either() {
    let schema = fresh_schema();
    let scratch = format!("{schema}_bench");
    let looked_for = ["head", "--ledger", "bench", "--schema", &scratch];
    let bench = start(binary().args(["bench", "--schema", &schema, "--only", "batch_uniform"]));
    assert!((0..1_000).any(|_| run(binary().args(looked_for)).code == Some(0)), "it never began");
    bench.signal(Signal::SIGINT);
    let (status, stderr) = bench.wait();
    assert_eq!(status.code(), Some(130), "{stderr}");
    assert!(stderr.contains("dropped"), "{stderr}");
    assert_eq!(run(binary().args(looked_for)).code, Some(3));
}

#[test]
fn a_row_that_there_is_not_is_a_usage_error() {
    let done = bench(&fresh_schema(), "batch_of_gold");
    assert_eq!(done.code, Some(2), "{}", done.stderr);
    assert!(done.stderr.contains("batch_of_gold"), "{}", done.stderr);
}

#[test]
fn a_schema_that_is_of_somebody_else_is_left_alone() {
    // The same at every run of this test, since nothing drops it.
    let (schema, theirs) = ("postfold_test_of", "postfold_test_of_bench");
    let init = run(binary().args(["init", "--schema", theirs, "--ledger", "theirs"]));
    assert_eq!(init.code, Some(0), "{}", init.stderr);
    let done = bench(schema, "limit");
    assert_eq!(done.code, Some(2), "{}", done.stderr);
    assert!(done.stderr.contains(theirs), "{}", done.stderr);
    let head = run(binary().args(["head", "--schema", theirs, "--ledger", "theirs"]));
    assert_eq!(head.code, Some(0), "{}", head.stderr);
}
