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

/// Opens the accounts of a small shop; entries of January, February and March.
fn shop() -> Postfold {
    let postfold = Postfold::with_accounts();
    let sale = |id: &str, amount: &str, at: &str| {
        let mut sale = transfer(id, amount);
        sale["at"] = at.into();
        sale["text"] = format!("sale {id}").into();
        sale
    };
    let commands = [
        sale("t-1", "10.00", "2025-01-31T23:59:59.999999Z"),
        sale("t-2", "20.00", "2025-02-01T00:00:00Z"),
        sale("t-3", "5.00", "2025-02-28T12:00:00Z"),
        sale("t-4", "100.00", "2025-03-01T00:00:00Z"),
        json!({"do": "hold", "id": "h-1", "amount": "3", "debit": "income:sales", "credit": "assets:cash"}),
        json!({"do": "settle", "id": "s-1", "hold": "h-1", "amount": "1", "keep_rest": true}),
        json!({"do": "reverse", "id": "r-1", "entry": "t-3", "reason": "returned"}),
        json!({"do": "record", "entity": "user/42", "kind": "user.named", "data": {"name": "Ada"}, "correlation": "c-1"}),
        json!({"do": "record", "entity": "user/42", "kind": "user.named", "data": {"name": "Bo", "city": "Bern"}}),
    ];
    let lines: Vec<String> = commands.iter().map(Value::to_string).collect();
    let done = postfold.apply(&lines.join("\n"), &[]);
    assert_eq!(done.code, Some(0), "{}{}", done.stdout, done.stderr);
    postfold
}

#[test]
fn a_date_means_the_whole_day_in_every_query() {
    let postfold = shop();
    let cash = |arguments: &[&str]| text(&postfold.query(["balance", "assets:cash"].iter().chain(arguments))["posted"]);
    for (arguments, posted) in [
        (&["--at", "4"][..], "30.00"),
        (&["--effective-at", "2025-01-30"], "0.00"),
        (&["--effective-at", "2025-01-31"], "10.00"),
        (&["--effective-at", "2025-02-01"], "30.00"),
        (&["--effective-at", "2025-02-01T00:00:00Z", "--at", "3"], "10.00"),
        (&["--known-at", "2099-01-01"], "129.00"),
    ] {
        assert_eq!(cash(arguments), posted, "{arguments:?}");
    }
    assert_eq!(postfold.run(["balance", "assets:cash", "--known-at", "2020-01-01"]).code, Some(1));
    let february = ["--from", "2025-02-01", "--to", "2025-02-28"];
    let statement = postfold.query(["statement", "assets:cash"].iter().chain(&february));
    assert_eq!((&statement["opening"], &statement["closing"]), (&json!("10.00"), &json!("35.00")));
    assert_eq!(statement["lines"].as_array().map(Vec::len), Some(2));
    assert_eq!(
        (&statement["from"], &statement["to"]),
        (&json!("2025-02-01T00:00:00Z"), &json!("2025-03-01T00:00:00Z"))
    );
    let income = postfold.query(["income-statement"].iter().chain(&february));
    assert_eq!(income["currencies"][0]["net"], "25.00");
    let trial = postfold.query(["trial-balance", "--effective-at", "2025-02-28"]);
    assert_eq!(
        (&trial["currencies"][0]["debit"], &trial["currencies"][0]["credit"]),
        (&json!("35.00"), &json!("35.00"))
    );
    let sheet = postfold.query(["balance-sheet"]);
    assert_eq!(sheet["currencies"][0]["assets"]["total"], "129.00");
    assert_eq!((&sheet["currencies"][0]["earnings"], &sheet["position"]), (&json!("129.00"), &json!(11)));
}

#[test]
fn a_statement_is_read_page_by_page() {
    let postfold = shop();
    let (mut lines, mut page) = (Vec::new(), postfold.query(["statement", "income:sales", "--limit", "2"]));
    loop {
        lines.extend(page["lines"].as_array().expect("lines").clone());
        let Some(next) = page.get("next").map(text) else { break };
        page = postfold.query(["statement", "income:sales", "--limit", "2", "--page", &next]);
    }
    assert_eq!(json!(lines), postfold.query(["statement", "income:sales"])["lines"]);
    assert_eq!(lines.len(), 6);
    assert_eq!(
        (&lines[0]["credit"], &lines[0]["id"], &lines[0]["text"]),
        (&json!("10.00"), &json!("t-1"), &json!("sale t-1"))
    );
    let done = postfold.run(["statement", "assets:cash", "--limit", "2"]);
    assert!(
        done.stdout.contains("opening balance") && done.stdout.contains("there is more: --page "),
        "{}",
        done.stdout
    );
    let done = postfold.run(["statement", "assets:cash"]);
    assert!(done.stdout.contains("closing balance"), "{}", done.stdout);
}

