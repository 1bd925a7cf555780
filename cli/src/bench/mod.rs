//! `bench`: the canonical workload, beside what the server could do at most.

use std::time::Duration;

use postfold_benches::{Bench, BenchError, Figure, Program, Quantiles, Row, Sizes, Station, Worker};

use crate::args::{self, Global};
use crate::exit::{Exit, Failure};
use crate::output::{self, count};
use crate::progress::{Progress, Step};
use crate::shutdown::Shutdown;
use crate::terminal;

/// What stands behind the name of the ledger's schema in that of the bench's.
const SUFFIX: &str = "_bench";

/// Runs the workload and prints its figures.
pub(crate) async fn bench(global: &Global, options: &args::Bench, shutdown: &Shutdown) -> Result<Exit, Failure> {
    let rows: Vec<Row> = match options.only.as_slice() {
        // Without MongoDB, what needs none.
        [] => Row::ALL.into_iter().filter(|row| global.mongodb_uri.is_some() || !row.is_of_models()).collect(),
        names => names.iter().filter_map(|name| Row::named(name)).collect(),
    };
    let schema = format!("{}{SUFFIX}", global.schema);
    let path = std::env::current_exe()
        .map_err(|error| Failure::infrastructure(format!("bench cannot find its own binary: {error}")))?;
    let program = Program { path, url: global.database_url()?.to_owned(), mongodb_uri: global.mongodb_uri.clone() };
    let mut bench = Bench::claim(program, &schema, sizes(options)).await?;
    let done = tokio::select! {
        done = run(global, options, &mut bench, &rows) => Some(done),
        () = shutdown.requested() => None,
    };
    if let Err(error) = bench.end().await {
        terminal::say(format_args!("schema {schema} could not be dropped, the next bench does it: {error}"));
    }
    done.unwrap_or_else(|| {
        let message = "interrupted before it was done; its schema is dropped";
        Err(Failure { exit: shutdown.exit(), message: Some(message.to_owned()) })
    })
}

async fn run(global: &Global, options: &args::Bench, bench: &mut Bench, rows: &[Row]) -> Result<Exit, Failure> {
    if let Some(events) = options.grow {
        let progress = Progress::new("bench", "event");
        let stations = bench.grow_upto(events, |size| progress.at(Step::of(size, events))).await?;
        drop(progress);
        return print_growth(global, &stations);
    }
    let progress = Progress::new("bench", "run");
    let figures = bench.run(rows, |step| progress.at(Step::of(step.done, step.total))).await?;
    drop(progress);
    print(global, &figures)
}

/// Does the part of one process, on word from the bench that started it.
pub(crate) async fn worker(global: &Global, options: &args::BenchWorker) -> Result<Exit, Failure> {
    let worker = Worker {
        number: options.number,
        callers: options.callers,
        accounts: options.accounts,
        window: Duration::from_millis(options.window_ms),
    };
    worker.run(global.database_url()?, &global.schema).await?;
    Ok(Exit::Done)
}

fn sizes(options: &args::Bench) -> Sizes {
    let sizes = match (options.quick, options.full) {
        (true, _) => Sizes::quick(),
        (_, true) => Sizes::full(),
        _ => Sizes::default(),
    };
    Sizes { events: options.events.unwrap_or(sizes.events), ..sizes }
}

fn print(global: &Global, figures: &[Figure]) -> Result<Exit, Failure> {
    if global.json {
        output::json(figures)?;
        return Ok(Exit::Done);
    }
    let columns = ["name", "#per second", "#limit", "#ratio", "#goal", "#spread", "#p50 ms", "#p99 ms", "more"];
    output::table(&columns, figures.iter().map(cells))?;
    Ok(Exit::Done)
}

fn print_growth(global: &Global, stations: &[Station]) -> Result<Exit, Failure> {
    if global.json {
        output::json(stations)?;
        return Ok(Exit::Done);
    }
    let columns = [
        "#events",
        "#a second",
        "#batch ms",
        "#single ms",
        "#balance ms",
        "#statement ms",
        "#entry ms",
        "#trial balance ms",
        "#table B",
        "#index B",
        "#MiB",
    ];
    output::table(
        &columns,
        stations.iter().map(|station| {
            let times = [
                station.batch,
                station.single,
                station.balance,
                station.statement,
                station.entry,
                station.trial_balance,
            ];
            let before = [count(station.events), whole(station.rate)];
            let memory = station.memory_kib.map_or_else(|| "-".to_owned(), |kib| count(kib / 1_024));
            let after = [whole(station.table_bytes), whole(station.index_bytes), memory];
            before.into_iter().chain(times.map(both)).chain(after).collect::<Vec<_>>()
        }),
    )?;
    Ok(Exit::Done)
}

/// Median and 99th of 100.
fn both(Quantiles { p50, p99 }: Quantiles) -> String {
    format!("{} / {}", milliseconds(Some(p50)), milliseconds(Some(p99)))
}

fn cells(figure: &Figure) -> [String; 9] {
    let ratio = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.2}"));
    let [least, greatest] = figure.spread;
    let spread = match figure.limit {
        Some(_) => format!("{least:.2} to {greatest:.2}"),
        None => format!("{} to {}", whole(least), whole(greatest)),
    };
    [
        figure.name.to_string(),
        whole(figure.rate),
        figure.limit.map_or_else(|| "-".to_owned(), whole),
        ratio(figure.ratio),
        ratio(figure.goal),
        spread,
        milliseconds(figure.p50_us),
        milliseconds(figure.p99_us),
        more(figure),
    ]
}

fn more(figure: &Figure) -> String {
    let more = figure.more;
    let share = more.slowest_share.map(|share| format!("slowest process {share:.2} of the mean"));
    let size = more.size.map(|size| format!("of {}", count(size)));
    let memory = more.memory_kib.map(|seen| {
        let [begin, half, end] = seen.map(|kib| kib / 1_024);
        format!("{begin}, {half}, {end} MiB at 10, 50, 100 %")
    });
    share.into_iter().chain(size).chain(memory).collect::<Vec<_>>().join("; ")
}

/// A rate without its fraction, thousands set apart.
fn whole(rate: f64) -> String {
    count(format!("{rate:.0}").parse::<u64>().unwrap_or_default())
}

fn milliseconds(microseconds: Option<u64>) -> String {
    microseconds.map_or_else(|| "-".to_owned(), |us| format!("{}.{:02}", us / 1_000, us % 1_000 / 10))
}

impl From<BenchError> for Failure {
    fn from(error: BenchError) -> Self {
        match error {
            BenchError::Ledger(error) => error.into(),
            BenchError::Url(_) | BenchError::Schema(_) => Self::usage(error.to_string()),
            BenchError::Refused(_) => Self::problem(error.to_string()),
            BenchError::Process(_) | BenchError::Database(_) | BenchError::Models(_) => {
                Self::infrastructure(error.to_string())
            }
        }
    }
}
