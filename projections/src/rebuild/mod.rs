//! Rebuilding a model beside the live one, which stays as it is until the new one takes its name.
//!
//! | phase | what happens |
//! |---|---|
//! | begin | the checkpoint names this attempt; what earlier ones left is dropped |
//! | fold | the log from its start, in memory: all keys at once, or share by share where they do not fit |
//! | load | every document inserted once, into `name__g<generation>_e<epoch>`; rows are inserted while folding |
//! | index | on the loaded collection, which nobody reads yet |
//! | tail | what came meanwhile, as live folding does it |
//! | check | number of documents, and the hash of the log |
//! | switch | [`switch`] |
//!
//! A rebuild that is killed leaves a collection that nobody reads, and that the next one drops.

mod heap;
mod load;
pub(crate) mod switch;
mod tail;

use std::sync::Arc;
use std::time::Duration;

use postfold::{Hash, Position};
use serde::Serialize;

pub(crate) use heap::{Heap, WHOLE};

use crate::checkpoint::{Attempt, Checkpoint, Switching};
use crate::folder::{Folder, Shape};
use crate::halt::{Halt, Stop};
use crate::log::LogSource;
use crate::patience::Context;
use crate::progress::{Phase, Reporter};
use crate::projector::ConfigError;
use crate::projector::apply::{Applier, Target};
use crate::projector::parking;
use crate::reader::Feed;
use tail::Tail;

/// What loading came to.
struct Loaded {
    reached: Reached,
    documents: u64,
    passes: u32,
}

