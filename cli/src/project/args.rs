//! What can be asked for about read models, on the command line.

use std::net::SocketAddr;
use std::time::Duration;

use clap::{Args, Subcommand};
use postfold_projections::Settings;

/// What stands for the name of a read model. By this, the arguments are found that take one: their possible
/// values are only known when the program runs.
pub(crate) const MODEL: &str = "MODEL";

/// Bytes in a mebibyte.
const MIB: usize = 1 << 20;

#[derive(Subcommand)]
pub(crate) enum Project {
    /// Fold the log into the read models and follow it until Ctrl-C
    ///
    /// Several processes share the work: each takes its part, and the part of one that dies is taken over
    /// within its lease.
    Run(Run),
    /// Show how far each read model is, who works on it, and what is wrong with it
    Status,
    /// Build read models anew beside the live ones, then switch
    ///
    /// Readers see the live model until the new one takes its name in one step. An interrupted rebuild leaves
    /// the live model as it is.
    Rebuild(Rebuild),
    /// Compare every document with the fold of the log
    Verify(Verify),
    /// Have all processes stop working on read models, until `resume`
    ///
    /// They stop between two batches; readers go on. It lasts over restarts.
    Pause(Pause),
    /// Let processes work again on read models that were paused, or that stopped by themselves
    Resume(Chosen),
    /// Look at the keys that could not take an event, and decide about them
    #[command(subcommand)]
    Parked(Parked),
    /// Bring the indexes of live models in step with those declared: build what lacks, drop what is not declared
    ///
    /// MongoDB builds an index beside the traffic. A compatible server may block the collection's writers meanwhile:
    /// there, `rebuild` is the gentler way.
    Reindex(Reindex),
    /// Drop what killed rebuilds and dead processes left behind; no live model is touched
    Prune(Prune),
}

#[derive(Args)]
pub(crate) struct Run {
    /// End when everything is in the models that is in the log now
    #[arg(long)]
    pub(crate) until_caught_up: bool,
    #[command(flatten)]
    pub(crate) only: Only,
    /// How long a process may be silent before another one takes its part over
    #[arg(long, value_name = "SECONDS", env = "POSTFOLD_LEASE_SECONDS", default_value = "5", value_parser = seconds)]
    pub(crate) lease: Duration,
    /// Into how many buckets the keys of a model are dealt that does not exist yet; processes share them
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = buckets)]
    pub(crate) buckets: usize,
    /// What `status` calls this process; default: its number
    #[arg(long, value_name = "TEXT", env = "POSTFOLD_PROCESS")]
    pub(crate) name: Option<String>,
    /// Answer `/metrics` (Prometheus) and `/health` (JSON) over HTTP here, such as `127.0.0.1:9090`
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<SocketAddr>,
    /// `/health` answers 503 when a model lags further behind
    #[arg(long, value_name = "SECONDS", requires = "listen", default_value = "60", value_parser = seconds)]
    pub(crate) max_lag_seconds: Duration,
}

#[derive(Args)]
pub(crate) struct Rebuild {
    #[command(flatten)]
    pub(crate) which: Which,
    /// Into how many buckets the keys of the new generation are dealt; default: as now
    #[arg(long, value_name = "N", value_parser = buckets)]
    pub(crate) buckets: Option<usize>,
    /// How much of a model is folded in memory; a larger one takes longer
    #[arg(long, value_name = "MIB", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) memory: u32,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Which {
    /// Every read model
    #[arg(long)]
    pub(crate) all: bool,
    /// Only these read models
    #[arg(long, value_name = MODEL, num_args = 1..)]
    pub(crate) only: Vec<String>,
}

#[derive(Args)]
pub(crate) struct Verify {
    #[command(flatten)]
    pub(crate) only: Only,
}

