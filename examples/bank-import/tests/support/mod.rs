//! What the tests share: running the program on a database, and reading its report.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its own part")]

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

/// The server that tests run on.
pub fn database_url() -> String {
    std::env::var("DATABASE_URL")
        .expect("DATABASE_URL is not set; start the servers with `make stack`, then `eval \"$(make -s stack-env)\"`")
}

/// A ledger that no other test uses.
pub fn fresh_ledger() -> String {
    format!("bank-import-{}", uuid::Uuid::now_v7())
}

/// Runs the program with `--json`.
pub fn run(directory: &Path, ledger: &str, database_url: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bank-import"));
    command.arg(directory).args(["--json", "--ledger", ledger, "--database-url", database_url]);
    command.output().expect("the program starts")
}

/// Runs the program, checks its exit code, and reads its report.
pub fn report(directory: &Path, ledger: &str, exit_code: i32) -> Value {
    let output = run(directory, ledger, &database_url());
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(exit_code), "{errors}{}", String::from_utf8_lossy(&output.stdout));
    serde_json::from_slice(&output.stdout).expect("a report")
}

/// Runs the program once more: everything must have been done before, and the log must not have grown.
pub fn assert_a_second_run_changes_nothing(directory: &Path, ledger: &str, first: &Value, exit_code: i32) {
    let second = report(directory, ledger, exit_code);
    for commands in ["accounts", "entries"] {
        let tally = &second["import"][commands];
        assert_eq!(tally["duplicates"], first["import"][commands]["done"], "{commands}");
        assert_eq!((&tally["done"], &tally["refused"]), (&0.into(), &0.into()), "{commands}");
    }
    assert_eq!(second["audit"], first["audit"]);
}
