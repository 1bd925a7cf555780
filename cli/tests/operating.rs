//! What an operator does with read models that run: pause, resume, prune, watch.

#![allow(clippy::expect_used, reason = "a test ends at the first thing that goes wrong")]

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use postfold_projections::{Checkpoint, Index, Store};
use serde_json::{Value, json};
use support::{Models, run, transfer};

/// How long a projector may take to see what was posted.
const PATIENCE: Duration = Duration::from_secs(30);

const CATCH_UP: [&str; 3] = ["project", "run", "--until-caught-up"];

#[test]
fn a_paused_model_stands_still_until_it_is_resumed() {
    let models = Models::new();
    let done = models.0.run(["project", "pause", "balances", "--reason", "end of quarter"]);
    assert_eq!(done.code, Some(1), "there is no model to pause yet: {}", done.stderr);
    assert!(done.stderr.contains("project run"), "{}", done.stderr);
    assert_eq!(models.0.run(CATCH_UP).code, Some(0));

    let done = models.0.run(["project", "pause", "balances", "preferences", "--reason", "end of quarter"]);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    models.0.apply(&transfer("t-2", "1.00").to_string(), &[]);
    assert_eq!(models.0.run(CATCH_UP).code, Some(0));
    let status = models.0.query(["project", "status"]);
    let of = |name: &str| status.as_array().expect("models").iter().find(|model| model["name"] == name).expect(name);
    assert_eq!((&of("balances")["state"], &of("balances")["position"]), (&json!("paused"), &json!(3)));
    assert_eq!(of("balances")["paused"], "end of quarter");
    assert_eq!((&of("changelogs")["state"], &of("changelogs")["position"]), (&json!("caught_up"), &json!(4)));
    let table = models.0.run(["project", "status"]).stdout;
    assert!(table.contains("balances is paused: end of quarter"), "{table}");

    assert_eq!(models.0.run(["project", "resume", "--all"]).code, Some(0));
    assert_eq!(models.0.run(CATCH_UP).code, Some(0));
    assert!(models.status("state").iter().all(|state| state == "caught_up"), "{:?}", models.status("state"));
    assert!(models.status("paused").iter().all(Value::is_null));
}

#[test]
fn what_a_killed_rebuild_left_is_pruned_and_nothing_else() {
    let models = Models::new();
    assert_eq!(models.0.run(CATCH_UP).code, Some(0));
    assert_eq!(models.0.run(["project", "prune"]).stdout, "there is nothing to drop\n");
    models.in_store(async |store| store.create("balances__g9_e9", &[]).await.expect("created"));
    let dry = models.0.run(["project", "prune", "--dry-run"]);
    assert_eq!((dry.code, dry.stdout.as_str()), (Some(0), "would drop the collection balances__g9_e9\n"));
    assert_eq!(models.0.query(["project", "prune"])["collections"], json!(["balances__g9_e9"]));
    assert_eq!(models.0.run(["project", "prune"]).stdout, "there is nothing to drop\n");
    assert_eq!(models.0.run(["project", "verify"]).code, Some(0));
}

#[test]
fn indexes_that_differ_are_shown_and_brought_in_step() {
    let models = Models::new();
    assert_eq!(models.0.run(CATCH_UP).code, Some(0));
    let in_step = "statements: all indexes are as declared\n";
    assert_eq!(models.0.run(["project", "reindex", "statements"]).stdout, in_step);
    models.in_store(async |store| store.reindex("statements", &[Index::ascending(["side"])]).await.expect("reindexed"));
    let table = models.0.run(["project", "status"]).stdout;
    assert!(table.contains("statements has the index side_1, which is not declared"), "{table}");
    let dry = models.0.run(["project", "reindex", "statements", "--dry-run"]).stdout;
    assert!(dry.contains("would drop side_1") && dry.contains("would build "), "{dry}");
    let done = models.0.run(["project", "reindex", "--all"]).stdout;
    assert!(done.contains("dropped side_1") && done.contains("balances: all indexes are as declared"), "{done}");
    assert_eq!(models.0.run(["project", "reindex", "statements"]).stdout, in_step);
}

