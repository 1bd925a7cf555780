//! What the queries print.

#![allow(clippy::expect_used, reason = "a test ends at the first thing that goes wrong")]

mod support;

use serde_json::{Value, json};
use support::{Postfold, run, text, transfer};

#[test]
fn balances_are_one_array_with_amounts_as_strings() {
    let postfold = Postfold::with_accounts();
    postfold.apply(&transfer("t-1", "12.5").to_string(), &[]);
    let balances = postfold.query(["balances"]);
    let cash = json!({
        "account": "assets:cash", "currency": "EUR", "type": "asset", "normal": "debit", "posted": "12.50",
        "pending_in": "0.00", "pending_out": "0.00", "available": "12.50", "position": 3,
    });
    assert_eq!(balances[0], cash);
    assert_eq!(balances.as_array().map(Vec::len), Some(2));
    assert_eq!(postfold.query(["balances", "assets:"]), json!([cash]));
    assert_eq!(postfold.query(["balances", "nothing"]), json!([]));
    assert_eq!(postfold.query(["balance", "assets:cash"]), cash);
}

#[test]
fn tables_hold_the_same_for_people() {
    let postfold = Postfold::with_accounts();
    assert_eq!(postfold.run(["balances", "nothing"]).stdout, "no accounts\n");
    postfold.apply(&transfer("t-1", "12.5").to_string(), &[]);
    for (arguments, words) in [
        (&["balances"][..], &["assets:cash", "12.50", "2 accounts, as of position 3"][..]),
        (&["balance", "assets:cash"], &["assets:cash", "12.50"]),
        (&["head"], &["position     3", "postfold verify --head 3:"]),
        (&["events"], &["account.opened", "entry.posted", "t-1"]),
        (&["verify"], &["verified 3 events, 2 postings and 2 accounts up to position 3"]),
        (
            &["verify", "--after", "1", "--upto", "2"],
            &["verified 1 event, 0 postings and 2 accounts behind position 1 up to position 2"],
        ),
    ] {
        let done = postfold.run(arguments);
        assert_eq!(done.code, Some(0), "{}", done.stderr);
        assert!(words.iter().all(|words| done.stdout.contains(words)), "{arguments:?}: {}", done.stdout);
    }
}

#[test]
fn events_are_one_object_a_line_from_a_position_on() {
    let postfold = Postfold::with_accounts();
    postfold.apply(&transfer("t-1", "12.5").to_string(), &[]);
    let events = run(&mut postfold.command(["events", "--json", "--after", "1"])).lines();
    assert_eq!(events.iter().map(|event| event["position"].clone()).collect::<Vec<Value>>(), [2, 3]);
    assert_eq!(events[1]["data"]["legs"][0]["debit"], "12.50");
}

#[test]
fn what_others_wrote_cannot_move_the_cursor_of_who_reads_it() {
    let postfold = Postfold::with_accounts();
    postfold.apply(&transfer("t\u{1b}[2J\u{9b}1", "1.00").to_string(), &[]);
    let events = postfold.run(["events"]).stdout;
    assert!(!events.contains(['\u{1b}', '\u{9b}']), "{events:?}");
}

#[test]
fn a_noted_head_must_still_be_in_the_log() {
    let postfold = Postfold::with_accounts();
    let head = postfold.query(["head"]);
    let noted = format!("2:{}", text(&head["hash"]));
    assert_eq!(postfold.run(["verify", "--head", &noted]).code, Some(0));

    let other = format!("1:{}", text(&head["hash"]));
    let later = format!("9:{}", text(&head["hash"]));
    for (noted, words) in [(other, "was noted for this position"), (later, "the log ends before it")] {
        let done = postfold.run(["verify", "--json", "--head", &noted]);
        assert_eq!(done.code, Some(1));
        let report: Value = serde_json::from_str(&done.stdout).expect("JSON");
        assert_eq!(report["problems_total"], 1);
        assert!(text(&report["problems"][0]["message"]).contains(words), "{report}");
        assert!(postfold.run(["verify", "--head", &noted]).stdout.contains("found 1 problem"));
    }
}

#[test]
fn doctor_finds_nothing_wrong_with_a_new_ledger() {
    let postfold = Postfold::new();
    postfold.run(["init", "--roles"]);
    let checks = postfold.query(["doctor"]);
    let checks = checks.as_array().expect("an array");
    assert!(checks.iter().all(|check| check["state"] == "ok"), "{checks:#?}");
    for name in ["PostgreSQL", "schema", "guards", "roles", "clock", "fsync", "ledger", "MongoDB version"] {
        assert!(checks.iter().any(|check| check["name"] == name), "{name}");
    }
}

#[test]
fn doctor_says_how_to_mend_what_is_wrong_and_still_looks_at_the_rest() {
    let name = support::fresh_name();
    let looked = |arguments: &[&str]| {
        let done = run(support::binary().args(["doctor", "--json"]).args(arguments));
        let checks: Vec<Value> = serde_json::from_str(&done.stdout).expect("an array");
        let state = move |name: &str| {
            let check = checks.iter().find(|check| check["name"] == name);
            check.map(|check| (text(&check["state"]), check["mend"].as_str().unwrap_or_default().to_owned()))
        };
        (done.code, state)
    };

    let (code, state) = looked(&["--ledger", &name]);
    let (ledger, mend) = state("ledger").expect("a check");
    assert_eq!((code, ledger.as_str()), (Some(1), "problem"));
    assert!(mend.contains("postfold init"), "{mend}");

    let (code, state) = looked(&["--ledger", &name, "--schema", "not_there"]);
    assert_eq!((code, state("schema").expect("a check").0.as_str()), (Some(1), "problem"));

    let (code, state) = looked(&["--ledger", &name, "--mongodb-uri", "mongodb://127.0.0.1:1"]);
    assert_eq!((code, state("MongoDB").expect("a check").0.as_str()), (Some(3), "unreachable"));
    assert_eq!(state("fsync").expect("a check").0, "ok");

    let (code, state) = looked(&["--database-url", "postgres://127.0.0.1:1/x"]);
    assert_eq!((code, state("PostgreSQL").expect("a check").0.as_str()), (Some(3), "unreachable"));
    assert_eq!(state("MongoDB").expect("a check").0, "ok");
}

#[test]
fn completions_and_man_page_need_no_server() {
    for arguments in [&["completions", "bash"][..], &["completions", "fish"], &["completions", "zsh"], &["man"]] {
        let done = run(support::binary().env_clear().args(arguments));
        assert_eq!(done.code, Some(0), "{arguments:?}: {}", done.stderr);
        assert!(
            done.stdout.contains("until-caught-up") || done.stdout.contains("until\\-caught\\-up"),
            "{arguments:?}"
        );
    }
}
