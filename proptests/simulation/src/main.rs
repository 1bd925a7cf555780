//! `make simulate`: runs many seeds, and prints what they covered.

use std::process::ExitCode;
use std::time::Instant;

use clap::{Parser, ValueEnum};
use postfold_simulation::{Bug, Coverage, Report, run};

/// How much of a failed run is told.
const HISTORY_LINES: usize = 60;

/// Simulates a ledger and its projections under faults.
#[derive(Parser)]
struct Args {
    /// How many seeds.
    #[arg(long, default_value_t = 300)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Runs this seed alone, and tells all that happened.
    #[arg(long)]
    seed: Option<u64>,
    /// Plants a bug.
    #[arg(long, value_enum)]
    bug: Option<Bug>,
}

fn main() -> ExitCode {
    match simulate(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(broken) => {
            eprintln!("{broken}");
            ExitCode::FAILURE
        }
    }
}

fn simulate(args: &Args) -> Result<(), String> {
    if let Some(seed) = args.seed {
        let report = run(seed, args.bug, usize::MAX).map_err(|error| error.to_string())?;
        println!("{}", report.history.join("\n"));
        println!("{} steps, hash {:016x}", report.coverage.steps(), report.hash);
        return broken(&report, args.bug);
    }
    let (began, mut covered) = (Instant::now(), Coverage::default());
    for seed in args.from..args.from.saturating_add(args.seeds) {
        let report = run(seed, args.bug, HISTORY_LINES).map_err(|error| error.to_string())?;
        covered.add(&report.coverage);
        if !report.violations.is_empty() {
            println!("{}", report.history.join("\n"));
            println!("after {} seeds, {} steps, {:.1?}", seed - args.from + 1, covered.steps(), began.elapsed());
        }
        broken(&report, args.bug)?;
    }
    let (steps, elapsed) = (covered.steps(), began.elapsed());
    let rate = u128::from(steps) * 1_000 / elapsed.as_millis().max(1);
    println!("{covered}\n");
    println!("{} seeds, {steps} steps, {} faults, {elapsed:.1?}: {rate} steps a second", args.seeds, covered.faults());
    println!("no promise was broken");
    Ok(())
}

/// What is wrong, and how to see it again.
fn broken(report: &Report, bug: Option<Bug>) -> Result<(), String> {
    if report.violations.is_empty() {
        return Ok(());
    }
    let (seed, violations) = (report.seed, report.violations.join("\n  "));
    let bug = bug.and_then(|bug| bug.to_possible_value()).map(|bug| format!(" BUG={}", bug.get_name()));
    Err(format!("broken:\n  {violations}\nagain: make simulate SEED={seed}{}", bug.unwrap_or_default()))
}
