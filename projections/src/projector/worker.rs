//! One bucket of one projection, live: claim, catch up, follow.
//!
//! | step | why it is safe to die right after it |
//! |---|---|
//! | claim the bucket: a higher epoch, our name | a later claim only raises the epoch further |
//! | read events behind the checkpoint | nothing changed |
//! | write the documents, each guarded by `g` and `p` | they are ahead of the checkpoint: folding them again skips what they hold |
//! | move the checkpoint, guarded by epoch and revision | the next batch starts behind it |

use std::sync::Arc;

use postfold::{Hash, Position};

use super::apply::{Applier, Target};
use super::graves::Graves;
use super::parking::{self, Parking, entity};
use super::session::Session;
use crate::checkpoint::{Bucket, Checkpoint, Halted, Owner};
use crate::folder::Folder;
use crate::halt::{Halt, Poison, Stop};
use crate::metrics;
use crate::patience::Context;
use crate::progress::Reporter;
use crate::projection::OnPoison;
use crate::reader::Feed;
use crate::rebuild::switch;

/// Runs one bucket until it is told to stop, reaches its end, loses the bucket, or has to halt.
pub(crate) struct Worker {
    pub(crate) context: Context,
    pub(crate) folder: Arc<dyn Folder>,
    pub(crate) feed: Arc<Feed>,
    pub(crate) bucket: usize,
    pub(crate) us: Owner,
    /// The bucket's epoch when it was found free: if it is higher by now, somebody else was faster.
    pub(crate) seen_epoch: i64,
    /// The checkpoint where there is none yet.
    pub(crate) first: Checkpoint,
    /// Stop when everything up to here is in the model.
    pub(crate) until: Option<Position>,
    pub(crate) reporter: Reporter,
}

/// How a worker ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Every event up to here is in the bucket's documents.
    pub(crate) position: Position,
    /// Why it stopped, if it did by itself.
    pub(crate) halt: Option<Halt>,
    /// The revision of the bucket then.
    pub(crate) revision: i64,
}

impl Worker {
    pub(crate) async fn run(&self) -> Ended {
        let mut position = Position::START;
        let halt = match self.work(&mut position).await {
            Err(Stop::Halt(halt)) => Some(halt),
            Ok(()) | Err(_) => None,
        };
        let projection = self.context.projection;
        if let Some(halt) = &halt {
            metrics::halted(projection, true);
            tracing::error!(projection, bucket = self.bucket, position = position.get(), %halt, "the projection stopped");
        } else {
            // Whoever takes the bucket over tells of it.
            metrics::lag(projection, self.bucket, 0, 0.0);
        }
        let revision = self.leave(halt.as_ref()).await;
        Ended { position, halt, revision }
    }

    async fn work(&self, reached: &mut Position) -> Result<(), Stop> {
        let mut checkpoint = self.claim().await?;
        loop {
            *reached = self.own(&checkpoint)?.position;
            let mut session = match self.open(&checkpoint).await {
                // A switch of generations took away what was looked for.
                Err(Stop::Halt(_)) if self.was_switched(&checkpoint).await? => {
                    checkpoint = self.adopt(&checkpoint, true).await?;
                    continue;
                }
                opened => opened?,
            };
            let ended = session.run(reached).await;
            let before = session.into_checkpoint();
            let ended = match ended {
                // A switch of generations took away what the fold was given: that says nothing about the event.
                Err(Stop::Halt(Halt::Fold { .. }) | Stop::Poison(_)) if self.was_switched(&before).await? => {
                    Err(Stop::Suspended)
                }
                ended => ended,
            };
            checkpoint = match ended {
                Err(Stop::Displaced) => self.adopt(&before, false).await?,
                Err(Stop::Suspended) => self.adopt(&before, true).await?,
                Err(Stop::Poison(poison)) => {
                    self.park(&before, poison).await?;
                    self.adopt(&before, true).await?
                }
                ended => return ended,
            };
        }
    }

