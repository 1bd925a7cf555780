//! One projection, live: claim, catch up, follow.
//!
//! | step | why it is safe to die right after it |
//! |---|---|
//! | claim the checkpoint: a higher epoch, our name | a later claim only raises the epoch further |
//! | read events behind the checkpoint | nothing changed |
//! | write the documents, each guarded by `g` and `p` | they are ahead of the checkpoint: folding them again skips what they hold |
//! | move the checkpoint, guarded by epoch and revision | the next batch starts behind it |

use std::sync::Arc;

use postfold::{Hash, Position};
use tokio::time::Instant;

use super::apply::{Applied, Applier};
use super::graves::Graves;
use crate::checkpoint::{Checkpoint, Halted};
use crate::event::ReadEvent;
use crate::folder::Folder;
use crate::halt::{Halt, Stop};
use crate::metrics;
use crate::patience::Context;
use crate::progress::{Phase, Reporter, count};
use crate::reader::{Feed, continues};
use crate::rebuild::switch;

/// Runs one projection until it is told to stop, reaches its end, or has to halt.
pub(crate) struct Worker {
    pub(crate) context: Context,
    pub(crate) folder: Arc<dyn Folder>,
    pub(crate) feed: Arc<Feed>,
    /// Tells this projector from every other.
    pub(crate) owner: String,
    /// Stop when everything up to here is in the model.
    pub(crate) until: Option<Position>,
    pub(crate) reporter: Reporter,
}

impl Worker {
    /// Returns the position reached, and why the work ended if it did not come to its end.
    pub(crate) async fn run(&self) -> (Position, Option<Halt>) {
        metrics::halted(self.context.projection, false);
        let mut reached = Position::START;
        let halt = match self.work(&mut reached).await {
            Ok(()) | Err(Stop::Cancelled | Stop::Displaced) => None,
            Err(Stop::Halt(halt)) => Some(halt),
        };
        if let Some(halt) = &halt {
            let projection = self.context.projection;
            metrics::halted(projection, true);
            tracing::error!(projection, position = reached.get(), %halt, "the projection stopped");
            self.note(halt).await;
        }
        (reached, halt)
    }

    async fn work(&self, reached: &mut Position) -> Result<(), Stop> {
        let mut checkpoint = self.claim().await?;
        loop {
            *reached = checkpoint.position;
            let mut session = self.open(&checkpoint).await?;
            match session.follow(reached).await {
                Err(Stop::Displaced) => checkpoint = self.adopt(&session.checkpoint).await?,
                ended => return ended,
            }
        }
    }

    /// Makes the projection ours: whoever had it before can move its checkpoint no more.
    async fn claim(&self) -> Result<Checkpoint, Stop> {
        let name = self.context.projection;
        loop {
            let Some(found) = self.load().await? else {
                self.create().await?;
                continue;
            };
            self.check_ledger(&found)?;
            if found.owner.as_deref() == Some(&self.owner) {
                return Ok(found);
            }
            if found.switching.is_some() {
                switch::settle(&self.context, found).await?;
                continue;
            }
            let mut claimed = found.next();
            claimed.epoch = found.epoch.saturating_add(1);
            claimed.owner = Some(self.owner.clone());
            claimed.halted = None;
            if self.swap(&found, &claimed).await? {
                tracing::info!(
                    projection = name,
                    epoch = claimed.epoch,
                    position = claimed.position.get(),
                    "took the projection over"
                );
                return Ok(claimed);
            }
        }
    }

    /// The first start: an empty collection with its indexes, then a checkpoint at the log's start.
    async fn create(&self) -> Result<(), Stop> {
        let context = &self.context;
        let name = context.projection;
        let documents = context.store("count documents", || context.store.count(name)).await?;
        // Another projector may have begun in between; then the checkpoint is there now.
        if documents > 0 && self.load().await?.is_none() {
            return Err(Halt::NoCheckpoint { projection: name }.into());
        }
        self.create_collection().await?;
        let first =
            Checkpoint::new(name, self.feed.log().ledger_name(), self.folder.version(), 1, jiff::Timestamp::now());
        context.store("create the checkpoint", || context.store.create_checkpoint(&first)).await.map(drop)
    }

