//! The read models, by way of the command line.

#![allow(clippy::expect_used, reason = "a test ends at the first thing that goes wrong")]

mod support;

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use postfold_projections::{MongoStore, database_name};
use serde_json::Value;
use support::{Postfold, run, transfer};

/// How long a projector may take to see what was posted.
const PATIENCE: Duration = Duration::from_secs(30);

/// The read models that the command comes with, in its order.
const MODELS: [&str; 4] = ["balances", "changelogs", "preferences", "entities"];

/// A ledger with three events, whose read models go with it.
struct Models(Postfold);

impl Models {
    fn new() -> Self {
        let postfold = Postfold::with_accounts();
        let done = postfold.apply(&transfer("t-1", "1.00").to_string(), &[]);
        assert_eq!(done.code, Some(0), "{}", done.stderr);
        Self(postfold)
    }

    /// Of every model: the field of its status.
    fn status(&self, field: &str) -> Vec<Value> {
        let status = self.0.query(["project", "status"]);
        status.as_array().expect("an array").iter().map(|model| model[field].clone()).collect()
    }

    /// Whether the field has this value in the status of every model.
    fn all(&self, field: &str, value: i64) -> bool {
        self.status(field) == MODELS.map(|_| value)
    }

    fn wait_until_at(&self, position: i64) {
        let began = Instant::now();
        while !self.all("position", position) {
            assert!(began.elapsed() < PATIENCE, "{:?}", self.0.query(["project", "status"]));
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Models {
    fn drop(&mut self) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let store = MongoStore::connect(&support::server("MONGODB_URI"), &database_name(&self.0.ledger)).await;
            let store = store.expect("MongoDB");
            store.drop_database().await.expect("dropped");
            store.shutdown().await;
        });
    }
}

#[test]
fn read_models_catch_up_and_are_what_the_log_says() {
    let models = Models::new();
    assert_eq!(models.status("name"), MODELS);
    assert!(models.all("lag", 3));
    assert_eq!(models.0.run(["project", "verify"]).code, Some(1), "there is nothing to verify yet");

    let done = models.0.run(["project", "run", "--until-caught-up"]);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert!(models.all("position", 3));
    assert!(models.all("head", 3));
    assert!(models.all("lag", 0));
    assert!(models.all("version", 1));
    let done = models.0.run(["project", "verify"]);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert_eq!(done.stdout.matches("all as they must be").count(), MODELS.len(), "{}", done.stdout);
}

#[test]
fn only_the_read_models_that_were_named_are_worked_on() {
    let models = Models::new();
    let done = models.0.run(["project", "run", "--until-caught-up", "--only", "balances", "changelogs"]);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert_eq!(models.status("position"), [3, 3, 0, 0]);
    models.0.run(["project", "rebuild", "--only", "balances"]);
    assert_eq!(models.status("generation"), [2.into(), 1.into(), Value::Null, Value::Null]);
    let verified = models.0.query(["project", "verify", "--only", "balances"]);
    assert_eq!((verified[0]["documents"].clone(), verified.as_array().map(Vec::len)), (2.into(), Some(1)));
}

#[test]
fn a_projector_follows_through_a_rebuild_and_ends_well_on_a_signal() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let models = Models::new();
        let projector = models.0.start(&["project", "run"]);
        models.wait_until_at(3);
        let rebuilt = models.0.run(["project", "rebuild", "--all"]);
        assert_eq!(rebuilt.code, Some(0), "{}", rebuilt.stderr);
        assert!(models.all("generation", 2));

        models.0.apply(&transfer("t-2", "1.00").to_string(), &[]);
        models.wait_until_at(4);
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
    assert!(models.all("lag", 0));
}
