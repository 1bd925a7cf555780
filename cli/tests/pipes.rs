//! Pipes: an answer comes before the next command is sent, and a reader that has gone is no trouble.

#![allow(clippy::expect_used, reason = "a test ends at the first thing that goes wrong")]

mod support;

use std::io::Read;
use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use support::{Postfold, short, transfer};

#[test]
fn a_command_is_answered_before_the_next_one_is_sent() {
    let postfold = Postfold::with_accounts();
    let mut running = postfold.start(&["apply", "-"]);
    let mut positions = Vec::new();
    for number in 0..5 {
        running.send(&transfer(&format!("t-{number}"), "1.00").to_string());
        // Without an answer this would wait for ever.
        let outcome = running.next().expect("an outcome");
        positions.push(outcome["ok"]["position"].as_u64().expect("a position"));
    }
    running.send("no JSON");
    assert_eq!(short(&running.next().expect("an outcome")), "invalid ");
    assert_eq!(positions, [3, 4, 5, 6, 7]);
    let (status, _) = running.wait();
    assert_eq!(status.code(), Some(1));
}

#[test]
fn a_signal_while_apply_waits_for_input_ends_it_and_says_how_to_go_on() {
    for (signal, code) in [(Signal::SIGINT, 130), (Signal::SIGTERM, 143)] {
        let postfold = Postfold::with_accounts();
        let mut running = postfold.start(&["apply", "-"]);
        running.send(&transfer("t-1", "1.00").to_string());
        running.next().expect("an outcome");
        running.signal(signal);
        let (status, stderr) = running.wait_with_open_input();
        assert_eq!(status.code(), Some(code));
        assert!(stderr.contains("stopped. Answered: 1 line of standard input"), "{stderr}");
        assert!(stderr.contains("safe for every command that has an id"), "{stderr}");
    }
}

#[test]
fn a_query_whose_reader_has_seen_enough_ends_quietly() {
    let postfold = Postfold::with_accounts();
    let commands: Vec<String> = (0..3_000).map(|n| transfer(&format!("t-{n}"), "1.00").to_string()).collect();
    postfold.apply(&commands.join("\n"), &[]);
    for arguments in [&["events", "--json"][..], &["events"], &["balances"], &["man"], &["--help"]] {
        let mut child = postfold
            .command(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let mut first = [0_u8; 1];
        let mut stdout = child.stdout.take().expect("a pipe");
        stdout.read_exact(&mut first).expect("some output");
        drop(stdout);
        let output = child.wait_with_output().expect("it ends");
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{arguments:?}");
    }
}

#[test]
fn apply_whose_outcomes_nobody_reads_any_more_stops_and_says_so() {
    let postfold = Postfold::with_accounts();
    let mut running = postfold.start(&["apply", "-"]);
    running.send(&transfer("t-1", "1.00").to_string());
    running.next().expect("an outcome");
    running.stop_listening();
    running.send(&transfer("t-2", "1.00").to_string());
    let (status, stderr) = running.wait_with_open_input();
    assert_eq!(status.code(), Some(3), "{stderr}");
    assert!(stderr.contains("the outcomes cannot be written"), "{stderr}");
}

#[test]
fn following_shows_a_new_event_as_it_comes_and_ends_well_on_ctrl_c() {
    let postfold = Postfold::with_accounts();
    let mut running = postfold.start(&["events", "--follow", "--json", "--after", "1"]);
    assert_eq!(running.next().expect("an event")["position"], 2);
    let began = Instant::now();
    postfold.apply(&transfer("t-1", "1.00").to_string(), &[]);
    assert_eq!(running.next().expect("an event")["id"], "t-1");
    assert!(began.elapsed() < Duration::from_secs(10), "took {:?}", began.elapsed());
    running.signal(Signal::SIGINT);
    let (status, stderr) = running.wait_with_open_input();
    assert_eq!(status.code(), Some(0));
    assert!(stderr.contains("--after 3"), "{stderr}");
}

#[test]
fn a_limit_ends_following_too() {
    let postfold = Postfold::with_accounts();
    for arguments in [&["events", "--limit", "1"][..], &["events", "--follow", "--limit", "1"]] {
        let done = postfold.run(arguments);
        assert_eq!((done.code, done.stdout.lines().count()), (Some(0), 1), "{arguments:?}");
    }
}