    async fn create_collection(&self) -> Result<(), Stop> {
        let (context, indexes) = (&self.context, self.folder.indexes());
        context.store("create the collection", || context.store.create(context.projection, &indexes)).await
    }

    /// After somebody else changed the checkpoint: carries on where a rebuild switched generations, and
    /// stops where another projector took over.
    async fn adopt(&self, before: &Checkpoint) -> Result<Checkpoint, Stop> {
        let projection = self.context.projection;
        loop {
            let found = self.load().await?.ok_or(Halt::NoCheckpoint { projection })?;
            if found.owner.as_deref() != Some(&self.owner) {
                let owner = found.owner.unwrap_or_else(|| "nobody".to_owned());
                return Err(Halt::TakenOver { projection, owner, epoch: found.epoch }.into());
            }
            if found.switching.is_some() {
                switch::settle(&self.context, found).await?;
                continue;
            }
            if (found.epoch, found.generation) == (before.epoch, before.generation) {
                let message = "there are documents of a later generation than the checkpoint's".to_owned();
                return Err(Halt::Refused { projection, what: "write documents", message }.into());
            }
            // What this projector inserted under the old generation while the switch went on.
            let context = &self.context;
            context.store("sweep", || context.store.sweep(projection, found.generation, Position::START)).await?;
            tracing::info!(
                projection,
                generation = found.generation,
                position = found.position.get(),
                "goes on with the new generation"
            );
            return Ok(found);
        }
    }

    /// Looks whether the checkpoint fits this program and this log, before anything is folded on it.
    async fn open(&self, checkpoint: &Checkpoint) -> Result<Session<'_>, Stop> {
        let projection = self.context.projection;
        let wanted = self.folder.version();
        if checkpoint.version != wanted && checkpoint.position > Position::START {
            return Err(Halt::VersionChanged { projection, built: checkpoint.version, wanted }.into());
        }
        if self.hash_at(checkpoint.position).await? != Some(checkpoint.hash) {
            return Err(Halt::LogDiffers { projection, position: checkpoint.position }.into());
        }
        let there = self.context.store("list collections", || self.context.store.collections()).await?;
        if !there.iter().any(|collection| collection.name == projection) {
            if checkpoint.position > Position::START {
                let message = "its collection is gone; run `postfold project rebuild --only` with its name".to_owned();
                return Err(Halt::Refused { projection, what: "write documents", message }.into());
            }
            self.create_collection().await?;
        }
        let applier =
            Applier::new(self.context.clone(), Arc::clone(&self.folder), projection.to_owned(), checkpoint.generation);
        let graves = Graves::new(&self.context.settings, checkpoint.sweep_due.then_some(checkpoint.position));
        Ok(Session { worker: self, checkpoint: checkpoint.clone(), applier, graves })
    }

    async fn hash_at(&self, position: Position) -> Result<Option<Hash>, Stop> {
        let log = self.feed.log();
        if position == Position::START {
            return Ok(Some(Hash::genesis(log.ledger_name())));
        }
        self.context.log(|| log.hash_at(position)).await
    }

    fn check_ledger(&self, found: &Checkpoint) -> Result<(), Halt> {
        let wanted = self.feed.log().ledger_name();
        if found.ledger == wanted {
            return Ok(());
        }
        let (found, wanted) = (found.ledger.clone(), wanted.to_owned());
        Err(Halt::OtherLedger { projection: self.context.projection, found, wanted })
    }

    /// Writes the reason of a halt to the checkpoint, so that `status` can tell it. Where that fails the
    /// halt is no less a halt.
    async fn note(&self, halt: &Halt) {
        let store = &self.context.store;
        let Ok(Some(found)) = store.checkpoint(self.context.projection).await else { return };
        if found.owner.as_deref() == Some(&self.owner) {
            let mut noted = found.next();
            noted.halted = Some(Halted { reason: halt.to_string(), at: noted.updated_at });
            if let Err(error) = store.swap_checkpoint(&found, &noted).await {
                tracing::warn!(projection = self.context.projection, %error, "could not note why the projection stopped");
            }
        }
    }

    async fn load(&self) -> Result<Option<Checkpoint>, Stop> {
        self.context.store("read the checkpoint", || self.context.store.checkpoint(self.context.projection)).await
    }

    async fn swap(&self, old: &Checkpoint, new: &Checkpoint) -> Result<bool, Stop> {
        self.context.store("write the checkpoint", || self.context.store.swap_checkpoint(old, new)).await
    }
}

