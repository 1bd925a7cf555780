//! The log as a projector reads it.

use std::time::Duration;

use async_trait::async_trait;
use postfold::event::AccountOpened;
use postfold::{Event, Hash, Head, Log, Position};
use postfold_projections::{EntityChange, LogError, LogSource};

use crate::bug::Bug;
use crate::world::World;

/// A ledger's log, from which an event may be missing where that bug was planted.
pub(super) struct Source {
    log: Log,
    world: World,
}

impl Source {
    pub(super) const fn new(log: Log, world: World) -> Self {
        Self { log, world }
    }
}

#[async_trait]
impl LogSource for Source {
    fn ledger_name(&self) -> &str {
        self.log.ledger_name()
    }

    async fn head(&self) -> Result<Head, LogError> {
        LogSource::head(&self.log).await
    }

    async fn page(&self, after: Position, limit: usize) -> Result<Vec<Event>, LogError> {
        let mut page = LogSource::page(&self.log, after, limit).await?;
        if page.len() > 1 && self.world.has(Bug::GapInPositions) && self.world.percent(5) {
            // The newest is there already, and the one before it not yet.
            page.remove(page.len() - 2);
        }
        Ok(page)
    }

    async fn opened(&self, accounts: &[(&str, &str)]) -> Result<Vec<AccountOpened>, LogError> {
        LogSource::opened(&self.log, accounts).await
    }

    async fn hash_at(&self, position: Position) -> Result<Option<Hash>, LogError> {
        LogSource::hash_at(&self.log, position).await
    }

    async fn changes(&self, entity: &str) -> Result<Vec<EntityChange>, LogError> {
        LogSource::changes(&self.log, entity).await
    }

    async fn changed(&self, after: Position, timeout: Duration) -> Result<(), LogError> {
        LogSource::changed(&self.log, after, timeout).await
    }
}