    /// Makes the bucket ours: whoever had it before can move its checkpoint no more.
    async fn claim(&self) -> Result<Checkpoint, Stop> {
        loop {
            let Some(mut found) = self.context.checkpoint().await? else {
                self.create().await?;
                continue;
            };
            self.check_ledger(&found)?;
            if found.switching.is_some() {
                self.settle(found).await?;
                continue;
            }
            let bucket = self.own(&found)?;
            if bucket.is_of(&self.us.id) {
                return Ok(found);
            }
            if found.paused.is_some() || bucket.epoch > self.seen_epoch {
                return Err(Stop::Cancelled);
            }
            let mut claimed = bucket.next();
            claimed.epoch = bucket.epoch.saturating_add(1);
            claimed.owner = Some(self.us.clone());
            claimed.halted = None;
            if self.swap(&found, &claimed).await? {
                let from = bucket.owner.as_ref().map_or("nobody", |owner| owner.name.as_str());
                tracing::info!(
                    projection = found.name,
                    bucket = self.bucket,
                    epoch = claimed.epoch,
                    position = claimed.position.get(),
                    from,
                    "took a bucket over"
                );
                self.put(&mut found, claimed);
                return Ok(found);
            }
        }
    }

    /// Lets a switch of generations go on, and waits for its end. No write of ours is on its way.
    async fn settle(&self, found: Checkpoint) -> Result<(), Stop> {
        if self.own(&found)?.is_of(&self.us.id) {
            switch::yield_bucket(&self.context, &found, self.bucket).await?;
        }
        switch::settle(&self.context, found).await
    }

    /// The first start: an empty collection with its indexes, then a checkpoint at the log's start.
    async fn create(&self) -> Result<(), Stop> {
        let context = &self.context;
        let name = context.projection;
        let documents = context.store("count documents", || context.store.count(name)).await?;
        // Another projector may have begun in between; then the checkpoint is there now.
        if documents > 0 && self.context.checkpoint().await?.is_none() {
            return Err(Halt::NoCheckpoint { projection: name }.into());
        }
        self.create_collections(&self.first).await?;
        context.store("create the checkpoint", || context.store.create_checkpoint(&self.first)).await.map(drop)
    }

    async fn create_collections(&self, of: &Checkpoint) -> Result<(), Stop> {
        let (context, indexes) = (&self.context, self.folder.indexes());
        context.store("create the collection", || context.store.create(context.projection, &indexes)).await?;
        match &of.carry {
            Some(carry) => context.store("create the collection", || context.store.create(carry, &[])).await,
            None => Ok(()),
        }
    }

    /// Whether another generation has taken over since, or is about to.
    async fn was_switched(&self, before: &Checkpoint) -> Result<bool, Stop> {
        let found = self.context.checkpoint().await?;
        Ok(found.is_some_and(|found| found.switching.is_some() || found.generation != before.generation))
    }

    /// After the lease ran out, or somebody else changed the checkpoint: carries on where the bucket is still
    /// ours, and stops where another process took it over.
    async fn adopt(&self, before: &Checkpoint, expected: bool) -> Result<Checkpoint, Stop> {
        let context = &self.context;
        let projection = context.projection;
        context.unless_cancelled(context.lease.held()).await?;
        loop {
            let found = self.context.checkpoint().await?.ok_or(Halt::NoCheckpoint { projection })?;
            if found.switching.is_some() {
                self.settle(found).await?;
                continue;
            }
            let bucket = self.own(&found)?;
            if !bucket.is_of(&self.us.id) {
                let owner = bucket.owner.as_ref().map_or("nobody", |owner| owner.name.as_str());
                tracing::warn!(
                    projection,
                    bucket = self.bucket,
                    epoch = bucket.epoch,
                    owner,
                    "stopped: another process took the bucket over while this one was silent for longer than its lease"
                );
                return Err(Stop::Cancelled);
            }
            if found.generation != before.generation {
                // What this projector inserted under the old generation while the switch went on.
                context.store("sweep", || context.store.sweep(projection, found.generation, Position::START)).await?;
                let (generation, position) = (found.generation, bucket.position.get());
                tracing::info!(
                    projection,
                    bucket = self.bucket,
                    generation,
                    position,
                    "goes on with the new generation"
                );
            } else if !expected {
                let message = "there are documents of a later generation than the checkpoint's".to_owned();
                return Err(Halt::Refused { projection, what: "write documents", message }.into());
            }
            return Ok(found);
        }
    }

    /// Parks the keys whose documents the server refuses, or halts, as the projection wants it.
    async fn park(&self, checkpoint: &Checkpoint, poison: Vec<Poison>) -> Result<(), Stop> {
        let context = &self.context;
        let mut parking = self.parking(checkpoint).await?;
        for poison in poison {
            if self.folder.on_poison() == OnPoison::Halt {
                return Err(poison.halt(context.projection).into());
            }
            let Poison { key, position, message } = poison;
            let parked = parking.park(context, checkpoint.generation, &key, position, message)?;
            tracing::warn!(projection = context.projection, key, reason = parked.reason, "parked a key");
            context.store("park a key", || context.store.park(&parked)).await?;
        }
        Ok(())
    }

