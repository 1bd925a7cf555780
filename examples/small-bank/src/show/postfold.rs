//! The `postfold` binary, run as an operator would run it.

use std::{
    env,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, bail};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde::Deserialize;
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::{Child, Command},
    task::JoinHandle,
    time::timeout,
};

/// How long one command may take before it is given up.
const COMMAND_SECONDS_MAX: u64 = 170;
/// How much of a failed command's words is shown, in characters.
const WORDS_SHOWN_MAX: usize = 600;

/// One ledger, by way of the command line.
#[derive(Clone, Debug)]
pub(crate) struct Postfold {
    binary: PathBuf,
    ledger: String,
}

/// A command that is over.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) took: Duration,
}

/// A command that goes on in the background. It is killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    started: Instant,
    stdout: JoinHandle<String>,
    stderr: JoinHandle<String>,
}

/// How far a read model is, from `project status`.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct ModelStatus {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) generation: Value,
    /// The checkpoint; absent before the first one.
    #[serde(default)]
    position: Option<u64>,
    pub(crate) head: u64,
}

impl ModelStatus {
    pub(crate) fn position(&self) -> u64 {
        self.position.unwrap_or(0)
    }
}

/// The end of a ledger's log.
#[derive(Debug, Deserialize)]
pub(crate) struct Head {
    pub(crate) position: u64,
    pub(crate) hash: String,
}

impl Postfold {
    /// Finds the binary: `POSTFOLD_BIN`, or the one beside this executable.
    pub(crate) fn find(ledger: String) -> Result<Self> {
        let binary = match env::var_os("POSTFOLD_BIN") {
            Some(path) => PathBuf::from(path),
            None => env::current_exe()
                .context("where this executable lies is unknown")?
                .with_file_name(format!("postfold{}", env::consts::EXE_SUFFIX)),
        };
        if !binary.is_file() {
            bail!(
                "there is no `postfold` at {}: build it (`cargo build --release -p postfold-cli`) or name it in POSTFOLD_BIN",
                binary.display()
            );
        }
        Ok(Self { binary, ledger })
    }

    pub(crate) fn binary(&self) -> &Path {
        &self.binary
    }

    pub(crate) fn ledger(&self) -> &str {
        &self.ledger
    }

    /// A command of this ledger, with both outputs piped. Killed when its child is dropped.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command
            .args(["--ledger", &self.ledger])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// Starts a command and reads its outputs in the background, so that it never waits for us.
    pub(crate) fn start(&self, arguments: &[&str]) -> Result<Running> {
        let mut child =
            self.command(arguments).spawn().with_context(|| format!("{} does not start", self.binary.display()))?;
        Ok(Running {
            stdout: drain(child.stdout.take()),
            stderr: drain(child.stderr.take()),
            started: Instant::now(),
            child,
        })
    }

    /// Runs a command to its end, whatever its exit code.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Result<Finished> {
        self.start(arguments)?.finish().await.with_context(|| format!("postfold {}", arguments.join(" ")))
    }

    /// Runs a query that must succeed and answer one JSON value.
    pub(crate) async fn query<T: for<'a> Deserialize<'a>>(&self, arguments: &[&str]) -> Result<T> {
        let said = || format!("postfold {}", arguments.join(" "));
        let finished = self.run(arguments).await?;
        finished.clean().map_err(|why| anyhow!("{}: {why}", said()))?;
        serde_json::from_str(&finished.stdout).with_context(|| format!("{}: the answer is not as agreed", said()))
    }

    /// How far every read model is.
    pub(crate) async fn models(&self) -> Result<Vec<ModelStatus>> {
        self.query(&["project", "status", "--json"]).await
    }

    /// Where the log ends.
    pub(crate) async fn head(&self) -> Result<Head> {
        self.query(&["head", "--json"]).await
    }
}

impl Running {
    /// Ends the process at once, as a crash would, and waits until it is gone.
    pub(crate) async fn crash(mut self) -> Result<()> {
        self.child.kill().await.context("the child cannot be killed")
    }

    /// Asks the process to end, as Ctrl-C does, and waits for it.
    pub(crate) async fn interrupt(self) -> Result<Finished> {
        if let Some(id) = self.child.id() {
            let id = i32::try_from(id).context("a process id beyond its range")?;
            kill(Pid::from_raw(id), Signal::SIGINT).context("the child cannot be interrupted")?;
        }
        self.finish().await
    }

    /// Whether the process has ended by itself.
    pub(crate) fn has_ended(&mut self) -> Result<bool> {
        let status = self.child.try_wait().context("the child cannot be asked")?;
        Ok(status.is_some())
    }

    /// Waits for the end.
    pub(crate) async fn finish(mut self) -> Result<Finished> {
        let limit = Duration::from_secs(COMMAND_SECONDS_MAX);
        let status = timeout(limit, self.child.wait())
            .await
            .with_context(|| format!("no end after {COMMAND_SECONDS_MAX} s"))?
            .context("the child cannot be waited for")?;
        Ok(Finished {
            status,
            took: self.started.elapsed(),
            stdout: self.stdout.await.unwrap_or_default(),
            stderr: self.stderr.await.unwrap_or_default(),
        })
    }
}

impl Finished {
    /// `Ok` for exit code 0, otherwise what the command said last.
    pub(crate) fn clean(&self) -> Result<(), String> {
        if self.status.success() {
            return Ok(());
        }
        let words = if self.stderr.trim().is_empty() { &self.stdout } else { &self.stderr };
        Err(format!("{}: {}", self.status, last_words(words)))
    }
}

/// The end of an output: what a failed command said last is what matters.
pub(crate) fn last_words(output: &str) -> String {
    let output = output.trim();
    let skipped = output.chars().count().saturating_sub(WORDS_SHOWN_MAX);
    output.chars().skip(skipped).collect()
}

/// Reads a pipe to its end in the background.
pub(crate) fn drain(pipe: Option<impl AsyncRead + Unpin + Send + 'static>) -> JoinHandle<String> {
    tokio::spawn(async move {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // What came before the pipe broke is still worth showing.
            let _ = pipe.read_to_end(&mut bytes).await;
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}
