//! One batch: which documents it touches, what they hold, what becomes of them.

use std::collections::HashMap;
use std::sync::Arc;

use postfold::Position;

use super::cache::{Cache, Known};
use super::deliver::{Outgoing, Place, deliver};
use crate::event::ReadEvent;
use crate::folder::{Folder, fold_one};
use crate::halt::{Halt, Stop};
use crate::patience::Context;
use crate::projection::FoldError;
use crate::store::Row;

/// Documents that one query reads.
const FETCH_DOCUMENTS_MAX: usize = 1_000;

/// Folds batches into one generation of one model.
///
/// | phase | round trips |
/// |---|---|
/// | plan: which keys | none |
/// | load: documents that the cache lacks | one per 1,000 of them |
/// | fold: events beyond each document's own position | none |
/// | deliver: each changed document once | one per 5,000 of them and lane, lanes side by side |
pub(crate) struct Applier {
    context: Context,
    folder: Arc<dyn Folder>,
    collection: String,
    generation: i64,
    cache: Cache,
}

/// What a batch did.
#[derive(Debug, Default)]
pub(crate) struct Applied {
    /// How many of the events given it took, from the first; at least one.
    pub(crate) events: usize,
    /// Documents written.
    pub(crate) documents: usize,
    /// Tombstones written, or found.
    pub(crate) dead: Vec<(String, Position)>,
}

/// A key that the batch touches, and the places of the events that do.
struct Touch {
    key: String,
    events: Vec<usize>,
}

/// What a key's events made of its document.
struct Folded {
    key: String,
    known: Known,
    row: Row,
    place: Place,
}

impl Applier {
    pub(crate) fn new(context: Context, folder: Arc<dyn Folder>, collection: String, generation: i64) -> Self {
        let cache = Cache::new(&context.settings);
        Self { context, folder, collection, generation, cache }
    }

    /// Folds as many of these events as one batch may take, and writes what changed. When it returns,
    /// all of it is stored.
    ///
    /// # Errors
    ///
    /// [`Stop::Halt`] when the very first event cannot be folded. One further on ends the batch before
    /// it, and is met again as the first of the next.
    pub(crate) async fn apply(&mut self, events: &[ReadEvent]) -> Result<Applied, Stop> {
        let mut plan = Plan::of(events, &*self.folder, &self.context)?;
        let mut known = self.load(&mut plan).await?;
        let folded = loop {
            match self.fold(events, &plan.touches, &known) {
                Ok(folded) => break folded,
                Err((0, halt)) => return Err(halt.into()),
                Err((at, _)) => plan.cut_before(at),
            }
        };
        let dead = folded.iter().filter(|folded| folded.known.state.is_none());
        let dead: Vec<_> = dead.map(|folded| (folded.key.clone(), folded.known.position)).collect();
        let found = known.iter().filter_map(|(key, found)| match found {
            Found::Stored(found) if found.state.is_none() => Some((key.clone(), found.position)),
            _ => None,
        });
        let dead = dead.into_iter().chain(found).collect();
        let mut outgoing = Vec::with_capacity(folded.len());
        for Folded { key, known: now, row, place } in folded {
            outgoing.push(Outgoing { row, place });
            known.insert(key, Found::Stored(now));
        }
        let documents = outgoing.len();
        deliver(&self.context, &self.collection, outgoing).await?;
        self.remember(known);
        Ok(Applied { events: plan.events, documents, dead })
    }

    /// What is stored under the plan's keys. Where the documents are too many bytes to hold, the plan
    /// is cut.
    async fn load(&mut self, plan: &mut Plan) -> Result<HashMap<String, Found>, Stop> {
        let mut found = HashMap::with_capacity(plan.touches.len());
        let mut lacking = Vec::new();
        for (at, touch) in plan.touches.iter().enumerate() {
            match self.cache.get(&touch.key) {
                Some(known) => drop(found.insert(touch.key.clone(), Found::Stored(known.clone()))),
                None => lacking.push(at),
            }
        }
        let mut bytes = 0_usize;
        for chunk in lacking.chunks(FETCH_DOCUMENTS_MAX) {
            let first = chunk.first().copied().unwrap_or_default();
            if bytes > self.context.settings.batch_bytes_max && plan.cut_before_touch(first) {
                break;
            }
            let keys: Vec<&str> =
                chunk.iter().filter_map(|at| plan.touches.get(*at)).map(|touch| touch.key.as_str()).collect();
            let rows =
                self.context.store("read documents", || self.context.store.fetch(&self.collection, &keys)).await?;
            for row in rows {
                bytes = bytes.saturating_add(row.weight());
                found.insert(row.id.clone(), self.read(&row)?);
            }
        }
        Ok(found)
    }

    fn read(&self, row: &Row) -> Result<Found, Stop> {
        if row.generation > self.generation {
            return Err(Stop::Displaced);
        }
        if row.generation < self.generation {
            return Ok(Found::Stray);
        }
        let weight = row.weight();
        let decoded = row.state.as_deref().map(|state| self.folder.decode(state)).transpose();
        let state = decoded.map_err(|error| self.poisoned(row.position, Some(&row.id), &error))?;
        Ok(Found::Stored(Known { position: row.position, state, weight }))
    }

