//! `postfold`: a ledger from the command line. It initialises, applies commands, answers queries,
//! verifies, and looks after the read models.
//!
//! One file per family of commands; what they share:
//!
//! | file | job |
//! |---|---|
//! | `args` | what can be said on the command line |
//! | `exit` | how a command ends: exit codes and messages |
//! | `connect` | from names and URLs to an open ledger |
//! | `output` | JSON and tables on stdout |
//! | `terminal`, `progress` | what goes to stderr: messages, logs, bars |
//! | `secret` | no password leaves this process |
//! | `shutdown` | Ctrl-C and SIGTERM |

mod apply;
mod args;
mod bench;
mod connect;
mod doctor;
mod events;
mod exit;
mod generate;
mod init;
mod log;
mod output;
mod progress;
mod project;
mod query;
mod secret;
mod shutdown;
mod terminal;

use std::process::ExitCode;

use clap::Parser;

use args::{Cli, Command};
use exit::{Exit, Failure};
use shutdown::Shutdown;

/// Deciding allocates much and frees it on other threads, where this allocator takes a quarter less time than the
/// system's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    terminal::hide_panics();
    let exit = match Cli::try_parse() {
        Ok(cli) => run(cli).unwrap_or_else(Failure::tell),
        Err(error) => args::tell(&error),
    };
    ExitCode::from(exit.code())
}

fn run(cli: Cli) -> Result<Exit, Failure> {
    secret::learn([&cli.global.database_url, &cli.global.mongodb_uri]);
    terminal::log();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::infrastructure(format!("the runtime does not start: {error}")))?;
    let exit = runtime.block_on(command(cli));
    // A thread that waits for the next line of standard input must not hold up the end.
    runtime.shutdown_background();
    exit
}

async fn command(cli: Cli) -> Result<Exit, Failure> {
    let shutdown = Shutdown::listen()?;
    let global = &cli.global;
    match cli.command {
        Command::Init(options) => shutdown.or(init::init(global, &options)).await,
        Command::Apply(options) => apply::apply(global, &options, &shutdown).await,
        Command::Balance(options) => shutdown.or(query::balance(global, &options)).await,
        Command::Balances(options) => shutdown.or(query::balances(global, &options)).await,
        Command::Statement(options) => shutdown.or(query::statement(global, &options)).await,
        Command::Entry(options) => shutdown.or(query::entry(global, &options)).await,
        Command::Holds(options) => shutdown.or(query::holds(global, &options)).await,
        Command::TrialBalance(options) => shutdown.or(query::trial_balance(global, &options)).await,
        Command::BalanceSheet(options) => shutdown.or(query::balance_sheet(global, &options)).await,
        Command::IncomeStatement(options) => shutdown.or(query::income_statement(global, &options)).await,
        Command::History(options) => shutdown.or(query::history(global, &options)).await,
        Command::Events(options) => events::events(global, &options, &shutdown).await,
        Command::Head => shutdown.or(log::head(global)).await,
        Command::Verify(options) => shutdown.or(log::verify(global, &options)).await,
        Command::Doctor => shutdown.or(doctor::doctor(global)).await,
        Command::Project(project) => project::project(global, project, &shutdown).await,
        Command::Bench(options) => bench::bench(global, &options, &shutdown).await,
        Command::BenchWorker(options) => shutdown.or(bench::worker(global, &options)).await,
        Command::Completions(options) => generate::completions(&options),
        Command::Man => generate::man(),
    }
}
