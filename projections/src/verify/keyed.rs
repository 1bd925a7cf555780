//! Keyed documents against the fold of their keys.
//!
//! Every stored document tells by its `p` how far it is, and everything up to the checkpoint that was read
//! first has to be in it; so each is compared with the fold of its key up to just there. What looks different
//! is looked at a second time, from a new checkpoint on, so that a document that was deleted, or a generation
//! that was switched, in between is not reported.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bson::raw::RawDocumentBuf;
use futures::StreamExt;
use postfold::{Hash, Position};

use super::differ::{Content, Keep, Stored, by_digest, differ};
use super::{Compared, Difference, Verify, VerifyError, Wrong};
use crate::checkpoint::{Checkpoint, key_hash};
use crate::halt::{Halt, Stop};
use crate::progress::{Phase, count};
use crate::projection::FoldError;
use crate::projector::parking;
use crate::reader::{continues, replay};
use crate::rebuild::{Heap, WHOLE};
use crate::store::Row;

/// Documents that one query of a scan reads.
const SCAN_DOCUMENTS: usize = 5_000;
/// Documents that are looked at a second time, at most.
const SUSPECTS_MAX: usize = 10_000;

/// What one look over some of the keys found.
struct Look {
    checkpoint: Checkpoint,
    documents: u64,
    differences: Vec<Difference>,
}

impl Verify {
    pub(super) async fn keyed(&self) -> Result<Compared, VerifyError> {
        let mut checkpoint = self.open().await?;
        let context = &self.context;
        let stored = context.store("count documents", || context.store.count(context.projection)).await?;
        let parts = stored.div_ceil(u64::try_from(context.settings.verify_documents_max).unwrap_or(u64::MAX)).max(1);
        let (mut documents, mut different, mut suspects) = (0_u64, 0_u64, HashSet::new());
        for part in 0..parts {
            let look = self.look(|key| key_hash(key) % parts == part, by_digest).await?;
            documents = documents.saturating_add(look.documents);
            let keys: HashSet<String> = look.differences.into_iter().map(|difference| difference.key).collect();
            different = different.saturating_add(u64::try_from(keys.len()).unwrap_or(u64::MAX));
            suspects.extend(keys.into_iter().take(SUSPECTS_MAX.saturating_sub(suspects.len())));
            checkpoint = look.checkpoint;
        }
        let mut differences = Vec::new();
        if !suspects.is_empty() {
            let look = self.look(|key| suspects.contains(key), Content::Whole).await?;
            differences = look.differences;
            if suspects.len() < SUSPECTS_MAX {
                let keys: HashSet<&str> = differences.iter().map(|difference| difference.key.as_str()).collect();
                different = u64::try_from(keys.len()).unwrap_or(u64::MAX);
            }
            checkpoint = look.checkpoint;
        }
        Ok(Compared { checkpoint, documents, different, differences })
    }

    /// Compares the documents whose keys are wanted.
    async fn look(&self, wanted: impl Fn(&str) -> bool, keep: Keep) -> Result<Look, VerifyError> {
        let checkpoint = self.open().await?;
        let position = checkpoint.position();
        let stored = self.scan(&wanted, keep).await?;
        let ours = |stored: &&Stored| stored.generation == checkpoint.generation;
        let furthest = stored.values().filter(ours).map(|stored| stored.position).max().unwrap_or_default();
        let stop = |key: &str| stored.get(key).filter(ours).map_or(position, |stored| stored.position.max(position));
        let heap = self.fold(&checkpoint, position.max(furthest), |key, at| wanted(key) && at <= stop(key)).await?;
        let documents = u64::try_from(heap.len()).unwrap_or(u64::MAX);
        let differences = self.compare(heap, stored, checkpoint.generation, keep)?;
        Ok(Look { checkpoint, documents, differences })
    }

