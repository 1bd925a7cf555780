//! What can be said on the command line.

use std::io::IsTerminal;
use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, Styles, styling::AnsiColor};
use clap::{Arg, Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use clap_complete::Shell;
use postfold::{Hash, Position};
use postfold_benches::Row;

use crate::exit::Exit;
use crate::project::args::MODEL;
use crate::{program, project, query, secret, terminal};

/// Shown under the help of the whole program.
const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  found a problem: a refused command, a failed verification
  2  usage: an option, a name or a file that cannot be used
  3  infrastructure: a server that cannot be reached or refuses, a ledger that is not there
  130 (Ctrl-C) or 143 (SIGTERM): ended before it was done; the message says how to go on

POSTFOLD_LOG sets what is logged to stderr, such as `info` or `postfold=debug` (default `warn`).";

/// An embeddable, event-sourced, double-entry ledger: from the command line.
#[derive(Parser)]
#[command(name = "postfold", version, after_help = EXIT_CODES, styles = STYLES, max_term_width = 100)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Reads the command line of this process.
pub(crate) fn parse(models: &[&'static str]) -> Result<Arguments, clap::Error> {
    let mut command = command(models);
    let matches = command.try_get_matches_from_mut(std::env::args_os())?;
    Arguments::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
}

/// All that can be said, under the name of this program, about these read models.
pub(crate) fn command(models: &[&'static str]) -> clap::Command {
    let command = Arguments::command().name(program::name()).bin_name(program::name());
    command.mut_subcommand("project", |project| knowing(project, models))
}

/// The command, with these as the possible values of every argument that names a read model.
fn knowing(command: clap::Command, models: &[&'static str]) -> clap::Command {
    let named = |arg: Arg| {
        let takes_model = arg.get_value_names().is_some_and(|names| names.iter().any(|name| name == MODEL));
        if takes_model { arg.value_parser(PossibleValuesParser::new(models)) } else { arg }
    };
    command.mut_args(named).mut_subcommands(|command| knowing(command, models))
}

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default())
    .placeholder(AnsiColor::Cyan.on_default());

/// What every command takes, before or after its name. No `Debug`: URLs hold passwords.
#[derive(Args)]
pub(crate) struct Global {
    /// The ledger
    #[arg(long, global = true, env = "POSTFOLD_LEDGER", value_name = "NAME", help_heading = GLOBAL)]
    pub(crate) ledger: Option<String>,
    /// PostgreSQL, which holds the log: `postgres://user@host:port/database`
    #[arg(long, global = true, env = "DATABASE_URL", hide_env_values = true, value_name = "URL", help_heading = GLOBAL)]
    pub(crate) database_url: Option<String>,
    /// MongoDB, which holds the read models: `mongodb://user@host:port`
    #[arg(long, global = true, env = "MONGODB_URI", hide_env_values = true, value_name = "URI", help_heading = GLOBAL)]
    pub(crate) mongodb_uri: Option<String>,
    /// The PostgreSQL schema of the log
    #[arg(long, global = true, default_value = "postfold", value_name = "NAME", help_heading = GLOBAL)]
    pub(crate) schema: String,
    /// Print JSON instead of tables
    #[arg(long, global = true, help_heading = GLOBAL)]
    pub(crate) json: bool,
}

/// The heading of the options that every command takes.
const GLOBAL: &str = "Global options";

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Create the schema and the ledger; what is there already stays as it is
    Init(Init),
    /// Apply commands: JSON Lines in, one outcome a line out, in the same order
    ///
    /// A command is one JSON object a line; blank lines are skipped. A line that cannot be read is
    /// answered `invalid`, and the next one is applied. Running a file again is safe for every command
    /// that has an id: what was done before is answered with `"duplicate": true`.
    Apply(Apply),
    /// Show the balance of one account
    Balance(query::args::Balance),
    /// List the balances of all accounts ever opened, in order of code and currency
    Balances(query::args::Balances),
    /// Show what was posted to an account, page by page, with opening, running and closing balance
    Statement(query::args::Statement),
    /// Show an entry, transfer, reversal, hold or settle, and what became of it
    Entry(query::args::Entry),
    /// List holds, in the order in which they were placed
    Holds(query::args::Holds),
    /// Show the balance of every account on its side, by currency
    TrialBalance(query::args::Report),
    /// Show what is owned, owed and left, by currency
    BalanceSheet(query::args::Report),
    /// Show what was earned and spent within a time, by currency
    IncomeStatement(query::args::IncomeStatement),
    /// List the changes of an entity, with what was there before and after each
    History(query::args::History),
    /// Print the events of the log
    Events(Events),
    /// Show where the log ends, and how much is in it
    Head,
    /// Recompute every hash and every balance of the log
    Verify(Verify),
    /// Look at servers, schema, roles and clocks; say what is wrong and how to mend it
    Doctor,
    /// Fold the log into read models, and look after them
    #[command(subcommand)]
    Project(project::args::Project),
    /// Measure the canonical workload beside what the server could do at most
    ///
    /// Works in a schema of its own (the name of --schema with `_bench` behind it), which is dropped at the
    /// end; no ledger is touched. A ratio compares a rate with its limit in the same run; the run with the
    /// median ratio is shown.
    Bench(Bench),
    /// One process of `bench`, on word from the bench
    #[command(hide = true)]
    BenchWorker(BenchWorker),
    /// Print the completion script of a shell
    Completions(Completions),
    /// Print the man page
    Man,
}

#[derive(Args)]
pub(crate) struct Init {
    /// Create the roles `postfold_app` (appends and reads) and `postfold_read` (reads)
    #[arg(long)]
    pub(crate) roles: bool,
}

#[derive(Args)]
pub(crate) struct Apply {
    /// The commands; `-` or nothing is standard input
    #[arg(value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Take the recorded time from lines `{"clock": "<RFC 3339>"}`, which have no outcome
    #[arg(long)]
    pub(crate) manual_clock: bool,
    /// Print the balances of the touched accounts in every receipt
    #[arg(long)]
    pub(crate) balances: bool,
}

#[derive(Args)]
pub(crate) struct Events {
    /// Begin behind this position
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(i64).range(0..))]
    pub(crate) after: i64,
    /// Begin at this position
    #[arg(long, value_name = "N", conflicts_with = "after", value_parser = clap::value_parser!(i64).range(0..))]
    pub(crate) from: Option<i64>,
    /// Only events of this kind, such as `entry.posted`; may be said several times
    #[arg(long, value_name = "KIND")]
    pub(crate) kind: Vec<String>,
    /// Only changes of this entity, such as `user/42`
    #[arg(long, value_name = "ENTITY")]
    pub(crate) entity: Option<String>,
    /// Only what opened, changed or moved the accounts of this code
    #[arg(long, value_name = "CODE")]
    pub(crate) account: Option<String>,
    /// Only events of commands with this correlation
    #[arg(long, value_name = "TEXT")]
    pub(crate) correlation: Option<String>,
    /// Wait for new events until Ctrl-C
    #[arg(long)]
    pub(crate) follow: bool,
    /// End after so many events
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<u64>,
}

