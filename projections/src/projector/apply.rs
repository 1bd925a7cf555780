//! One batch: which keys it touches, what they hold, what becomes of them.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use postfold::{Hash, Position};
use tokio::task::JoinHandle;

use super::cache::{Cache, Known};
use super::deliver::{Outgoing, Place, deliver};
use super::parking::Parking;
use super::plan::{Plan, Touch};
use crate::event::ReadEvent;
use crate::folder::{Folder, NewRow, Shape, fold_one};
use crate::halt::{Halt, Stop};
use crate::patience::Context;
use crate::projection::{FoldError, OnPoison, row_id};
use crate::store::{Parked, Row};

/// Documents that one query reads.
const FETCH_DOCUMENTS_MAX: usize = 1_000;

/// Where a model, or a share of it, is folded to.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// The collection of the documents.
    pub(crate) collection: Arc<str>,
    /// The collection of what the keys of rows carry; `None` for keyed models.
    pub(crate) carry: Option<Arc<str>>,
    pub(crate) generation: i64,
    /// Only keys of this bucket, of so many.
    pub(crate) bucket: usize,
    pub(crate) buckets: usize,
}

/// Folds batches into one generation of one model.
///
/// | phase | round trips |
/// |---|---|
/// | plan: which keys | none |
/// | load: states that the cache lacks | one per 1,000 of them |
/// | fold: events beyond each state's own position | none |
/// | deliver: each changed document once, each new row | one per 5,000 of them and lane, lanes side by side |
///
/// A keyed model's documents are written with every batch. What rows carry stays in memory, and is written
/// when the cache is full or [`flush`](Self::flush) asks for it: rows first, so that a carry is never ahead
/// of the rows that led to it.
pub(crate) struct Applier {
    context: Context,
    folder: Arc<dyn Folder>,
    target: Target,
    parking: Parking,
    cache: Cache,
    /// The number of the newest batch that was prepared.
    batch: u64,
}

/// A batch that is folded and not yet written.
#[derive(Debug)]
pub(crate) struct Batch {
    /// Its number; batches land in this order.
    pub(crate) number: u64,
    /// How many of the events given it took, from the first; at least one.
    pub(crate) events: usize,
    /// The last of them.
    pub(crate) position: Position,
    pub(crate) hash: Hash,
    pub(crate) recorded_at: Timestamp,
    /// Tombstones to be written, or found.
    pub(crate) dead: Vec<(String, Position)>,
    /// Keys that take no event from here on.
    pub(crate) parked: Vec<Parked>,
    documents: Vec<Outgoing>,
    carries: Vec<Outgoing>,
}

/// What a key's events made of it.
#[derive(Default)]
struct Folded {
    known: Option<Known>,
    document: Option<Outgoing>,
    rows: Vec<Outgoing>,
    parked: Option<(Position, String)>,
}

impl Applier {
    pub(crate) fn new(context: Context, folder: Arc<dyn Folder>, target: Target, parking: Parking) -> Self {
        let cache = Cache::new(&context.settings);
        Self { context, folder, target, parking, cache, batch: 0 }
    }

    pub(crate) const fn parking(&mut self) -> &mut Parking {
        &mut self.parking
    }

    /// Folds as many of these events as one batch may take; nothing is written yet. `only`: only this key.
    ///
    /// # Errors
    ///
    /// [`Stop::Halt`] when the very first event cannot be folded. One further on ends the batch before
    /// it, and is met again as the first of the next.
    pub(crate) async fn prepare(&mut self, events: &[ReadEvent], only: Option<&str>) -> Result<Batch, Stop> {
        let Self { folder, target, parking, .. } = self;
        let wanted = |key: &str| target.has(key) && only.is_none_or(|only| only == key);
        let mut plan = Plan::of(events, &**folder, &self.context, parking, wanted)?;
        self.load(&mut plan).await?;
        let folded = loop {
            match self.fold(events, &plan.touches) {
                Ok(folded) => break folded,
                Err((0, halt)) => return Err(halt.into()),
                Err((at, _)) => plan.cut_before(at),
            }
        };
        self.gather(events, plan, folded)
    }

    /// Writes a batch. When it returns, all of it is stored.
    pub(crate) async fn deliver(context: &Context, target: &Target, batch: &mut Batch) -> Result<(), Stop> {
        for parked in &batch.parked {
            tracing::warn!(
                projection = context.projection,
                key = parked.key,
                position = parked.position.get(),
                reason = parked.reason,
                "parked a key"
            );
            context.store("park a key", || context.store.park(parked)).await?;
        }
        deliver(context, &target.collection, std::mem::take(&mut batch.documents)).await?;
        match &target.carry {
            Some(carry) => deliver(context, carry, std::mem::take(&mut batch.carries)).await,
            None => Ok(()),
        }
    }

    /// Writes a batch beside whatever else is done. Batches may overtake each other; the guards see to it that
    /// nothing comes of that.
    pub(crate) fn send(&self, mut batch: Batch) -> JoinHandle<Result<Batch, Stop>> {
        let (context, target) = (self.context.clone(), self.target.clone());
        tokio::spawn(async move {
            Self::deliver(&context, &target, &mut batch).await?;
            Ok(batch)
        })
    }

