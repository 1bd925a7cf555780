//! Servers that are there to be killed: PostgreSQL and MongoDB in `.stack/faults`, by `deploy/stack.sh`.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::journal::Journal;

/// How long servers may take to come back. Children of a killed PostgreSQL may hold its memory for a while.
const UP_PATIENCE: Duration = Duration::from_mins(2);

/// Both servers, which stop when this is dropped.
pub(crate) struct Stack {
    pub(crate) servers: Servers,
    journal: Journal,
    /// One test at a time, whatever process it is in: they kill each other's servers otherwise.
    _turn: File,
}

/// Where they are, and whether.
#[derive(Clone)]
pub(crate) struct Servers {
    pub(crate) database_url: String,
    pub(crate) mongodb_uri: String,
    outages: Arc<AtomicU64>,
}

/// What can be killed. The gateway is what speaks MongoDB's protocol in front of its database; where both are
/// one server, they are one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Server {
    Postgres,
    Mongo,
    Gateway,
}

impl Stack {
    pub(crate) fn up(journal: &Journal) -> Result<Self> {
        fs::create_dir_all(directory()?)?;
        let turn = File::create(directory()?.join("turn"))?;
        turn.lock()?;
        script(&["up"])?;
        let lines = script(&["env"])?;
        let servers = Servers {
            database_url: variable(&lines, "DATABASE_URL")?,
            mongodb_uri: variable(&lines, "MONGODB_URI")?,
            outages: Arc::default(),
        };
        Ok(Self { servers, journal: journal.clone(), _turn: turn })
    }

    /// Kills a server, which stays away until [`restart`](Self::restart).
    pub(crate) fn kill(&self, server: Server) -> Result<()> {
        self.servers.outages.fetch_add(1, Ordering::SeqCst);
        let name = match server {
            Server::Postgres => "postgres",
            Server::Mongo => "mongo",
            Server::Gateway => "gateway",
        };
        self.journal.note(format_args!("kills {name}"));
        script(&["kill", name]).map(drop)
    }

    /// Starts what was killed.
    pub(crate) fn restart(&self) -> Result<()> {
        let began = Instant::now();
        while let Err(error) = script(&["up"]) {
            ensure!(began.elapsed() < UP_PATIENCE, "the servers do not come back: {error:#}");
        }
        self.journal.note(format_args!("the servers are back after {:.1} s", began.elapsed().as_secs_f64()));
        self.servers.outages.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        if let Err(error) = script(&["down"]) {
            self.journal.note(format_args!("the servers do not stop: {error:#}"));
        }
    }
}

impl Servers {
    /// Grows when an outage begins and when it ends: odd means that a server is away.
    pub(crate) fn outages(&self) -> u64 {
        self.outages.load(Ordering::SeqCst)
    }

    /// The URL of PostgreSQL by way of a port in its place, and its own port.
    pub(crate) fn through_a_proxy(&self) -> Result<(impl Fn(u16) -> String + use<>, u16)> {
        let (before, rest) = self.database_url.rsplit_once(':').context("a URL with a port")?;
        let (port, after) = rest.split_once('/').context("a URL with a database")?;
        let (before, after) = (before.to_owned(), after.to_owned());
        Ok((move |port| format!("{before}:{port}/{after}"), port.parse()?))
    }

    /// Whether a server was away at any time since this was the number of [`outages`](Self::outages).
    pub(crate) fn were_away_since(&self, outages: u64) -> bool {
        outages % 2 == 1 || self.outages() != outages
    }
}

/// Runs `deploy/stack.sh` for the stack of the faults, whatever servers this shell knows.
fn script(arguments: &[&str]) -> Result<String> {
    let done = Command::new(checkout()?.join("deploy/stack.sh"))
        .args(arguments)
        .env("POSTFOLD_STACK_DIR", directory()?)
        .env_remove("DATABASE_URL")
        .env_remove("MONGODB_URI")
        .output()
        .context("deploy/stack.sh cannot be run")?;
    let said = String::from_utf8_lossy(&done.stderr);
    ensure!(done.status.success(), "deploy/stack.sh {}: {said}", arguments.join(" "));
    Ok(String::from_utf8(done.stdout)?)
}

fn checkout() -> Result<PathBuf> {
    Ok(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize()?)
}

/// Where the servers live.
fn directory() -> Result<PathBuf> {
    Ok(checkout()?.join(".stack/faults"))
}

fn variable(lines: &str, name: &str) -> Result<String> {
    let start = format!("export {name}=");
    let found = lines.lines().find_map(|line| line.strip_prefix(&start));
    Ok(found.with_context(|| format!("deploy/stack.sh names no {name}: {lines}"))?.to_owned())
}
