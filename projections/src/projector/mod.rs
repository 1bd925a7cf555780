//! From log to read models: [`Projector`].

pub(crate) mod apply;
mod cache;
pub(crate) mod deliver;
mod graves;
mod group;
pub(crate) mod lease;
mod operate;
pub mod parking;
mod plan;
mod session;
pub(crate) mod share;
mod worker;

use std::sync::Arc;
use std::time::Duration;

use postfold::Position;
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::accounts::Accounts;
use crate::applied::{AppliedError, applied_through};
use crate::checkpoint::Owner;
use crate::folder::{Folder, Typed, TypedRows};
use crate::halt::Halt;
use crate::log::{LogError, LogSource};
use crate::patience::Context;
use crate::progress::{Progress, Reporter};
use crate::projection::{Projection, RowProjection};
use crate::rebuild::{Rebuild, RebuildError, RebuildReport};
use crate::settings::Settings;
use crate::store::{Store, StoreError};
use crate::verify::{Verification, Verify, VerifyError};
use group::Group;
use lease::Lease;
pub use operate::{Leftovers, OperateError};

/// Folds a ledger's log into read models, and looks after them.
///
/// It reads each page of the log once for all of its projections that are close to each other (within
/// four pages), and keeps each model on its own: one that is far behind reads for itself, and one that
/// cannot go on does not hold up the others.
///
/// ```no_run
/// use postfold_projections::models::{Balances, Preferences, Statements};
/// use postfold_projections::{MongoStore, Projector, database_name};
/// use tokio_util::sync::CancellationToken;
///
/// # async fn example(log: postfold::Log, mongodb_uri: &str) -> Result<(), Box<dyn std::error::Error>> {
/// let store = MongoStore::connect(mongodb_uri, &database_name(log.ledger_name())).await?;
/// let shutdown = CancellationToken::new();
/// Projector::new(log, store).with(Balances).with(Preferences).with_rows(Statements).run(shutdown).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Projector {
    log: Arc<dyn LogSource>,
    store: Arc<dyn Store>,
    folders: Vec<Arc<dyn Folder>>,
    settings: Arc<Settings>,
    reporter: Reporter,
    name: String,
    accounts: Arc<Accounts>,
}

/// Where each projection was when [`Projector::run`] ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RunReport {
    /// In the order in which they were given.
    pub projections: Vec<RunOutcome>,
}

/// Where one projection was when [`Projector::run`] ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RunOutcome {
    /// The projection.
    pub projection: &'static str,
    /// Every event up to here is in its model.
    pub position: Position,
    /// Why it stopped by itself, if it did.
    pub halt: Option<Halt>,
}

/// Why [`Projector::run`] did not end well.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RunError {
    /// Some projections stopped by themselves; the others went on to the end.
    #[error("{}", halts(.0))]
    Halted(RunReport),
    /// The projector is put together wrongly.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The log could not be read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The store does not tell who works on what.
    #[error(transparent)]
    Store(StoreError),
}

/// A projector that is put together wrongly.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A setting that cannot work.
    #[error("the setting {0} must not be zero")]
    Setting(&'static str),
    /// A projection whose name cannot be that of a collection, or is there twice.
    #[error(
        "{0:?} cannot be the name of a projection: 1 to 40 of a-z, 0-9 and _, a letter first, no __, each only once"
    )]
    Name(&'static str),
    /// No projection of this name was given to the projector.
    #[error("there is no projection {0:?} here")]
    Unknown(String),
}

/// Longest name of a projection, so that the name of a rebuild's collection fits too.
const NAME_BYTES_MAX: usize = 40;

impl Projector {
    /// A projector from this log into this store, without any projection yet.
    pub fn new(log: impl LogSource, store: impl Store) -> Self {
        Self {
            log: Arc::new(log),
            store: Arc::new(store),
            folders: Vec::new(),
            settings: Arc::new(Settings::default()),
            reporter: Reporter::default(),
            name: format!("process {}", std::process::id()),
            accounts: Arc::new(Accounts::new()),
        }
    }

