//! Rebuilding a model beside the live one, which stays as it is until the new one takes its name.
//!
//! | phase | what happens |
//! |---|---|
//! | begin | the checkpoint names this attempt; what earlier ones left is dropped |
//! | fold | the log from its start, in memory |
//! | load | every document inserted once, into `name__g<generation>_e<epoch>` |
//! | index | on the loaded collection, which nobody reads yet |
//! | tail | what came meanwhile, as live folding does it |
//! | check | number of documents, and the hash of the log |
//! | switch | [`switch`] |
//!
//! A rebuild that is killed leaves a collection that nobody reads, and that the next one drops.

mod heap;
pub(crate) mod switch;

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use postfold::{Hash, Position};
use serde::Serialize;

pub(crate) use heap::Heap;

use crate::checkpoint::{Attempt, Checkpoint, Switching};
use crate::folder::Folder;
use crate::halt::{Halt, Stop};
use crate::log::LogSource;
use crate::patience::Context;
use crate::progress::{Phase, Reporter, count};
use crate::projector::ConfigError;
use crate::projector::apply::Applier;
use crate::projector::deliver::{Outgoing, Place, deliver};
use crate::reader::{Feed, continues, replay};
use crate::store::Row;

/// Documents that are encoded and sent at a time while loading.
const LOAD_DOCUMENTS: usize = 10_000;

/// What a rebuild did.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RebuildReport {
    /// The projection.
    pub projection: &'static str,
    /// The generation that is live now.
    pub generation: i64,
    /// Every event up to here is in it.
    pub position: Position,
    /// Documents that were loaded from memory at once; those of the tail are not counted.
    pub loaded: u64,
    /// Whether the model outgrew [`rebuild_bytes_max`](crate::Settings::rebuild_bytes_max), and was
    /// folded through the database from there on.
    pub spilled: bool,
    /// How long it took.
    pub elapsed: Duration,
}

/// Why a rebuild did not come to its end. The live model is untouched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RebuildError {
    /// The projector is put together wrongly, or does not have this projection.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The caller cancelled it.
    #[error("the rebuild was cancelled; the next one starts afresh")]
    Cancelled,
    /// A later rebuild of the same projection began.
    #[error("another rebuild of {0} began later; this one gave way")]
    Superseded(&'static str),
    /// It cannot be folded, or cannot be written.
    #[error(transparent)]
    Halted(#[from] Halt),
    /// What was built is not what was folded.
    #[error("{projection}: {expected} documents were written and {found} are there; the live model stays")]
    Differs {
        /// The projection.
        projection: &'static str,
        /// Documents folded.
        expected: u64,
        /// Documents found.
        found: u64,
    },
    /// The new collection was dropped by somebody else.
    #[error("the collection of the new generation of {0} is gone; the live model stays")]
    Gone(&'static str),
}

impl From<Stop> for RebuildError {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Halt(halt) => Self::Halted(halt),
            Stop::Cancelled | Stop::Displaced => Self::Cancelled,
        }
    }
}

/// Builds a new generation of one model.
pub(crate) struct Rebuild {
    pub(crate) context: Context,
    pub(crate) folder: Arc<dyn Folder>,
    pub(crate) log: Arc<dyn LogSource>,
    pub(crate) reporter: Reporter,
}

/// Where folding is.
#[derive(Clone, Copy)]
struct Reached {
    position: Position,
    hash: Hash,
}

impl Rebuild {
    pub(crate) async fn run(&self) -> Result<RebuildReport, RebuildError> {
        let began = tokio::time::Instant::now();
        let attempt = self.begin().await?;
        let collection = attempt.collection(self.context.projection);
        self.prepare(&attempt, &collection).await?;

        let end = self.context.log(|| self.log.head()).await?.position;
        let (heap, mut reached) = self.fold(end).await?;
        let spilled = reached.position < end;
        let loaded = self.load(heap, &collection, attempt.generation).await?;
        if !spilled {
            self.check(&collection, loaded).await?;
        }

        let applier =
            Applier::new(self.context.clone(), Arc::clone(&self.folder), collection.clone(), attempt.generation);
        let mut tail = Tail { rebuild: self, applier, feed: Feed::new(Arc::clone(&self.log), &self.context.settings) };
        if spilled {
            tail.follow(&mut reached, end).await?;
        }
        self.index(&collection).await?;
        tail.catch_up(&mut reached).await?;
        self.switch(&attempt, &collection, &mut tail, &mut reached).await?;
        let (projection, generation, position) = (self.context.projection, attempt.generation, reached.position);
        Ok(RebuildReport { projection, generation, position, loaded, spilled, elapsed: began.elapsed() })
    }