    async fn scan(&self, wanted: &impl Fn(&str) -> bool, keep: Keep) -> Result<HashMap<String, Stored>, Stop> {
        let context = &self.context;
        let total = context.store("count documents", || context.store.count(context.projection)).await?;
        let stage = self.reporter.phase(context.projection, Phase::Scan, total);
        let mut found = HashMap::new();
        let mut after: Option<String> = None;
        let (mut seen, mut at_end) = (0_u64, false);
        loop {
            // By key, not by cursor: a cursor would not outlive a switch of generations.
            let rows = context
                .store("scan documents", || {
                    context.store.scan(context.projection, after.as_deref(), None, SCAN_DOCUMENTS)
                })
                .await?;
            let Some(last) = rows.last() else {
                if at_end {
                    return Ok(found);
                }
                // A compatible server may answer nothing to a query that meets a switch: ask once more.
                at_end = true;
                continue;
            };
            at_end = false;
            after = Some(last.id.clone());
            seen = seen.saturating_add(u64::try_from(rows.len()).unwrap_or(u64::MAX));
            for Row { id, generation, position, state } in rows {
                if wanted(&id) {
                    found.insert(id, Stored { generation, position, content: state.map_or(Content::Dead, keep) });
                }
            }
            stage.at(seen);
            if context.cancel.is_cancelled() {
                return Err(Stop::Cancelled);
            }
        }
    }

    async fn fold(
        &self,
        checkpoint: &Checkpoint,
        end: Position,
        wanted: impl Fn(&str, Position) -> bool,
    ) -> Result<Heap, Stop> {
        let projection = self.context.projection;
        let stage = self.reporter.phase(projection, Phase::Fold, count(end));
        let parking = parking::load(&self.context, &*self.log, checkpoint.generation).await?;
        let mut heap = Heap::new(self.context.clone(), checkpoint.generation, parking, WHOLE);
        let (mut at, mut hash) = (Position::START, Hash::genesis(self.log.ledger_name()));
        let mut pages = Box::pin(replay(Arc::clone(&self.log), end, self.context.clone()));
        while let Some(page) = self.context.unless_cancelled(pages.next()).await? {
            let page = page?;
            if !continues(hash, &page) {
                return Err(Halt::LogDiffers { projection, position: at }.into());
            }
            for event in &page {
                heap.fold(&*self.folder, event, |key| wanted(key, event.position))?;
                (at, hash) = (event.position, event.hash);
            }
            stage.at(count(at));
        }
        Ok(heap)
    }

    fn compare(
        &self,
        heap: Heap,
        mut stored: HashMap<String, Stored>,
        generation: i64,
        keep: Keep,
    ) -> Result<Vec<Difference>, Stop> {
        let mut differences = Vec::new();
        for row in heap.into_rows(&*self.folder) {
            let Row { id: key, position, state, .. } = row?;
            let Some(found) = stored.remove(&key) else {
                if self.has_expired(state.as_ref())? {
                    continue;
                }
                differences.push(Difference { key, what: Wrong::Missing });
                continue;
            };
            let expected = Stored { generation, position, content: state.map_or(Content::Dead, keep) };
            let wrong = differ(&expected, &found).map_err(|message| Halt::Refused {
                projection: self.context.projection,
                what: "read documents",
                message,
            })?;
            differences.extend(wrong.into_iter().map(|what| Difference { key: key.clone(), what }));
        }
        for (key, found) in stored {
            if found.generation != generation {
                differences.push(Difference { key, what: Wrong::Generation { found: found.generation } });
            } else if found.content != Content::Dead {
                differences.push(Difference { key, what: Wrong::Extra });
            }
        }
        Ok(differences)
    }

    fn has_expired(&self, state: Option<&RawDocumentBuf>) -> Result<bool, Stop> {
        let expired = |state: &RawDocumentBuf| {
            Ok(self.folder.expires_at(&self.folder.decode(state)?).is_some_and(|at| at <= self.now))
        };
        let wrong = |error: FoldError| Halt::Log { projection: self.context.projection, message: error.to_string() };
        Ok(state.map_or(Ok(false), expired).map_err(wrong)?)
    }
}
