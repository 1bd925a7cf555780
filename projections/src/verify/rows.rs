//! Rows against the fold of the log: both in the order of the log, range by range, so that only what keys carry
//! is held in memory.
//!
//! Rows up to the checkpoint that was read first have to be there, and are never changed; what lies behind it
//! is not looked at. Where a generation was switched meanwhile, everything is looked at again.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::stream::{Stream, StreamExt};
use postfold::{Hash, Position};

use super::differ::{Content, Stored, differ};
use super::{Compared, Difference, Verify, VerifyError, Wrong};
use crate::checkpoint::Checkpoint;
use crate::event::ReadEvent;
use crate::folder::NewRow;
use crate::halt::{Halt, Stop};
use crate::patience::Context;
use crate::progress::{Phase, count};
use crate::projection::{ORDINAL_MAX, row_id};
use crate::projector::parking;
use crate::reader::{continues, replay};
use crate::rebuild::{Heap, WHOLE};
use crate::store::Row;

/// Ranges that are read from the store side by side.
const SCAN_READERS: usize = 2;
/// Rows that one query reads.
const SCAN_ROWS: usize = 10_000;

/// Events, and the rows that are stored for them.
type Range = (Vec<ReadEvent>, Vec<Row>);

impl Verify {
    pub(super) async fn rows(&self) -> Result<Compared, VerifyError> {
        loop {
            let checkpoint = self.open().await?;
            let compared = self.compare_rows(checkpoint).await?;
            let again = self.open().await?.generation != compared.checkpoint.generation;
            if compared.different == 0 || !again {
                return Ok(compared);
            }
        }
    }

    async fn compare_rows(&self, checkpoint: Checkpoint) -> Result<Compared, VerifyError> {
        let (projection, end) = (self.context.projection, checkpoint.position());
        let stage = self.reporter.phase(projection, Phase::Fold, count(end));
        let parking = parking::load(&self.context, &*self.log, checkpoint.generation).await?;
        let mut heap = Heap::new(self.context.clone(), checkpoint.generation, parking, WHOLE);
        let (mut at, mut hash) = (Position::START, Hash::genesis(self.log.ledger_name()));
        let mut compared = Compared { documents: 0, different: 0, differences: Vec::new(), checkpoint };
        let mut ranges = Box::pin(self.ranges(end));
        while let Some(range) = self.context.unless_cancelled(ranges.next()).await? {
            let (events, stored) = range?;
            if !continues(hash, &events) {
                return Err(Halt::LogDiffers { projection, position: at }.into());
            }
            let mut expected = BTreeMap::new();
            for event in &events {
                let rows = heap.fold(&*self.folder, event, |_| true)?;
                expected
                    .extend(rows.into_iter().map(|row| (row_id(event.position, row.ordinal), (event.position, row))));
                (at, hash) = (event.position, event.hash);
            }
            self.compare_range(&mut compared, expected, stored)?;
            stage.at(count(at));
        }
        Ok(compared)
    }

    /// The log up to `end`, with what is stored for it.
    fn ranges(&self, end: Position) -> impl Stream<Item = Result<Range, Stop>> + Send {
        let context = self.context.clone();
        let scanned = move |page: Result<Vec<ReadEvent>, Stop>| {
            let context = context.clone();
            // A task of its own, so that it goes on while the range before is compared.
            let scan = tokio::spawn(async move {
                let page = page?;
                let rows = scan(&context, &page).await?;
                Ok((page, rows))
            });
            async move { scan.await.unwrap_or(Err(Stop::Cancelled)) }
        };
        replay(Arc::clone(&self.log), end, self.context.clone()).map(scanned).buffered(SCAN_READERS)
    }

    fn compare_range(
        &self,
        compared: &mut Compared,
        mut expected: BTreeMap<String, (Position, NewRow)>,
        stored: Vec<Row>,
    ) -> Result<(), Stop> {
        let generation = compared.checkpoint.generation;
        let mut wrong = Vec::new();
        for row in stored {
            let Some((position, new)) = expected.remove(&row.id) else {
                wrong.push(Difference { key: row.id, what: extra(row.generation, generation) });
                continue;
            };
            compared.documents = compared.documents.saturating_add(1);
            let same = row.generation == generation && row.position == position;
            if same && row.state.as_ref().is_some_and(|state| state.as_bytes() == new.fields.as_bytes()) {
                continue;
            }
            let expected = Stored { generation, position, content: Content::Whole(new.fields) };
            let found = Stored {
                generation: row.generation,
                position: row.position,
                content: row.state.map_or(Content::Dead, Content::Whole),
            };
            let projection = self.context.projection;
            let differences = differ(&expected, &found).map_err(|message| Halt::Refused {
                projection,
                what: "read documents",
                message,
            })?;
            wrong.extend(differences.into_iter().map(|what| Difference { key: row.id.clone(), what }));
        }
        let gone = |new: &NewRow| new.expires_at.is_some_and(|at| at <= self.now);
        let missing = expected.into_iter().filter(|(_, (_, new))| !gone(new));
        wrong.extend(missing.map(|(key, _)| Difference { key, what: Wrong::Missing }));
        let mut keys: Vec<&str> = wrong.iter().map(|difference| difference.key.as_str()).collect();
        keys.dedup();
        compared.different = compared.different.saturating_add(u64::try_from(keys.len()).unwrap_or(u64::MAX));
        let room = self.context.settings.verify_differences_max.saturating_sub(compared.differences.len());
        compared.differences.extend(wrong.into_iter().take(room));
        Ok(())
    }
}

fn extra(found: i64, generation: i64) -> Wrong {
    if found == generation { Wrong::Extra } else { Wrong::Generation { found } }
}

/// What is stored for these events.
async fn scan(context: &Context, page: &[ReadEvent]) -> Result<Vec<Row>, Stop> {
    let (Some(first), Some(last)) = (page.first(), page.last()) else { return Ok(Vec::new()) };
    let mut after = row_id(Position::new(first.position.get() - 1), ORDINAL_MAX);
    let through = row_id(last.position, ORDINAL_MAX);
    let mut rows = Vec::new();
    loop {
        let query = || context.store.scan(context.projection, Some(&after), Some(&through), SCAN_ROWS);
        let more = context.store("scan rows", query).await?;
        let full = more.len() >= SCAN_ROWS;
        match more.last() {
            Some(last) if full => last.id.clone_into(&mut after),
            _ => {}
        }
        rows.extend(more);
        if !full {
            return Ok(rows);
        }
    }
}
