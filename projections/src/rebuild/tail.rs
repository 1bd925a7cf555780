//! Folding the new generation as live folding does, without a checkpoint: a rebuild that dies starts afresh.

use std::sync::Arc;

use futures::StreamExt;
use postfold::Position;
use tokio::task::JoinHandle;

use super::{Loaded, Reached, Rebuild};
use crate::event::ReadEvent;
use crate::halt::{Halt, Stop};
use crate::progress::{Phase, count};
use crate::projector::apply::{Applier, Batch};
use crate::reader::{Feed, continues, replay};

/// A new generation that is closer to the head than this may switch: the rest takes a moment.
const TAIL_EVENTS_NEAR: u64 = 1_000;

/// See the module.
pub(super) struct Tail<'a> {
    pub(super) rebuild: &'a Rebuild,
    pub(super) applier: Applier,
    pub(super) feed: Feed,
}

impl Tail<'_> {
    /// Rows from the start of the log up to `end`: one batch is inserted while the next is folded, and those
    /// behind it are read.
    pub(super) async fn load_rows(&mut self, end: Position) -> Result<Loaded, Stop> {
        let context = &self.rebuild.context;
        let projection = context.projection;
        let mut loaded = Loaded { reached: Reached::start(&*self.rebuild.log), documents: 0, passes: 1 };
        let stage = self.rebuild.reporter.phase(projection, Phase::Fold, count(end));
        let mut flight: Option<JoinHandle<Result<Batch, Stop>>> = None;
        let mut pages = Box::pin(replay(Arc::clone(&self.rebuild.log), end, context.clone()));
        while let Some(page) = context.unless_cancelled(pages.next()).await? {
            let page = page?;
            if !continues(loaded.reached.hash, &page) {
                return Err(Halt::LogDiffers { projection, position: loaded.reached.position }.into());
            }
            let mut rest: &[ReadEvent] = &page;
            while !rest.is_empty() {
                let batch = self.applier.prepare(rest, None).await?;
                rest = rest.get(batch.events..).unwrap_or_default();
                loaded.reached = Reached { position: batch.position, hash: batch.hash };
                loaded.documents = loaded.documents.saturating_add(u64::try_from(batch.rows()).unwrap_or(u64::MAX));
                self.land(flight.take()).await?;
                flight = Some(self.applier.send(batch));
            }
            stage.at(count(loaded.reached.position));
        }
        self.land(flight).await?;
        Ok(loaded)
    }

    async fn land(&mut self, flight: Option<JoinHandle<Result<Batch, Stop>>>) -> Result<(), Stop> {
        let Some(flight) = flight else { return Ok(()) };
        match flight.await {
            Ok(done) => self.applier.landed(done?.number),
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => return Err(Stop::Cancelled),
        }
        Ok(())
    }

    /// Follows the log to its head, and again as long as the head has gone far meanwhile.
    pub(super) async fn catch_up(&mut self, reached: &mut Reached) -> Result<(), Stop> {
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

    pub(super) async fn follow(&mut self, reached: &mut Reached, end: Position) -> Result<(), Stop> {
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
                let batch = self.applier.apply(rest, None).await?;
                *reached = Reached { position: batch.position, hash: batch.hash };
                rest = rest.get(batch.events..).unwrap_or_default();
                stage.at(count(reached.position));
            }
        }
        Ok(())
    }
}
