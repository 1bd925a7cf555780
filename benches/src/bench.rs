//! Runs the rows in turns.

use std::collections::HashMap;
use std::time::Duration;

use postfold::Ledger;
use tempfile::NamedTempFile;

use crate::error::BenchError;
use crate::figure::{Figure, Latencies, Measured, More};
use crate::growth::{Growing, Station};
use crate::limit::Rows;
use crate::load::{self, BATCH, Load};
use crate::models::Lag;
use crate::processes::{self, Worker};
use crate::program::{Program, Went};
use crate::row::{Group, Row, Work};
use crate::scratch::Scratch;
use crate::single::Entries;
use crate::{file, pages};

/// Callers that keep a batch on its way each.
const BATCH_CALLERS: u64 = 4;
/// Callers of each of several processes.
const PROCESS_CALLERS: u64 = 64;
/// What the schema of the log that grows is called, behind the name of the other.
const GROWN: &str = "_grown";

/// How much is done.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// Runs of each row; the median counts.
    pub runs: usize,
    /// Accounts that transfers are spread over.
    pub accounts: u64,
    /// Transfers of one run, in whole thousands.
    pub transfers: u64,
    /// Transfers of one run that go one by one.
    pub singles: u64,
    /// Commands in the file that is applied.
    pub commands: u64,
    /// Events in the small log that a grown one is compared with, about.
    pub small_events: u64,
    /// Events in the grown log, about; it is also the one that is verified.
    pub events: u64,
    /// How long several processes work side by side.
    pub window: Duration,
    /// No run of callers takes much longer than this.
    pub time_max: Duration,
}

impl Default for Sizes {
    fn default() -> Self {
        Self {
            runs: 3,
            accounts: 10_000,
            transfers: 100_000,
            singles: 2_000,
            commands: 200_000,
            small_events: 100_000,
            events: 500_000,
            window: Duration::from_secs(2),
            time_max: Duration::from_secs(20),
        }
    }
}

impl Sizes {
    /// Enough to see that it runs; the figures mean little.
    pub fn quick() -> Self {
        Self {
            runs: 1,
            accounts: 1_000,
            transfers: 5_000,
            singles: 100,
            commands: 5_000,
            small_events: 3_000,
            events: 10_000,
            window: Duration::from_millis(300),
            time_max: Duration::from_secs(2),
        }
    }

    /// What the goals are stated for: a file of 1,000,000 commands, a log of 10,000,000 events.
    pub fn full() -> Self {
        Self { commands: 1_000_000, events: 10_000_000, ..Self::default() }
    }
}

/// How far a bench is.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// The row that is run now.
    pub row: Row,
    /// Runs that are done, those of limits included.
    pub done: u64,
    /// Runs in all.
    pub total: u64,
}

/// A bench: a schema of its own on a server.
pub struct Bench {
    program: Program,
    sizes: Sizes,
    /// Made anew for each run.
    scratch: Scratch,
    /// Kept from one run to the next.
    growing: Scratch,
    grown: Option<Grown>,
    /// What the limits write, once the engine has written it.
    rows: Option<Rows>,
    entries: Option<Entries>,
    file: Option<NamedTempFile>,
    /// Whether a database of read models has to be dropped at the end.
    used_models: bool,
}

/// A log that has grown.
struct Grown {
    ledger: Ledger,
    /// Loads that it has seen since; sets their ids apart.
    loads: u64,
}

impl Bench {
    /// Claims the schema. What an earlier bench left in it is dropped.
    ///
    /// # Errors
    ///
    /// When the server cannot be reached, when another bench works in the schema, and when the schema
    /// is there and is not of a bench.
    pub async fn claim(program: Program, schema: &str, sizes: Sizes) -> Result<Self, BenchError> {
        let scratch = Scratch::claim(&program.url, schema).await?;
        let growing = Scratch::claim(&program.url, &format!("{schema}{GROWN}")).await?;
        Ok(Self {
            program,
            sizes,
            scratch,
            growing,
            grown: None,
            rows: None,
            entries: None,
            file: None,
            used_models: false,
        })
    }

