//! What `apply` says at its end, and how it ends.

use std::sync::Arc;

use super::End;
use super::printer::{Printed, Stop};
use crate::exit::{Exit, Failure};
use crate::output::{count, counted};
use crate::progress::{Progress, rate, seconds};
use crate::shutdown::Shutdown;
use crate::terminal;

/// What there is to say.
pub(super) struct Report {
    /// How the input is called.
    pub(super) name: String,
    pub(super) printed: Printed,
    pub(super) end: End,
    pub(super) progress: Arc<Progress>,
}

impl Report {
    /// Says it.
    pub(super) fn tell(self, shutdown: &Shutdown) -> Result<Exit, Failure> {
        let summary = self.summary();
        let Self { name, printed, end, progress } = self;
        drop(progress);
        let answered = counted(printed.answered, "line");
        let again = format!(
            "Answered: {answered} of {name}. Running it again is safe for every command that has an id: \
             what was done answers \"duplicate\": true"
        );
        match (printed.stop, end) {
            (Some(Stop::Ledger { line, error }), _) => {
                Err(Failure::infrastructure(format!("stopped at line {line}: {error}. {again}")))
            }
            (Some(Stop::Output(error)), _) => {
                Err(Failure::infrastructure(format!("stopped: the outcomes cannot be written: {error}. {again}")))
            }
            (None, End::Unreadable(error)) => {
                Err(Failure::infrastructure(format!("{name} cannot be read any further: {error}. {again}")))
            }
            (None, End::Interrupted) => {
                Err(Failure { exit: shutdown.exit(), message: Some(format!("stopped. {again}")) })
            }
            (None, End::OfInput) => {
                terminal::say(summary);
                Ok(if printed.refused == 0 { Exit::Done } else { Exit::Problem })
            }
        }
    }

    /// `10 commands answered in 0.1 s (100/s): 8 ok (1 of them a duplicate), 2 refused`
    fn summary(&self) -> String {
        let printed = &self.printed;
        let took = self.progress.elapsed();
        let ok = printed.answered.saturating_sub(printed.refused);
        let mut text = format!(
            "{} answered in {} ({}): {} ok",
            counted(printed.answered, "command"),
            seconds(took),
            rate(printed.answered, took),
            count(ok),
        );
        if printed.duplicates > 0 {
            text = format!("{text} ({} done before)", count(printed.duplicates));
        }
        if let Some(first) = &printed.first_refused {
            text = format!("{text}, {} refused; the first: line {}: {}", count(printed.refused), first.line, first.why);
        }
        text
    }
}
