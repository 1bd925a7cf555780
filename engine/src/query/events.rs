//! The events of the log that match.

use async_stream::try_stream;
use futures::Stream;

use super::matching::MatchingPages;
use crate::error::Error;
use crate::event::Event;
use crate::log::{Log, PAGE_EVENTS, POLL};
use crate::position::Position;
use crate::store::{Matching, Range};

/// Which events; all that is said must hold. By default every event.
///
/// ```
/// use postfold::{EventFilter, event::kind};
///
/// let freezes_of_an_account = EventFilter::all().kind(kind::ACCOUNT_FROZEN).account("wallet:42");
/// let one_process = EventFilter::all().correlation("order-7");
/// ```
#[derive(Clone, Debug, Default)]
pub struct EventFilter {
    kinds: Vec<String>,
    entity: Option<String>,
    account: Option<String>,
    correlation: Option<String>,
}

impl EventFilter {
    /// Every event.
    pub fn all() -> Self {
        Self::default()
    }

    /// Only events of this kind, or of one of those said before.
    pub fn kind(mut self, kind: impl Into<String>) -> Self {
        self.kinds.push(kind.into());
        self
    }

    /// Only changes of this entity (`user/42`).
    pub fn entity(mut self, entity: impl Into<String>) -> Self {
        self.entity = Some(entity.into());
        self
    }

    /// Only what opened, changed or moved the accounts of this code, in all its currencies.
    pub fn account(mut self, code: impl Into<String>) -> Self {
        self.account = Some(code.into());
        self
    }

    /// Only events of commands with this correlation.
    pub fn correlation(mut self, correlation: impl Into<String>) -> Self {
        self.correlation = Some(correlation.into());
        self
    }

    /// Whether every event matches.
    pub fn is_all(&self) -> bool {
        self.kinds.is_empty() && self.entity.is_none() && self.account.is_none() && self.correlation.is_none()
    }

    async fn matching(&self, log: &Log, at: Position) -> Result<Matching, Error> {
        let accounts = match &self.account {
            Some(code) => Some(log.account_ids(code, None, at).await?),
            None => None,
        };
        let (kinds, stream, correlation) = (self.kinds.clone(), self.entity.clone(), self.correlation.clone());
        Ok(Matching { kinds, stream, correlation, accounts, open_at: None })
    }
}

impl Log {
    /// The events behind `after` that match, to the head as it is found on the way, then the stream ends.
    ///
    /// The log is looked through in the database, some 10,000 positions at a time; the changes of an entity
    /// have an index. Holds at most one page of 1,000 events. Fails with [`Error::UnknownAccount`] for an
    /// account that does not exist.
    pub fn events_matching(
        &self,
        filter: EventFilter,
        after: Position,
    ) -> impl Stream<Item = Result<Event, Error>> + Send + use<> {
        self.matching(filter, after, false)
    }

    /// The events behind `after` that match, then each new one as it comes; the stream has no end. None that
    /// matches is skipped, and none comes twice.
    ///
    /// As [`Log::events_matching`] otherwise.
    pub fn follow_matching(
        &self,
        filter: EventFilter,
        after: Position,
    ) -> impl Stream<Item = Result<Event, Error>> + Send + use<> {
        self.matching(filter, after, true)
    }

    fn matching(
        &self,
        filter: EventFilter,
        after: Position,
        endless: bool,
    ) -> impl Stream<Item = Result<Event, Error>> + Send + use<> {
        let log = self.clone();
        try_stream! {
            let mut seen = after;
            loop {
                let head = log.head().await?.position;
                match (head > seen, endless) {
                    (true, _) => {}
                    (false, true) => {
                        log.changed(seen, POLL).await?;
                        continue;
                    }
                    (false, false) => break,
                }
                // Anew each time: the code may have been opened in a further currency.
                let wanted = filter.matching(&log, head).await?;
                let mut pages = MatchingPages::new(wanted, Range { after: seen, through: head });
                loop {
                    let page = pages.next(&log, PAGE_EVENTS).await?;
                    if page.is_empty() {
                        break;
                    }
                    for event in page {
                        yield event;
                    }
                }
                seen = head;
            }
        }
    }
}
