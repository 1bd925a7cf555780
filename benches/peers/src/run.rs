//! A run: the peers prepared, and their cells measured in turns.

use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use tokio::process::Command;
use tokio::time::timeout;

use crate::cell::{Cell, Seen};
use crate::peer::{Load, Way};
use crate::peers::Kind;
use crate::server::{Facts, Server};

/// What the database of the cell under way is called.
const CELL: &str = "cell";
/// No process of a run takes longer.
const TIME_MAX: Duration = Duration::from_mins(10);

pub(crate) struct Run {
    pub(crate) url: String,
    pub(crate) kinds: Vec<Kind>,
    /// How many post one by one.
    pub(crate) workers: Vec<u32>,
    pub(crate) rounds: u32,
    pub(crate) seconds: f64,
}

/// All that was seen.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Results {
    pub(crate) facts: Facts,
    pub(crate) machine: String,
    pub(crate) date: String,
    pub(crate) rounds: u32,
    pub(crate) seconds: f64,
    pub(crate) seen: Vec<Seen>,
    /// Peers that could not be prepared, and cells that gave no result, with what was said.
    pub(crate) failed: Vec<(Kind, Option<Cell>, String)>,
}

impl Run {
    /// Measures every cell, round by round: all cells once, then all again. Tells what there is after each.
    pub(crate) async fn go(&self, after_round: impl Fn(&Results) -> anyhow::Result<()>) -> anyhow::Result<()> {
        let mut server = Server::connect(&self.url).await?;
        let facts = server.facts().await?;
        let date = server.today().await?;
        let (machine, seconds) = (machine(), self.seconds);
        let mut results = Results { facts, machine, date, rounds: 0, seconds, seen: Vec::new(), failed: Vec::new() };
        let mut prepared = Vec::new();
        for &kind in &self.kinds {
            eprintln!("prepare {}", kind.name());
            match prepare(&mut server, kind).await {
                Ok(()) => prepared.push(kind),
                Err(error) => results.failed.push((kind, None, format!("{error:#}"))),
            }
        }
        let cells = self.cells(&prepared);
        for round in 1..=self.rounds {
            for (number, &cell) in cells.iter().enumerate() {
                let outcome = self.measure(&mut server, cell).await;
                tell(round, number + 1, cells.len(), cell, &outcome);
                match outcome {
                    Ok(seen) => results.seen.push(Seen { round, ..seen }),
                    Err(error) => results.failed.push((cell.kind, Some(cell), format!("{error:#}"))),
                }
            }
            results.rounds = round;
            after_round(&results)?;
        }
        server.drop_all().await
    }

    /// Peers take turns within each load and way, so that what changes with time hurts all of them alike.
    fn cells(&self, kinds: &[Kind]) -> Vec<Cell> {
        let mut cells = Vec::new();
        for load in Load::ALL {
            for &workers in &self.workers {
                cells.extend(kinds.iter().map(|&kind| Cell { kind, load, way: Way::single(workers) }));
            }
            for &kind in kinds {
                cells.extend(kind.batches().into_iter().map(|way| Cell { kind, load, way }));
            }
        }
        cells
    }

    async fn measure(&self, server: &mut Server, cell: Cell) -> anyhow::Result<Seen> {
        let url = server.copy(CELL, &template(cell.kind)).await?;
        server.checkpoint().await?;
        let Cell { kind, load, way } = cell;
        let numbers = [way.workers.to_string(), way.batch.to_string(), self.seconds.to_string()];
        let [workers, batch, seconds] = numbers.each_ref().map(String::as_str);
        let measured = own(&url, &["cell", &word(kind), load.name(), workers, batch, seconds]).await;
        server.drop(CELL).await?;
        Ok(serde_json::from_str(&measured?)?)
    }
}

async fn prepare(server: &mut Server, kind: Kind) -> anyhow::Result<()> {
    let url = server.create(&template(kind)).await?;
    own(&url, &["prepare", &word(kind)]).await?;
    server.freeze(&template(kind)).await
}

/// Runs this program in a process of its own: what a peer leaves behind, tasks or connections, ends with it.
async fn own(url: &str, arguments: &[&str]) -> anyhow::Result<String> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(arguments).env("DATABASE_URL", url).stdin(Stdio::null()).kill_on_drop(true);
    let output = timeout(TIME_MAX, command.output()).await.context("no end")??;
    let said = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "{}", said.trim().trim_start_matches("Error: "));
    Ok(String::from_utf8(output.stdout)?)
}

/// The kind as an argument.
fn word(kind: Kind) -> String {
    kind.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}

/// The database that cells of this kind begin with.
fn template(kind: Kind) -> String {
    word(kind).replace('-', "_")
}

fn tell(round: u32, number: usize, of: usize, cell: Cell, outcome: &anyhow::Result<Seen>) {
    let Cell { kind, load, way } = cell;
    let head = format!(
        "round {round}, {number}/{of}: {:<21} {:<7} {:>3} x {:<4}",
        kind.name(),
        load.name(),
        way.workers,
        way.batch
    );
    match outcome {
        Ok(seen) => {
            let failed: u64 = seen.errors.values().sum();
            let fault = seen.fault().unwrap_or_default();
            eprintln!("{head} {:>8.0}/s  p99 {:>7} us  {failed} failed calls  {fault}", seen.rate, seen.p99_us);
        }
        Err(error) => eprintln!("{head} {error:#}"),
    }
}

/// Cores and processor, as Linux tells them.
fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    let model = model.map_or("processor", |(_, model)| model.trim());
    format!("{cores} cores ({model}), shared by client and server")
}
