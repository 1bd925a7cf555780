//! Several processes on one ledger, which begin at the same time.
//!
//! ```text
//! worker: warms up, then "ready"   ->  bench: waits for all
//! worker: works for its window     <-  bench: an empty line to each
//! worker: its result as JSON       ->  bench: adds up
//! ```

use std::process::Stdio;
use std::time::Duration;

use postfold::{Ledger, PostgresSettings};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines, Stdin};
use tokio::process::{Child, ChildStdout};

use crate::error::BenchError;
use crate::figure::{Latencies, Measured, More, rounded};
use crate::load::Load;
use crate::program::Program;
use crate::scratch::LEDGER;

/// What one process is to do: callers that post one transfer each at a time.
#[derive(Clone, Copy, Debug)]
pub struct Worker {
    /// Its number among the processes; sets its ids apart.
    pub number: u64,
    /// Callers.
    pub callers: u64,
    /// Accounts of the ledger.
    pub accounts: u64,
    /// How long it works; it warms up for a quarter of that before.
    pub window: Duration,
}

/// What a worker tells.
#[derive(Serialize, Deserialize)]
struct Told {
    rate: f64,
    latencies: Vec<(u64, u32)>,
}

impl Worker {
    /// Works in this process, on word from the bench that started it.
    ///
    /// # Errors
    ///
    /// When the ledger fails, and when the bench is gone.
    pub async fn run(self, url: &str, schema: &str) -> Result<(), BenchError> {
        let settings = PostgresSettings { schema: schema.to_owned(), ..PostgresSettings::default() };
        let ledger = Ledger::builder().postgres(settings).connect(url, LEDGER).await?;
        let load = Load {
            callers: self.callers,
            per_call: 1,
            hot: false,
            accounts: self.accounts,
            transfers: u64::MAX,
            time_max: self.window,
        };
        let round = 2 * self.number;
        Load { time_max: self.window / 4, ..load }.run(&ledger, round).await?;
        tell("ready").await?;
        let mut input: Lines<BufReader<Stdin>> = BufReader::new(tokio::io::stdin()).lines();
        input.next_line().await.map_err(gone)?.ok_or_else(|| gone("its input ended"))?;
        let measured = load.run(&ledger, round + 1).await?;
        let told = Told { rate: measured.rate, latencies: measured.latencies.counts() };
        tell(&serde_json::to_string(&told).map_err(gone)?).await
    }
}

async fn tell(line: &str) -> Result<(), BenchError> {
    let mut output = tokio::io::stdout();
    output.write_all(format!("{line}\n").as_bytes()).await.map_err(gone)?;
    output.flush().await.map_err(gone)
}

fn gone(error: impl std::fmt::Display) -> BenchError {
    BenchError::Process(format!("between the bench and its worker process: {error}"))
}

/// So many processes at once; the rate is that of all together.
pub(crate) async fn measure(
    program: &Program,
    schema: &str,
    processes: u64,
    worker: Worker,
) -> Result<Measured, BenchError> {
    let mut workers: Vec<Running> = (0..processes)
        .map(|number| Running::start(program, schema, Worker { number, ..worker }))
        .collect::<Result<_, _>>()?;
    for worker in &mut workers {
        worker.line().await?;
    }
    for worker in &mut workers {
        worker.go().await?;
    }
    let (mut latencies, mut rates) = (Latencies::new(), Vec::new());
    for worker in &mut workers {
        let told: Told = serde_json::from_str(&worker.line().await?).map_err(gone)?;
        latencies.add(&Latencies::from_counts(&told.latencies));
        rates.push(told.rate);
    }
    let rate: f64 = rates.iter().sum();
    let slowest = rates.iter().copied().fold(f64::INFINITY, f64::min);
    let share = slowest * f64::from(u32::try_from(rates.len()).unwrap_or(u32::MAX)) / rate;
    Ok(Measured { rate, latencies, more: More { slowest_share: Some(rounded(share, 1_000.0)), ..More::default() } })
}

/// A worker process, seen from the bench.
struct Running {
    child: Child,
    output: Lines<BufReader<ChildStdout>>,
}

impl Running {
    fn start(program: &Program, schema: &str, worker: Worker) -> Result<Self, BenchError> {
        let mut command = program.command(schema, &["bench-worker".to_owned()]);
        for (option, value) in [
            ("--number", u128::from(worker.number)),
            ("--callers", u128::from(worker.callers)),
            ("--accounts", u128::from(worker.accounts)),
            ("--window-ms", worker.window.as_millis()),
        ] {
            command.arg(option).arg(value.to_string());
        }
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(gone)?;
        let output = child.stdout.take().ok_or_else(|| gone("it has no output"))?;
        Ok(Self { child, output: BufReader::new(output).lines() })
    }

    async fn go(&mut self) -> Result<(), BenchError> {
        let input = self.child.stdin.as_mut().ok_or_else(|| gone("it has no input"))?;
        input.write_all(b"\n").await.map_err(gone)
    }

    async fn line(&mut self) -> Result<String, BenchError> {
        self.output.next_line().await.map_err(gone)?.ok_or_else(|| gone("it ended before it was done"))
    }
}
