//! The read models, by way of the command line.

#![allow(clippy::expect_used, reason = "a test ends at the first thing that goes wrong")]

mod support;

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::Value;
use support::{Models, run, transfer};

/// How long a projector may take to see what was posted.
const PATIENCE: Duration = Duration::from_secs(30);

/// The read models that the command comes with, in its order.
const MODELS: [&str; 6] = ["balances", "statements", "dashboards", "changelogs", "preferences", "entities"];

/// Whether the field has this value in the status of every model.
fn all(models: &Models, field: &str, value: i64) -> bool {
    models.status(field) == MODELS.map(|_| value)
}

/// Of each model that was folded at all: the field of its status.
fn of_folded(models: &Models, field: &str) -> Vec<(&'static str, Value)> {
    let all = MODELS.into_iter().zip(models.status(field)).zip(models.status("generation"));
    all.filter(|(_, generation)| !generation.is_null()).map(|(model, _)| model).collect()
}

fn wait_until_at(models: &Models, position: i64) {
    let began = Instant::now();
    while !all(models, "position", position) {
        assert!(began.elapsed() < PATIENCE, "{:?}", models.0.query(["project", "status"]));
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn read_models_catch_up_and_are_what_the_log_says() {
    let models = Models::new();
    assert_eq!(models.status("name"), MODELS);
    assert!(all(&models, "lag", 3));
    assert_eq!(models.0.run(["project", "verify"]).code, Some(1), "there is nothing to verify yet");

    let done = models.0.run(["project", "run", "--until-caught-up"]);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert!(all(&models, "position", 3));
    assert!(all(&models, "head", 3));
    assert!(all(&models, "lag", 0));
    assert!(all(&models, "version", 1));
    let done = models.0.run(["project", "verify"]);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert_eq!(done.stdout.matches("all as they must be").count(), MODELS.len(), "{}", done.stdout);
}

#[test]
fn only_the_read_models_that_were_named_are_worked_on() {
    let models = Models::new();
    let done = models.0.run(["project", "run", "--until-caught-up", "--only", "balances", "changelogs"]);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert_eq!(of_folded(&models, "position"), [("balances", 3.into()), ("changelogs", 3.into())]);
    models.0.run(["project", "rebuild", "--only", "balances"]);
    assert_eq!(of_folded(&models, "generation"), [("balances", 2.into()), ("changelogs", 1.into())]);
    let verified = models.0.query(["project", "verify", "--only", "balances"]);
    assert_eq!((verified[0]["documents"].clone(), verified.as_array().map(Vec::len)), (2.into(), Some(1)));
}

#[test]
fn a_projector_follows_through_a_rebuild_and_ends_well_on_a_signal() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let models = Models::new();
        let projector = models.0.start(&["project", "run"]);
        wait_until_at(&models, 3);
        let rebuilt = models.0.run(["project", "rebuild", "--all"]);
        assert_eq!(rebuilt.code, Some(0), "{}", rebuilt.stderr);
        assert!(all(&models, "generation", 2));

        models.0.apply(&transfer("t-2", "1.00").to_string(), &[]);
        wait_until_at(&models, 4);
        projector.signal(signal);
        let (status, stderr) = projector.wait();
        assert_eq!(status.code(), Some(0), "{stderr}");
        assert!(stderr.contains("goes on from the checkpoints"), "{stderr}");
        assert_eq!(models.0.run(["project", "verify"]).code, Some(0));
    }
}

#[test]
fn status_is_a_table_for_people() {
    let models = Models::new();
    models.0.run(["project", "run", "--until-caught-up", "--only", "balances"]);
    let table = models.0.run(["project", "status"]).stdout;
    for words in ["read model", "balances", "caught up", "new"] {
        assert!(table.contains(words), "{words}: {table}");
    }
}

#[test]
fn an_interrupted_catching_up_is_not_done() {
    let models = Models::new();
    let commands: Vec<String> = (0..20_000).map(|n| transfer(&format!("n-{n}"), "1.00").to_string()).collect();
    models.0.apply(&commands.join("\n"), &[]);
    let projector = models.0.start(&["project", "run", "--until-caught-up"]);
    std::thread::sleep(Duration::from_millis(200));
    projector.signal(Signal::SIGTERM);
    let (status, stderr) = projector.wait();
    // It may have been faster than the signal.
    assert!(matches!(status.code(), Some(143 | 0)), "{status:?}: {stderr}");
    let done = run(&mut models.0.command(["project", "run", "--until-caught-up"]));
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert!(all(&models, "lag", 0));
}
