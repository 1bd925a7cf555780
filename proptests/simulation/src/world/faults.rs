//! What can go wrong, how often it does in a run, and how often it did.

use std::collections::BTreeMap;
use std::fmt;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// Something that goes wrong at a step of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// The process dies before it sends anything.
    Crash,
    /// The process dies when what it asked for is done, and before it hears of it.
    CrashAfter,
    /// The process stands still for a while, and goes on as if nothing had been.
    Freeze,
    /// The message is lost; the sender is told that the connection broke.
    LostRequest,
    /// It is done; the sender is told that the connection broke.
    LostAnswer,
    /// The sender is told that the connection broke; later it is done all the same.
    LateRequest,
    /// It is done; the answer takes very long.
    LateAnswer,
    /// It is done twice, the second time later.
    Twice,
    /// Only some rows of it are done; the sender is told that the connection broke.
    Torn,
    /// There is no connection; nothing was sent.
    Unreachable,
    /// The server refuses it, for no fault of the request.
    Refused,
    /// A question meets a rename, and nothing is found.
    EmptyRead,
    /// The clock of the process jumps, forwards or back.
    ClockJump,
}

impl Fault {
    pub(crate) const ALL: [Self; 13] = [
        Self::Crash,
        Self::CrashAfter,
        Self::Freeze,
        Self::LostRequest,
        Self::LostAnswer,
        Self::LateRequest,
        Self::LateAnswer,
        Self::Twice,
        Self::Torn,
        Self::Unreachable,
        Self::Refused,
        Self::EmptyRead,
        Self::ClockJump,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Crash => "crash",
            Self::CrashAfter => "crash after",
            Self::Freeze => "freeze",
            Self::LostRequest => "lost",
            Self::LostAnswer => "ack lost",
            Self::LateRequest => "done late",
            Self::LateAnswer => "ack late",
            Self::Twice => "twice",
            Self::Torn => "torn",
            Self::Unreachable => "no conn",
            Self::Refused => "refused",
            Self::EmptyRead => "empty",
            Self::ClockJump => "clock",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// How often each fault strikes in a run, and how slow everything is.
pub(crate) struct Weather {
    rates: BTreeMap<Fault, f64>,
    /// Messages take up to so long, in milliseconds.
    pub(crate) latency_ms_max: u64,
}

/// Shares of steps that a fault may strike in a run. Most runs have few kinds of faults: what a fault leads to is
/// seen best where nothing else hides it.
const RATES: [f64; 6] = [0.0, 0.0, 0.0, 0.005, 0.02, 0.08];
const LATENCIES_MS: [u64; 5] = [0, 1, 3, 10, 40];

impl Weather {
    pub(crate) fn draw(rng: &mut ChaCha8Rng) -> Self {
        let rates = Fault::ALL.iter().map(|fault| (*fault, RATES[rng.random_range(0..RATES.len())])).collect();
        Self { rates, latency_ms_max: LATENCIES_MS[rng.random_range(0..LATENCIES_MS.len())] }
    }

    pub(crate) const fn calm() -> Self {
        Self { rates: BTreeMap::new(), latency_ms_max: 0 }
    }

    /// One of these, or none.
    pub(crate) fn strike(&self, rng: &mut ChaCha8Rng, among: &[Fault]) -> Option<Fault> {
        if self.rates.is_empty() {
            return None;
        }
        let mut at: f64 = rng.random();
        for fault in among {
            let rate = self.rates.get(fault).copied().unwrap_or_default();
            if at < rate {
                return Some(*fault);
            }
            at -= rate;
        }
        None
    }
}

/// How often each step was taken, and each fault struck it.
#[derive(Clone, Debug, Default)]
pub struct Coverage {
    steps: BTreeMap<&'static str, u64>,
    struck: BTreeMap<(&'static str, Fault), u64>,
}

impl Coverage {
    pub(crate) fn step(&mut self, step: &'static str) {
        *self.steps.entry(step).or_default() += 1;
    }

    pub(crate) fn fault(&mut self, step: &'static str, fault: Fault) {
        *self.struck.entry((step, fault)).or_default() += 1;
    }

    /// Steps taken, all kinds together.
    pub fn steps(&self) -> u64 {
        self.steps.values().sum()
    }

    /// Faults, all kinds together.
    pub fn faults(&self) -> u64 {
        self.struck.values().sum()
    }

    /// Adds what another run covered.
    pub fn add(&mut self, other: &Self) {
        for (step, count) in &other.steps {
            *self.steps.entry(step).or_default() += count;
        }
        for (at, count) in &other.struck {
            *self.struck.entry(*at).or_default() += count;
        }
    }
}

/// A table: a line for each step, a column for each fault.
impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:24} {:>9}", "step", "taken")?;
        for fault in Fault::ALL {
            write!(f, " {fault:>11}")?;
        }
        for (step, taken) in &self.steps {
            write!(f, "\n{step:24} {taken:>9}")?;
            for fault in Fault::ALL {
                match self.struck.get(&(step, fault)) {
                    Some(count) => write!(f, " {count:>11}")?,
                    None => write!(f, " {:>11}", "-")?,
                }
            }
        }
        Ok(())
    }
}
