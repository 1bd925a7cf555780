//! The binary as an operator runs it, to its end or to the end that it is given.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::journal::Journal;
use crate::stack::Servers;

/// How long any command may take, servers being there.
pub(crate) const PATIENCE: Duration = Duration::from_mins(3);
/// How long a projector may be silent before it is taken for dead: little, so that one that is slow is, too.
const LEASE_S: &str = "1";
/// How often it is looked whether a process has ended.
const TICK: Duration = Duration::from_millis(10);

/// A ledger, by way of the command line.
#[derive(Clone)]
pub(crate) struct Ledger {
    pub(crate) name: String,
    pub(crate) servers: Servers,
    pub(crate) journal: Journal,
}

/// A process under way; it is killed when this is dropped.
pub(crate) struct Process {
    pub(crate) name: String,
    pub(crate) child: Child,
    stderr: PathBuf,
    outages: u64,
    servers: Servers,
}

/// How a process ended.
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) stderr: String,
    /// Whether a server was away while it ran.
    pub(crate) met_outage: bool,
}

impl Ledger {
    /// Initialises a new one.
    pub(crate) fn new(servers: &Servers, journal: &Journal) -> Result<Self> {
        let name = format!("faults-{}", uuid::Uuid::now_v7());
        let ledger = Self { name, servers: servers.clone(), journal: journal.clone() };
        ledger.must(&["init"])?;
        Ok(ledger)
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_postfold"));
        command.args(["--ledger", &self.name]).args(arguments).stdin(Stdio::null());
        command.env("DATABASE_URL", &self.servers.database_url).env("MONGODB_URI", &self.servers.mongodb_uri);
        command.env("POSTFOLD_LOG", "info").env("POSTFOLD_LEASE_SECONDS", LEASE_S).env_remove("POSTFOLD_LEDGER");
        command
    }

    /// Starts a process that goes on by itself.
    pub(crate) fn start(&self, arguments: &[&str]) -> Result<Process> {
        self.start_with(arguments, self.command(arguments).stdout(Stdio::null()))
    }

    /// Starts a command with these arguments, its other pipes as they are.
    pub(crate) fn start_with(&self, arguments: &[&str], command: &mut Command) -> Result<Process> {
        let words: Vec<&str> = arguments.iter().copied().filter(|word| !word.contains('/')).collect();
        let stderr = self.journal.output(&words.join("-"))?;
        let outages = self.servers.outages();
        let child = command.stderr(File::create(&stderr)?).spawn().context("the binary does not start")?;
        let (name, servers) = (words.join(" "), self.servers.clone());
        let file = stderr.file_name().unwrap_or_default().to_string_lossy();
        self.journal.note(format_args!("starts {name} as {} ({file})", child.id()));
        Ok(Process { name, child, stderr, outages, servers })
    }

    /// Runs a command that must succeed, and returns what it printed.
    pub(crate) fn must(&self, arguments: &[&str]) -> Result<String> {
        self.answer(arguments, &[0])
    }

    /// Runs a command that must end with one of these codes, and returns what it printed.
    pub(crate) fn answer(&self, arguments: &[&str], codes: &[i32]) -> Result<String> {
        let output = self.journal.output(arguments[0])?;
        let process = self.start_with(arguments, self.command(arguments).stdout(File::create(&output)?))?;
        let name = process.name.clone();
        let ended = process.wait()?;
        let printed = fs::read_to_string(output)?;
        let is_expected = ended.status.code().is_some_and(|code| codes.contains(&code));
        ensure!(is_expected, "{name}: {}: {}{printed}", ended.status, ended.stderr);
        Ok(printed)
    }

    /// Asks something that must be answered.
    pub(crate) fn ask(&self, arguments: &[&str]) -> Result<Value> {
        let printed = self.must(&[arguments, &["--json"]].concat())?;
        serde_json::from_str(&printed).with_context(|| format!("{}: {printed}", arguments.join(" ")))
    }
}

impl Process {
    /// Sends a signal; a process that has ended already does not mind.
    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        let _ = kill(Pid::from_raw(i32::try_from(self.child.id())?), signal);
        Ok(())
    }

    /// Kills it. `false` when it had ended by itself.
    pub(crate) fn kill(&mut self) -> Result<bool> {
        let alive = self.child.try_wait()?.is_none();
        self.child.kill()?;
        self.child.wait()?;
        Ok(alive)
    }

    /// How it ended, if it did.
    pub(crate) fn ended(&mut self) -> Result<Option<Ended>> {
        let Some(status) = self.child.try_wait()? else { return Ok(None) };
        let stderr = fs::read_to_string(&self.stderr)?;
        Ok(Some(Ended { status, stderr, met_outage: self.servers.were_away_since(self.outages) }))
    }

    /// What it has said so far.
    pub(crate) fn said(&self) -> Result<String> {
        Ok(fs::read_to_string(&self.stderr)?)
    }

    /// Waits for its end.
    pub(crate) fn wait(mut self) -> Result<Ended> {
        let began = Instant::now();
        loop {
            if let Some(ended) = self.ended()? {
                return Ok(ended);
            }
            if began.elapsed() > PATIENCE {
                bail!("{} does not end: {}", self.name, fs::read_to_string(&self.stderr)?);
            }
            sleep(TICK);
        }
    }

    /// Asks it to end, and waits.
    pub(crate) fn stop(self) -> Result<Ended> {
        self.signal(Signal::SIGTERM)?;
        self.wait()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