#[derive(Args)]
pub(crate) struct Only {
    /// Only these read models
    #[arg(long, value_name = MODEL, num_args = 1..)]
    pub(crate) only: Vec<String>,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Chosen {
    /// The read models
    #[arg(value_name = MODEL)]
    pub(crate) models: Vec<String>,
    /// Every read model
    #[arg(long)]
    pub(crate) all: bool,
}

#[derive(Args)]
pub(crate) struct Pause {
    #[command(flatten)]
    pub(crate) chosen: Chosen,
    /// Why; `status` shows it
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
}

#[derive(Subcommand)]
pub(crate) enum Parked {
    /// List the parked keys
    List(List),
    /// Show one parked key, and the event that it could not take
    Show(Key),
    /// Try parked keys again, from the event on that each could not take
    ///
    /// Mend the fold first. The decision is recorded in the log, and carried out by the process that works on
    /// the model.
    Retry(Retry),
    /// Skip an event for a key, now and in every rebuild; the key goes on behind it
    ///
    /// The model then differs from what the log says, for good. The decision and its reason are recorded in the
    /// log.
    Skip(Skip),
}

#[derive(Args)]
pub(crate) struct List {
    /// Only of these read models
    #[arg(value_name = MODEL)]
    pub(crate) models: Vec<String>,
}

#[derive(Args)]
pub(crate) struct Key {
    /// The read model
    #[arg(value_name = MODEL)]
    pub(crate) model: String,
    /// The key: the `_id` of the document
    pub(crate) key: String,
}

#[derive(Args)]
pub(crate) struct Retry {
    /// The read model
    #[arg(value_name = MODEL)]
    pub(crate) model: String,
    #[command(flatten)]
    pub(crate) keys: Keys,
    #[command(flatten)]
    pub(crate) why: Why,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Keys {
    /// The keys: the `_id`s of the documents
    #[arg(value_name = "KEY")]
    pub(crate) keys: Vec<String>,
    /// Every parked key of the model
    #[arg(long)]
    pub(crate) all: bool,
}

#[derive(Args)]
pub(crate) struct Skip {
    /// The read model
    #[arg(value_name = MODEL)]
    pub(crate) model: String,
    /// The key: the `_id` of the document; left out, the event is skipped for all keys
    #[arg(required_unless_present = "position")]
    pub(crate) key: Option<String>,
    /// The event; default: the one that the parked key could not take
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(1..))]
    pub(crate) position: Option<i64>,
    #[command(flatten)]
    pub(crate) why: Why,
}

/// What the log keeps about a decision.
#[derive(Args)]
pub(crate) struct Why {
    /// Why
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
    /// Who decided
    #[arg(long, value_name = "NAME", env = "POSTFOLD_OPERATOR")]
    pub(crate) by: Option<String>,
}

#[derive(Args)]
pub(crate) struct Reindex {
    #[command(flatten)]
    pub(crate) chosen: Chosen,
    /// Only say what would be built and dropped
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Args)]
pub(crate) struct Prune {
    /// Only say what would be dropped
    #[arg(long)]
    pub(crate) dry_run: bool,
}

impl Project {
    /// The read models that it is about; none means all.
    pub(super) fn only(&self) -> &[String] {
        match self {
            Self::Run(options) => &options.only.only,
            Self::Rebuild(options) => &options.which.only,
            Self::Verify(options) => &options.only.only,
            Self::Pause(options) => &options.chosen.models,
            Self::Resume(chosen) => &chosen.models,
            Self::Reindex(options) => &options.chosen.models,
            Self::Parked(Parked::List(options)) => &options.models,
            Self::Parked(
                Parked::Show(Key { model, .. }) | Parked::Retry(Retry { model, .. }) | Parked::Skip(Skip { model, .. }),
            ) => std::slice::from_ref(model),
            Self::Status | Self::Prune(_) => &[],
        }
    }

    /// The bounds that it sets.
    pub(super) fn settings(&self) -> Settings {
        let settings = Settings::default();
        match self {
            Self::Run(Run { lease, buckets, .. }) => Settings { lease: *lease, buckets: *buckets, ..settings },
            Self::Rebuild(Rebuild { memory, .. }) => {
                let memory = usize::try_from(*memory).unwrap_or(usize::MAX).saturating_mul(MIB);
                Settings { rebuild_bytes_max: memory, ..settings }
            }
            _ => settings,
        }
    }
}

/// A time above zero, such as `5` or `0.5`.
fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let seconds = seconds.filter(|time| !time.is_zero() && *time <= SECONDS_MAX);
    seconds.ok_or_else(|| "a number of seconds above zero, such as 5 or 0.5, at most those of a year".to_owned())
}

/// Longest time that can be asked for. Some hundred billion years would be past the end of the clock.
const SECONDS_MAX: Duration = Duration::from_hours(365 * 24);

fn buckets(text: &str) -> Result<usize, String> {
    let buckets = text.parse().ok().filter(|buckets| (1..=BUCKETS_MAX).contains(buckets));
    buckets.ok_or_else(|| format!("a number from 1 to {BUCKETS_MAX}"))
}

/// More buckets than processes that could share them only cost: each has its own batches and its own place in the
/// checkpoint.
const BUCKETS_MAX: usize = 256;
