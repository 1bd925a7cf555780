//! A model's states in memory, folded from the start of the log.

use std::collections::HashMap;
use std::ops::Range;

use postfold::Position;

use crate::checkpoint::key_hash;
use crate::event::ReadEvent;
use crate::folder::{Folder, NewRow, State, fold_one};
use crate::halt::Halt;
use crate::patience::Context;
use crate::projection::{FoldError, OnPoison};
use crate::projector::apply::poisoned;
use crate::projector::parking::Parking;
use crate::store::{Parked, Row};

/// What a document takes in memory, as a multiple of what it takes as stored.
const MEMORY_FACTOR: usize = 2;
/// What a document takes besides: its key, and its place in the map.
const DOCUMENT_OVERHEAD_BYTES: usize = 200;

/// All states of a share of the keys, as far as the log was folded.
pub(crate) struct Heap {
    context: Context,
    generation: i64,
    parking: Parking,
    /// The keys of this share, by hash.
    share: Range<u64>,
    states: HashMap<String, Kept>,
    weight: usize,
    parked: Vec<Parked>,
}

struct Kept {
    state: State,
    position: Position,
    changes: u32,
    weight: usize,
}

/// What an event made of a key: its change is in the heap, the rows are handed over.
pub(crate) type Rows = Vec<NewRow>;

impl Heap {
    /// An empty one, for the keys whose hash is in this range.
    pub(crate) fn new(context: Context, generation: i64, parking: Parking, share: Range<u64>) -> Self {
        Self { context, generation, parking, share, states: HashMap::new(), weight: 0, parked: Vec::new() }
    }

    /// Folds one event into the states that it touches; those that `wanted` turns away are left out.
    /// Returns the rows that it adds.
    pub(crate) fn fold(
        &mut self,
        folder: &dyn Folder,
        event: &ReadEvent,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<Rows, Halt> {
        let keys = match folder.keys(event) {
            Ok(keys) => keys,
            Err(_) if self.parking.skips_whole(event.position) => Vec::new(),
            Err(error) => return Err(poisoned(folder.name(), event.position, None, &error)),
        };
        let mut rows = Vec::new();
        for key in keys {
            if self.has(&key) && wanted(&key) && self.parking.lets(&key, event.position) {
                rows.extend(self.fold_key(folder, &key, event)?);
            }
        }
        Ok(rows)
    }

    fn has(&self, key: &str) -> bool {
        self.share == WHOLE || self.share.contains(&key_hash(key))
    }

    fn fold_key(&mut self, folder: &dyn Folder, key: &str, event: &ReadEvent) -> Result<Rows, Halt> {
        let error = match self.try_fold(folder, key, event) {
            Ok(rows) => return Ok(rows),
            Err(error) => error,
        };
        if folder.on_poison() == OnPoison::Halt {
            return Err(poisoned(folder.name(), event.position, Some(key), &error));
        }
        let parked = self.parking.park(&self.context, self.generation, key, event.position, error.to_string())?;
        self.parked.push(parked);
        Ok(Vec::new())
    }

    fn try_fold(&mut self, folder: &dyn Folder, key: &str, event: &ReadEvent) -> Result<Rows, FoldError> {
        // Most keys are there: a key is copied only when it is new.
        let Some(kept) = self.states.get_mut(key) else {
            let (change, rows) = fold_one(folder, None, key, event)?;
            if let Some(Some(state)) = change {
                let weight = weigh(folder, key, &state)?;
                self.weight += weight;
                self.states.insert(key.to_owned(), Kept { state, position: event.position, changes: 1, weight });
            }
            return Ok(rows);
        };
        let (change, rows) = fold_one(folder, Some(&kept.state), key, event)?;
        match change {
            None => {}
            Some(None) => {
                self.weight -= kept.weight;
                self.states.remove(key);
            }
            Some(Some(state)) => {
                let changes = kept.changes.saturating_add(1);
                // Weighing is encoding: done at the powers of two, it costs little for all documents.
                if changes.is_power_of_two() {
                    let weight = weigh(folder, key, &state)?;
                    self.weight = self.weight - kept.weight + weight;
                    kept.weight = weight;
                }
                (kept.state, kept.position, kept.changes) = (state, event.position, changes);
            }
        }
        Ok(rows)
    }

    /// Bytes that the states take, roughly.
    pub(crate) const fn weight(&self) -> usize {
        self.weight
    }

    /// How many states there are.
    pub(crate) fn len(&self) -> usize {
        self.states.len()
    }

    /// The keys whose states are here, by hash.
    pub(crate) const fn share(&self) -> &Range<u64> {
        &self.share
    }

    /// Lets go of the upper half of the share; `false` where it cannot be parted any more.
    pub(crate) fn halve(&mut self) -> bool {
        let Range { start, end } = self.share;
        let middle = start + (end - start) / 2;
        if middle == start {
            return false;
        }
        self.share = start..middle;
        let (share, mut weight) = (self.share.clone(), self.weight);
        self.states.retain(|key, kept| {
            let stays = share.contains(&key_hash(key));
            weight -= if stays { 0 } else { kept.weight };
            stays
        });
        self.states.shrink_to_fit();
        self.parked.retain(|parked| share.contains(&key_hash(&parked.key)));
        self.weight = weight;
        true
    }

    /// The keys that were parked on the way.
    pub(crate) fn parked(&self) -> &[Parked] {
        &self.parked
    }

    /// The states, by key, as rows of the generation.
    pub(crate) fn into_rows(self, folder: &dyn Folder) -> impl Iterator<Item = Result<Row, Halt>> {
        let generation = self.generation;
        let mut states: Vec<(String, Kept)> = self.states.into_iter().collect();
        states.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        states.into_iter().map(move |(id, kept)| {
            let state = folder
                .encode(&kept.state)
                .map_err(|error| poisoned(folder.name(), kept.position, Some(&id), &error))?;
            Ok(Row { id, generation, position: kept.position, state: Some(state) })
        })
    }
}

/// The share that has every key.
pub(crate) const WHOLE: Range<u64> = 0..u64::MAX;

fn weigh(folder: &dyn Folder, key: &str, state: &State) -> Result<usize, FoldError> {
    let stored = folder.encode(state)?.as_bytes().len();
    Ok(stored.saturating_mul(MEMORY_FACTOR).saturating_add(key.len()).saturating_add(DOCUMENT_OVERHEAD_BYTES))
}
