//! What goes to stderr: messages, log lines, and progress bars that make way for both.

use std::fmt::Display;
use std::io::{self, Write};
use std::sync::LazyLock;

use indicatif::{MultiProgress, ProgressBar};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::exit::Exit;
use crate::{program, secret};

/// The environment variable that says what is logged.
const LOG_VARIABLE: &str = "POSTFOLD_LOG";
/// What is logged otherwise. A slow statement is no reason to show SQL to a user.
const LOG_DEFAULT: &str = "warn,sqlx=error";

/// All bars that are on the screen.
static BARS: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);

/// Puts a bar on the screen.
pub(crate) fn show(bar: ProgressBar) -> ProgressBar {
    BARS.add(bar)
}

/// Takes a bar off the screen.
pub(crate) fn hide(bar: &ProgressBar) {
    bar.finish_and_clear();
    BARS.remove(bar);
}

/// Says something to the user.
pub(crate) fn say(message: impl Display) {
    let message = message.to_string();
    write(&format!("{}: {}\n", program::name(), secret::hide(&program::commands(&message))));
}

/// Writes to stderr as it is. Where nobody listens, nothing is lost.
pub(crate) fn write(text: &str) {
    let _ = BARS.suspend(|| io::stderr().write_all(text.as_bytes()));
}

/// Begins to log.
pub(crate) fn log() {
    let filter = std::env::var(LOG_VARIABLE).unwrap_or_default();
    let filter = if filter.is_empty() { LOG_DEFAULT } else { &filter };
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|error| {
        say(format_args!("{LOG_VARIABLE} is {filter:?}, which is no filter ({error}); logging `{LOG_DEFAULT}`"));
        EnvFilter::new(LOG_DEFAULT)
    });
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(LogLines).with_ansi(false).init();
}

/// A user should never see a panic: it is a bug of ours, and whatever was going on can be done again.
pub(crate) fn hide_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map_or_else(String::new, |place| format!(" at {place}"));
        if postfold_projections::is_folding() {
            // The projector makes an error of it, for this event only.
            return say(format_args!("a fold panicked{place}"));
        }
        say(format_args!(
            "a bug{place} ended this command; what was acknowledged is in the log, and the command can be run again. \
             Please report it, with what was asked"
        ));
        std::process::exit(Exit::Infrastructure.code().into());
    }));
}

/// Where log lines go.
struct LogLines;

impl<'a> MakeWriter<'a> for LogLines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        Self
    }
}

impl Write for LogLines {
    /// Called once per line.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        write(&secret::hide(&String::from_utf8_lossy(line)));
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