    /// Names this attempt in the checkpoint, so that no earlier one may switch any more.
    async fn begin(&self) -> Result<Attempt, RebuildError> {
        let context = &self.context;
        let (name, ledger) = (context.projection, self.log.ledger_name());
        loop {
            let Some(found) = context.store("read the checkpoint", || context.store.checkpoint(name)).await? else {
                let first = Checkpoint::new(name, ledger, self.folder.version(), 0, jiff::Timestamp::now());
                context.store("create the checkpoint", || context.store.create_checkpoint(&first)).await?;
                continue;
            };
            if found.ledger != ledger {
                return Err(
                    Halt::OtherLedger { projection: name, found: found.ledger, wanted: ledger.to_owned() }.into()
                );
            }
            if found.switching.is_some() {
                switch::settle(context, found).await?;
                continue;
            }
            let mut begun = found.next();
            begun.epoch = found.epoch.saturating_add(1);
            let attempt = Attempt { generation: found.next_generation(), epoch: begun.epoch };
            begun.rebuild = Some(attempt.clone());
            if context.store("write the checkpoint", || context.store.swap_checkpoint(&found, &begun)).await? {
                tracing::info!(
                    projection = name,
                    generation = attempt.generation,
                    epoch = attempt.epoch,
                    "rebuild begins"
                );
                return Ok(attempt);
            }
        }
    }

    /// Drops what earlier attempts left, and makes the new collection.
    async fn prepare(&self, attempt: &Attempt, collection: &str) -> Result<(), Stop> {
        let context = &self.context;
        for found in context.store("list collections", || context.store.collections()).await? {
            let left =
                Attempt::of_collection(context.projection, &found.name).filter(|left| left.epoch < attempt.epoch);
            if left.is_some() {
                tracing::info!(
                    projection = context.projection,
                    collection = found.name,
                    "drops what an earlier rebuild left"
                );
                context.store("drop a collection", || context.store.drop_collection(&found.name)).await?;
            }
        }
        context.store("create the collection", || context.store.create(collection, &[])).await
    }

    /// Folds the log in memory: all of it, or as much as the ceiling allows.
    async fn fold(&self, end: Position) -> Result<(Heap, Reached), Stop> {
        let projection = self.context.projection;
        let mut heap = Heap::default();
        let mut reached = Reached { position: Position::START, hash: Hash::genesis(self.log.ledger_name()) };
        let stage = self.reporter.phase(projection, Phase::Fold, count(end));
        let mut pages = Box::pin(replay(Arc::clone(&self.log), end, self.context.clone()));
        while let Some(page) = self.context.unless_cancelled(pages.next()).await? {
            let page = page?;
            if !continues(reached.hash, &page) {
                return Err(Halt::LogDiffers { projection, position: reached.position }.into());
            }
            for event in &page {
                heap.fold(&*self.folder, event, |_| true)?;
                reached = Reached { position: event.position, hash: event.hash };
            }
            stage.at(count(reached.position));
            if heap.weight() > self.context.settings.rebuild_bytes_max {
                tracing::warn!(
                    projection,
                    position = reached.position.get(),
                    "the model outgrew the memory for rebuilds; going on through the database"
                );
                break;
            }
        }
        Ok((heap, reached))
    }

    /// Inserts every document once. Returns how many there are.
    async fn load(&self, heap: Heap, collection: &str, generation: i64) -> Result<u64, Stop> {
        let total = u64::try_from(heap.len()).unwrap_or(u64::MAX);
        let stage = self.reporter.phase(self.context.projection, Phase::Load, total);
        let mut done = 0_u64;
        let mut rows = heap.into_rows(&*self.folder, generation);
        loop {
            let chunk: Vec<Row> = rows.by_ref().take(LOAD_DOCUMENTS).collect::<Result<_, Halt>>()?;
            if chunk.is_empty() {
                return Ok(total);
            }
            done = done.saturating_add(u64::try_from(chunk.len()).unwrap_or(u64::MAX));
            let outgoing = chunk.into_iter().map(|row| Outgoing { row, place: Place::Empty }).collect();
            deliver(&self.context, collection, outgoing).await?;
            stage.at(done);
            if self.context.cancel.is_cancelled() {
                return Err(Stop::Cancelled);
            }
        }
    }

