//! What the tests share: the binary as an operator runs it, on a ledger of its own.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its own part")]
#![allow(clippy::expect_used, reason = "a test ends at the first thing that goes wrong")]

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use postfold_projections::{MongoStore, database_name};
use serde_json::{Value, json};

/// The server that tests run on.
pub fn server(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| {
        panic!("{variable} is not set; start the servers with `make stack`, then `eval \"$(make -s stack-env)\"`")
    })
}

/// A name that no other test uses.
pub fn fresh_name() -> String {
    format!("test-{}", uuid::Uuid::now_v7())
}

/// A ledger that was initialised, by way of the command line.
pub struct Postfold {
    pub ledger: String,
}

/// A command that is over.
pub struct Done {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// A command under way, with a pipe to each end.
pub struct Running {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Option<BufReader<ChildStdout>>,
    stderr: BufReader<ChildStderr>,
}

/// The binary, with nothing of this test's environment but the servers.
pub fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_postfold"));
    command.env_remove("POSTFOLD_LEDGER").env_remove("POSTFOLD_LOG").stdin(Stdio::null());
    command.env("DATABASE_URL", server("DATABASE_URL")).env("MONGODB_URI", server("MONGODB_URI"));
    command
}

/// Runs a command to its end.
pub fn run(command: &mut Command) -> Done {
    command.output().expect("the binary starts").into()
}

/// Starts a command that is spoken to through pipes.
pub fn start(command: &mut Command) -> Running {
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the binary starts");
    let stdin = child.stdin.take();
    let stdout = child.stdout.take().map(BufReader::new);
    let stderr = BufReader::new(child.stderr.take().expect("a pipe"));
    Running { child, stdin, stdout, stderr }
}

impl Postfold {
    /// A new ledger.
    pub fn new() -> Self {
        let postfold = Self { ledger: fresh_name() };
        let done = postfold.run(["init"]);
        assert_eq!(done.code, Some(0), "init: {}", done.stderr);
        postfold
    }

    /// A new ledger with the two accounts of [`transfer`].
    pub fn with_accounts() -> Self {
        let postfold = Self::new();
        let done =
            postfold.apply(&format!("{}\n{}\n", open("assets:cash", "asset"), open("income:sales", "income")), &[]);
        assert_eq!(done.code, Some(0), "{}", done.stderr);
        postfold
    }

    pub fn command<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Command {
        let mut command = binary();
        command.args(["--ledger", &self.ledger]).args(arguments);
        command
    }

    pub fn run<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Done {
        run(&mut self.command(arguments))
    }

    /// Runs a query that must succeed, and reads its answer.
    pub fn query<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Value {
        let done = run(self.command(arguments).arg("--json"));
        assert_eq!(done.code, Some(0), "{}", done.stderr);
        serde_json::from_str(&done.stdout).unwrap_or_else(|error| panic!("{error}: {}", done.stdout))
    }

    /// Applies commands from a file.
    pub fn apply(&self, commands: &str, options: &[&str]) -> Done {
        let file = file(commands);
        let mut command = self.command(["apply"]);
        run(command.arg(file.path()).args(options))
    }

    /// Starts a command that is spoken to through pipes.
    pub fn start(&self, arguments: &[&str]) -> Running {
        start(&mut self.command(arguments))
    }

    /// The position of the log's end.
    pub fn head(&self) -> u64 {
        self.query(["head"])["position"].as_u64().expect("a position")
    }

    /// Account and posted balance, in order.
    pub fn posted(&self) -> Vec<(String, String)> {
        let balances = self.query(["balances"]);
        let posted = |balance: &Value| (text(&balance["account"]), text(&balance["posted"]));
        balances.as_array().expect("an array").iter().map(posted).collect()
    }
}

/// A ledger with three events, whose read models go with it.
pub struct Models(pub Postfold);

