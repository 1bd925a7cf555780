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

/// The first of two cannot be folded, and so the second has to wait.
const POISON: &str = r#"
{"do":"record","entity":"customer/ann","kind":"points.granted","data":{"points":"many"}}
{"do":"record","entity":"customer/ann","kind":"points.granted","data":{"points":5}}
"#;

/// A ledger of its own, with the program as its operator runs it.
struct Shop {
    ledger: String,
}

impl Shop {
    fn new() -> Self {
        let shop = Self { ledger: format!("test-{}", uuid::Uuid::now_v7()) };
        assert_eq!(shop.run(&["init"], "").0, Some(0));
        assert_eq!(shop.run(&["apply"], COMMANDS).0, Some(0));
        shop
    }

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

    /// What the program's readers see.
    async fn customer(&self, name: &str) -> Document {
        let customers = self.database().await.collection("loyalty");
        customers.find_one(doc! { "_id": name }).await.expect("an answer").expect("a document")
    }

    async fn forget(&self) {
        self.database().await.drop().await.expect("dropped");
    }

    async fn database(&self) -> mongodb::Database {
        let uri = std::env::var("MONGODB_URI").expect("MONGODB_URI; start the servers with `make stack`");
        let client = mongodb::Client::with_uri_str(uri).await.expect("MongoDB");
        client.database(&database_name(&self.ledger))
    }
}

#[tokio::test]
async fn the_own_model_is_folded_listed_rebuilt_and_verified_like_those_that_come_along() {
    let shop = Shop::new();

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
    shop.forget().await;
    assert_eq!((ann.get_i64("points").ok(), ann.get_i64("granted").ok()), (Some(62), Some(50)));
    assert_eq!(ann.get("spent").map(ToString::to_string), Some("12.90".to_owned()));
}

#[tokio::test]
async fn a_customer_whose_event_cannot_be_folded_waits_until_an_operator_skips_it() {
    let shop = Shop::new();
    assert_eq!(shop.run(&["apply"], POISON).0, Some(0));
    let catch_up = ["project", "run", "--until-caught-up", "--only", "loyalty"];
    assert_eq!(shop.run(&catch_up, "").0, Some(0), "parking halts nobody");
    let parked = shop.json(&["project", "parked", "list"]);
    assert_eq!((&parked[0]["key"], &parked[0]["position"]), (&json!("ann"), &json!(9)), "{parked}");
    let (_, table) = shop.run(&["project", "parked", "list", "loyalty"], "");
    assert!(table.contains("ann") && table.contains("the data of points.granted"), "{table}");
    let shown = shop.json(&["project", "parked", "show", "loyalty", "ann"]);
    assert_eq!(shown["event"]["data"]["points"], "many");
    assert_eq!(shop.run(&["project", "parked", "show", "loyalty", "bob"], "").0, Some(1));

    // The fold was not mended: it is parked again.
    let retried = shop.json(&["project", "parked", "retry", "loyalty", "--all", "--reason", "try it"]);
    assert_eq!((&retried["retried"], &retried["position"]), (&json!(["ann"]), &json!(11)));
    assert_eq!(shop.run(&catch_up, "").0, Some(0));
    assert_eq!(shop.json(&["project", "parked", "list"])[0]["attempts"], 2);

    let skip = ["project", "parked", "skip", "loyalty", "ann", "--reason", "a slip of the pen", "--by", "eve"];
    let (code, told) = shop.run(&skip, "");
    assert_eq!(code, Some(0));
    assert!(told.contains("event 9 will be skipped for the key ann of loyalty"), "{told}");
    assert_eq!(shop.run(&catch_up, "").0, Some(0));
    assert_eq!(shop.json(&["project", "parked", "list"]), json!([]));
    assert_eq!(shop.customer("ann").await.get_i64("granted").ok(), Some(55));
    assert_eq!(shop.run(&["project", "rebuild", "--only", "loyalty"], "").0, Some(0));
    assert_eq!(shop.run(&["project", "verify", "--only", "loyalty"], "").0, Some(0));
    let audit = shop.json(&["history", "projection/loyalty"]);
    assert!(audit.to_string().contains("a slip of the pen") && audit.to_string().contains("eve"), "{audit}");
    shop.forget().await;
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
