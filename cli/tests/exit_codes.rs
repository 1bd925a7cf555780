//! What goes wrong around a ledger: the exit code tells whose business it is, the message names the
//! value and the way out, and no password is ever said.

#![allow(clippy::expect_used, reason = "a test ends at the first thing that goes wrong")]

mod support;

use support::{Done, Postfold, binary, file, fresh_name, open, run, short, transfer};

/// A port that nobody listens on.
const NOWHERE: &str = "127.0.0.1:1";
const SECRET: &str = "hunter-two";

fn fails(done: &Done, code: i32, words: &[&str]) {
    assert_eq!(done.code, Some(code), "{}", done.stderr);
    for words in words {
        assert!(done.stderr.contains(words), "{words:?} is not in: {}", done.stderr);
    }
    for never in [SECRET, "panicked", "RUST_BACKTRACE", "Error {", "source: "] {
        assert!(!done.stderr.contains(never) && !done.stdout.contains(never), "{never:?}: {}", done.stderr);
    }
}

#[test]
fn a_postgresql_that_is_not_there_is_infrastructure() {
    let url = format!("postgres://me:{SECRET}@{NOWHERE}/books");
    for command in [&["head"][..], &["init"], &["apply", "-"], &["verify"], &["events"], &["project", "status"]] {
        let done = run(binary().args(["--ledger", "x", "--database-url", &url]).args(command));
        fails(&done, 3, &["me@127.0.0.1:1/books", "Connection refused", "DATABASE_URL"]);
    }
}

#[test]
fn a_url_that_cannot_be_one_is_usage() {
    for url in ["nonsense", "mysql://me:hunter-two@h/x", "postgres://me:hunter-two@127.0.0.1:port/x", ""] {
        let done = run(binary().args(["--ledger", "x", "--database-url", url, "head"]));
        fails(&done, 2, &["URL"]);
    }
    let (ledger, uri) = (Postfold::new().ledger, "mongodb:/hunter-two");
    let done = run(binary().args(["--ledger", &ledger, "--mongodb-uri", uri, "project", "status"]));
    fails(&done, 2, &["MONGODB_URI"]);
}

#[test]
fn a_password_that_was_refused_is_not_repeated() {
    let server = support::server("DATABASE_URL");
    let place = server.rsplit('@').next().expect("a place");
    let done = run(binary()
        .args(["--ledger", "x", "head", "--database-url"])
        .arg(format!("postgres://nobody:{SECRET}@{place}")));
    fails(&done, 3, &["nobody"]);
    let done = run(binary().arg(format!("postgres://nobody:{SECRET}@{place}")));
    fails(&done, 2, &["nobody:***@"]);
}

#[test]
fn a_mongodb_that_is_not_there_is_infrastructure_for_read_models_only() {
    let postfold = Postfold::new();
    let uri = format!("mongodb://me:{SECRET}@{NOWHERE}");
    let commands =
        [&["project", "status"][..], &["project", "run"], &["project", "rebuild", "--all"], &["project", "verify"]];
    // Each waits for a server to show up.
    std::thread::scope(|scope| {
        let running = commands.map(|command| {
            let mut command_line = postfold.command(["--mongodb-uri", &uri]);
            scope.spawn(move || run(command_line.args(command)))
        });
        for done in running {
            fails(&done.join().expect("no panic"), 3, &[NOWHERE, "Connection refused", "MONGODB_URI"]);
        }
    });
    assert_eq!(postfold.run(["--mongodb-uri", &uri, "head"]).code, Some(0));
}

#[test]
fn a_ledger_or_a_schema_that_is_not_there_is_infrastructure_and_says_what_creates_it() {
    let name = fresh_name();
    let done = run(binary().args(["--ledger", &name, "apply", "-"]));
    fails(&done, 3, &[&name, "postfold init"]);
    let done = run(binary().args(["--ledger", &name, "--schema", "not_there", "head"]));
    fails(&done, 3, &["not_there", "postfold init"]);
}

#[test]
fn what_cannot_be_meant_so_is_usage() {
    let ledger = ["--ledger", "x"];
    for (arguments, words) in [
        (&["head"][..], "--ledger"),
        (&["--ledger", "", "head"], "--ledger"),
        (&["--ledger", "x", "--schema", "No Name", "head"], "No Name"),
        (&["--ledger", "x", "apply", "/not/there.jsonl"], "/not/there.jsonl"),
        (&["--ledger", "x", "apply", "/"], "directory"),
        (&["--ledger", "x", "project", "rebuild"], "--all"),
        (&["--ledger", "x", "project", "run", "--only", "nothing"], "balances"),
        (&["--ledger", "x", "verify", "--head", "7"], "64 hexadecimal digits"),
        (&["--ledger", "x", "events", "--after", "-1"], "-1"),
        (&["nonsense"], "nonsense"),
    ] {
        fails(&run(binary().args(arguments)), 2, &[words]);
    }
    fails(&run(binary().args(ledger).env_remove("DATABASE_URL").arg("head")), 2, &["DATABASE_URL"]);
    let without_mongodb = &mut Postfold::new().command(["project", "status"]);
    fails(&run(without_mongodb.env_remove("MONGODB_URI")), 2, &["MONGODB_URI"]);
}

#[test]
fn an_account_that_is_not_there_is_a_problem_and_one_in_two_currencies_is_usage() {
    let postfold = Postfold::new();
    fails(&postfold.run(["balance", "nowhere"]), 1, &["nowhere"]);
    let mut points = open("till", "asset");
    points["currency"] = "USD".into();
    postfold.apply(&format!("{}\n{points}", open("till", "asset")), &[]);
    fails(&postfold.run(["balance", "till"]), 2, &["EUR, USD", "--currency"]);
    assert_eq!(postfold.query(["balance", "till", "--currency", "USD"])["currency"], "USD");
}

#[test]
fn a_malformed_seventh_line_is_named_and_the_rest_is_applied() {
    let postfold = Postfold::with_accounts();
    let lines: Vec<String> = (1..=10)
        .map(|number| {
            if number == 7 {
                "{\"do\": \"transfer\",".to_owned()
            } else {
                transfer(&number.to_string(), "1.00").to_string()
            }
        })
        .collect();
    let commands = file(lines.join("\n"));
    let done = run(postfold.command(["apply"]).arg(commands.path()));
    fails(&done, 1, &["9 ok, 1 refused; the first: line 7"]);
    assert_eq!(done.lines().iter().filter(|outcome| short(outcome) == "ok").count(), 9);
}

#[test]
fn the_ledger_may_be_named_before_or_after_the_command_or_in_the_environment() {
    let postfold = Postfold::new();
    let name = postfold.ledger.as_str();
    for arguments in
        [&["--ledger", name, "head"][..], &["head", "--ledger", name], &["project", "--ledger", name, "status"]]
    {
        for environment in [None, Some("another"), Some("")] {
            let mut command = binary();
            command.args(arguments).envs(environment.map(|name| ("POSTFOLD_LEDGER", name)));
            assert_eq!(run(&mut command).code, Some(0), "{arguments:?}, {environment:?}");
        }
    }
    assert_eq!(run(binary().env("POSTFOLD_LEDGER", name).arg("head")).code, Some(0));
}

#[test]
fn init_on_a_ledger_that_is_there_changes_nothing_and_exits_with_0() {
    let postfold = Postfold::with_accounts();
    let head = postfold.query(["head"]);
    let again = postfold.run(["init", "--roles", "--json"]);
    assert_eq!(again.code, Some(0));
    assert!(again.stdout.contains("\"created\":false"), "{}", again.stdout);
    assert_eq!(postfold.query(["head"]), head);
}
