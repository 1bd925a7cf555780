//! How far long work is: a bar with rate and ETA on a terminal, a plain line now and then elsewhere.

use std::io::{self, IsTerminal};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::output::{count, counted};
use crate::terminal;

/// How often a bar moves.
const BAR_EVERY: Duration = Duration::from_millis(100);
/// How often a line is written where there is no bar, at first. Later it is every tenth of the time
/// that has passed: work that takes days writes some hundred lines in all, so that a pipe that nobody
/// empties before the end does not fill up.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Long work under way.
pub(crate) struct Progress {
    what: String,
    /// One of what is counted.
    unit: &'static str,
    started: Instant,
    shown: Mutex<Instant>,
    bar: Option<ProgressBar>,
}

/// How far it is.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Step {
    /// What was done, in units; the rate is of these.
    pub(crate) count: u64,
    /// How far it is on the way to `total`, in whatever the way is measured in.
    pub(crate) done: u64,
    /// Where it ends, if that is known; otherwise 0.
    pub(crate) total: u64,
}

impl Step {
    /// Work whose way is measured in units.
    pub(crate) const fn of(done: u64, total: u64) -> Self {
        Self { count: done, done, total }
    }

    const fn percent(self) -> Option<u64> {
        match self.total {
            0 => None,
            total => Some(self.done.saturating_mul(100) / total),
        }
    }
}

impl Progress {
    /// Begins; with a bar if stderr is a terminal.
    pub(crate) fn new(what: impl Into<String>, unit: &'static str) -> Self {
        let bar = io::stderr().is_terminal().then(bar);
        Self::with(what, unit, bar)
    }

    /// Begins, without a bar.
    pub(crate) fn lines(what: impl Into<String>, unit: &'static str) -> Self {
        Self::with(what, unit, None)
    }

    fn with(what: impl Into<String>, unit: &'static str, bar: Option<ProgressBar>) -> Self {
        let what = what.into();
        if let Some(bar) = &bar {
            bar.set_prefix(what.clone());
        }
        let now = Instant::now();
        Self { what, unit, started: now, shown: Mutex::new(now), bar }
    }

    /// Says how far it is; cheap enough to be called for every step.
    pub(crate) fn at(&self, step: Step) {
        let every = if self.bar.is_some() { BAR_EVERY } else { LINE_EVERY.max(self.elapsed() / 10) };
        {
            let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
            if shown.elapsed() < every {
                return;
            }
            *shown = Instant::now();
        }
        let text = self.text(step);
        match &self.bar {
            None => terminal::say(format_args!("{}: {text}", self.what)),
            Some(bar) => {
                bar.set_length(step.total.max(1));
                bar.set_position(step.done.min(step.total));
                bar.set_message(text);
            }
        }
    }

    /// How long it has taken.
    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// `12,000 events, 24 %, 8,000/s, 5 s to go`
    fn text(&self, step: Step) -> String {
        let elapsed = self.elapsed();
        let mut text = counted(step.count, self.unit);
        if let Some(percent) = step.percent() {
            text = format!("{text}, {percent} %");
        }
        text = format!("{text}, {}", rate(step.count, elapsed));
        match to_go(step, elapsed) {
            Some(left) => format!("{text}, {} to go", seconds(left)),
            None => text,
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            terminal::hide(bar);
        }
    }
}

fn bar() -> ProgressBar {
    let bar = terminal::show(ProgressBar::new(1));
    if let Ok(style) = ProgressStyle::with_template("{prefix} {bar:30.cyan} {msg}") {
        bar.set_style(style);
    }
    bar
}

/// How many a second: `8,000/s`, `0.4/s`.
pub(crate) fn rate(done: u64, elapsed: Duration) -> String {
    let milliseconds = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX).max(1);
    let tenths = done.saturating_mul(10_000) / milliseconds;
    if tenths < 100 { format!("{}.{}/s", tenths / 10, tenths % 10) } else { format!("{}/s", count(tenths / 10)) }
}

/// How long the rest takes if it goes on like this.
fn to_go(step: Step, elapsed: Duration) -> Option<Duration> {
    let left = step.total.checked_sub(step.done).filter(|left| *left > 0)?;
    if step.done == 0 {
        return None;
    }
    let milliseconds = elapsed.as_millis().saturating_mul(u128::from(left)) / u128::from(step.done);
    Some(Duration::from_millis(u64::try_from(milliseconds).unwrap_or(u64::MAX)))
}

/// A time for people: `0.3 s`, `42 s`, `3 min 5 s`, `2 h 10 min`.
pub(crate) fn seconds(time: Duration) -> String {
    match time.as_secs() {
        0..10 => format!("{:.1} s", time.as_secs_f32()),
        whole @ 10..60 => format!("{whole} s"),
        whole @ 60..3_600 => format!("{} min {} s", whole / 60, whole % 60),
        whole => format!("{} h {} min", whole / 3_600, whole % 3_600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_for_people() {
        let written = [300, 42_000, 185_000, 7_800_000].map(|ms| seconds(Duration::from_millis(ms)));
        assert_eq!(written, ["0.3 s", "42 s", "3 min 5 s", "2 h 10 min"]);
    }

    #[test]
    fn what_is_to_go_follows_from_what_was_done() {
        let elapsed = Duration::from_secs(2);
        assert_eq!(to_go(Step::of(100, 400), elapsed), Some(Duration::from_secs(6)));
        for step in [Step::of(0, 400), Step::of(400, 400), Step::of(400, 0)] {
            assert_eq!(to_go(step, elapsed), None, "{step:?}");
        }
        let rates = [1, 19, 100, 5_000].map(|done| rate(done, elapsed));
        assert_eq!(rates, ["0.5/s", "9.5/s", "50/s", "2,500/s"]);
        assert_eq!(rate(5, Duration::ZERO), "5,000/s");
    }
}
