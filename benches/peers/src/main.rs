//! Postfold beside other ledgers and event stores of Rust: the same transfers, on one PostgreSQL, in turns.
//!
//! | file | job |
//! |---|---|
//! | `run` | the cells of the table in turns, each in a process and a database of its own |
//! | `cell` | one cell: warm up, post for some seconds, look at what is held |
//! | `driver` | tasks that post, and what they saw |
//! | `server` | databases, and whether the server keeps what it acknowledges |
//! | `peer`, `peers` | what a peer is, and each of them |
//! | `report`, `plot` | the table and its ratios, the picture |

mod cell;
mod driver;
mod peer;
mod peers;
mod plot;
mod report;
mod run;
mod server;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::cell::Cell;
use crate::peer::{Load, Way};
use crate::peers::Kind;
use crate::run::{Results, Run};

/// Postfold and its peers on one `PostgreSQL`.
#[derive(Parser)]
#[command(version)]
struct Args {
    /// A database of the server to use; the role may create databases there.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, global = true, default_value = "")]
    database_url: String,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measure, print the table, write it into the documentation.
    Run {
        /// How often each cell is measured; the median counts.
        #[arg(long, default_value_t = 3)]
        rounds: u32,
        /// How long each cell is timed.
        #[arg(long, default_value_t = 3.0)]
        seconds: f64,
        /// Only these.
        #[arg(long, value_enum, value_delimiter = ',')]
        only: Vec<Kind>,
        /// How many post one by one.
        #[arg(long, value_delimiter = ',', default_values_t = [1, 8, 32, 256])]
        workers: Vec<u32>,
        /// Where `peers.md` and `peers.svg` go; the table replaces the one between the marks of `peers.md`.
        /// Without it, nothing is written.
        #[arg(long)]
        docs: Option<PathBuf>,
        /// Where every cell goes, as JSON.
        #[arg(long)]
        json: Option<PathBuf>,
    },
    /// Make the tables and accounts of a peer in an empty database. `run` does this.
    #[command(hide = true)]
    Prepare { kind: Kind },
    /// Measure one cell in a prepared database, and print it as JSON. `run` does this.
    #[command(hide = true)]
    Cell { kind: Kind, load: Load, workers: u32, batch: u32, seconds: f64 },
    /// Print the table of an earlier run.
    Show { json: PathBuf },
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let Args { database_url: url, command } = Args::parse();
    match command {
        Command::Run { rounds, seconds, only, workers, docs, json } => {
            let kinds = if only.is_empty() { Kind::ALL.to_vec() } else { only };
            let run = Run { url, kinds, workers, rounds, seconds };
            // A run that is broken off leaves the rounds before.
            let write = |results: &Results| write(results, json.as_deref(), docs.as_deref());
            Box::pin(run.go(write)).await?;
        }
        Command::Prepare { kind } => cell::prepare(kind, &url).await?,
        Command::Cell { kind, load, workers, batch, seconds } => {
            let cell = Cell { kind, load, way: Way { workers, batch } };
            let seen = Box::pin(cell.measure(&url, Duration::from_secs_f64(seconds))).await?;
            println!("{}", serde_json::to_string(&seen)?);
        }
        Command::Show { json } => {
            let results = serde_json::from_str(&std::fs::read_to_string(json)?)?;
            println!("{}", report::text(&results));
        }
    }
    Ok(())
}

fn write(results: &Results, json: Option<&Path>, docs: Option<&Path>) -> anyhow::Result<()> {
    println!("{}", report::text(results));
    if let Some(json) = json {
        std::fs::write(json, serde_json::to_string_pretty(results)?)?;
    }
    if let Some(docs) = docs {
        report::write(&docs.join("peers.md"), results)?;
        std::fs::write(docs.join("peers.svg"), plot::svg(results))?;
    }
    Ok(())
}