    pub(crate) async fn parking(&self, checkpoint: &Checkpoint) -> Result<Parking, Stop> {
        parking::load(&self.context, self.feed.log(), checkpoint.generation).await
    }

    /// Looks whether the checkpoint fits this program and this log, before anything is folded on it.
    async fn open(&self, checkpoint: &Checkpoint) -> Result<Session<'_>, Stop> {
        let projection = self.context.projection;
        let (wanted, bucket) = (self.folder.version(), self.own(checkpoint)?);
        if checkpoint.version != wanted && checkpoint.furthest() > Position::START {
            return Err(Halt::VersionChanged { projection, built: checkpoint.version, wanted }.into());
        }
        if self.hash_at(bucket.position).await? != Some(bucket.hash) {
            return Err(Halt::LogDiffers { projection, position: bucket.position }.into());
        }
        let there = self.context.collections().await?;
        let wanted = [Some(projection), checkpoint.carry.as_deref()];
        let lacks = |name: &&str| !there.iter().any(|collection| collection.name == **name);
        if checkpoint.furthest() == Position::START {
            self.create_collections(checkpoint).await?;
        } else if let Some(gone) = wanted.into_iter().flatten().find(lacks) {
            let message = format!("the collection {gone} is gone; run `postfold project rebuild --only` with its name");
            return Err(Halt::Refused { projection, what: "write documents", message }.into());
        }
        self.report_drift().await?;
        let target = Target {
            collection: projection.into(),
            carry: checkpoint.carry.as_deref().map(Into::into),
            generation: checkpoint.generation,
            bucket: self.bucket,
            buckets: checkpoint.buckets.len(),
        };
        let parking = self.parking(checkpoint).await?;
        metrics::parked(projection, parking.len());
        let graves = Graves::new(&self.context.settings, bucket.sweep_due.then_some(bucket.position));
        let applier = Applier::new(self.context.clone(), Arc::clone(&self.folder), target.clone(), parking);
        Ok(Session::new(self, checkpoint.clone(), target, applier, graves, entity(projection)))
    }

    /// Indexes are never touched on a live collection; but whoever wonders about a slow query is told.
    async fn report_drift(&self) -> Result<(), Stop> {
        let (context, indexes) = (&self.context, self.folder.indexes());
        let drift = context.store("list indexes", || context.store.drift(context.projection, &indexes)).await?;
        if !drift.is_empty() {
            tracing::warn!(
                projection = context.projection,
                ?drift,
                "the indexes are not those that are declared; a rebuild brings them in step"
            );
        }
        Ok(())
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

    /// Gives the bucket up, and notes why it stopped, so that `status` can tell it. Where that fails the
    /// lease runs out, and a halt is no less a halt. Returns the bucket's revision.
    async fn leave(&self, halt: Option<&Halt>) -> i64 {
        let store = &self.context.store;
        loop {
            let Ok(Some(found)) = store.checkpoint(self.context.projection).await else { return i64::MAX };
            let Ok(bucket) = self.own(&found) else { return i64::MAX };
            if !bucket.is_of(&self.us.id) {
                return bucket.revision;
            }
            let mut left = bucket.next();
            left.owner = None;
            left.halted = halt.map(|halt| Halted { reason: halt.to_string(), at: left.updated_at });
            let done = match found.yielding(self.bucket) {
                Some(said) => store.swap_header(&found, &said).await,
                None if found.switching.is_some() => return bucket.revision,
                None => store.swap_bucket(&found, self.bucket, &left).await,
            };
            match done {
                Ok(true) => return left.revision,
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(projection = found.name, bucket = self.bucket, %error, "could not give a bucket up; its lease will run out");
                    return bucket.revision;
                }
            }
        }
    }

    /// Our bucket; where the model has fewer now, there is nothing to do any more.
    pub(crate) fn own<'a>(&self, checkpoint: &'a Checkpoint) -> Result<&'a Bucket, Stop> {
        checkpoint.buckets.get(self.bucket).ok_or(Stop::Cancelled)
    }

    pub(crate) fn put(&self, checkpoint: &mut Checkpoint, bucket: Bucket) {
        if let Some(place) = checkpoint.buckets.get_mut(self.bucket) {
            *place = bucket;
        }
    }

    pub(crate) async fn swap(&self, of: &Checkpoint, new: &Bucket) -> Result<bool, Stop> {
        self.context.store("write the checkpoint", || self.context.store.swap_bucket(of, self.bucket, new)).await
    }
}
