//! Commands good and bad, in one file: every one is answered, in order, and a bad one harms no other.

#![allow(clippy::expect_used, reason = "a test ends at the first thing that goes wrong")]

mod support;

use serde_json::json;
use support::{Postfold, open, short, text, transfer};

/// Ten commands, and what each must be answered.
fn ten() -> (String, Vec<&'static str>) {
    let commands = [
        (open("assets:cash", "asset").to_string(), "ok"),
        (open("income:sales", "income").to_string(), "ok"),
        (transfer("t-1", "10.00").to_string(), "ok"),
        (transfer("t-2", "1.005").to_string(), "invalid amount"),
        (r#"{"do":"transfer","id":"t-3","amount":"1.00","debit":"nowhere","credit":"income:sales"}"#.to_owned(), "unknown_account"),
        (r#"{"do":"post","id":"t-4","legs":[{"account":"assets:cash","debit":"1"},{"account":"income:sales","credit":"2"}]}"#.to_owned(), "unbalanced"),
        ("this is no JSON".to_owned(), "invalid "),
        (transfer("t-1", "11.00").to_string(), "id_reused"),
        (r#"{"do":"record","entity":"user/1","kind":"user.named","data":{"name":"A"},"expected_version":3}"#.to_owned(), "conflict"),
        (transfer("t-5", "2.5").to_string(), "ok"),
    ];
    let lines: Vec<&str> = commands.iter().map(|(line, _)| line.as_str()).collect();
    (format!("\n{}\n", lines.join("\n \r\n")), commands.iter().map(|(_, outcome)| *outcome).collect())
}

#[test]
fn ten_commands_good_and_bad_have_ten_outcomes_in_order() {
    let postfold = Postfold::new();
    let (commands, expected) = ten();
    let done = postfold.apply(&commands, &[]);
    let outcomes: Vec<String> = done.lines().iter().map(short).collect();
    assert_eq!(outcomes, expected);
    assert_eq!(done.code, Some(1), "a refused command is a problem");
    assert!(done.stderr.contains("4 ok, 6 refused; the first: line 8: amount"), "{}", done.stderr);
    assert_eq!(postfold.posted(), [("assets:cash".into(), "12.50".into()), ("income:sales".into(), "12.50".into())]);
    assert!(!done.stdout.contains("balances"), "{}", done.stdout);
}

#[test]
fn the_same_file_again_answers_duplicates_and_changes_nothing() {
    let postfold = Postfold::new();
    let (commands, expected) = ten();
    let first = postfold.apply(&commands, &[]).lines();
    let (head, posted) = (postfold.head(), postfold.posted());

    let again = postfold.apply(&commands, &[]);
    for ((first, again), expected) in first.iter().zip(again.lines()).zip(expected) {
        let expected = if expected == "ok" { "duplicate" } else { expected };
        assert_eq!(short(&again), expected);
        assert_eq!(first["ok"]["position"], again["ok"]["position"]);
        assert_eq!(first["ok"]["hash"], again["ok"]["hash"]);
    }
    assert!(again.stderr.contains("4 ok (4 done before)"), "{}", again.stderr);
    assert_eq!((postfold.head(), postfold.posted()), (head, posted));
}

#[test]
fn a_file_without_a_refusal_exits_with_0() {
    let postfold = Postfold::with_accounts();
    let done = postfold.apply(&transfer("t-1", "1.00").to_string(), &[]);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let empty = postfold.apply("\n \n", &[]);
    assert_eq!((empty.code, empty.stdout.as_str()), (Some(0), ""));
}

#[test]
fn receipts_show_balances_only_when_asked() {
    let postfold = Postfold::with_accounts();
    let batch = |id: &str| json!({"do": "batch", "atomic": false, "commands": [transfer(id, "1.00")]});
    let commands = |id: &str| format!("{}\n{}\n", transfer(id, "1.00"), batch(&format!("{id}-member")));

    let without = postfold.apply(&commands("a"), &[]);
    assert!(!without.stdout.contains("balances"), "{}", without.stdout);

    let with = postfold.apply(&commands("b"), &["--balances"]).lines();
    for receipt in [&with[0]["ok"], &with[1]["ok"]["outcomes"][0]["ok"]] {
        assert_eq!(receipt["balances"][0]["account"], json!("assets:cash"), "{receipt}");
        assert!(receipt["balances"][0]["posted"].is_string(), "{receipt}");
    }
}

#[test]
fn a_refused_member_of_a_batch_that_goes_on_is_a_problem() {
    let postfold = Postfold::with_accounts();
    let batch = json!({"do": "batch", "atomic": false, "commands": [transfer("a", "1.00"), transfer("b", "1.001")]});
    let done = postfold.apply(&batch.to_string(), &[]);
    assert_eq!(short(&done.lines()[0]), "ok");
    assert_eq!(done.code, Some(1));
    assert!(done.stderr.contains("line 1: commands[1]: amount: EUR has 2 decimals"), "{}", done.stderr);
}

#[test]
fn a_line_that_is_no_text_or_no_object_is_invalid_and_the_next_is_applied() {
    let postfold = Postfold::with_accounts();
    let mut commands = b"\xff\xfe{}\n[1]\n\"text\"\n7\nnull\n{\"do\":\n".to_vec();
    commands.extend(transfer("t-1", "1.00").to_string().into_bytes());
    let file = support::file(commands);
    let done = support::run(postfold.command(["apply"]).arg(file.path()));
    let outcomes: Vec<String> = done.lines().iter().map(short).collect();
    assert_eq!(outcomes, ["invalid ", "invalid ", "invalid ", "invalid ", "invalid ", "invalid ", "ok"]);
}

#[test]
fn a_line_that_is_too_long_is_invalid_and_the_next_is_applied() {
    let postfold = Postfold::with_accounts();
    let mut commands = vec![b'x'; 64 * 1024 * 1024 + 100];
    commands.extend(format!("\n{}\n", transfer("t-1", "1.00")).into_bytes());
    let file = support::file(commands);
    let lines = support::run(postfold.command(["apply"]).arg(file.path())).lines();
    assert_eq!(lines.iter().map(short).collect::<Vec<_>>(), ["invalid ", "ok"]);
    assert_eq!(text(&lines[0]["invalid"]["message"]), "a line has at most 64 MiB");
}

#[test]
fn standard_input_is_read_with_a_dash_and_without_a_file() {
    for arguments in [&["apply", "-"][..], &["apply"]] {
        let postfold = Postfold::with_accounts();
        let mut running = postfold.start(arguments);
        running.send(&transfer("t-1", "1.00").to_string());
        assert_eq!(short(&running.next().expect("an outcome")), "ok");
        let (status, _) = running.wait();
        assert_eq!(status.code(), Some(0));
    }
}
