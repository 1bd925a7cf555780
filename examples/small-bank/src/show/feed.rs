//! The bank does not close: new days of commands go through a pipe while something else is going on.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result, bail};
use jiff::civil::Date;
use small_bank::{
    bank::{Bank, LAST_DAY},
    outcome::Tally,
    script::Expected,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    process::{Child, ChildStdin, ChildStdout},
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    task::JoinHandle,
    time::sleep,
};

use super::postfold::{Postfold, drain, last_words};

/// The pause between two days, in which the other processes get the processor.
const NIGHT: Duration = Duration::from_millis(150);
/// The days after which the feed stops by itself, which bounds what waits in memory for an outcome.
const DAYS_MAX: u32 = 90;

/// A feed at work. It stops when it is told to; dropped, it kills its child.
#[derive(Debug)]
pub(crate) struct Feed {
    stop: Arc<AtomicBool>,
    task: JoinHandle<Result<Fed>>,
}

/// What was fed, and the bank whose books know of it.
#[derive(Debug)]
pub(crate) struct Fed {
    pub(crate) bank: Bank,
    pub(crate) tally: Tally,
    pub(crate) days: u32,
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Feed {
    /// Starts `apply -` and sends it the days after the year.
    pub(crate) fn start(postfold: &Postfold, bank: Bank) -> Result<Self> {
        let mut command = postfold.command(&["apply", "-", "--manual-clock"]);
        let child = command.stdin(std::process::Stdio::piped()).spawn()?;
        let stop = Arc::new(AtomicBool::new(false));
        let task = tokio::spawn(feed(child, bank, Arc::clone(&stop)));
        Ok(Self { stop, task })
    }

    /// Ends after the day that is being sent, and waits for its outcomes.
    pub(crate) async fn finish(mut self) -> Result<Fed> {
        self.stop.store(true, Ordering::Relaxed);
        (&mut self.task).await.context("the feed broke off")?
    }
}

async fn feed(mut child: Child, bank: Bank, stop: Arc<AtomicBool>) -> Result<Fed> {
    let stdin = child.stdin.take().context("the commands are not piped")?;
    let stdout = child.stdout.take().context("the outcomes are not piped")?;
    let stderr = drain(child.stderr.take());
    let (sender, receiver) = unbounded_channel();
    // Both ends of the pipe must move at the same time, or one full pipe would stop the other for ever.
    let (sent, tally) = tokio::join!(send(stdin, bank, stop, sender), receive(stdout, receiver));
    let status = child.wait().await?;
    if !matches!(status.code(), Some(0 | 1)) {
        let words = stderr.await.unwrap_or_default();
        bail!("postfold apply -: {status}: {}", last_words(&words));
    }
    let (bank, days) = sent?;
    Ok(Fed { bank, tally: tally?, days })
}

async fn send(
    mut stdin: ChildStdin,
    mut bank: Bank,
    stop: Arc<AtomicBool>,
    expected: UnboundedSender<Expected>,
) -> Result<(Bank, u32)> {
    let mut today = LAST_DAY;
    let mut days = 0;
    while days < DAYS_MAX && !stop.load(Ordering::Relaxed) {
        today = today.tomorrow().unwrap_or(Date::MAX);
        let script = bank.day(today);
        // What is expected goes ahead of the command, so it is there when the outcome comes.
        for outcome in script.expected {
            expected.send(outcome).context("nobody reads the outcomes")?;
        }
        stdin.write_all(script.text.as_bytes()).await?;
        stdin.flush().await?;
        days += 1;
        sleep(NIGHT).await;
    }
    Ok((bank, days))
}

async fn receive(stdout: ChildStdout, mut expected: UnboundedReceiver<Expected>) -> Result<Tally> {
    let mut tally = Tally::default();
    let mut lines = BufReader::new(stdout).lines();
    while let Some(line) = lines.next_line().await? {
        tally.take(&line, expected.try_recv().ok());
    }
    // The sender is done by now, and what it still expects will not come.
    let mut missing = 0;
    while expected.try_recv().is_ok() {
        missing += 1;
    }
    tally.finish(tally.taken() + missing);
    Ok(tally)
}
