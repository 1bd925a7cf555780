//! What models have to hold: the log folded plainly, every version of every document.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bson::Document;
use futures::FutureExt;
use postfold::Position;
use postfold::simulation::SharedLog;
use postfold_projections::{Change, Checkpoint, MemoryStore, Projection, ReadEvent, Row, RowProjection, Store, row_id};

use super::projections::{Cards, Carried, Sums, Trail};
use crate::world::World;

/// Looks at models whenever a checkpoint moves. Clones are the same one.
#[derive(Clone)]
pub(super) struct Oracle(Arc<Inner>);

struct Inner {
    world: World,
    log: SharedLog,
    store: MemoryStore,
    folded: Mutex<Folded>,
}

/// The log folded up to a position.
#[derive(Default)]
struct Folded {
    through: Position,
    models: BTreeMap<&'static str, Model>,
    carried: BTreeMap<String, Carried>,
    /// How far each bucket was, by model and generation.
    reached: BTreeMap<(String, i64, usize), (i64, Position)>,
}

/// The versions of every document: from which position on, and what; nothing where it is deleted.
type Model = BTreeMap<String, Vec<(Position, Option<Document>)>>;

impl Oracle {
    pub(super) fn new(world: &World, log: &SharedLog, store: &MemoryStore) -> Self {
        let (world, log, store) = (world.clone(), log.clone(), store.clone());
        Self(Arc::new(Inner { world, log, store, folded: Mutex::default() }))
    }

    /// A bucket has moved its checkpoint: everything up to the slowest one is in the model, and nothing is wrong in it.
    pub(super) fn bucket_moved(&self, name: &str, index: usize) {
        let Some(checkpoint) = self.checkpoint(name) else { return };
        let Some(bucket) = checkpoint.buckets.get(index) else { return };
        let key = (name.to_owned(), checkpoint.generation, index);
        let now = (bucket.epoch, bucket.position);
        if let Some(before) = self.folded().reached.insert(key, now)
            && (now.0 < before.0 || now.1 < before.1)
        {
            self.wrong(format!("the checkpoint of {name}/{index} goes back from {before:?} to {now:?}"));
        }
        self.look(&checkpoint);
    }

    /// A collection takes the stable name: no document of it goes back.
    pub(super) fn renamed(&self, name: &str, before: &[Row]) {
        let after: BTreeMap<String, Row> = self.rows(name).into_iter().map(|row| (row.id.clone(), row)).collect();
        for row in before {
            let further = match after.get(&row.id) {
                Some(now) => now.position >= row.position,
                None => self.is_dead_after(name, &row.id, row.position),
            };
            if !further {
                let now = after.get(&row.id).map(|now| now.position);
                self.wrong(format!("{:?} of {name} goes back from {} to {now:?} at a switch", row.id, row.position));
            }
        }
    }

    /// Everything is folded and nobody writes: the model is the fold of the log, and nothing besides.
    pub(super) fn settled(&self, name: &'static str) {
        let Some(checkpoint) = self.checkpoint(name) else {
            return self.wrong(format!("{name} has no checkpoint"));
        };
        let head = self.fold();
        if checkpoint.position() != head || checkpoint.switching.is_some() {
            let (position, switching) = (checkpoint.position(), checkpoint.switching.is_some());
            self.wrong(format!("{name} is at {position} of {head} in the end, switching: {switching}"));
        }
        let folded = self.folded();
        let newest = |versions: &Vec<(Position, Option<Document>)>| versions.last().cloned();
        let alive = |(key, versions): (&String, &Vec<_>)| {
            newest(versions).and_then(|(position, document)| Some((key.clone(), (position, document?))))
        };
        let expected: BTreeMap<_, _> = folded.models.get(name).into_iter().flatten().filter_map(alive).collect();
        drop(folded);
        let mut found = BTreeMap::new();
        for row in self.rows(name) {
            if row.generation != checkpoint.generation {
                self.wrong(format!("{:?} of {name} is of generation {} in the end", row.id, row.generation));
            }
            if let Some(document) = document(&row) {
                found.insert(row.id, (row.position, document));
            }
        }
        if found != expected {
            self.wrong(format!("{name} holds {found:?} in the end, and the log comes to {expected:?}"));
        }
    }

