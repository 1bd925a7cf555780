//! What an operator asks and does: status, pause and resume, parked keys, leftovers.

use jiff::Timestamp;
use serde::Serialize;

use super::{ConfigError, Projector};
use crate::checkpoint::{Attempt, Checkpoint, Paused};
use crate::log::LogError;
use crate::status::{Status, StatusError};
use crate::store::{Drift, Parked, StoreError};

/// Why what an operator asked for was not done.
#[derive(Clone, Debug, thiserror::Error)]
pub enum OperateError {
    /// The projector does not have this projection.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// It never ran.
    #[error("there is no model of {0} yet")]
    NoModel(&'static str),
    /// The log could not be read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The store could not be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Collections that nobody needs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Leftovers {
    /// Of rebuilds that never came to their end, and carries of earlier generations.
    pub collections: Vec<String>,
    /// Parked keys of earlier generations.
    pub parked: usize,
    /// Processes that are long gone, by name.
    pub members: Vec<String>,
}

impl Projector {
    /// How far each projection is, and who moves it.
    ///
    /// # Errors
    ///
    /// When the log or the store cannot be read.
    pub async fn status(&self) -> Result<Vec<Status>, StatusError> {
        let head = self.log.head().await?;
        let mut all = Vec::with_capacity(self.folders.len());
        for folder in &self.folders {
            let checkpoint = self.store.checkpoint(folder.name()).await?;
            let parked = self.store.parked(folder.name()).await?;
            let drift = match checkpoint {
                Some(_) => self.store.drift(folder.name(), &folder.indexes()).await?,
                None => Vec::new(),
            };
            let mut status = Status::of(&**folder, checkpoint, &head, &parked, drift);
            if status.lag > 0
                && let Some(waiting) = self.log.page(status.position, 1).await?.pop()
            {
                status.lag_seconds = Timestamp::now().duration_since(waiting.recorded_at).as_secs_f64().max(0.0);
            }
            all.push(status);
        }
        Ok(all)
    }

    /// Has all processes stop working on a projection, until [`resume`](Self::resume). They notice within a
    /// third of their [lease](crate::Settings::lease), and end between two batches.
    ///
    /// # Errors
    ///
    /// [`OperateError`]; nothing has changed then.
    pub async fn pause(&self, projection: &str, reason: &str) -> Result<(), OperateError> {
        let paused = Paused { reason: reason.to_owned(), at: Timestamp::now() };
        self.change(projection, |checkpoint| checkpoint.paused = Some(paused.clone())).await
    }

    /// Lets processes work on a projection again that was paused, or that stopped by itself.
    ///
    /// # Errors
    ///
    /// [`OperateError`].
    pub async fn resume(&self, projection: &str) -> Result<(), OperateError> {
        self.change(projection, |checkpoint| checkpoint.paused = None).await?;
        loop {
            let checkpoint = self.checkpoint(projection).await?;
            let mut halted = checkpoint.buckets.iter().enumerate().filter(|(_, bucket)| bucket.halted.is_some());
            let Some((index, bucket)) = halted.next() else { return Ok(()) };
            let mut next = bucket.next();
            next.halted = None;
            self.store.swap_bucket(&checkpoint, index, &next).await?;
        }
    }

    /// The parked keys of a projection's live generation, by key.
    ///
    /// # Errors
    ///
    /// [`OperateError`].
    pub async fn parked(&self, projection: &str) -> Result<Vec<Parked>, OperateError> {
        let checkpoint = self.checkpoint(projection).await?;
        let mut parked = self.store.parked(projection).await?;
        parked.retain(|parked| parked.generation == checkpoint.generation);
        Ok(parked)
    }

    /// How the indexes of a live model differ from those that its projection declares. `mend`: and builds those
    /// that lack, drops those that are not declared.
    ///
    /// MongoDB builds an index beside the traffic; a compatible server may block the collection's writers
    /// meanwhile. A rebuild builds them before the new generation goes live.
    ///
    /// # Errors
    ///
    /// [`OperateError`]; asked again, it goes on where it was.
    pub async fn reindex(&self, projection: &str, mend: bool) -> Result<Vec<Drift>, OperateError> {
        let folder = self.find(projection)?;
        self.checkpoint(projection).await?;
        let indexes = folder.indexes();
        let drift = self.store.drift(folder.name(), &indexes).await?;
        if mend && !drift.is_empty() {
            self.store.reindex(folder.name(), &indexes).await?;
        }
        Ok(drift)
    }

    /// What rebuilds that were killed, switches and dead processes left behind. `remove`: and removes it.
    ///
    /// # Errors
    ///
    /// [`OperateError`].
    pub async fn prune(&self, remove: bool) -> Result<Leftovers, OperateError> {
        let mut left = Leftovers::default();
        let collections = self.store.collections().await?;
        for folder in &self.folders {
            let name = folder.name();
            let Some(checkpoint) = self.store.checkpoint(name).await? else { continue };
            if checkpoint.switching.is_some() {
                continue;
            }
            for collection in &collections {
                let of = Attempt::of_collection(name, &collection.name);
                // The newest attempt may be running.
                let dead = of.is_some_and(|of| checkpoint.rebuild.as_ref() != Some(&of));
                if dead && checkpoint.carry.as_ref() != Some(&collection.name) {
                    left.collections.push(collection.name.clone());
                }
            }
            for parked in self.store.parked(name).await? {
                let attempted =
                    checkpoint.rebuild.as_ref().is_some_and(|attempt| attempt.generation == parked.generation);
                if parked.generation != checkpoint.generation && !attempted {
                    left.parked += 1;
                    if remove {
                        self.store.unpark(name, parked.generation, &parked.key).await?;
                    }
                }
            }
        }
        if remove {
            for collection in &left.collections {
                self.store.drop_collection(collection).await?;
            }
        }
        Ok(left)
    }

    async fn change(&self, projection: &str, change: impl Fn(&mut Checkpoint)) -> Result<(), OperateError> {
        loop {
            let found = self.checkpoint(projection).await?;
            let mut next = found.next();
            next.epoch = found.epoch.saturating_add(1);
            change(&mut next);
            if self.store.swap_header(&found, &next).await? {
                return Ok(());
            }
        }
    }

    async fn checkpoint(&self, projection: &str) -> Result<Checkpoint, OperateError> {
        let name = self.find(projection)?.name();
        self.store.checkpoint(name).await?.ok_or(OperateError::NoModel(name))
    }
}