/// A projection that is ours, in one generation.
struct Session<'a> {
    worker: &'a Worker,
    checkpoint: Checkpoint,
    applier: Applier,
    graves: Graves,
}

impl Session<'_> {
    async fn follow(&mut self, reached: &mut Position) -> Result<(), Stop> {
        let context = &self.worker.context;
        let end = self.worker.until.map_or(0, count);
        let start = count(self.checkpoint.position);
        let stage = self.worker.reporter.phase_from(context.projection, Phase::Follow, start, end);
        while self.worker.until.is_none_or(|until| self.checkpoint.position < until) {
            self.keep_house().await?;
            let Some(events) = self.worker.feed.next(self.checkpoint.position, context).await? else { continue };
            if !continues(self.checkpoint.hash, &events) {
                return Err(
                    Halt::LogDiffers { projection: context.projection, position: self.checkpoint.position }.into()
                );
            }
            let mut rest = &*events;
            while !rest.is_empty() {
                let taken = self.batch(rest).await?;
                rest = rest.get(taken..).unwrap_or_default();
                *reached = self.checkpoint.position;
                stage.at(count(*reached));
                if context.cancel.is_cancelled() {
                    return Err(Stop::Cancelled);
                }
            }
        }
        Ok(())
    }

    /// Documents first, then the checkpoint. Returns how many events that were.
    #[tracing::instrument(level = "debug", skip_all, fields(projection = self.worker.context.projection, after = self.checkpoint.position.get(), waiting = events.len()))]
    async fn batch(&mut self, events: &[ReadEvent]) -> Result<usize, Stop> {
        let began = Instant::now();
        let Applied { events: taken, documents, dead } = self.applier.apply(events).await?;
        let Some(last) = taken.checked_sub(1).and_then(|last| events.get(last)) else { return Ok(events.len()) };
        self.graves.dig(dead);
        self.advance(last.position, last.hash).await?;
        let projection = self.worker.context.projection;
        metrics::batch_done(projection, taken, documents, began.elapsed());
        metrics::lag(projection, self.worker.feed.lag(last.position, &self.worker.context).await?);
        tracing::debug!(events = taken, documents, position = last.position.get(), "batch done");
        Ok(taken)
    }

    /// Moves the checkpoint, if it is still ours to move.
    async fn advance(&mut self, position: Position, hash: Hash) -> Result<(), Stop> {
        loop {
            let mut next = self.checkpoint.next();
            (next.position, next.hash, next.version) = (position, hash, self.worker.folder.version());
            next.sweep_due = self.graves.any();
            next.halted = None;
            if self.worker.swap(&self.checkpoint, &next).await? {
                self.checkpoint = next;
                return Ok(());
            }
            let found = self.worker.load().await?.ok_or(Stop::Displaced)?;
            let ours = found.owner == self.checkpoint.owner
                && found.generation == self.checkpoint.generation
                && found.switching.is_none();
            if !ours {
                return Err(Stop::Displaced);
            }
            // A rebuild began beside us, or the answer to our own write was lost.
            self.checkpoint = found;
        }
    }

    /// Removes tombstones, and what late writers left, once nobody can be surprised by it.
    async fn keep_house(&mut self) -> Result<(), Stop> {
        let context = &self.worker.context;
        let (collection, generation, through) =
            (context.projection, self.checkpoint.generation, self.checkpoint.position);
        let due = self.graves.due(through);
        let ids: Vec<&str> = due.ids.iter().map(String::as_str).collect();
        if !ids.is_empty() {
            context.store("remove tombstones", || context.store.bury(collection, &ids, generation, through)).await?;
        }
        if let Some(through) = due.sweep {
            context.store("sweep", || context.store.sweep(collection, generation, through)).await?;
        }
        if self.checkpoint.sweep_due && !self.graves.any() {
            self.advance(through, self.checkpoint.hash).await?;
        }
        Ok(())
    }
}