    fn look(&self, checkpoint: &Checkpoint) {
        let name = checkpoint.name.as_str();
        self.fold();
        let rows: BTreeMap<String, Row> = self.rows(name).into_iter().map(|row| (row.id.clone(), row)).collect();
        let through = checkpoint.position();
        let folded = self.folded();
        let nothing = Model::new();
        let model = folded.models.get(name).unwrap_or(&nothing);
        let mut wrong = Vec::new();
        for (key, versions) in model {
            let upto = versions.iter().rev().find(|(position, _)| *position <= through);
            let row = rows.get(key).filter(|row| row.generation == checkpoint.generation);
            let there = match (upto, row) {
                (None | Some((_, None)), None) => true,
                (upto, Some(row)) => {
                    let version = versions.iter().find(|(position, _)| *position == row.position);
                    upto.is_none_or(|(position, _)| row.position >= *position)
                        && version.is_some_and(|(_, expected)| *expected == document(row))
                }
                // It may have been deleted further on, and forgotten.
                (Some(_), None) => versions.iter().any(|(position, dead)| *position > through && dead.is_none()),
            };
            if !there {
                let row = rows.get(key).map(|row| (row.generation, row.position, document(row)));
                wrong.push(format!("{key:?} of {name} is {row:?}; up to {through} the log comes to {upto:?}"));
            }
        }
        for row in rows.values() {
            let known = model.contains_key(&row.id);
            if (!known && row.generation == checkpoint.generation) || row.generation > checkpoint.generation {
                wrong.push(format!("{:?} of {name}, generation {}, is not in the log", row.id, row.generation));
            }
        }
        drop(folded);
        for wrong in wrong {
            self.wrong(wrong);
        }
    }

    fn is_dead_after(&self, name: &str, key: &str, position: Position) -> bool {
        self.fold();
        let folded = self.folded();
        let versions = folded.models.get(name).and_then(|model| model.get(key));
        versions.is_some_and(|versions| versions.iter().any(|(at, dead)| *at >= position && dead.is_none()))
    }

    /// Folds what is in the log; answers how far that is.
    fn fold(&self) -> Position {
        let mut folded = self.folded();
        let log = self.0.log.truth();
        let events = log.page(folded.through, usize::MAX).now_or_never().and_then(Result::ok).unwrap_or_default();
        for event in events.into_iter().map(ReadEvent::new) {
            folded.through = event.position;
            let Folded { models, carried, .. } = &mut *folded;
            let done = fold_keyed::<Sums>(models, &event)
                .and_then(|()| fold_keyed::<Cards>(models, &event))
                .and_then(|()| fold_rows(models, carried, &event));
            if let Err(error) = done {
                self.wrong(format!("the event at {} cannot be folded: {error}", event.position));
            }
        }
        folded.through
    }

    fn checkpoint(&self, name: &str) -> Option<Checkpoint> {
        self.0.store.checkpoint(name).now_or_never().and_then(Result::ok).flatten()
    }

    fn rows(&self, collection: &str) -> Vec<Row> {
        let rows = self.0.store.scan(collection, None, None, usize::MAX).now_or_never();
        rows.and_then(Result::ok).unwrap_or_default()
    }

    fn wrong(&self, what: String) {
        self.0.world.violated(what);
    }

    fn folded(&self) -> MutexGuard<'_, Folded> {
        self.0.folded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn document(row: &Row) -> Option<Document> {
    row.state.as_ref().and_then(|state| Document::try_from(state.as_ref()).ok())
}

fn fold_keyed<P: Projection>(models: &mut BTreeMap<&'static str, Model>, event: &ReadEvent) -> Result<(), String>
where
    P::Document: Clone,
{
    let model = models.entry(P::NAME).or_default();
    let keys: BTreeSet<String> = P::keys(event).map_err(|error| error.to_string())?.into_iter().collect();
    for key in keys {
        let versions = model.entry(key.clone()).or_default();
        let before = versions.last().and_then(|(_, document)| document.clone());
        let before: Option<P::Document> =
            before.map(bson::deserialize_from_document).transpose().map_err(|error| error.to_string())?;
        match P::fold(before.as_ref(), &key, event).map_err(|error| error.to_string())? {
            Change::Put(document) => {
                let document = bson::serialize_to_document(&document).map_err(|error| error.to_string())?;
                versions.push((event.position, Some(document)));
            }
            Change::Delete if before.is_some() => versions.push((event.position, None)),
            Change::Delete | Change::Keep => {}
        }
        if versions.is_empty() {
            model.remove(&key);
        }
    }
    Ok(())
}

fn fold_rows(
    models: &mut BTreeMap<&'static str, Model>,
    carried: &mut BTreeMap<String, Carried>,
    event: &ReadEvent,
) -> Result<(), String> {
    let model = models.entry(Trail::NAME).or_default();
    let keys: BTreeSet<String> = Trail::keys(event).map_err(|error| error.to_string())?.into_iter().collect();
    for key in keys {
        let added = Trail::fold(carried.get(&key), &key, event).map_err(|error| error.to_string())?;
        if let Change::Put(carry) = added.carry {
            carried.insert(key, carry);
        }
        for (ordinal, row) in added.rows {
            let document = bson::serialize_to_document(&row).map_err(|error| error.to_string())?;
            model.insert(row_id(event.position, ordinal), vec![(event.position, Some(document))]);
        }
    }
    Ok(())
}
