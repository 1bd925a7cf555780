//! Where time enters: every command is stamped once, when it is handed to the ledger.

use std::sync::Mutex;

use jiff::Timestamp;

/// A source of the recorded time.
///
/// The ledger takes `max(clock, last recorded time)`, so a clock that jumps back changes nothing.
pub trait Clock: Send + Sync + 'static {
    /// The time now; fractions below a microsecond are cut off by the ledger.
    fn now(&self) -> Timestamp;
}

/// The machine's clock, the default.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// A clock that stands still until it is set: for tests and imports.
#[derive(Debug)]
pub struct ManualClock(Mutex<Timestamp>);

impl ManualClock {
    /// A clock that stands at this time.
    pub const fn new(now: Timestamp) -> Self {
        Self(Mutex::new(now))
    }

    /// Moves the clock, forwards or back.
    pub fn set(&self, now: Timestamp) {
        *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = now;
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// The time without what is finer than a microsecond, which is what PostgreSQL keeps.
pub(crate) fn to_microseconds(time: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(time.as_microsecond()).unwrap_or(time)
}
