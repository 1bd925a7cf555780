//! The world of one run: one generator of chance, one clock, and all processes in it.

mod faults;
mod process;
mod trace;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tokio::sync::oneshot;
use tokio::time::Instant;

pub use faults::Coverage;
pub(crate) use faults::Fault;
use faults::Weather;
pub(crate) use process::{Broken, Process};
use trace::Trace;

use crate::bug::Bug;

/// When every run begins, by its own clocks.
const EPOCH_SECONDS: i64 = 1_767_225_600;

/// So many violations of a run are told.
const VIOLATIONS_MAX: usize = 4;

/// A run. Clones are the same one.
#[derive(Clone)]
pub(crate) struct World(Arc<Inner>);

struct Inner {
    began: Instant,
    bug: Option<Bug>,
    state: Mutex<State>,
}

struct State {
    rng: ChaCha8Rng,
    weather: Weather,
    trace: Trace,
    coverage: Coverage,
    lease: Lease,
    violations: Vec<String>,
    /// Nothing happens any more: what is told from now on is about what did.
    ended: bool,
}

/// The ledger's lease: who has it, and who waits for it.
#[derive(Default)]
struct Lease {
    holder: Option<String>,
    waiting: VecDeque<(String, oneshot::Sender<()>)>,
}

impl World {
    /// Must be called in the run's runtime.
    pub(crate) fn new(seed: u64, bug: Option<Bug>) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let weather = Weather::draw(&mut rng);
        let state = State {
            rng,
            weather,
            trace: Trace::new(),
            coverage: Coverage::default(),
            lease: Lease::default(),
            violations: Vec::new(),
            ended: false,
        };
        Self(Arc::new(Inner { began: Instant::now(), bug, state: Mutex::new(state) }))
    }

    /// From now on nothing goes wrong.
    pub(crate) fn heal(&self) {
        self.state().weather = Weather::calm();
    }

    /// From now on nothing happens, so that it can be looked at.
    pub(crate) fn end(&self) {
        self.state().ended = true;
    }

    fn has_ended(&self) -> bool {
        self.state().ended
    }

    /// Whether this bug was planted.
    pub(crate) fn has(&self, bug: Bug) -> bool {
        self.0.bug == Some(bug)
    }

    /// A number below this one.
    pub(crate) fn below(&self, bound: usize) -> usize {
        self.state().rng.random_range(0..bound.max(1))
    }

    /// True in so many of a hundred cases.
    pub(crate) fn percent(&self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// One of these.
    pub(crate) fn one_of<T: Copy>(&self, among: &[T]) -> T {
        among[self.below(among.len())]
    }

    pub(crate) async fn sleep_ms(&self, ms: usize) {
        tokio::time::sleep(Duration::from_millis(u64::try_from(ms).unwrap_or(u64::MAX))).await;
    }

    /// The true time of this world; no process has a clock that shows it.
    pub(crate) fn now(&self) -> Timestamp {
        let elapsed = i64::try_from(self.0.began.elapsed().as_millis()).unwrap_or(i64::MAX);
        Timestamp::from_millisecond(EPOCH_SECONDS * 1_000 + elapsed).unwrap_or(Timestamp::MAX)
    }

    pub(crate) fn note(&self, who: &str, what: impl Into<String>) {
        let at_ms = u64::try_from(self.0.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.state().trace.add(at_ms, who, what.into());
    }

    /// A promise is broken.
    pub(crate) fn violated(&self, what: impl Into<String>) {
        let what = what.into();
        // What follows from the first ones tells nothing new.
        if self.state().violations.len() < VIOLATIONS_MAX {
            self.note("judge", format!("VIOLATION: {what}"));
            self.state().violations.push(what);
        }
    }

    pub(crate) fn violations(&self) -> Vec<String> {
        self.state().violations.clone()
    }

    pub(crate) fn coverage(&self) -> Coverage {
        self.state().coverage.clone()
    }

    pub(crate) fn hash(&self) -> u64 {
        self.state().trace.hash()
    }

    pub(crate) fn history(&self, most: usize) -> Vec<String> {
        self.state().trace.last(most)
    }

    fn step(&self, step: &'static str) {
        self.state().coverage.step(step);
    }

    /// Whether one of these strikes at this step.
    fn strike(&self, step: &'static str, among: &[Fault]) -> Option<Fault> {
        let mut state = self.state();
        let State { rng, weather, coverage, .. } = &mut *state;
        let fault = weather.strike(rng, among)?;
        coverage.fault(step, fault);
        Some(fault)
    }

    /// How long a message takes.
    fn latency(&self) -> Duration {
        let mut state = self.state();
        let most = state.weather.latency_ms_max;
        Duration::from_millis(state.rng.random_range(0..=most))
    }

    /// Takes the lease, or queues for it.
    fn queue(&self, who: &str) -> Option<oneshot::Receiver<()>> {
        let lease = &mut self.state().lease;
        if lease.holder.is_none() {
            lease.holder = Some(who.to_owned());
            return None;
        }
        let (given, wait) = oneshot::channel();
        lease.waiting.push_back((who.to_owned(), given));
        Some(wait)
    }

    /// Gives the lease on, if it is held by this process.
    fn release(&self, who: &str) {
        let lease = &mut self.state().lease;
        if lease.holder.as_deref() != Some(who) {
            return;
        }
        lease.holder = None;
        while let Some((next, given)) = lease.waiting.pop_front() {
            if given.send(()).is_ok() {
                lease.holder = Some(next);
                return;
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