    /// Takes note that everything up to this batch is stored.
    pub(crate) fn landed(&mut self, batch: u64) {
        self.cache.landed(batch);
    }

    /// Prepares a batch and writes it.
    pub(crate) async fn apply(&mut self, events: &[ReadEvent], only: Option<&str>) -> Result<Batch, Stop> {
        let mut batch = self.prepare(events, only).await?;
        Self::deliver(&self.context, &self.target, &mut batch).await?;
        self.landed(batch.number);
        Ok(batch)
    }

    /// Folds events whose rows are stored already, for what they make the keys carry.
    pub(crate) async fn warm_up(&mut self, events: &[ReadEvent]) -> Result<Batch, Stop> {
        let mut batch = self.prepare(events, None).await?;
        batch.documents.clear();
        batch.parked.clear();
        Self::deliver(&self.context, &self.target, &mut batch).await?;
        self.landed(batch.number);
        Ok(batch)
    }

    /// Writes everything that is carried and not stored. No batch may be on its way.
    pub(crate) async fn flush(&mut self) -> Result<(), Stop> {
        let Some(carry) = self.target.carry.clone() else { return Ok(()) };
        let mut carries = Vec::new();
        for (key, known) in self.cache.dirty() {
            carries.push(self.stored(key, known)?);
        }
        deliver(&self.context, &carry, carries).await?;
        self.cache.clean();
        Ok(())
    }

    /// What is stored under the plan's keys. Where the states are too many bytes to hold, the plan is cut.
    async fn load(&mut self, plan: &mut Plan) -> Result<(), Stop> {
        let mut lacking = Vec::new();
        for (at, touch) in plan.touches.iter_mut().enumerate() {
            match self.cache.get(&touch.key) {
                Some(known) => touch.found = Some(known.clone()),
                None => lacking.push(at),
            }
        }
        let states = self.target.states();
        let mut bytes = 0_usize;
        for chunk in lacking.chunks(FETCH_DOCUMENTS_MAX) {
            let first = chunk.first().copied().unwrap_or_default();
            if bytes > self.context.settings.batch_bytes_max && plan.cut_before_touch(first) {
                break;
            }
            let keys: Vec<&str> =
                chunk.iter().filter_map(|at| plan.touches.get(*at)).map(|touch| touch.key.as_str()).collect();
            let rows = self.context.store("read documents", || self.context.store.fetch(&states, &keys)).await?;
            let mut found = HashMap::with_capacity(rows.len());
            for row in rows {
                bytes = bytes.saturating_add(row.weight());
                let known = self.read(&row)?;
                found.insert(row.id, known);
            }
            for at in chunk {
                if let Some(touch) = plan.touches.get_mut(*at) {
                    touch.found = found.remove(&touch.key);
                }
            }
        }
        Ok(())
    }

    fn read(&self, row: &Row) -> Result<Known, Stop> {
        if row.generation > self.target.generation {
            return Err(Stop::Displaced);
        }
        let weight = row.weight();
        if row.generation < self.target.generation {
            // As good as none, but in the way.
            return Ok(Known { position: Position::START, state: None, weight, place: Place::Stray, dirty: false });
        }
        let decoded = row.state.as_deref().map(|state| self.folder.decode(state)).transpose();
        let state = decoded.map_err(|error| self.poisoned(row.position, Some(&row.id), &error))?;
        Ok(Known { position: row.position, state, weight, place: Place::Behind, dirty: false })
    }

    /// Folds each key's events beyond what its state holds. The error is the first event, in the order of
    /// the log, that cannot be folded, where the projection halts at such an event.
    fn fold(&self, events: &[ReadEvent], touches: &[Touch]) -> Result<Vec<Folded>, (usize, Halt)> {
        let mut folded = Vec::with_capacity(touches.len());
        let mut poison: Option<(usize, Halt)> = None;
        for touch in touches {
            match self.fold_touch(events, touch) {
                Ok(changed) => folded.push(changed),
                Err((at, error)) if poison.as_ref().is_none_or(|(first, _)| at < *first) => {
                    let position = events.get(at).map(|event| event.position).unwrap_or_default();
                    poison = Some((at, self.poisoned(position, Some(&touch.key), &error)));
                }
                Err(_) => {}
            }
        }
        poison.map_or(Ok(folded), Err)
    }

