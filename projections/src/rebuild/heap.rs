//! A model in memory, folded from the start of the log.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use postfold::Position;

use crate::event::ReadEvent;
use crate::folder::{Folder, State, fold_one};
use crate::halt::Halt;
use crate::projector::apply::poisoned;
use crate::store::Row;

/// What a document takes in memory, as a multiple of what it takes as stored.
const MEMORY_FACTOR: usize = 2;
/// What a document takes besides: its key, and its place in the map.
const DOCUMENT_OVERHEAD_BYTES: usize = 200;

/// All documents of a model, as far as the log was folded.
#[derive(Default)]
pub(crate) struct Heap {
    documents: HashMap<String, Kept>,
    weight: usize,
}

struct Kept {
    state: State,
    position: Position,
    changes: u32,
    weight: usize,
}

impl Heap {
    /// Folds one event into the documents that it touches; those that `wanted` turns away are left out.
    pub(crate) fn fold(
        &mut self,
        folder: &dyn Folder,
        event: &ReadEvent,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<(), Halt> {
        let keys = folder.keys(event).map_err(|error| poisoned(folder.name(), event.position, None, &error))?;
        for key in keys.into_iter().filter(|key| wanted(key)) {
            self.fold_key(folder, key, event)?;
        }
        Ok(())
    }

    fn fold_key(&mut self, folder: &dyn Folder, key: String, event: &ReadEvent) -> Result<(), Halt> {
        let entry = self.documents.entry(key);
        let state = match &entry {
            Entry::Occupied(kept) => Some(&kept.get().state),
            Entry::Vacant(_) => None,
        };
        let poisoned = |key: &str, error| poisoned(folder.name(), event.position, Some(key), &error);
        let (change, _rows) = fold_one(folder, state, entry.key(), event).map_err(|error| poisoned(entry.key(), error))?;
        match (change, entry) {
            (None, _) | (Some(None), Entry::Vacant(_)) => {}
            (Some(None), Entry::Occupied(kept)) => self.weight -= kept.remove().weight,
            (Some(Some(state)), Entry::Vacant(free)) => {
                let weight = weigh(folder, free.key(), &state).map_err(|error| poisoned(free.key(), error))?;
                self.weight += weight;
                free.insert(Kept { state, position: event.position, changes: 1, weight });
            }
            (Some(Some(state)), Entry::Occupied(mut kept)) => {
                let changes = kept.get().changes.saturating_add(1);
                // Weighing is encoding: done at the powers of two, it costs little for all documents.
                let mut weight = kept.get().weight;
                if changes.is_power_of_two() {
                    weight = weigh(folder, kept.key(), &state).map_err(|error| poisoned(kept.key(), error))?;
                    self.weight = self.weight - kept.get().weight + weight;
                }
                kept.insert(Kept { state, position: event.position, changes, weight });
            }
        }
        Ok(())
    }

    /// Bytes that the documents take, roughly.
    pub(crate) const fn weight(&self) -> usize {
        self.weight
    }

    /// How many documents there are.
    pub(crate) fn len(&self) -> usize {
        self.documents.len()
    }

    /// The documents, by key, as rows of this generation.
    pub(crate) fn into_rows(self, folder: &dyn Folder, generation: i64) -> impl Iterator<Item = Result<Row, Halt>> {
        let mut documents: Vec<(String, Kept)> = self.documents.into_iter().collect();
        documents.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        documents.into_iter().map(move |(id, kept)| {
            let state = folder
                .encode(&kept.state)
                .map_err(|error| poisoned(folder.name(), kept.position, Some(&id), &error))?;
            Ok(Row { id, generation, position: kept.position, state: Some(state) })
        })
    }
}

fn weigh(folder: &dyn Folder, key: &str, state: &State) -> Result<usize, crate::projection::FoldError> {
    let stored = folder.encode(state)?.as_bytes().len();
    Ok(stored.saturating_mul(MEMORY_FACTOR).saturating_add(key.len()).saturating_add(DOCUMENT_OVERHEAD_BYTES))
}
