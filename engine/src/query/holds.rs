//! Holds: what is reserved, and what has become of it.

use async_stream::try_stream;
use futures::Stream;

use super::EntryView;
use super::matching::MatchingPages;
use crate::error::Error;
use crate::event::{Event, kind};
use crate::log::Log;
use crate::position::Position;
use crate::state::{Head, Hold};
use crate::store::{Matching, Range};

/// Holds read at a time; also what a stream of them buffers.
const PAGE_HOLDS: usize = 500;

/// Which holds; by default all.
#[derive(Clone, Debug, Default)]
pub struct HoldFilter {
    account: Option<(String, Option<String>)>,
    open_only: bool,
    after: Position,
}

impl HoldFilter {
    /// All holds.
    pub fn all() -> Self {
        Self::default()
    }

    /// Only those with a leg on this account.
    pub fn account(mut self, code: impl Into<String>, currency: Option<&str>) -> Self {
        self.account = Some((code.into(), currency.map(str::to_owned)));
        self
    }

    /// Only those that still reserve something. A hold whose time is over does so until `expire_due` voids
    /// it.
    pub const fn open(mut self) -> Self {
        self.open_only = true;
        self
    }

    /// Only those placed behind this position: the next page, from the last hold of the one before.
    pub const fn after(mut self, position: Position) -> Self {
        self.after = position;
        self
    }
}

impl Log {
    /// Holds with their state, as of the head as it is found, in the order in which they were placed. Keeps
    /// at most 500 at a time.
    ///
    /// The stream fails with [`Error::UnknownAccount`] for an account that does not exist. Without an
    /// account it looks through the whole log for holds.
    pub fn holds(&self, filter: HoldFilter) -> impl Stream<Item = Result<EntryView, Error>> + Send + use<> {
        let log = self.clone();
        try_stream! {
            let head = log.head().await?;
            let wanted = Matching {
                kinds: vec![kind::HOLD_PLACED.to_owned()],
                accounts: match &filter.account {
                    Some((code, currency)) => Some(log.account_ids(code, currency.as_deref(), head.position).await?),
                    None => None,
                },
                open_at: filter.open_only.then_some(head.position),
                ..Matching::default()
            };
            let range = Range { after: filter.after, through: head.position };
            let mut pages = MatchingPages::new(wanted, range);
            loop {
                let placed = pages.next(&log, PAGE_HOLDS).await?;
                if placed.is_empty() {
                    break;
                }
                for hold in log.with_state(&placed, head).await? {
                    yield hold;
                }
            }
        }
    }

    async fn with_state(&self, placed: &[Event], head: Head) -> Result<Vec<EntryView>, Error> {
        let streams: Vec<String> = placed.iter().map(|event| Hold::stream(event.position)).collect();
        let newest = self.store().queries().newest(&streams, head.position).await?;
        let hold =
            |(event, stream): (&Event, &String)| EntryView::new(event, event.payload()?, newest.get(stream), head);
        placed.iter().zip(&streams).filter_map(|pair| hold(pair).transpose()).collect()
    }
}
