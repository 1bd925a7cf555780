//! Load: random commands, sent by `postfold apply` as a client in another language would.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rand::RngExt;
use serde_json::Value;

use crate::commands::Commands;
use crate::process::{Ledger, PATIENCE, Process};

/// Longest pause between two bursts.
const PAUSE_MAX_MS: u64 = 40;
/// Commands sent at a time, at most.
const BURST_MAX: u64 = 80;

/// A client that goes on until it is told to end, or has sent all that it may.
pub(crate) struct Load {
    ends: Arc<AtomicBool>,
    client: JoinHandle<Result<(Commands, Sent)>>,
}

/// What a client has done.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sent {
    pub(crate) commands: u64,
    pub(crate) ok: u64,
    /// The highest position that was acknowledged.
    pub(crate) position: u64,
    /// How often `apply` had to be started again.
    pub(crate) restarts: u64,
}

impl Load {
    /// Starts a client that sends at most so many commands.
    pub(crate) fn start(ledger: &Ledger, commands: Commands, most: u64) -> Self {
        let ends = Arc::new(AtomicBool::new(false));
        let client = Client { ledger: ledger.clone(), commands, ends: Arc::clone(&ends), sent: Sent::default() };
        Self { ends, client: thread::spawn(move || client.run(most)) }
    }

    /// Lets the client end, and what it began.
    pub(crate) fn finish(self) -> Result<(Commands, Sent)> {
        self.ends.store(true, Ordering::SeqCst);
        self.client.join().unwrap_or_else(|_| bail!("the client has panicked"))
    }
}

/// Sends so many commands from a file, and waits for their outcomes.
pub(crate) fn send_all(ledger: &Ledger, commands: &mut Commands, number: u64) -> Result<()> {
    let lines: Vec<Value> = (0..number).map(|_| commands.next()).collect();
    let text = json_lines(&lines);
    let file = ledger.journal.output("commands")?;
    fs::write(&file, text)?;
    let outcomes = ledger.answer(&["apply", file.to_str().context("a path in UTF-8")?], &[0, 1])?;
    ensure!(outcomes.lines().count() == lines.len(), "{number} commands, other outcomes: {outcomes}");
    for (line, outcome) in lines.iter().zip(outcomes.lines()) {
        if outcome.starts_with(r#"{"ok":"#) {
            commands.done(line);
        }
    }
    Ok(())
}

struct Client {
    ledger: Ledger,
    commands: Commands,
    ends: Arc<AtomicBool>,
    sent: Sent,
}

impl Client {
    fn run(mut self, most: u64) -> Result<(Commands, Sent)> {
        while !self.ends.load(Ordering::SeqCst) && self.sent.commands < most {
            self.connected(most)?;
        }
        Ok((self.commands, self.sent))
    }

    /// Bursts through one `apply`, until it ends: by itself, if a server went away.
    fn connected(&mut self, most: u64) -> Result<()> {
        let mut apply = Apply::start(&self.ledger)?;
        while !self.ends.load(Ordering::SeqCst) && self.sent.commands < most {
            let number = self.commands.rng.random_range(1..=BURST_MAX);
            let lines = self.draw(number);
            while !self.exchange(&mut apply, &lines)? {
                self.sent.restarts += 1;
                apply = apply.again(&self.ledger)?;
            }
            sleep(Duration::from_millis(self.commands.rng.random_range(0..=PAUSE_MAX_MS)));
        }
        apply.end()
    }

    fn draw(&mut self, number: u64) -> Vec<Value> {
        (0..number).map(|_| self.commands.next()).collect()
    }

    /// Sends a burst and reads its outcomes. `false` when there are not as many: what was not answered may
    /// have happened or not, and is sent again.
    fn exchange(&mut self, apply: &mut Apply, lines: &[Value]) -> Result<bool> {
        let text = json_lines(lines);
        if apply.process.child.stdin.as_mut().is_none_or(|stdin| stdin.write_all(text.as_bytes()).is_err()) {
            return Ok(false);
        }
        for line in lines {
            let Some(outcome) = apply.next()? else { return Ok(false) };
            self.sent.commands += 1;
            if let Some(receipt) = outcome.get("ok") {
                self.sent.ok += 1;
                self.sent.position = self.sent.position.max(receipt["position"].as_u64().unwrap_or_default());
                self.commands.done(line);
            }
        }
        Ok(true)
    }
}

pub(crate) fn json_lines(values: &[Value]) -> String {
    let mut text: Vec<String> = values.iter().map(Value::to_string).collect();
    text.push(String::new());
    text.join("\n")
}

/// One `postfold apply` at the other end of two pipes.
pub(crate) struct Apply {
    pub(crate) process: Process,
    outcomes: BufReader<std::process::ChildStdout>,
}

impl Apply {
    pub(crate) fn start(ledger: &Ledger) -> Result<Self> {
        let mut command = ledger.command(&["apply"]);
        let mut process = ledger.start_with(&["apply"], command.stdin(Stdio::piped()).stdout(Stdio::piped()))?;
        let outcomes = BufReader::new(process.child.stdout.take().context("a pipe")?);
        Ok(Self { process, outcomes })
    }

    pub(crate) fn next(&mut self) -> Result<Option<Value>> {
        let mut line = String::new();
        let read = self.outcomes.read_line(&mut line)?;
        // A process that dies may leave half a line.
        if read == 0 || !line.ends_with('\n') { Ok(None) } else { Ok(Some(serde_json::from_str(&line)?)) }
    }

    /// Starts anew after a server went away, which is the only good reason to end.
    fn again(self, ledger: &Ledger) -> Result<Self> {
        let began = Instant::now();
        let ended = self.process.wait()?;
        ensure!(ended.met_outage, "apply ended by itself: {}: {}", ended.status, ended.stderr);
        ensure!(ended.status.code() == Some(3), "apply ends otherwise than it should: {}", ended.status);
        loop {
            if ledger.command(&["head"]).output()?.status.success() {
                return Self::start(ledger);
            }
            ensure!(began.elapsed() < PATIENCE, "the log does not come back");
            sleep(Duration::from_millis(100));
        }
    }

    /// Ends the input; commands that were refused are no trouble.
    fn end(mut self) -> Result<()> {
        drop(self.process.child.stdin.take());
        let ended = self.process.wait()?;
        ensure!(matches!(ended.status.code(), Some(0 | 1)) || ended.met_outage, "apply: {}", ended.stderr);
        Ok(())
    }
}