    fn fold_touch(&self, events: &[ReadEvent], touch: &Touch) -> Result<Folded, (usize, FoldError)> {
        let parks = self.folder.on_poison() == OnPoison::Park;
        let before = touch.found.clone().unwrap_or(Known::NOTHING);
        let (stored, mut position, mut state) = (before.position, before.position, before.state);
        let (mut folded, mut since, mut changed) = (Folded::default(), None, false);
        let mut weight = before.weight.max(Known::CARRY_BYTES);
        let mut origin: Option<Arc<str>> = None;
        for &at in &touch.events {
            let Some(event) = events.get(at).filter(|event| event.position > stored) else { continue };
            if !self.parking.lets(&touch.key, event.position) {
                continue;
            }
            since.get_or_insert((at, event.position));
            match fold_one(&*self.folder, state.as_ref(), &touch.key, event) {
                Ok((change, rows)) => {
                    if let Some(change) = change {
                        (state, position, changed) = (change, event.position, true);
                    }
                    if let Some(last) = rows.last() {
                        // What is carried is about as large as what is told of it.
                        weight = last.fields.as_bytes().len().max(Known::CARRY_BYTES);
                        let key = origin.get_or_insert_with(|| touch.key.as_str().into());
                        folded.rows.extend(rows.into_iter().map(|row| self.new_row(row, event.position, key)));
                    }
                }
                Err(error) if parks => {
                    folded.parked = Some((event.position, error.to_string()));
                    break;
                }
                Err(error) => return Err((at, error)),
            }
        }
        let (true, Some((first, since))) = (changed, since) else { return Ok(folded) };
        let carried = self.target.carry.is_some();
        let known = Known { position, state, weight: 0, place: Place::Behind, dirty: carried };
        if carried {
            let place = before.place;
            folded.known = Some(Known { weight, place, ..known });
            return Ok(folded);
        }
        match self.document(&touch.key, &known, before.place, since) {
            Ok(document) => {
                folded.known = Some(Known { weight: document.row.weight(), ..known });
                folded.document = Some(document);
                Ok(folded)
            }
            // A document that cannot be stored: which of its events made it so is not known.
            Err(error) if parks => Ok(Folded { parked: Some((since, error.to_string())), ..Folded::default() }),
            Err(error) => Err((first, error)),
        }
    }

    fn new_row(&self, row: NewRow, position: Position, key: &Arc<str>) -> Outgoing {
        let id = row_id(position, row.ordinal);
        let row = Row { id, generation: self.target.generation, position, state: Some(row.fields) };
        Outgoing { row, place: Place::Empty, key: Some(Arc::clone(key)), since: position }
    }

    fn document(&self, key: &str, known: &Known, place: Place, since: Position) -> Result<Outgoing, FoldError> {
        let state = known.state.as_ref().map(|state| self.folder.encode(state)).transpose()?;
        let row = Row { id: key.to_owned(), generation: self.target.generation, position: known.position, state };
        Ok(Outgoing { row, place, key: None, since })
    }

    /// A carry on its way to the store.
    fn stored(&self, key: &str, known: &Known) -> Result<Outgoing, Halt> {
        self.document(key, known, known.place, known.position)
            .map_err(|error| self.poisoned(known.position, Some(key), &error))
    }

    fn gather(&mut self, events: &[ReadEvent], plan: Plan, folded: Vec<Folded>) -> Result<Batch, Stop> {
        self.batch += 1;
        let last = plan.events.checked_sub(1).and_then(|last| events.get(last));
        let last = last.ok_or(Stop::Cancelled)?;
        let mut batch = Batch {
            number: self.batch,
            events: plan.events,
            position: last.position,
            hash: last.hash,
            recorded_at: last.recorded_at,
            dead: Vec::new(),
            parked: Vec::new(),
            documents: Vec::with_capacity(folded.len()),
            carries: Vec::new(),
        };
        for (Touch { key, found, .. }, Folded { known, document, rows, parked }) in plan.touches.into_iter().zip(folded)
        {
            if let Some((position, reason)) = parked {
                batch.parked.push(self.parking.park(&self.context, self.target.generation, &key, position, reason)?);
            }
            batch.documents.extend(document);
            batch.documents.extend(rows);
            // What was read is worth keeping, too.
            if let Some(known) = known.or(found.filter(|found| found.place == Place::Behind)) {
                if known.state.is_none() && self.folder.shape() == Shape::Keyed {
                    batch.dead.push((key.clone(), known.position));
                }
                self.cache.put(key, known);
            }
        }
        for (key, known) in self.cache.evict(batch.number) {
            batch.carries.push(self.stored(&key, &known)?);
        }
        Ok(batch)
    }

    fn poisoned(&self, position: Position, key: Option<&str>, error: &FoldError) -> Halt {
        poisoned(self.context.projection, position, key, error)
    }
}

impl Target {
    /// Whether the key is in the bucket.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.buckets <= 1 || crate::checkpoint::bucket_of(key, self.buckets) == self.bucket
    }

    /// The collection that holds the keys' states.
    fn states(&self) -> Arc<str> {
        Arc::clone(self.carry.as_ref().unwrap_or(&self.collection))
    }
}

impl Batch {
    /// Documents, rows and carries that it writes.
    pub(crate) fn writes(&self) -> usize {
        self.documents.len() + self.carries.len()
    }

    /// Documents or rows that it writes.
    pub(crate) fn rows(&self) -> usize {
        self.documents.len()
    }
}

pub(crate) fn poisoned(projection: &'static str, position: Position, key: Option<&str>, error: &FoldError) -> Halt {
    Halt::Fold { projection, position, key: key.map(str::to_owned), message: error.to_string() }
}