    /// Whether everything that was sent is there.
    async fn check(&self, collection: &str, expected: u64) -> Result<(), RebuildError> {
        let context = &self.context;
        let found = context.store("count documents", || context.store.count(collection)).await?;
        if found == expected {
            return Ok(());
        }
        Err(RebuildError::Differs { projection: context.projection, expected, found })
    }

    async fn index(&self, collection: &str) -> Result<(), Stop> {
        let (context, indexes) = (&self.context, self.folder.indexes());
        let stage = self.reporter.phase(context.projection, Phase::Index, u64::try_from(indexes.len()).unwrap_or(0));
        context.store("build the indexes", || context.store.create(collection, &indexes)).await?;
        stage.at(u64::try_from(indexes.len()).unwrap_or(0));
        Ok(())
    }

    async fn switch(
        &self,
        attempt: &Attempt,
        collection: &str,
        tail: &mut Tail<'_>,
        reached: &mut Reached,
    ) -> Result<(), RebuildError> {
        let context = &self.context;
        let stage = self.reporter.phase(context.projection, Phase::Switch, 1);
        let there = context.store("list collections", || context.store.collections()).await?;
        let built =
            there.into_iter().find(|found| found.name == collection).ok_or(RebuildError::Gone(context.projection))?;
        let mark = Switching {
            to: attempt.clone(),
            uuid: built.uuid,
            version: self.folder.version(),
            position: reached.position,
            hash: reached.hash,
        };
        let marked = switch::begin(context, &mark).await?.ok_or(RebuildError::Superseded(context.projection))?;
        // The live model can go no further now; the new one must not be behind it when it takes over.
        // A live model beyond the head was folded from another log: there is nothing to reach there.
        let head = context.log(|| self.log.head()).await?.position;
        tail.follow(reached, marked.position.min(head)).await?;
        if !switch::finish(context, marked, Some((reached.position, reached.hash))).await? {
            return Err(RebuildError::Gone(context.projection));
        }
        stage.at(1);
        Ok(())
    }
}

/// Folding the new generation as live folding does, without a checkpoint: a rebuild that dies starts
/// afresh.
struct Tail<'a> {
    rebuild: &'a Rebuild,
    applier: Applier,
    feed: Feed,
}

impl Tail<'_> {
    /// Follows the log to its head, and again as long as the head has gone far meanwhile.
    async fn catch_up(&mut self, reached: &mut Reached) -> Result<(), Stop> {
        loop {
            let head = self.rebuild.context.log(|| self.rebuild.log.head()).await?;
            let behind = count(head.position).saturating_sub(count(reached.position));
            self.follow(reached, head.position).await?;
            if behind < TAIL_EVENTS_NEAR {
                break;
            }
        }
        let Reached { position, hash } = *reached;
        let found = match position {
            Position::START => Some(hash),
            _ => self.rebuild.context.log(|| self.rebuild.log.hash_at(position)).await?,
        };
        if found != Some(hash) {
            return Err(Halt::LogDiffers { projection: self.rebuild.context.projection, position }.into());
        }
        Ok(())
    }

    async fn follow(&mut self, reached: &mut Reached, end: Position) -> Result<(), Stop> {
        let context = &self.rebuild.context;
        let (start, end_of_phase) = (count(reached.position), count(end));
        let stage = self.rebuild.reporter.phase_from(context.projection, Phase::Tail, start, end_of_phase);
        while reached.position < end {
            let Some(events) = self.feed.next(reached.position, context).await? else { continue };
            if !continues(reached.hash, &events) {
                return Err(Halt::LogDiffers { projection: context.projection, position: reached.position }.into());
            }
            let mut rest = &*events;
            while !rest.is_empty() {
                let taken = self.applier.apply(rest).await?.events.max(1);
                let last = rest.get(taken - 1).or(rest.last());
                if let Some(last) = last {
                    *reached = Reached { position: last.position, hash: last.hash };
                }
                rest = rest.get(taken..).unwrap_or_default();
                stage.at(count(reached.position));
            }
        }
        Ok(())
    }
}

/// A new generation that is closer to the head than this may switch: the rest takes a moment.
const TAIL_EVENTS_NEAR: u64 = 1_000;
