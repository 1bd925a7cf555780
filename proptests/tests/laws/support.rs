//! What the laws share: ledgers on both stores, and as many cases as there is time for.

use std::cell::Cell;
use std::sync::Arc;

use postfold::{Balance, Event, Ledger, ManualClock, Position, PostgresSettings, Timestamp};
use postfold_proptests::history;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestError, TestRunner};
use tokio::runtime::{Builder, Runtime};

/// Cases of a law where `PROPTEST_CASES` does not say how many.
const CASES_IN_MEMORY: u32 = 128;
const CASES_IN_POSTGRESQL: u32 = 12;
/// Most tries to make a history that fails smaller: each is a new ledger.
const SHRINKS_IN_MEMORY: u32 = 4_000;
const SHRINKS_IN_POSTGRESQL: u32 = 500;

/// Where a law is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Store {
    Memory,
    Postgres,
}

/// A ledger, and the clock that it goes by.
pub(crate) struct Book {
    pub(crate) ledger: Ledger,
    pub(crate) clock: Arc<ManualClock>,
    /// Its name in PostgreSQL.
    name: Option<String>,
}

impl Store {
    /// A new ledger.
    pub(crate) async fn book(self) -> Book {
        let clock = Arc::new(ManualClock::new(history::start()));
        match self {
            Self::Memory => Book { ledger: Ledger::builder().clock(clock.clone()).in_memory(), clock, name: None },
            Self::Postgres => {
                let name = format!("law-{}", uuid::Uuid::now_v7());
                postfold::init(database_url(), &name, &settings(), false).await.expect("init");
                Book { ledger: open(&name, &clock).await, clock, name: Some(name) }
            }
        }
    }
}

impl Book {
    /// Another writer on the same ledger, which knows nothing yet; in memory there is but one, the same.
    pub(crate) async fn another_writer(&self) -> Ledger {
        match &self.name {
            Some(name) => open(name, &self.clock).await,
            None => self.ledger.clone(),
        }
    }

    pub(crate) async fn balances(&self) -> Result<Vec<Balance>, Broken> {
        Ok(self.ledger.log().balances("").await?)
    }

    /// The whole log.
    pub(crate) async fn events(&self) -> Result<Vec<Event>, Broken> {
        let mut events: Vec<Event> = Vec::new();
        loop {
            let after = events.last().map_or(Position::START, |event| event.position);
            let page = self.ledger.log().page(after, 1_000).await?;
            if page.is_empty() {
                return Ok(events);
            }
            events.extend(page);
        }
    }
}

impl Book {
    /// What the log says, without its hashes: those are of one ledger only.
    pub(crate) async fn said(&self) -> Result<Vec<Said>, Broken> {
        Ok(self.events().await?.iter().map(Said::from).collect())
    }
}

/// An event but for its hash.
#[derive(Debug, PartialEq)]
pub(crate) struct Said {
    position: Position,
    id: Option<String>,
    stream: Option<(String, i64)>,
    kind: String,
    schema: i16,
    data: String,
    meta: String,
    effective_at: Timestamp,
    recorded_at: Timestamp,
}

impl From<&Event> for Said {
    fn from(event: &Event) -> Self {
        Self {
            position: event.position,
            id: event.id.clone(),
            stream: event.stream.clone().zip(event.version),
            kind: event.kind.clone(),
            schema: event.schema,
            data: event.data.get().to_owned(),
            meta: event.meta.get().to_owned(),
            effective_at: event.effective_at,
            recorded_at: event.recorded_at,
        }
    }
}

/// Balances without the position that they are as of.
pub(crate) fn held(balances: Vec<Balance>) -> Vec<Balance> {
    balances.into_iter().map(|balance| Balance { position: Position::START, ..balance }).collect()
}

async fn open(name: &str, clock: &Arc<ManualClock>) -> Ledger {
    let builder = Ledger::builder().postgres(settings()).clock(clock.clone());
    builder.connect(database_url(), name).await.expect("connect")
}

/// Few connections, since the laws run side by side.
fn settings() -> PostgresSettings {
    PostgresSettings { connections_max: 3, ..PostgresSettings::default() }
}

fn database_url() -> String {
    std::env::var("DATABASE_URL")
        .expect("DATABASE_URL is not set; start the servers with `make stack`, then `eval \"$(make -s stack-env)\"`")
}

/// Why a case fails: a law that does not hold, or a ledger that has no answer.
#[derive(Debug)]
pub(crate) struct Broken(pub(crate) String);

impl<E: std::error::Error> From<E> for Broken {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

/// Tries a law on generated cases, and panics with the smallest one that breaks it.
pub(crate) fn check<S: Strategy>(store: Store, cases: &S, law: impl AsyncFn(Store, S::Value) -> Result<(), Broken>) {
    let runtime = runtime();
    let mut runner = TestRunner::new(config(store));
    let tried = Cell::new(0_u32);
    let found = Cell::new(None);
    let outcome = runner.run(cases, |case| {
        tried.set(tried.get() + 1);
        runtime.block_on(law(store, case)).map_err(|broken| {
            // What is tried from here on are smaller ones.
            found.set(found.get().or(Some(tried.get())));
            TestCaseError::fail(broken.0)
        })
    });
    match outcome {
        Ok(()) => {}
        Err(TestError::Fail(why, case)) => {
            let (found, tried) = (found.get().unwrap_or_default(), tried.get());
            panic!("{why}\nbroken in case {found}; the smallest of {tried} tried:\n{case:?}")
        }
        Err(error @ TestError::Abort(_)) => panic!("{error}"),
    }
}

fn config(store: Store) -> Config {
    let (cases, max_shrink_iters) = match store {
        Store::Memory => (CASES_IN_MEMORY, SHRINKS_IN_MEMORY),
        Store::Postgres => (CASES_IN_POSTGRESQL, SHRINKS_IN_POSTGRESQL),
    };
    let said = Config::default();
    // The smallest case is printed, and can be sent to `postfold apply`: no seeds are kept.
    let config = Config { max_shrink_iters, failure_persistence: None, ..said };
    if std::env::var_os("PROPTEST_CASES").is_some() { config } else { Config { cases, ..config } }
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// Fails the case unless both are equal.
#[macro_export]
macro_rules! same {
    ($left:expr, $right:expr, $($what:tt)+) => {
        match (&$left, &$right) {
            (left, right) if left == right => {}
            (left, right) => {
                let what = format!($($what)+);
                return Err($crate::support::Broken(format!("{what}\n  is       {left:?}\n  should be {right:?}")));
            }
        }
    };
}

/// A law, as a test on each store: the function of this name, on cases of this strategy.
#[macro_export]
macro_rules! law {
    ($law:ident, $cases:expr) => {
        mod $law {
            use super::*;
            use $crate::support::{Store, check};

            #[test]
            fn in_memory() {
                check(Store::Memory, &$cases, super::$law);
            }

            #[test]
            fn in_postgresql() {
                check(Store::Postgres, &$cases, super::$law);
            }
        }
    };
}
