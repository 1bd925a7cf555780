//! The demo behind `make demo`: a made-up bank's year goes through the real `postfold` binary, a projector is killed and
//! resumes, read models are rebuilt under load, and everything is compared with books kept without the ledger.
//!
//! It takes no arguments. `DATABASE_URL` and `MONGODB_URI` name the servers; `POSTFOLD_BIN` names another `postfold`
//! than the one beside this executable; `SMALL_BANK_CUSTOMERS` (2000) and `SMALL_BANK_SEED` (2025) make another bank.
//!
//! Exit codes: 0 all checks passed, 1 a check failed, 2 it cannot begin, 3 it could not go on.

mod show;

use std::{env, process::ExitCode, str::FromStr};

use anyhow::{Context, Result, bail};
use jiff::Timestamp;
use tokio::signal::unix::{SignalKind, signal};

use crate::show::{Plan, play, postfold::Postfold, report::Report};

/// The seed of `make demo`.
const SEED: u64 = 2025;
/// The size of the bank of `make demo`.
const CUSTOMERS: usize = 2_000;

#[tokio::main]
async fn main() -> ExitCode {
    let (plan, postfold) = match prepare() {
        Ok(prepared) => prepared,
        Err(error) => {
            eprintln!("small-bank: {error:#}");
            return ExitCode::from(2);
        }
    };
    let mut report = Report::new();
    // When a signal comes, the play is dropped, and with it every child is killed.
    let outcome = tokio::select! {
        outcome = play(&plan, &postfold, &mut report) => outcome,
        outcome = interrupted() => outcome,
    };
    for failed in report.failed() {
        eprintln!("small-bank: FAILED: {failed}");
    }
    match outcome {
        Err(error) => {
            eprintln!("small-bank: stopped: {error:#}");
            ExitCode::from(3)
        }
        Ok(()) if report.failed().is_empty() => ExitCode::SUCCESS,
        Ok(()) => ExitCode::FAILURE,
    }
}

fn prepare() -> Result<(Plan, Postfold)> {
    if let Some(argument) = env::args().nth(1) {
        bail!("no arguments are needed, so `{argument}` is not understood");
    }
    let mongodb_uri = required("MONGODB_URI")?;
    required("DATABASE_URL")?;
    let customers = setting("SMALL_BANK_CUSTOMERS", CUSTOMERS)?;
    if !(1..=9_999).contains(&customers) {
        bail!("SMALL_BANK_CUSTOMERS must be 1 to 9999");
    }
    let plan = Plan { seed: setting("SMALL_BANK_SEED", SEED)?, customers, mongodb_uri };
    let ledger = Timestamp::now().strftime("small-bank-%Y%m%d-%H%M%S");
    Ok((plan, Postfold::find(ledger.to_string())?))
}

fn required(name: &str) -> Result<String> {
    env::var(name)
        .ok()
        .with_context(|| format!("{name} is not set; `make demo` sets it, and so does: eval \"$(make -s stack-env)\""))
}

fn setting<T: FromStr>(name: &str, default: T) -> Result<T> {
    match env::var(name) {
        Err(_) => Ok(default),
        Ok(text) => match text.parse() {
            Ok(value) => Ok(value),
            Err(_) => bail!("{name} is `{text}`, which is no whole number"),
        },
    }
}

async fn interrupted() -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupt = tokio::signal::ctrl_c() => interrupt?,
        _ = terminate.recv() => {}
    }
    bail!("interrupted")
}
