//! Keyed documents: folded in memory, inserted once each.
//!
//! Where they do not fit, the upper half of the keys, by hash, is let go on the way, as often as needed; and
//! the log is folded again for the rest. Reading the log once more is many times faster than taking documents
//! in and out of the database would be.

use std::ops::Range;
use std::sync::Arc;

use futures::StreamExt;
use postfold::Position;

use super::{Heap, Loaded, Reached, Rebuild, WHOLE};
use crate::checkpoint::Attempt;
use crate::halt::{Halt, Stop};
use crate::progress::{Phase, count};
use crate::projector::deliver::{Outgoing, Place, deliver};
use crate::projector::parking;
use crate::reader::{continues, replay};
use crate::store::Row;

/// Documents that are encoded and sent at a time.
const LOAD_DOCUMENTS: usize = 10_000;

impl Rebuild {
    /// Folds the log up to `end` and inserts every document, share by share.
    pub(super) async fn load(&self, attempt: &Attempt, collection: &str, end: Position) -> Result<Loaded, Stop> {
        let mut loaded = Loaded { reached: Reached::start(&*self.log), documents: 0, passes: 0 };
        let mut share = WHOLE;
        while !share.is_empty() {
            let (heap, reached) = self.fold(attempt, share.clone(), end).await?;
            share = heap.share().end..WHOLE.end;
            loaded.reached = reached;
            loaded.passes += 1;
            loaded.documents = loaded.documents.saturating_add(self.insert(heap, collection).await?);
        }
        Ok(loaded)
    }

    /// Folds the log for the keys of this share, or of as much of it as fits.
    async fn fold(&self, attempt: &Attempt, share: Range<u64>, end: Position) -> Result<(Heap, Reached), Stop> {
        let context = &self.context;
        let projection = context.projection;
        let parking = parking::load(context, &*self.log, attempt.generation).await?;
        let mut heap = Heap::new(context.clone(), attempt.generation, parking, share);
        let mut reached = Reached::start(&*self.log);
        let stage = self.reporter.phase(projection, Phase::Fold, count(end));
        let mut pages = Box::pin(replay(Arc::clone(&self.log), end, context.clone()));
        while let Some(page) = context.unless_cancelled(pages.next()).await? {
            let page = page?;
            if !continues(reached.hash, &page) {
                return Err(Halt::LogDiffers { projection, position: reached.position }.into());
            }
            for event in &page {
                heap.fold(&*self.folder, event, |_| true)?;
                reached = Reached { position: event.position, hash: event.hash };
            }
            stage.at(count(reached.position));
            while heap.weight() > context.settings.rebuild_bytes_max && heap.halve() {
                tracing::info!(
                    projection,
                    position = reached.position.get(),
                    "the model outgrew the memory for rebuilds; half of the keys wait for another pass"
                );
            }
        }
        Ok((heap, reached))
    }

    /// Inserts every document once. Returns how many there are.
    async fn insert(&self, heap: Heap, collection: &str) -> Result<u64, Stop> {
        let context = &self.context;
        for parked in heap.parked() {
            context.store("park a key", || context.store.park(parked)).await?;
        }
        let total = u64::try_from(heap.len()).unwrap_or(u64::MAX);
        let stage = self.reporter.phase(context.projection, Phase::Load, total);
        let mut done = 0_u64;
        let mut rows = heap.into_rows(&*self.folder);
        loop {
            let chunk: Vec<Row> = rows.by_ref().take(LOAD_DOCUMENTS).collect::<Result<_, Halt>>()?;
            if chunk.is_empty() {
                return Ok(total);
            }
            done = done.saturating_add(u64::try_from(chunk.len()).unwrap_or(u64::MAX));
            let outgoing = chunk.into_iter().map(|row| {
                let since = row.position;
                Outgoing { row, place: Place::Empty, key: None, since }
            });
            deliver(context, collection, outgoing.collect()).await?;
            stage.at(done);
            if context.cancel.is_cancelled() {
                return Err(Stop::Cancelled);
            }
        }
    }
}
