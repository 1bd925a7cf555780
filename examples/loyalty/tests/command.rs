//! The whole way: commands in, this program's own read model out, by the command line around it.

#![allow(clippy::expect_used, reason = "a test ends at the first thing that goes wrong")]

use std::io::Write;
use std::process::{Command, Stdio};

use bson::{Document, doc};
use postfold_projections::database_name;
use serde_json::{Value, json};

const COMMANDS: &str = r#"
{"do":"open_account","account":"assets:bank","currency":"EUR","type":"asset"}
{"do":"open_account","account":"wallet:ann","currency":"EUR","type":"liability"}
{"do":"open_account","account":"sales:books","currency":"EUR","type":"income"}
{"do":"transfer","id":"top-up-1","amount":"100.00","debit":"assets:bank","credit":"wallet:ann"}
{"do":"transfer","id":"sale-1","amount":"12.90","debit":"wallet:ann","credit":"sales:books"}
{"do":"transfer","id":"sale-2","amount":"7.50","debit":"wallet:ann","credit":"sales:books"}
{"do":"reverse","id":"return-1","entry":"sale-2"}
{"do":"record","entity":"customer/ann","kind":"points.granted","data":{"points":50}}
"#;

/// A ledger of its own, with the program as its operator runs it.
struct Shop {
    ledger: String,
}

impl Shop {
    fn run(&self, arguments: &[&str], input: &str) -> (Option<i32>, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_loyalty"));
        command.args(["--ledger", &self.ledger]).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("it reads");
        let output = child.wait_with_output().expect("it ends");
        (output.status.code(), String::from_utf8(output.stdout).expect("UTF-8"))
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let (code, stdout) = self.run(&[arguments, &["--json"]].concat(), "");
        assert_eq!(code, Some(0), "{arguments:?}: {stdout}");
        serde_json::from_str(&stdout).expect("JSON")
    }

    /// What the program's readers see; then the database goes.
    async fn customer(&self, name: &str) -> Document {
        let uri = std::env::var("MONGODB_URI").expect("MONGODB_URI; start the servers with `make stack`");
        let client = mongodb::Client::with_uri_str(uri).await.expect("MongoDB");
        let database = client.database(&database_name(&self.ledger));
        let customer = database.collection("loyalty").find_one(doc! { "_id": name }).await.expect("an answer");
        database.drop().await.expect("dropped");
        customer.expect("a document")
    }
}

#[tokio::test]
async fn the_own_model_is_folded_listed_rebuilt_and_verified_like_those_that_come_along() {
    let shop = Shop { ledger: format!("test-{}", uuid::Uuid::now_v7()) };
    assert_eq!(shop.run(&["init"], "").0, Some(0));
    assert_eq!(shop.run(&["apply"], COMMANDS).0, Some(0));

    let ran = shop.json(&["project", "run", "--until-caught-up", "--only", "loyalty", "balances"]);
    assert_eq!(ran["projections"].as_array().map(Vec::len), Some(2), "{ran}");
    assert_eq!(shop.run(&["project", "rebuild", "--only", "loyalty"], "").0, Some(0));
    let status = shop.json(&["project", "status"]);
    let own = status.as_array().and_then(|models| models.iter().find(|model| model["name"] == "loyalty"));
    let own = own.expect("loyalty among the models");
    assert_eq!((&own["state"], &own["generation"], &own["lag"]), (&json!("caught_up"), &json!(2), &json!(0)));
    let verified = shop.json(&["project", "verify", "--only", "loyalty"]);
    assert_eq!((&verified[0]["documents"], &verified[0]["different"]), (&json!(1), &json!(0)));

    let ann = shop.customer("ann").await;
    assert_eq!((ann.get_i64("points").ok(), ann.get_i64("granted").ok()), (Some(62), Some(50)));
    assert_eq!(ann.get("spent").map(ToString::to_string), Some("12.90".to_owned()));
}

#[test]
fn the_program_speaks_of_itself_by_its_own_name() {
    let shop = Shop { ledger: "nobody".to_owned() };
    let (code, help) = shop.run(&["project", "rebuild", "--help"], "");
    assert_eq!(code, Some(0));
    for words in ["Usage: loyalty project rebuild", "possible values: balances", "loyalty"] {
        assert!(help.contains(words), "{words}: {help}");
    }
    let (_, script) = shop.run(&["completions", "bash"], "");
    assert!(script.contains("_loyalty()") && script.contains("loyalty\""), "{script}");
}
