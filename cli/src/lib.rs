//! The `postfold` command as a library, for programs with read models of their own.
//!
//! A projection is code, so the binary that ships with Postfold cannot know yours. Give it to [`Cli`], and
//! your own binary is the same program, with your model beside the others in everything it does: `project
//! run`, `status`, `rebuild`, `verify`, their `--only`, completions, man page.
//!
//! ```no_run
//! # use postfold_projections::{Change, FoldError, Keys, Projection, ReadEvent};
//! # struct Loyalty;
//! # #[derive(serde::Serialize, serde::Deserialize)]
//! # struct Points { points: i64 }
//! # impl Projection for Loyalty {
//! #     type Document = Points;
//! #     const NAME: &'static str = "loyalty";
//! #     const VERSION: u32 = 1;
//! #     fn keys(_event: &ReadEvent) -> Result<Keys, FoldError> { Ok(Keys::none()) }
//! #     fn fold(_: Option<&Points>, _: &str, _: &ReadEvent) -> Result<Change<Points>, FoldError> { Ok(Change::Keep) }
//! # }
//! use postfold_cli::Cli;
//!
//! fn main() -> std::process::ExitCode {
//!     Cli::stock().with(Loyalty).main()
//! }
//! ```
//!
//! `examples/loyalty` is such a program, whole and with tests.
//!
//! One file per family of commands; what they share:
//!
//! | file | job |
//! |---|---|
//! | `args` | what can be said on the command line |
//! | `exit` | how a command ends: exit codes and messages |
//! | `connect` | from names and URLs to an open ledger |
//! | `models` | the read models of this program |
//! | `output` | JSON and tables on stdout |
//! | `terminal`, `progress` | what goes to stderr: messages, logs, bars |
//! | `program` | the name that this program was called by |
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
mod models;
#[cfg(test)]
mod nearly_right;
mod output;
mod program;
mod progress;
mod project;
mod query;
mod secret;
mod shutdown;
mod terminal;

use std::process::ExitCode;

use postfold_projections::{Projection, RowProjection};

use args::{Arguments, Command};
use exit::{Exit, Failure};
use models::Models;
use shutdown::Shutdown;

/// The `postfold` command, with the read models that it is given.
#[must_use = "nothing runs before `main` is called"]
pub struct Cli {
    models: Models,
}

impl Cli {
    /// The command with all [read models that come with the ledger](postfold_projections::models).
    pub fn stock() -> Self {
        Self { models: Models::stock() }
    }

    /// The command without any read model.
    pub fn bare() -> Self {
        Self { models: Models::default() }
    }

    /// And this projection. It takes the place of one that was given before by the same name.
    pub fn with<P: Projection>(self, projection: P) -> Self {
        Self { models: self.models.with(projection) }
    }

    /// And this projection of rows. It takes the place of one that was given before by the same name.
    pub fn with_rows<P: RowProjection>(self, projection: P) -> Self {
        Self { models: self.models.with_rows(projection) }
    }

    /// Does what the command line of this process says; the whole of a binary's `main`.
    ///
    /// It reads the arguments and the environment, writes to stdout and stderr, starts a runtime of its own,
    /// listens for Ctrl-C and SIGTERM, sets the panic hook and the subscriber of `tracing`. In messages and help the
    /// program goes by the name that it was called by.
    pub fn main(self) -> ExitCode {
        terminal::hide_panics();
        let exit = match args::parse(&self.models.names()) {
            Ok(arguments) => run(arguments, self.models).unwrap_or_else(Failure::tell),
            Err(error) => args::tell(&error),
        };
        ExitCode::from(exit.code())
    }
}

fn run(arguments: Arguments, models: Models) -> Result<Exit, Failure> {
    secret::learn([&arguments.global.database_url, &arguments.global.mongodb_uri]);
    terminal::log();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::infrastructure(format!("the runtime does not start: {error}")))?;
    let exit = runtime.block_on(command(arguments, models));
    // A thread that waits for the next line of standard input must not hold up the end.
    runtime.shutdown_background();
    exit
}

async fn command(arguments: Arguments, models: Models) -> Result<Exit, Failure> {
    let shutdown = Shutdown::listen()?;
    let global = &arguments.global;
    match arguments.command {
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
        Command::Project(project) => project::project(global, project, models, &shutdown).await,
        Command::Bench(options) => bench::bench(global, &options, &shutdown).await,
        Command::BenchWorker(options) => shutdown.or(bench::worker(global, &options)).await,
        Command::Completions(options) => generate::completions(&options, &models.names()),
        Command::Man => generate::man(&models.names()),
    }
}
