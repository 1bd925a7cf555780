//! Going through a range of the log for the events that match.

use crate::error::Error;
use crate::event::Event;
use crate::log::Log;
use crate::position::Position;
use crate::store::{Matching, Range};

/// Positions looked through by one statement, so that none takes long however few match.
const WINDOW_MIN: usize = 10_000;

/// The same where nothing matched for a while.
const WINDOW_MAX: usize = 320_000;

/// The events of a range that match, page by page.
pub(crate) struct MatchingPages {
    wanted: Matching,
    /// Everything up to here was looked through, and what matched was given out.
    seen: Position,
    through: Position,
    window: usize,
}

impl MatchingPages {
    pub(crate) fn new(wanted: Matching, range: Range) -> Self {
        Self { wanted, seen: range.after, through: range.through, window: WINDOW_MIN }
    }

    /// The next events that match, up to `limit`; none when all was looked through.
    pub(crate) async fn next(&mut self, log: &Log, limit: usize) -> Result<Vec<Event>, Error> {
        while self.seen < self.through {
            // A stream has an index of its own.
            let end = if self.wanted.stream.is_some() { self.through } else { self.seen.plus(self.window) };
            let range = Range { after: self.seen, through: end.min(self.through) };
            let found = log.store().queries().matching(&self.wanted, range, limit).await?;
            if let Some(last) = found.last() {
                self.window = WINDOW_MIN;
                self.seen = last.position;
                return Ok(found);
            }
            self.window = self.window.saturating_mul(2).min(WINDOW_MAX);
            self.seen = range.through;
        }
        Ok(Vec::new())
    }
}