#[test]
fn entries_holds_and_histories_tell_what_became_of_them() {
    let postfold = shop();
    let hold = postfold.query(["entry", "h-1"]);
    assert_eq!(
        (&hold["state"], &hold["settles"], &hold["left"][0]["debit"]),
        (&json!("open"), &json!(["s-1"]), &json!("2.00"))
    );
    assert_eq!(postfold.query(["entry", "t-3"])["reversed_by"], "r-1");
    assert_eq!(postfold.query(["entry", "r-1"])["reverses"], "t-3");
    for arguments in [&["holds"][..], &["holds", "assets:cash"], &["holds", "--open"]] {
        assert_eq!(postfold.query(arguments)[0]["id"], "h-1");
    }
    assert_eq!(postfold.query(["holds", "--after", "7"]), json!([]));
    let history = postfold.query(["history", "user/42"]);
    assert_eq!((&history[0]["before"], &history[0]["after"]), (&Value::Null, &json!({"name": "Ada"})));
    assert_eq!(
        (&history[1]["before"], &history[1]["after"]),
        (&json!({"name": "Ada"}), &json!({"name": "Bo", "city": "Bern"}))
    );
    assert_eq!(postfold.query(["history", "user/42", "--after", "1"]).as_array().map(Vec::len), Some(1));
    assert_eq!(postfold.query(["history", "user/none"]), json!([]));
    let counts = postfold.query(["head"])["counts"].clone();
    assert_eq!(counts, json!({"events": 11, "accounts": 2}));
}

#[test]
fn balances_are_summed_up_by_level() {
    let postfold = shop();
    let tree = postfold.query(["balances", "--tree"]);
    let rows: Vec<_> =
        tree.as_array().expect("rows").iter().map(|row| (text(&row["account"]), text(&row["posted"]))).collect();
    let row = |account: &str| (account.to_owned(), "129.00".to_owned());
    assert_eq!(rows, [row("assets"), row("assets:cash"), row("income"), row("income:sales")]);
    assert_eq!(postfold.query(["balances", "--tree", "--depth", "0"]).as_array().map(Vec::len), Some(2));
    assert_eq!(postfold.query(["balances", "--prefix", "assets:"]), postfold.query(["balances", "assets:"]));
}

#[test]
fn events_are_filtered() {
    let postfold = shop();
    let positions = |arguments: &[&str]| -> Vec<Value> {
        let events = run(postfold.command(["events", "--json"]).args(arguments)).lines();
        events.iter().map(|event| event["position"].clone()).collect()
    };
    for (arguments, expected) in [
        (&["--kind", "account.opened"][..], &[1, 2][..]),
        (&["--kind", "hold.placed", "--kind", "hold.settled"], &[7, 8]),
        (&["--entity", "user/42"], &[10, 11]),
        (&["--entity", "user/42", "--correlation", "c-1"], &[10]),
        (&["--account", "assets:cash", "--from", "8"], &[8, 9]),
        (&["--account", "assets:cash", "--limit", "2"], &[1, 3]),
        (&["--from", "11"], &[11]),
    ] {
        assert_eq!(positions(arguments), expected, "{arguments:?}");
    }
}

#[test]
fn tables_of_every_query_are_for_people() {
    let postfold = shop();
    for (arguments, words) in [
        (&["entry", "h-1"][..], &["open", "debit income:sales 2.00 EUR", "s-1"][..]),
        (&["holds"], &["h-1", "open"]),
        (&["trial-balance"], &["assets:cash", "129.00", "total", "as of position 11"]),
        (&["balance-sheet", "--effective-at", "2025-12-31"], &["earnings", "effective by 2025-12-31T23:59:59.999999Z"]),
        (&["income-statement"], &["income:sales", "net"]),
        (&["history", "user/42"], &["user.named", "name, city"]),
        (&["history", "user/0"], &["no changes of user/0"]),
        (&["balances", "--tree"], &["  assets:cash"]),
        (&["head"], &["11 events, 2 accounts"]),
    ] {
        let done = postfold.run(arguments);
        assert_eq!(done.code, Some(0), "{}", done.stderr);
        assert!(words.iter().all(|words| done.stdout.contains(words)), "{arguments:?}: {}", done.stdout);
    }
}

#[test]
fn what_is_not_there_is_a_problem_and_what_cannot_be_asked_is_usage() {
    let postfold = shop();
    for (arguments, code, words) in [
        (&["entry", "none"][..], 1, "none"),
        (&["entry", "user/42"], 1, "user/42"),
        (&["statement", "none"], 1, "none"),
        (&["holds", "none"], 1, "none"),
        (&["events", "--account", "none"], 1, "none"),
        (&["balance", "assets:cash", "--at", "0"], 1, "assets:cash"),
        (&["balance", "assets:cash", "--at", "99"], 2, "position 11"),
        (&["balance", "assets:cash", "--at", "-1"], 2, "-1"),
        (&["balance", "assets:cash", "--effective-at", "yesterday"], 2, "2025-03-31"),
        (&["statement", "assets:cash", "--page", "nonsense"], 2, "nonsense"),
        (&["statement", "assets:cash", "--limit", "0"], 2, "10000"),
        (&["statement", "assets:cash", "--from", "2025-02-01", "--to", "2025-01-01"], 2, "before it begins"),
        (&["history", "user"], 2, "type/id"),
    ] {
        let done = postfold.run(arguments.iter().chain(&["--json"]));
        assert_eq!((done.code, done.stdout.as_str()), (Some(code), ""), "{arguments:?}: {}", done.stderr);
        assert!(done.stderr.contains(words), "{arguments:?}: {}", done.stderr);
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