    /// Folds each key's events beyond what its document holds. The error is the first event, in the
    /// order of the log, that cannot be folded.
    fn fold(
        &self,
        events: &[ReadEvent],
        touches: &[Touch],
        found: &HashMap<String, Found>,
    ) -> Result<Vec<Folded>, (usize, Halt)> {
        let mut folded = Vec::with_capacity(touches.len());
        let mut poison: Option<(usize, Halt)> = None;
        for touch in touches {
            match self.fold_touch(events, touch, found.get(&touch.key)) {
                Ok(changed) => folded.extend(changed),
                Err((at, error)) if poison.as_ref().is_none_or(|(first, _)| at < *first) => {
                    let position = events.get(at).map(|event| event.position).unwrap_or_default();
                    poison = Some((at, self.poisoned(position, Some(&touch.key), &error)));
                }
                Err(_) => {}
            }
        }
        poison.map_or(Ok(folded), Err)
    }

    /// `None` when the events change nothing.
    fn fold_touch(
        &self,
        events: &[ReadEvent],
        touch: &Touch,
        found: Option<&Found>,
    ) -> Result<Option<Folded>, (usize, FoldError)> {
        let (place, mut position, mut state) = match found {
            None => (Place::Empty, Position::START, None),
            Some(Found::Stray) => (Place::Stray, Position::START, None),
            Some(Found::Stored(known)) => (Place::Behind, known.position, known.state.clone()),
        };
        let stored = position;
        for &at in &touch.events {
            let Some(event) = events.get(at).filter(|event| event.position > stored) else { continue };
            let (change, _rows) =
                fold_one(&*self.folder, state.as_ref(), &touch.key, event).map_err(|error| (at, error))?;
            if let Some(change) = change {
                (state, position) = (change, event.position);
            }
        }
        if position == stored {
            return Ok(None);
        }
        let last = touch.events.last().copied().unwrap_or_default();
        let encoded =
            state.as_ref().map(|state| self.folder.encode(state)).transpose().map_err(|error| (last, error))?;
        let row = Row { id: touch.key.clone(), generation: self.generation, position, state: encoded };
        let known = Known { position, state, weight: row.weight() };
        Ok(Some(Folded { key: touch.key.clone(), known, row, place }))
    }

    fn remember(&mut self, found: HashMap<String, Found>) {
        for (key, found) in found {
            if let Found::Stored(known) = found {
                self.cache.put(key, known);
            }
        }
    }

    fn poisoned(&self, position: Position, key: Option<&str>, error: &FoldError) -> Halt {
        poisoned(self.context.projection, position, key, error)
    }
}

/// What is stored under a key, as far as the batch is concerned.
enum Found {
    /// A document, or a tombstone, of this generation.
    Stored(Known),
    /// A document of an earlier generation: as good as none, but in the way.
    Stray,
}

pub(crate) fn poisoned(projection: &'static str, position: Position, key: Option<&str>, error: &FoldError) -> Halt {
    Halt::Fold { projection, position, key: key.map(str::to_owned), message: error.to_string() }
}

/// Which events a batch takes, and which keys they touch, in the order of first touch.
struct Plan {
    events: usize,
    touches: Vec<Touch>,
}

impl Plan {
    /// As many events as the bounds of a batch allow, and at least one.
    fn of(events: &[ReadEvent], folder: &dyn Folder, context: &Context) -> Result<Self, Halt> {
        let settings = &context.settings;
        let mut plan = Self { events: 0, touches: Vec::new() };
        let mut places: HashMap<String, usize> = HashMap::new();
        let mut bytes = 0_usize;
        for (at, event) in events.iter().enumerate().take(settings.batch_events_max) {
            bytes = bytes.saturating_add(event.weight());
            if at > 0 && bytes > settings.batch_bytes_max {
                break;
            }
            let keys = match folder.keys(event) {
                Ok(keys) => keys,
                Err(error) if at == 0 => return Err(poisoned(context.projection, event.position, None, &error)),
                Err(_) => break,
            };
            let fresh = keys.iter().filter(|key| !places.contains_key(*key)).count();
            if at > 0 && plan.touches.len() + fresh > settings.batch_documents_max {
                break;
            }
            for key in keys {
                plan.touch(&mut places, key, at);
            }
            plan.events = at + 1;
        }
        Ok(plan)
    }

    fn touch(&mut self, places: &mut HashMap<String, usize>, key: String, at: usize) {
        let place = places.get(&key).copied().unwrap_or_else(|| {
            self.touches.push(Touch { key: key.clone(), events: Vec::new() });
            places.insert(key, self.touches.len() - 1);
            self.touches.len() - 1
        });
        if let Some(touch) = self.touches.get_mut(place) {
            touch.events.push(at);
        }
    }

    /// Takes only the events before this one.
    fn cut_before(&mut self, event: usize) {
        self.events = self.events.min(event);
        for touch in &mut self.touches {
            touch.events.retain(|at| *at < event);
        }
        self.touches.retain(|touch| !touch.events.is_empty());
    }

    /// Takes only the events before the first that touches this key; `false` where that is the very
    /// first event, which has to be taken whole.
    fn cut_before_touch(&mut self, touch: usize) -> bool {
        let first = self.touches.get(touch).and_then(|touch| touch.events.first()).copied().unwrap_or_default();
        if first > 0 {
            self.cut_before(first);
        }
        first > 0
    }
}
