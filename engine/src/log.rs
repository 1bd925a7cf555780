//! The read half of a ledger: its events and what follows from them, always a prefix of the log.

use std::sync::Arc;
use std::time::Duration;

use async_stream::try_stream;
use futures::Stream;

use crate::error::Error;
use crate::event::Event;
use crate::hash::Hash;
use crate::position::Position;
use crate::state::Head;
use crate::store::postgres::{Connection, PostgresSettings, PostgresStore};
use crate::store::{self, Store};

/// Events read at a time by [`Log::events`]; also what it buffers.
pub(crate) const PAGE_EVENTS: usize = 1_000;

/// How long [`Log::follow`] waits for a notification before it looks by itself.
pub(crate) const POLL: Duration = Duration::from_secs(1);

/// The read half of a ledger. Cheap to clone.
#[derive(Clone)]
pub struct Log {
    store: Arc<dyn Store>,
}

impl Log {
    /// Opens the log of a ledger in PostgreSQL for reading; `select` rights are enough.
    ///
    /// # Errors
    ///
    /// As [`crate::LedgerBuilder::connect`].
    pub async fn connect(connection: impl Into<Connection>, name: &str) -> Result<Self, Error> {
        Self::connect_with(connection, name, PostgresSettings::default()).await
    }

    /// The same with schema, pool and timeouts of the caller's choice.
    ///
    /// # Errors
    ///
    /// As [`Log::connect`].
    pub async fn connect_with(
        connection: impl Into<Connection>,
        name: &str,
        settings: PostgresSettings,
    ) -> Result<Self, Error> {
        let store = PostgresStore::open(connection.into(), name, settings).await?;
        Ok(Self::new(Arc::new(store)))
    }

    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        Self { store }
    }

    pub(crate) fn store(&self) -> &dyn Store {
        self.store.as_ref()
    }

    /// The ledger's name.
    pub fn ledger_name(&self) -> &str {
        self.store.name()
    }

    /// The end of the log: position, hash, time.
    ///
    /// # Errors
    ///
    /// When the database is not available.
    pub async fn head(&self) -> Result<Head, Error> {
        self.store.head().await
    }

    /// The log's hash at a position; `None` behind its end. At [`Position::START`] it is the hash that
    /// stands before the first event.
    ///
    /// # Errors
    ///
    /// When the database is not available.
    pub async fn hash_at(&self, position: Position) -> Result<Option<Hash>, Error> {
        store::hash_at(self.store(), position).await
    }

    /// Up to `limit` events behind `after`, in order; fewer where they are large
    /// ([`PostgresSettings::page_bytes_max`]). Only an empty page says that there are no more.
    ///
    /// # Errors
    ///
    /// When the database is not available.
    pub async fn page(&self, after: Position, limit: usize) -> Result<Vec<Event>, Error> {
        self.store.page(after, limit).await
    }

    /// The events behind `after`, to the head as it is found on the way, then the stream ends.
    ///
    /// Holds at most one page of 1,000 events.
    pub fn events(&self, after: Position) -> impl Stream<Item = Result<Event, Error>> + Send + use<> {
        self.stream(after, false)
    }

    /// The events behind `after`, then each new one as it comes; the stream has no end. None is skipped
    /// and none comes twice.
    ///
    /// Holds at most one page of 1,000 events.
    pub fn follow(&self, after: Position) -> impl Stream<Item = Result<Event, Error>> + Send + use<> {
        self.stream(after, true)
    }

    fn stream(&self, after: Position, endless: bool) -> impl Stream<Item = Result<Event, Error>> + Send + use<> {
        let log = self.clone();
        try_stream! {
            let mut position = after;
            loop {
                let page = log.page(position, PAGE_EVENTS).await?;
                match (page.is_empty(), endless) {
                    (false, _) => {}
                    (true, true) => log.changed(position, POLL).await?,
                    (true, false) => break,
                }
                for event in page {
                    position = event.position;
                    yield event;
                }
            }
        }
    }

    /// Returns as soon as the log may hold events behind `after`, or at the timeout.
    ///
    /// # Errors
    ///
    /// None today; a store may have some.
    pub async fn changed(&self, after: Position, timeout: Duration) -> Result<(), Error> {
        self.store.changed(after, timeout).await
    }
}
