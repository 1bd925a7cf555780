//! Where events come from.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::TryStreamExt;
use postfold::event::AccountOpened;
use postfold::{Event, Hash, Head, Log, Position, Revision};

/// The read half of a ledger, as projections need it: a ledger's [`Log`], or the
/// [`EventLog`](crate::testing::EventLog) of a test.
///
/// Every answer is about a prefix of the log: positions are dense and nothing appears behind a
/// position that was read.
#[async_trait]
pub trait LogSource: Send + Sync + 'static {
    /// The name of the ledger.
    fn ledger_name(&self) -> &str;

    /// The newest position and its hash.
    async fn head(&self) -> Result<Head, LogError>;

    /// At most `limit` events behind `after`, in order, without a gap.
    async fn page(&self, after: Position, limit: usize) -> Result<Vec<Event>, LogError>;

    /// What the accounts of these codes and currencies were opened as, in any order; those that were never
    /// opened are left out.
    async fn opened(&self, accounts: &[(&str, &str)]) -> Result<Vec<AccountOpened>, LogError>;

    /// The hash of the event at this position, `None` where the log does not reach so far.
    async fn hash_at(&self, position: Position) -> Result<Option<Hash>, LogError>;

    /// All changes of an entity, in order; few, since only operators' decisions are read this way.
    async fn changes(&self, entity: &str) -> Result<Vec<EntityChange>, LogError>;

    /// Waits until the log may hold events behind `after`, or the time is up.
    async fn changed(&self, after: Position, timeout: Duration) -> Result<(), LogError>;
}

/// A change of an entity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntityChange {
    /// Its place in the log.
    pub position: Position,
    /// What kind of change.
    pub kind: String,
    /// What it carried: JSON.
    pub data: String,
}

/// The log could not be read.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the log could not be read: {message}")]
pub struct LogError {
    message: String,
    transient: bool,
    #[source]
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

impl LogError {
    /// An error that may pass (`transient`), such as a lost connection, or one that will not.
    pub fn new(message: impl Into<String>, transient: bool) -> Self {
        Self { message: message.into(), transient, source: None }
    }

    /// Whether asking again may help.
    pub const fn is_transient(&self) -> bool {
        self.transient
    }
}

impl From<postfold::Error> for LogError {
    fn from(error: postfold::Error) -> Self {
        Self { message: error.to_string(), transient: error.is_transient(), source: Some(Arc::new(error)) }
    }
}

#[async_trait]
impl LogSource for Log {
    fn ledger_name(&self) -> &str {
        Self::ledger_name(self)
    }

    async fn head(&self) -> Result<Head, LogError> {
        Ok(Self::head(self).await?)
    }

    async fn page(&self, after: Position, limit: usize) -> Result<Vec<Event>, LogError> {
        Ok(Self::page(self, after, limit).await?)
    }

    async fn opened(&self, accounts: &[(&str, &str)]) -> Result<Vec<AccountOpened>, LogError> {
        Ok(Self::opened(self, accounts).await?)
    }

    async fn hash_at(&self, position: Position) -> Result<Option<Hash>, LogError> {
        Ok(Self::hash_at(self, position).await?)
    }

    async fn changes(&self, entity: &str) -> Result<Vec<EntityChange>, LogError> {
        let change = |revision: Revision| EntityChange {
            position: revision.position,
            kind: revision.kind,
            data: revision.data.get().to_owned(),
        };
        Ok(self.history(entity, 0).map_ok(change).try_collect().await?)
    }

    async fn changed(&self, after: Position, timeout: Duration) -> Result<(), LogError> {
        Ok(Self::changed(self, after, timeout).await?)
    }
}