    /// Runs the rows, each side by side with its limit.
    ///
    /// May be dropped at any time; [`Bench::end`] cleans up in any case.
    ///
    /// # Errors
    ///
    /// When the role may not create a schema, and when the engine or the server fails.
    pub async fn run(&mut self, rows: &[Row], on_step: impl Fn(Step)) -> Result<Vec<Figure>, BenchError> {
        self.used_models = rows.iter().any(|row| row.is_of_models());
        let plan = Group::ALL.map(|group| works(rows, group));
        let total = plan.iter().map(|works| works.len() * self.sizes.runs).sum::<usize>();
        let mut measured: HashMap<Work, Vec<Measured>> = HashMap::new();
        let mut done = 0;
        for works in &plan {
            for &(row, work) in works.iter().cycle().take(works.len() * self.sizes.runs) {
                on_step(Step { row, done, total: total.try_into().unwrap_or(u64::MAX) });
                let result = self.measure(work).await?;
                measured.entry(work).or_default().push(result);
                done += 1;
            }
        }
        let runs = |work: Work| measured.get(&work).map(Vec::as_slice);
        let figure = |row: Row| Figure::of(row, runs(row.work()).unwrap_or_default(), row.limit().and_then(runs));
        Ok(Row::ALL.into_iter().filter(|row| rows.contains(row)).filter_map(figure).collect())
    }

    /// Lets a log grow up to so many events, and looks at it on the way, from 10,000 on at about three sizes a power of
    /// ten; `on_station` is told the size that comes next.
    ///
    /// # Errors
    ///
    /// As [`Bench::run`].
    pub async fn grow_upto(&self, events: u64, on_station: impl Fn(u64)) -> Result<Vec<Station>, BenchError> {
        let ledger = self.ledger(&self.growing).await?;
        Growing { scratch: &self.growing, ledger, load: self.batches() }.run(events, on_station).await
    }

    /// Drops the schema.
    ///
    /// # Errors
    ///
    /// When the server fails; then the next bench drops it.
    pub async fn end(self) -> Result<(), BenchError> {
        if self.used_models {
            self.program.models()?.end().await?;
        }
        self.growing.drop().await?;
        self.scratch.drop().await
    }

    async fn measure(&mut self, work: Work) -> Result<Measured, BenchError> {
        match work {
            Work::Copy => self.copy().await,
            Work::BatchUniform => self.post(self.batches()).await,
            Work::BatchHot => self.post(Load { hot: true, ..self.batches() }).await,
            Work::Callers(callers) => self.post(Load { callers, per_call: 1, ..self.batches() }).await,
            Work::ApplyFile => self.apply_file().await,
            Work::Statement => self.statement().await,
            Work::SinglePost => Ok(self.post(self.singles()).await?.at_median()),
            Work::Processes(processes) => self.processes(processes).await,
            Work::SmallLog => self.small_log().await,
            Work::GrownLog => self.grown_log().await,
            Work::ReadPages => self.read_pages().await,
            Work::Verify => self.verify().await,
            Work::Lag(rate) => self.lag(rate).await,
            of_models => self.models(of_models).await,
        }
    }

    const fn batches(&self) -> Load {
        Load {
            callers: BATCH_CALLERS,
            per_call: BATCH,
            hot: false,
            accounts: self.sizes.accounts,
            transfers: self.sizes.transfers,
            time_max: self.sizes.time_max,
        }
    }

    const fn singles(&self) -> Load {
        Load { callers: 1, per_call: 1, transfers: self.sizes.singles, ..self.batches() }
    }

    /// Batches that make a log of so many events, however long that takes.
    const fn grow(&self, events: u64) -> Load {
        let transfers = events.saturating_sub(self.sizes.accounts);
        Load { transfers, time_max: Duration::MAX, ..self.batches() }
    }

    async fn copy(&mut self) -> Result<Measured, BenchError> {
        let rows = if let Some(rows) = self.rows.take() {
            rows
        } else {
            self.post(self.batches()).await?;
            Rows::export(&self.scratch).await?
        };
        self.scratch.fresh().await?;
        self.rows.insert(rows).measure(&self.scratch).await
    }

    async fn statement(&mut self) -> Result<Measured, BenchError> {
        let entries = if let Some(entries) = self.entries.take() {
            entries
        } else {
            self.post(self.singles()).await?;
            Entries::export(&self.scratch).await?
        };
        self.scratch.fresh().await?;
        self.entries.insert(entries).measure(&self.scratch).await
    }

    /// Runs a load on an empty ledger. A tenth of it goes before and is not timed.
    async fn post(&self, load: Load) -> Result<Measured, BenchError> {
        let ledger = self.ledger(&self.scratch).await?;
        let warm_up = Load { transfers: load.transfers / 10, ..load };
        warm_up.run(&ledger, 0).await?;
        Load { transfers: load.transfers - warm_up.transfers, ..load }.run(&ledger, 1).await
    }