#[derive(Args)]
pub(crate) struct Verify {
    /// A position and its hash, noted earlier (`postfold head`): must still be in the log
    #[arg(long, value_name = "POSITION:HASH", value_parser = noted_head)]
    pub(crate) head: Option<NotedHead>,
    /// Verify what comes behind this position, on what is stored up to it
    #[arg(long, value_name = "POSITION", default_value_t = 0, value_parser = clap::value_parser!(i64).range(0..))]
    pub(crate) after: i64,
    /// Verify up to this position; default: the head
    #[arg(long, value_name = "POSITION", value_parser = clap::value_parser!(i64).range(1..))]
    pub(crate) upto: Option<i64>,
}

/// A head that somebody wrote down.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NotedHead {
    pub(crate) position: Position,
    pub(crate) hash: Hash,
}

fn noted_head(text: &str) -> Result<NotedHead, String> {
    let shape = "write it as `postfold head` shows it: a position, a colon, 64 hexadecimal digits";
    let (position, hash) = text.split_once(':').ok_or(shape)?;
    let position: i64 = position.parse().map_err(|_| shape)?;
    let hash = hash.to_ascii_lowercase();
    let hash: Hash = serde_json::from_value(hash.into()).map_err(|_| shape)?;
    if position < 0 {
        return Err(shape.to_owned());
    }
    Ok(NotedHead { position: Position::new(position), hash })
}

#[derive(Args)]
pub(crate) struct Bench {
    /// Only these rows
    #[arg(long, value_name = "NAME", value_delimiter = ',', num_args = 1.., value_parser = row_names())]
    pub(crate) only: Vec<String>,
    /// Small and once: shows that it runs, its figures mean little
    #[arg(long)]
    pub(crate) quick: bool,
    /// At the size that the goals are stated for: a file of 1,000,000 commands, a log of 10,000,000 events
    #[arg(long, conflicts_with = "quick")]
    pub(crate) full: bool,
    /// Let one log grow to so many events, and tell what posting and asking cost at each size on the way
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(10_000..), conflicts_with_all = ["only", "quick", "full", "events"])]
    pub(crate) grow: Option<u64>,
    /// How large the log grows that `growth` posts to and `verify` verifies (default 500,000)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) events: Option<u64>,
}

/// What a worker process of `bench` is told.
#[derive(Args)]
pub(crate) struct BenchWorker {
    /// Its number among the processes
    #[arg(long)]
    pub(crate) number: u64,
    /// Callers
    #[arg(long)]
    pub(crate) callers: u64,
    /// Accounts of the ledger
    #[arg(long)]
    pub(crate) accounts: u64,
    /// How long it works, in milliseconds
    #[arg(long)]
    pub(crate) window_ms: u64,
}

fn row_names() -> PossibleValuesParser {
    PossibleValuesParser::new(Row::ALL.map(Row::name))
}

#[derive(Args)]
pub(crate) struct Completions {
    /// The shell
    pub(crate) shell: Shell,
}

/// Prints help and version to stdout, what is wrong with the command line to stderr.
pub(crate) fn tell(error: &clap::Error) -> Exit {
    let text = error.render();
    let show = |colours: bool| if colours { text.ansi().to_string() } else { text.to_string() };
    if error.use_stderr() {
        // An argument that is not understood is repeated; it may be a URL with a password.
        terminal::write(&secret::hide(&show(std::io::stderr().is_terminal())));
        return Exit::Usage;
    }
    // A reader that has gone away is not told.
    let _ = crate::output::print(&show(std::io::stdout().is_terminal()));
    Exit::Done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_said_is_consistent_and_every_argument_for_a_model_knows_the_models() {
        let mut command = command(&["balances", "loyalty"]);
        command.build();
        command.clone().debug_assert();
        let project = command.find_subcommand("project").unwrap();
        let parked = project.find_subcommand("parked").unwrap();
        let leaves = project.get_subcommands().chain(parked.get_subcommands());
        let takes = |command: &clap::Command| {
            let values = command.get_arguments().flat_map(Arg::get_possible_values);
            values.filter(|value| value.get_name() == "loyalty").count() == 1
        };
        let taking: Vec<&str> = leaves.filter(|command| takes(command)).map(clap::Command::get_name).collect();
        let expected = ["run", "rebuild", "verify", "pause", "resume", "reindex", "list", "show", "retry", "skip"];
        assert_eq!(taking, expected);
    }
}