impl Models {
    pub fn new() -> Self {
        let postfold = Postfold::with_accounts();
        let done = postfold.apply(&transfer("t-1", "1.00").to_string(), &[]);
        assert_eq!(done.code, Some(0), "{}", done.stderr);
        Self(postfold)
    }

    /// Of every model: the field of its status.
    pub fn status(&self, field: &str) -> Vec<Value> {
        let status = self.0.query(["project", "status"]);
        status.as_array().expect("an array").iter().map(|model| model[field].clone()).collect()
    }

    /// Does something in the database of the read models.
    pub fn in_store<T>(&self, work: impl AsyncFnOnce(&MongoStore) -> T) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let store = MongoStore::connect(&server("MONGODB_URI"), &database_name(&self.0.ledger)).await;
            let store = store.expect("MongoDB");
            let done = work(&store).await;
            store.shutdown().await;
            done
        })
    }
}

impl Drop for Models {
    fn drop(&mut self) {
        self.in_store(async |store| store.drop_database().await.expect("dropped"));
    }
}

impl From<Output> for Done {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        Self { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

impl Done {
    /// Every line of stdout, as JSON.
    pub fn lines(&self) -> Vec<Value> {
        self.stdout.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
    }
}

impl Running {
    /// Sends a line, and the end of it.
    pub fn send(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("the input is open");
        stdin.write_all(format!("{line}\n").as_bytes()).expect("it reads");
    }

    /// Ends the input.
    pub fn end_input(&mut self) {
        self.stdin = None;
    }

    /// Waits for the next line.
    pub fn next(&mut self) -> Option<Value> {
        let mut line = String::new();
        let stdout = self.stdout.as_mut().expect("the output is open");
        let read = stdout.read_line(&mut line).expect("UTF-8");
        (read > 0 && line.ends_with('\n')).then(|| serde_json::from_str(&line).expect("JSON"))
    }

    /// Waits for the next line on stderr.
    pub fn next_said(&mut self) -> String {
        let mut line = String::new();
        self.stderr.read_line(&mut line).expect("UTF-8");
        line
    }

    pub fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id()).expect("a process id");
        kill(Pid::from_raw(id), signal).expect("it is there");
    }

    /// Closes our end of its stdout.
    pub fn stop_listening(&mut self) {
        self.stdout = None;
    }

    /// Ends the input and waits for the end.
    pub fn wait(mut self) -> (ExitStatus, String) {
        self.end_input();
        self.wait_with_open_input()
    }

    /// Waits for the end; what is still to come on stdout is read and forgotten.
    pub fn wait_with_open_input(mut self) -> (ExitStatus, String) {
        let (mut stdout, mut stderr) = (Vec::new(), String::new());
        if let Some(pipe) = &mut self.stdout {
            pipe.read_to_end(&mut stdout).expect("a pipe");
        }
        self.stderr.read_to_string(&mut stderr).expect("UTF-8");
        (self.child.wait().expect("it ends"), stderr)
    }
}

/// A file with this content.
pub fn file(content: impl AsRef<[u8]>) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(content.as_ref()).expect("room for it");
    file
}

/// Opens an account in EUR.
pub fn open(account: &str, kind: &str) -> Value {
    json!({"do": "open_account", "account": account, "currency": "EUR", "type": kind})
}

/// A sale for cash.
pub fn transfer(id: &str, amount: &str) -> Value {
    json!({"do": "transfer", "id": id, "amount": amount, "debit": "assets:cash", "credit": "income:sales"})
}

/// The text in a value.
pub fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

/// `ok`, or the rule, or the field that is invalid.
pub fn short(outcome: &Value) -> String {
    let (sort, body) = outcome.as_object().and_then(|outcome| outcome.iter().next()).expect("an outcome");
    match sort.as_str() {
        "ok" if body["duplicate"] == json!(true) => "duplicate".to_owned(),
        "rejected" => text(&body["rule"]),
        "invalid" => format!("invalid {}", text(&body["field"])),
        other => other.to_owned(),
    }
}