/// What a rebuild did.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RebuildReport {
    /// The projection.
    pub projection: &'static str,
    /// The generation that is live now.
    pub generation: i64,
    /// Every event up to here is in it.
    pub position: Position,
    /// Documents or rows that were loaded; those of the tail are not counted.
    pub loaded: u64,
    /// How often the log was folded from its start: once, or more where the documents are more than
    /// [`rebuild_bytes_max`](crate::Settings::rebuild_bytes_max).
    pub passes: u32,
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
    /// A projector that says that it lives does not let go of the live model.
    #[error(
        "a projector that works on {0} does not let go of it within `switch_grace`; the live model stays. \
         Stop it, or find out what holds it up, and rebuild again"
    )]
    Held(&'static str),
    /// The new collection was dropped by somebody else.
    #[error("the collection of the new generation of {0} is gone; the live model stays")]
    Gone(&'static str),
}

impl From<Stop> for RebuildError {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Halt(halt) => Self::Halted(halt),
            Stop::Cancelled | Stop::Displaced | Stop::Suspended | Stop::Poison(_) => Self::Cancelled,
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

impl Reached {
    fn start(log: &dyn LogSource) -> Self {
        Self { position: Position::START, hash: Hash::genesis(log.ledger_name()) }
    }
}

impl Rebuild {
    pub(crate) async fn run(&self) -> Result<RebuildReport, RebuildError> {
        let began = tokio::time::Instant::now();
        let (attempt, live) = self.begin().await?;
        let collection = attempt.collection(self.context.projection);
        self.prepare(&attempt, &live, &collection).await?;

        let end = self.context.log(|| self.log.head()).await?.position;
        let applier = self.applier(&attempt, &collection).await?;
        let mut tail = Tail { rebuild: self, applier, feed: Feed::new(Arc::clone(&self.log), &self.context.settings) };
        let Loaded { mut reached, documents: loaded, passes } = match self.folder.shape() {
            Shape::Keyed => self.load(&attempt, &collection, end).await?,
            Shape::Rows => tail.load_rows(end).await?,
        };
        self.check(&attempt, &collection, loaded).await?;
        self.index(&collection).await?;
        tail.catch_up(&mut reached).await?;
        // Whoever ends the switch in our place knows of nothing behind the mark.
        tail.applier.flush().await?;
        self.switch(&attempt, &collection, &mut tail, &mut reached).await?;
        let (projection, generation, position) = (self.context.projection, attempt.generation, reached.position);
        Ok(RebuildReport { projection, generation, position, loaded, passes, elapsed: began.elapsed() })
    }

    /// Names this attempt in the checkpoint, so that no earlier one may switch any more.
    async fn begin(&self) -> Result<(Attempt, Checkpoint), RebuildError> {
        let context = &self.context;
        let (name, ledger) = (context.projection, self.log.ledger_name());
        loop {
            let Some(found) = context.checkpoint().await? else {
                let first = self.folder.first_checkpoint(ledger, 0, context.settings.buckets);
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
            if context.store("write the checkpoint", || context.store.swap_header(&found, &begun)).await? {
                tracing::info!(
                    projection = name,
                    generation = attempt.generation,
                    epoch = attempt.epoch,
                    "rebuild begins"
                );
                return Ok((attempt, begun));
            }
        }
    }

    /// Drops what earlier attempts left, and makes the new collection.
    async fn prepare(&self, attempt: &Attempt, live: &Checkpoint, collection: &str) -> Result<(), Stop> {
        let context = &self.context;
        for found in context.collections().await? {
            let left =
                Attempt::of_collection(context.projection, &found.name).filter(|left| left.epoch < attempt.epoch);
            // What the live rows carry is in the name of the attempt that built them.
            if left.is_some() && live.carry.as_ref() != Some(&found.name) {
                tracing::info!(
                    projection = context.projection,
                    collection = found.name,
                    "drops what an earlier rebuild left"
                );
                context.drop_collection(&found.name).await?;
            }
        }
        for new in [Some(collection), self.carry(attempt).as_deref()].into_iter().flatten() {
            context.store("create the collection", || context.store.create(new, &[])).await?;
        }
        Ok(())
    }

    async fn applier(&self, attempt: &Attempt, collection: &str) -> Result<Applier, Stop> {
        let target = Target {
            collection: collection.into(),
            carry: self.carry(attempt).map(Into::into),
            generation: attempt.generation,
            bucket: 0,
            buckets: 1,
        };
        let parking = parking::load(&self.context, &*self.log, attempt.generation).await?;
        let mut context = self.context.clone();
        if target.carry.is_some() {
            // What rows carry is kept in memory as far as the ceiling allows.
            let mut settings = (*context.settings).clone();
            (settings.cache_documents_max, settings.cache_bytes_max) = (usize::MAX, settings.rebuild_bytes_max);
            context.settings = Arc::new(settings);
        }
        Ok(Applier::new(context, Arc::clone(&self.folder), target, parking))
    }

    fn carry(&self, attempt: &Attempt) -> Option<String> {
        (self.folder.shape() == Shape::Rows).then(|| attempt.carry_collection(self.context.projection))
    }

    /// Whether everything that was sent is there.
    async fn check(&self, attempt: &Attempt, collection: &str, expected: u64) -> Result<(), RebuildError> {
        let (context, projection) = (&self.context, self.context.projection);
        let found = context.store("count documents", || context.store.count(collection)).await?;
        if found == expected {
            return Ok(());
        }
        let now = context.checkpoint().await?;
        if now.is_none_or(|now| now.rebuild.as_ref() != Some(attempt)) {
            // A later attempt has dropped what this one wrote.
            return Err(RebuildError::Superseded(projection));
        }
        Err(RebuildError::Differs { projection, expected, found })
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
        let there = context.collections().await?;
        let built =
            there.into_iter().find(|found| found.name == collection).ok_or(RebuildError::Gone(context.projection))?;
        let mark = Switching {
            to: attempt.clone(),
            uuid: built.uuid,
            version: self.folder.version(),
            buckets: context.settings.buckets,
            carry: self.carry(attempt),
            position: reached.position,
            hash: reached.hash,
            turn: 0,
            yielded: Vec::new(),
        };
        let marked = switch::begin(context, &mark).await?.ok_or(RebuildError::Superseded(context.projection))?;
        let marked = switch::quiet(context, marked).await?.ok_or(RebuildError::Held(context.projection))?;
        // The live model goes no further now, and no document of it may be ahead of the new one's. Some may be
        // ahead of their checkpoint, whose writer died or was about to move it; none is ahead of the log.
        let head = context.log(|| self.log.head()).await?.position;
        tail.follow(reached, head).await?;
        tail.applier.flush().await?;
        if !switch::finish(context, marked, Some((reached.position, reached.hash))).await? {
            return Err(RebuildError::Gone(context.projection));
        }
        stage.at(1);
        Ok(())
    }
}
