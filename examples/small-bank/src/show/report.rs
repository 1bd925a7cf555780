//! What the reader of the demo sees: headlines, lines, checks, and the figures of the last page.

use std::{
    fmt::Display,
    io::{self, IsTerminal, Write},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressFinish, ProgressStyle};

/// What makes a text bold on a terminal, and what ends it.
const BOLD: (&str, &str) = ("\u{1b}[1m", "\u{1b}[0m");

/// How often a sign of life moves.
const TICK: Duration = Duration::from_millis(120);

/// The course of the demo. Whatever it is told goes to standard output at once.
pub(crate) struct Report {
    started: Instant,
    steps: u32,
    failed: Vec<String>,
    figures: Vec<(String, String)>,
}

impl Report {
    pub(crate) fn new() -> Self {
        Self { started: Instant::now(), steps: 0, failed: Vec::new(), figures: Vec::new() }
    }

    /// Begins a step.
    pub(crate) fn headline(&mut self, title: &str) {
        self.steps += 1;
        let (on, off) = if io::stdout().is_terminal() { BOLD } else { ("", "") };
        self.say("");
        self.say(format_args!("{on}{}. {title}{off}", self.steps));
    }

    /// One line. What cannot be printed, because nobody reads any more, is no reason to stop.
    #[expect(clippy::unused_self, reason = "everything that is printed goes through the report")]
    pub(crate) fn say(&self, line: impl Display) {
        let _ = writeln!(io::stdout().lock(), "{line}");
    }

    /// Notes whether something is as it must be; `Err` says what is wrong.
    pub(crate) fn check(&mut self, what: impl Display, result: Result<(), String>) {
        match result {
            Ok(()) => self.say(format_args!("   ok: {what}")),
            Err(why) => {
                self.say(format_args!("   FAILED: {what}: {why}"));
                self.failed.push(format!("{what}: {why}"));
            }
        }
    }

    /// Keeps a measured figure for the last page.
    pub(crate) fn figure(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.figures.push((name.into(), value.into()));
    }

    pub(crate) fn figures(&self) -> &[(String, String)] {
        &self.figures
    }

    /// The checks that failed.
    pub(crate) fn failed(&self) -> &[String] {
        &self.failed
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }
}

/// A progress bar on standard error; invisible when that is no terminal.
pub(crate) fn progress(total: u64, what: &'static str) -> ProgressBar {
    let bar = ProgressBar::new(total).with_message(what).with_finish(ProgressFinish::AndClear);
    let template = "   {msg} {wide_bar} {human_pos}/{human_len}  {per_sec}  {eta}";
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// A sign of life on standard error while something without a known end goes on. Gone when it is dropped.
pub(crate) fn waiting(what: &'static str) -> ProgressBar {
    let bar = ProgressBar::new_spinner().with_message(what).with_finish(ProgressFinish::AndClear);
    bar.enable_steady_tick(TICK);
    bar
}

/// A duration for people: `12.3 s`.
pub(crate) fn seconds(took: Duration) -> String {
    let tenths = (took.as_millis() + 50) / 100;
    format!("{}.{} s", tenths / 10, tenths % 10)
}

/// How many a second, in whole numbers: `12,345/s`.
pub(crate) fn rate(count: u64, took: Duration) -> String {
    let per_second = u128::from(count) * 1_000 / took.as_millis().max(1);
    format!("{}/s", number(per_second))
}

/// A count with its thousands parted.
pub(crate) fn number(count: impl Display) -> String {
    small_bank::amount::grouped(&count.to_string())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Report, rate, seconds};

    #[test]
    fn times_and_rates_are_whole() {
        assert_eq!(seconds(Duration::from_millis(12_349)), "12.3 s");
        assert_eq!(seconds(Duration::from_millis(50)), "0.1 s");
        assert_eq!(rate(10_000, Duration::from_millis(2_500)), "4,000/s");
        assert_eq!(rate(5, Duration::ZERO), "5,000/s");
    }

    #[test]
    fn a_failed_check_is_remembered() {
        let mut report = Report::new();
        report.check("one", Ok(()));
        report.check("two", Err("three instead".to_owned()));
        assert_eq!(report.failed(), ["two: three instead"]);
    }
}