    async fn apply_file(&mut self) -> Result<Measured, BenchError> {
        let commands = self.sizes.commands;
        let file = match self.file.take() {
            Some(file) => file,
            None => file::write(Load { transfers: commands, ..self.batches() })?,
        };
        let path = self.file.insert(file).path().display().to_string();
        drop(self.ledger(&self.scratch).await?);
        let went = self.program.run(&self.scratch.schema, &["apply".to_owned(), path]).await?;
        Ok(of_process(commands, &went))
    }

    async fn processes(&self, processes: u64) -> Result<Measured, BenchError> {
        drop(self.ledger(&self.scratch).await?);
        let (accounts, window) = (self.sizes.accounts, self.sizes.window);
        let worker = Worker { number: 0, callers: PROCESS_CALLERS, accounts, window };
        processes::measure(&self.program, &self.scratch.schema, processes, worker).await
    }

    async fn small_log(&self) -> Result<Measured, BenchError> {
        let ledger = self.ledger(&self.scratch).await?;
        self.grow(self.sizes.small_events).run(&ledger, 0).await?;
        self.sample().run(&ledger, 1).await
    }

    async fn grown_log(&mut self) -> Result<Measured, BenchError> {
        let sample = self.sample();
        let grown = self.grown().await?;
        grown.loads += 1;
        let measured = sample.run(&grown.ledger, grown.loads).await?;
        let size = Some(load::events(&grown.ledger).await?);
        Ok(Measured { more: More { size, ..More::default() }, ..measured })
    }

    /// A fifth of a run: the log that is looked at should not grow much meanwhile.
    const fn sample(&self) -> Load {
        Load { transfers: self.sizes.transfers / 5, ..self.batches() }
    }

    async fn read_pages(&mut self) -> Result<Measured, BenchError> {
        self.grown().await?;
        pages::measure(&self.growing).await
    }

    async fn verify(&mut self) -> Result<Measured, BenchError> {
        let events = load::events(&self.grown().await?.ledger).await?;
        let went = self.program.run(&self.growing.schema, &["verify".to_owned()]).await?;
        Ok(of_process(events, &went))
    }

    /// The works on read models of the grown log.
    async fn models(&mut self, work: Work) -> Result<Measured, BenchError> {
        let models = self.program.models()?;
        let log = self.grown().await?.ledger.log().clone();
        let (program, schema) = (&self.program, self.growing.schema.as_str());
        match work {
            Work::RawReplaces => models.raw_replaces(&log).await,
            Work::CatchUpBalances => models.catch_up_balances(&log).await,
            Work::RawRows => models.raw_rows(&log).await,
            Work::CatchUpStatements => models.catch_up_statements(&log).await,
            Work::RebuildBalances => models.rebuild_balances(&log).await,
            Work::RawAll => models.raw_all(program, schema, &log).await,
            Work::RebuildAll => models.rebuild_all(program, schema, &log, false).await,
            Work::RebuildMemory => models.rebuild_all(program, schema, &log, true).await,
            Work::VerifyModels => models.verify(&log).await,
            _ => models.read_log(&log).await,
        }
    }

    async fn lag(&self, rate: u32) -> Result<Measured, BenchError> {
        let models = self.program.models()?;
        let ledger = self.ledger(&self.scratch).await?;
        Lag { rate, time: self.sizes.window, accounts: self.sizes.accounts }.measure(&models, &ledger).await
    }

    /// An empty ledger with its accounts.
    async fn ledger(&self, scratch: &Scratch) -> Result<Ledger, BenchError> {
        let ledger = scratch.fresh().await?;
        load::open_accounts(&ledger, self.sizes.accounts).await?;
        Ok(ledger)
    }

    /// The grown log, which is written once.
    async fn grown(&mut self) -> Result<&mut Grown, BenchError> {
        if self.grown.is_none() {
            let ledger = self.ledger(&self.growing).await?;
            self.grow(self.sizes.events).run(&ledger, 0).await?;
            self.grown = Some(Grown { ledger, loads: 0 });
        }
        self.grown.as_mut().ok_or_else(|| BenchError::Process("the grown log is gone".to_owned()))
    }
}

/// What is to be run for those rows that are of a group, limits first.
fn works(rows: &[Row], group: Group) -> Vec<(Row, Work)> {
    let mut works: Vec<(Row, Work)> = Vec::new();
    for row in Row::ALL.into_iter().filter(|row| row.group() == group && rows.contains(row)) {
        for work in row.limit().into_iter().chain([row.work()]) {
            if works.iter().all(|(_, known)| *known != work) {
                works.push((row, work));
            }
        }
    }
    works
}

fn of_process(count: u64, went: &Went) -> Measured {
    let more = More { size: Some(count), memory_kib: went.memory_kib, ..More::default() };
    Measured { more, ..Measured::new(count, went.took, Latencies::new()) }
}
