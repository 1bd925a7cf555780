//! `apply` is killed in the middle of its work: nothing that was acknowledged is lost, and after the
//! same file was applied again, nothing is there twice.

#![allow(clippy::expect_used, reason = "a test ends at the first thing that goes wrong")]

mod support;

use nix::sys::signal::Signal;
use serde_json::Value;
use support::{Postfold, file, short, transfer};

/// Commands in the file.
const COMMANDS: usize = 20_000;
/// Outcomes that are read before the blow falls.
const SEEN: usize = 3_000;
/// Events that open the accounts.
const OPENED: usize = 2;

#[test]
fn a_killed_apply_lost_nothing_and_a_second_run_doubles_nothing() {
    let postfold = Postfold::with_accounts();
    let commands: Vec<String> = (0..COMMANDS).map(|n| transfer(&format!("t-{n}"), "1.25").to_string()).collect();
    let commands = file(commands.join("\n"));
    let path = commands.path().to_str().expect("UTF-8");

    let mut running = postfold.start(&["apply", path]);
    let seen: Vec<Value> = (0..SEEN).map(|_| running.next().expect("an outcome")).collect();
    running.signal(Signal::SIGKILL);
    let (status, _) = running.wait();
    assert_eq!(status.code(), None, "it was killed");
    let after_kill = postfold.head();
    let appended = usize::try_from(after_kill).expect("a count") - OPENED;
    assert!((SEEN..COMMANDS).contains(&appended), "{appended} commands were in the log after the kill");

    let again = postfold.run(["apply", path]);
    assert_eq!(again.code, Some(0), "{}", again.stderr);
    let again = again.lines();
    assert_eq!(again.len(), COMMANDS);
    for (seen, again) in seen.iter().zip(&again) {
        assert_eq!(short(again), "duplicate");
        assert_eq!(seen["ok"]["position"], again["ok"]["position"]);
        assert_eq!(seen["ok"]["hash"], again["ok"]["hash"]);
    }
    let duplicates = again.iter().filter(|outcome| short(outcome) == "duplicate").count();
    assert_eq!(duplicates, appended, "what was in the log was answered as a duplicate, and nothing else was");

    assert_eq!(postfold.head(), u64::try_from(COMMANDS + OPENED).expect("a count"));
    let all = "25000.00".to_owned();
    assert_eq!(postfold.posted(), [("assets:cash".into(), all.clone()), ("income:sales".into(), all)]);
    assert_eq!(postfold.run(["verify"]).code, Some(0));
}
