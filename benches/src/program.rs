//! The command itself, as a process of its own.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::process::Command;

use crate::error::BenchError;
use crate::models::Models;
use crate::scratch::LEDGER;

/// How often the memory of a process is looked at.
const MEMORY_EVERY: Duration = Duration::from_millis(50);

/// The `postfold` binary, and the server that it is to speak to.
#[derive(Clone, Debug)]
pub struct Program {
    /// Where the binary is.
    pub path: PathBuf,
    /// `postgres://user:password@host:port/database`
    pub url: String,
    /// `mongodb://user:password@host:port`, where there is one.
    pub mongodb_uri: Option<String>,
}

/// How a process went.
pub(crate) struct Went {
    pub(crate) took: Duration,
    /// As in [`crate::figure::More::memory_kib`].
    pub(crate) memory_kib: Option<[u64; 3]>,
}

impl Program {
    /// The read models of the bench's ledger.
    pub(crate) fn models(&self) -> Result<Models, BenchError> {
        let uri = self.mongodb_uri.as_deref().ok_or_else(|| {
            BenchError::Models(
                "these rows need MongoDB: set MONGODB_URI or --mongodb-uri, or name other rows with --only".to_owned(),
            )
        })?;
        Ok(Models::new(uri))
    }

    /// A command on the bench's ledger; it is ended when it is dropped.
    pub(crate) fn command(&self, schema: &str, arguments: &[String]) -> Command {
        let mut command = Command::new(&self.path);
        // The URL may hold a password, which does not belong among the arguments.
        command.env("DATABASE_URL", &self.url).envs(self.mongodb_uri.as_ref().map(|uri| ("MONGODB_URI", uri)));
        command.args(["--schema", schema, "--ledger", LEDGER]).args(arguments);
        command.stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    /// Runs a command to its end, which must be a good one.
    pub(crate) async fn run(&self, schema: &str, arguments: &[String]) -> Result<Went, BenchError> {
        let failed = |why: String| BenchError::Process(format!("`postfold {}`: {why}", arguments.join(" ")));
        let started = Instant::now();
        let mut command = self.command(schema, arguments);
        let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
        let child = child.map_err(|error| failed(error.to_string()))?;
        let id = child.id();
        let mut ticks = tokio::time::interval(MEMORY_EVERY);
        let mut seen = Vec::new();
        let end = child.wait_with_output();
        tokio::pin!(end);
        let output = loop {
            tokio::select! {
                output = &mut end => break output.map_err(|error| failed(error.to_string()))?,
                _ = ticks.tick() => seen.extend(id.and_then(resident_kib)),
            }
        };
        let took = started.elapsed();
        if !output.status.success() {
            return Err(failed(format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim())));
        }
        Ok(Went { took, memory_kib: peaks(&seen) })
    }
}

/// What Linux says of a process's memory.
pub(crate) fn resident_kib(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The most in the first 10 %, 50 % and 100 %.
fn peaks(seen: &[u64]) -> Option<[u64; 3]> {
    let peak = |percent: usize| seen.iter().take((seen.len() * percent).div_ceil(100)).max().copied();
    Some([peak(10)?, peak(50)?, peak(100)?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peaks_are_those_up_to_a_part_of_the_time() {
        assert_eq!(peaks(&[1, 3, 2, 2, 2, 2, 7, 2, 2, 2]), Some([1, 3, 7]));
        assert_eq!(peaks(&[5]), Some([5, 5, 5]));
        assert_eq!(peaks(&[]), None);
    }
}
