//! Imports the PKDD'99 bank data into a ledger and reconciles it with the bank's own balances.
//!
//! Exit codes: 0 every difference is explained by the file itself, 1 something is not explained, 2 usage,
//! 3 the database or a file cannot be reached.

use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use bank_import::print;
use bank_import::report::Report;
use bank_import::run::{self, Failure, Options};
use clap::Parser;

/// Imports the PKDD'99 bank data into a ledger and reconciles it with the bank's own balances.
///
/// Every row of trans.asc becomes one balanced entry. A second run posts nothing and reports the same.
#[derive(Debug, Parser)]
#[command(name = "bank-import", version)]
struct Arguments {
    /// Directory that holds account.asc and trans.asc, each plain or with .gz
    #[arg(value_name = "DIR", env = "POSTFOLD_BANK_DATA")]
    directory: PathBuf,
    /// Ledger to post into; created if it is not there
    #[arg(long, value_name = "NAME", env = "POSTFOLD_LEDGER")]
    ledger: String,
    /// URL of the PostgreSQL database
    #[arg(long, value_name = "URL", env = "DATABASE_URL", hide_env_values = true)]
    database_url: String,
    /// Print the whole report as one JSON object
    #[arg(long)]
    json: bool,
    /// List every account that differs and every line that is not posted
    #[arg(long, conflicts_with = "json")]
    details: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let Arguments { directory, ledger, database_url, json, details } = Arguments::parse();
    let outcome = run::run(&Options { directory, ledger, database_url }).await;
    let (error, code) = match outcome {
        Ok(report) => match show(&report, json, details) {
            Ok(()) if report.unexplained.is_empty() => return ExitCode::SUCCESS,
            Ok(()) => return ExitCode::FAILURE,
            Err(error) => (error.into(), 3),
        },
        Err(Failure::Usage(error)) => (error, 2),
        Err(Failure::Infrastructure(error)) => (error, 3),
    };
    eprintln!("bank-import: {error:#}");
    ExitCode::from(code)
}

fn show(report: &Report, json: bool, details: bool) -> std::io::Result<()> {
    let mut out = BufWriter::new(std::io::stdout().lock());
    if json {
        serde_json::to_writer(&mut out, report)?;
        writeln!(out)?;
    } else {
        print::report(&mut out, report, details)?;
    }
    out.flush()
}