    /// And this projection.
    pub fn with<P: Projection>(mut self, _projection: P) -> Self {
        self.folders.push(Arc::new(Typed::<P>::new()));
        self
    }

    /// And this projection of rows.
    pub fn with_rows<P: RowProjection>(mut self, _projection: P) -> Self {
        self.folders.push(Arc::new(TypedRows::<P>::new()));
        self
    }

    /// Only these projections, in the order in which they were given.
    ///
    /// # Errors
    ///
    /// When one of the names is not that of a projection given before.
    pub fn only(mut self, names: &[&str]) -> Result<Self, ConfigError> {
        for name in names {
            self.find(name)?;
        }
        self.folders.retain(|folder| names.contains(&folder.name()));
        Ok(self)
    }

    /// The name of this process, for those who ask who works on what. Default: its number.
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Other bounds than the [default](Settings::default).
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = Arc::new(settings);
        self
    }

    /// Calls this after every batch of a projection, a rebuild or a verification. It should return at
    /// once: the work waits for it.
    pub fn on_progress(mut self, tell: impl Fn(&Progress) + Send + Sync + 'static) -> Self {
        self.reporter = Reporter::new(tell);
        self
    }

    /// The names of the projections, in the order in which they were given.
    pub fn names(&self) -> Vec<&'static str> {
        self.folders.iter().map(|folder| folder.name()).collect()
    }

    /// Catches up with the log and follows it until `shutdown` is cancelled. It ends between two
    /// batches; whatever it was doing can be done again.
    ///
    /// Any number of processes may run: they share the projections among them, and when one dies, the others
    /// take over what it did as soon as its [lease](Settings::lease) has run out. What one of them writes
    /// late, because it was suspended or cut off, changes nothing.
    ///
    /// A projection that stopped by itself earlier is tried again once.
    ///
    /// # Errors
    ///
    /// [`RunError::Halted`] when a projection stopped by itself. The others have gone on until
    /// `shutdown`; when all have stopped, it returns at once. [`RunError::Store`] when the store refuses to
    /// tell who works on what.
    pub async fn run(&self, shutdown: CancellationToken) -> Result<RunReport, RunError> {
        self.check()?;
        self.work(None, shutdown).await
    }

    /// As [`run`](Self::run), but ends when everything is in the models that was in the log at the
    /// beginning of the call, whichever process put it there.
    ///
    /// # Errors
    ///
    /// As for [`run`](Self::run), and [`RunError::Log`] when the head of the log cannot be read.
    pub async fn catch_up(&self, shutdown: CancellationToken) -> Result<RunReport, RunError> {
        self.check()?;
        let head = self.log.head().await?.position;
        self.work(Some(head), shutdown).await
    }

    /// Returns as soon as the model has everything up to this position, or the time is up. Any process
    /// can ask; the projector need not be in this one. So a caller can read its own writes.
    ///
    /// # Errors
    ///
    /// [`AppliedError::TimedOut`]; [`AppliedError::Halted`] when the projection stopped by itself before;
    /// [`AppliedError::Store`] when the checkpoint cannot be read.
    pub async fn applied_through(
        &self,
        projection: &str,
        position: Position,
        timeout: Duration,
    ) -> Result<(), AppliedError> {
        applied_through(&*self.store, projection, position, timeout).await
    }

    /// Folds the log anew into a generation of its own, beside the live model, and gives it the model's
    /// name when it is done. Readers see the old model until then, and a projector that is running goes
    /// on by itself: first with the old, then with the new.
    ///
    /// A cursor does not outlive the switch: a reader of many documents pages by key. On DocumentDB a
    /// query that meets the switch itself may, rarely, find nothing; sent again it finds everything.
    /// [`Reader`](crate::Reader) sees to both.
    ///
    /// # Errors
    ///
    /// [`RebuildError`]; the live model is untouched then.
    pub async fn rebuild(&self, projection: &str, shutdown: CancellationToken) -> Result<RebuildReport, RebuildError> {
        self.check()?;
        let folder = self.find(projection)?;
        let context = self.context_alone(&*folder, shutdown);
        let rebuild = Rebuild { context, folder, log: Arc::clone(&self.log), reporter: self.reporter.clone() };
        rebuild.run().await
    }

    /// Folds the log anew and compares every document with the stored one, while the projector goes on.
    ///
    /// # Errors
    ///
    /// [`VerifyError`] when the log or the store cannot be read, or the log cannot be folded. A model
    /// that differs is no error: see [`Verification::is_clean`].
    pub async fn verify(&self, projection: &str, shutdown: CancellationToken) -> Result<Verification, VerifyError> {
        self.check()?;
        let folder = self.find(projection)?;
        let context = self.context_alone(&*folder, shutdown);
        let (log, reporter) = (Arc::clone(&self.log), self.reporter.clone());
        let verify = Verify { context, folder, log, reporter, now: jiff::Timestamp::now() };
        verify.run().await
    }

    async fn work(&self, until: Option<Position>, shutdown: CancellationToken) -> Result<RunReport, RunError> {
        Group::new(self, until, shutdown).run().await
    }

    fn context(&self, folder: &dyn Folder, cancel: CancellationToken, lease: Lease) -> Context {
        Context {
            projection: folder.name(),
            store: Arc::clone(&self.store),
            settings: Arc::clone(&self.settings),
            cancel,
            lease,
            // Pages of the log are shared, so whoever reads one reads for all.
            accounts: self.folders.iter().any(|folder| folder.reads_accounts()).then(|| Arc::clone(&self.accounts)),
        }
    }

    /// The context of one that reads pages for itself, and for no longer than it wants to.
    fn context_alone(&self, folder: &dyn Folder, cancel: CancellationToken) -> Context {
        let accounts = folder.reads_accounts().then(|| Arc::clone(&self.accounts));
        Context { accounts, ..self.context(folder, cancel, Lease::endless()) }
    }

    fn new_owner(&self) -> Owner {
        Owner { id: Uuid::now_v7().to_string(), name: self.name.clone() }
    }

    fn find(&self, name: &str) -> Result<Arc<dyn Folder>, ConfigError> {
        let found = self.folders.iter().find(|folder| folder.name() == name).cloned();
        found.ok_or_else(|| ConfigError::Unknown(name.to_owned()))
    }

    fn check(&self) -> Result<(), ConfigError> {
        if let Some(setting) = self.settings.invalid() {
            return Err(ConfigError::Setting(setting));
        }
        let names = self.names();
        for (place, &name) in names.iter().enumerate() {
            if !is_name(name) || names.iter().take(place).any(|other| *other == name) {
                return Err(ConfigError::Name(name));
            }
        }
        Ok(())
    }
}

fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    let letter_first = name.starts_with(|first: char| first.is_ascii_lowercase());
    letter_first && name.len() <= NAME_BYTES_MAX && name.bytes().all(plain) && !name.contains("__")
}

fn halts(report: &RunReport) -> String {
    let halts: Vec<String> =
        report.projections.iter().filter_map(|outcome| outcome.halt.as_ref()).map(Halt::to_string).collect();
    halts.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_projections_name_is_that_of_a_collection_and_never_that_of_a_rebuilds() {
        for name in ["balances", "a", "x_1"] {
            assert!(is_name(name), "{name}");
        }
        let long = "a".repeat(NAME_BYTES_MAX + 1);
        for name in ["", "_a", "1a", "A", "a__g1_e2", "a.b", "system.x", "ä", &long] {
            assert!(!is_name(name), "{name}");
        }
    }
}
