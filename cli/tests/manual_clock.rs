//! `--manual-clock`: the recorded time comes from lines of the input.

#![allow(clippy::expect_used, reason = "a test ends at the first thing that goes wrong")]

mod support;

use serde_json::Value;
use support::{Postfold, open, short, text};

fn applied(lines: &[&str]) -> (Postfold, Vec<Value>) {
    let postfold = Postfold::new();
    let outcomes = postfold.apply(&lines.join("\n"), &["--manual-clock"]).lines();
    (postfold, outcomes)
}

fn account(code: &str) -> String {
    open(code, "asset").to_string()
}

#[test]
fn a_clock_line_has_no_outcome_and_sets_the_recorded_time_of_what_follows() {
    let (_, outcomes) = applied(&[
        r#"{"clock": "2025-03-01T12:00:00Z"}"#,
        &account("a"),
        &account("b"),
        r#" {"clock":"2025-03-01T13:00:00.000001+01:00"} "#,
        &account("c"),
        r#"{"cl\u006fck":"2025-03-02T00:00:00Z"}"#,
        &account("d"),
    ]);
    let times: Vec<String> = outcomes.iter().map(|outcome| text(&outcome["ok"]["recorded_at"])).collect();
    assert_eq!(
        times,
        ["2025-03-01T12:00:00Z", "2025-03-01T12:00:00Z", "2025-03-01T12:00:00.000001Z", "2025-03-02T00:00:00Z"]
    );
}

#[test]
fn a_clock_that_lies_before_the_one_before_it_changes_nothing() {
    let (_, outcomes) = applied(&[
        r#"{"clock":"2025-03-01T12:00:00Z"}"#,
        r#"{"clock":"2025-03-01T11:00:00Z"}"#,
        &account("a"),
        r#"{"clock":"2025-03-01T12:00:00Z"}"#,
        &account("b"),
    ]);
    let times: Vec<String> = outcomes.iter().map(|outcome| text(&outcome["ok"]["recorded_at"])).collect();
    assert_eq!(times, ["2025-03-01T12:00:00Z", "2025-03-01T12:00:00Z"]);
}

#[test]
fn before_the_first_clock_line_every_command_is_invalid() {
    let (postfold, outcomes) =
        applied(&[&account("a"), "", &account("b"), r#"{"clock":"2025-03-01T12:00:00Z"}"#, &account("a")]);
    assert_eq!(outcomes.iter().map(short).collect::<Vec<_>>(), ["invalid ", "invalid ", "ok"]);
    assert_eq!(postfold.head(), 1);
}

#[test]
fn a_clock_line_that_cannot_be_read_is_an_invalid_command() {
    let (_, outcomes) = applied(&[
        r#"{"clock":"2025-03-01T12:00:00Z"}"#,
        r#"{"clock":"yesterday"}"#,
        r#"{"clock":"2025-03-01T12:00:00"}"#,
        r#"{"clock":"2025-03-01T12:00:00.0000001Z"}"#,
        r#"{"clock":5}"#,
        r#"{"clock":"2025-03-01T12:00:00Z","clock":"2025-03-01T12:00:00Z"}"#,
        r#"{"clock":"2025-03-01T12:00:00Z","note":"x"}"#,
        r#"["2025-03-01T12:00:00Z"]"#,
        r#"{"clock":"2025-03-01T12:00:00Z","do":"open_account","account":"a","currency":"EUR","type":"asset"}"#,
        &account("a"),
    ]);
    let expected = [
        "invalid clock",
        "invalid clock",
        "invalid clock",
        "invalid clock",
        "invalid ",
        "invalid clock",
        "invalid ",
        "invalid clock",
        "ok",
    ];
    assert_eq!(outcomes.iter().map(short).collect::<Vec<_>>(), expected);
}

#[test]
fn recorded_time_never_goes_back_behind_what_is_in_the_log() {
    let (postfold, _) = applied(&[r#"{"clock":"2025-03-01T12:00:00Z"}"#, &account("a")]);
    let later = [r#"{"clock":"2024-01-01T00:00:00Z"}"#, &account("b")].join("\n");
    let outcomes = postfold.apply(&later, &["--manual-clock"]).lines();
    assert_eq!(text(&outcomes[0]["ok"]["recorded_at"]), "2025-03-01T12:00:00Z");
}

#[test]
fn without_the_option_a_clock_line_is_an_invalid_command() {
    let postfold = Postfold::new();
    let done = postfold.apply(r#"{"clock":"2025-03-01T12:00:00Z"}"#, &[]);
    assert_eq!((short(&done.lines()[0]).as_str(), done.code), ("invalid do", Some(1)));
}

#[test]
fn a_key_that_is_written_with_escapes_is_the_same_key() {
    let (_, outcomes) = applied(&[
        r#"{"clock":"2025-03-01T12:00:00Z"}"#,
        r#"{"d\u006f":"open_account","account":"a","currency":"EUR","type":"asset"}"#,
    ]);
    assert_eq!(outcomes.iter().map(short).collect::<Vec<_>>(), ["ok"]);
}