#[test]
fn a_rebuild_keeps_the_number_of_buckets_unless_another_is_asked_for() {
    let models = Models::new();
    let named = ["--until-caught-up", "--only", "balances", "--buckets", "3"];
    assert_eq!(models.0.run([&["project", "run"], &named[..]].concat()).code, Some(0));
    let buckets = || models.status("buckets")[0].as_array().map(Vec::len);
    assert_eq!(buckets(), Some(3));
    assert_eq!(models.0.run(["project", "rebuild", "--only", "balances"]).code, Some(0));
    assert_eq!(buckets(), Some(3));
    let done = models.0.run(["project", "rebuild", "--only", "balances", "--buckets", "2", "--memory", "64"]);
    assert_eq!((done.code, buckets()), (Some(0), Some(2)), "{}", done.stderr);
    assert_eq!(models.0.run(["project", "verify", "--only", "balances"]).code, Some(0));
}

#[test]
fn metrics_and_health_are_told_over_http_while_the_projector_runs() {
    let models = Models::new();
    let options = ["--listen", "127.0.0.1:0", "--max-lag-seconds", "30", "--name", "till 4"];
    let mut projector = models.0.start(&[&["project", "run"], &options[..]].concat());
    let said = projector.next_said();
    let address = said.split("http://").nth(1).and_then(|rest| rest.split_once("/metrics")).expect(&said).0.to_owned();

    let began = Instant::now();
    let health = loop {
        let (code, body) = get(&address, "/health");
        let health: Value = serde_json::from_str(&body).expect("JSON");
        assert_eq!((code, &health["healthy"]), (200, &json!(true)), "{body}");
        let all = health["projections"].as_array().expect("models").iter();
        if all.clone().all(|model| model["state"] == "caught_up") {
            break health;
        }
        assert!(began.elapsed() < PATIENCE, "{body}");
        std::thread::sleep(Duration::from_millis(50));
    };
    assert_eq!(health["projections"][0]["lag"], 0);
    assert_eq!(health["projections"][0]["buckets"][0]["owner"], "till 4", "{health}");
    let (code, metrics) = get(&address, "/metrics");
    assert_eq!(code, 200);
    for line in [
        "postfold_projection_lag_events{projection=\"balances\",bucket=\"0\"} 0",
        "postfold_projection_events_total{projection=\"balances\"} 3",
        "postfold_projection_halted{projection=\"balances\"} 0",
        "postfold_projection_batch_seconds_bucket{projection=\"balances\",le=\"+Inf\"}",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
    assert_eq!(get(&address, "/").0, 404);

    built_by(&models, 99);
    let (code, body) = get(&address, "/health");
    let health: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!((code, &health["healthy"]), (503, &json!(false)), "{body}");
    assert_eq!(health["trouble"], json!(["balances was built by another version: it wants a rebuild"]));
    built_by(&models, 1);
    assert_eq!(get(&address, "/health").0, 200);
    projector.signal(Signal::SIGTERM);
    let (status, stderr) = projector.wait();
    assert_eq!(status.code(), Some(0), "{stderr}");
}

#[test]
fn an_address_that_is_taken_is_usage() {
    let models = Models::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let done = run(models.0.command(CATCH_UP).args(["--listen", &address]));
    assert_eq!(done.code, Some(2), "{}", done.stderr);
    assert!(done.stderr.contains(&address), "{}", done.stderr);
}

/// Has the checkpoint of balances say that another version built it.
fn built_by(models: &Models, version: u32) {
    models.in_store(async |store| {
        let found = store.checkpoint("balances").await.expect("an answer").expect("a checkpoint");
        let next = Checkpoint { version, revision: found.revision + 1, ..found.clone() };
        assert!(store.swap_header(&found, &next).await.expect("an answer"));
    });
}

/// The status and the body of an answer.
fn get(address: &str, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).expect("it listens");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("UTF-8");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let code = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    (code.expect("a status"), body.to_owned())
}
