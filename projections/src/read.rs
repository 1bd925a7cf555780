//! Reading models: typed, paged by key, and with what each answer reflects.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bson::raw::RawDocumentBuf;
use jiff::Timestamp;
use postfold::Position;
use serde::de::DeserializeOwned;

use crate::applied::{AppliedError, applied_through};
use crate::checkpoint::{Checkpoint, bucket_of};
use crate::projection::{OnPoison, Projection, RowProjection};
use crate::store::{Parked, Row, Store, StoreError};

/// Reads the documents of a [`Projection`] from any [`Store`], in any process. Cheap to clone.
///
/// Hidden are tombstones, what expired, and what a late writer of an earlier generation left. Readers go on
/// through a rebuild and its switch, and never see a document older than the one before.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// use std::time::Duration;
///
/// use postfold_projections::models::Preferences;
/// use postfold_projections::testing::EventLog;
/// use postfold_projections::{MemoryStore, Projector, Reader};
/// use tokio_util::sync::CancellationToken;
///
/// let (log, store) = (EventLog::new("shop"), MemoryStore::new());
/// let written = log.change("user/42", "preference.changed", r#"{"theme":"dark"}"#);
/// Projector::new(log, store.clone()).with(Preferences).catch_up(CancellationToken::new()).await?;
///
/// let preferences = Reader::<Preferences>::new(store);
/// preferences.applied_through(written.position, Duration::from_secs(5)).await?;
/// let found = preferences.get("user/42").await?.expect("it was just written");
/// assert_eq!((found.position, found.as_of), (written.position, written.position));
///
/// let page = preferences.page(None, 100).await?;
/// assert_eq!((page.found.len(), page.next), (1, None));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Reader<P: Projection>(Model<P::Document>);

/// Reads the rows of a [`RowProjection`], as [`Reader`] reads documents. Their keys are
/// [`row_id`](crate::row_id)s, so a page holds them in the order of the log.
pub struct RowReader<P: RowProjection>(Model<P::Row>);

/// A document or a row, and what it reflects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found<D> {
    /// Its key.
    pub key: String,
    /// The projection's own fields.
    pub document: D,
    /// The event that changed it last; the event that added it, for a row.
    pub position: Position,
    /// Every event up to here is in it, at least; that of the [`Page`], for a row.
    pub as_of: Position,
}

/// Documents or rows by key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<D> {
    /// As many as were asked for, or all that there are behind the key.
    pub found: Vec<Found<D>>,
    /// Every event up to here is in the model. Of rows, those behind this position are not complete yet: one
    /// may still come between two that are there.
    pub as_of: Position,
    /// The key to ask for the next page with; absent at the end.
    pub next: Option<String>,
}

/// Why a model could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The store did not answer, or not as it should.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A document does not have the shape that this program's projection gives it.
    #[error(
        "the document {key:?} of {projection} cannot be read by version {wanted} of the projection (version {built} built the model): {message}"
    )]
    Document {
        /// The projection.
        projection: &'static str,
        /// The document.
        key: String,
        /// The version of this program.
        wanted: u32,
        /// The version that built the model.
        built: u32,
        /// What is wrong with it.
        message: String,
    },
}

impl<P: Projection> Reader<P> {
    /// Reads from this store.
    pub fn new(store: impl Store) -> Self {
        Self(Model {
            store: Arc::new(store),
            name: P::NAME,
            version: P::VERSION,
            parks: P::ON_POISON == OnPoison::Park,
            keyed: true,
            expires_at: P::expires_at,
            now: None,
        })
    }

    /// What had expired at this time is hidden, and what had not is shown, if it is still there. Default: the
    /// time of each read.
    pub fn at(mut self, time: Timestamp) -> Self {
        self.0.now = Some(time);
        self
    }

    /// The document of this key; `None` where there is none, or none any more.
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    pub async fn get(&self, key: &str) -> Result<Option<Found<P::Document>>, ReadError> {
        self.0.get(key).await
    }

    /// Returns as soon as the model has everything up to this position, or the time is up: as
    /// [`Projector::applied_through`](crate::Projector::applied_through), which need not be in this process.
    ///
    /// # Errors
    ///
    /// [`AppliedError`].
    pub async fn applied_through(&self, position: Position, timeout: Duration) -> Result<(), AppliedError> {
        applied_through(&*self.0.store, self.0.name, position, timeout).await
    }

    /// At most `limit` documents with keys behind `after`, by key. A limit of 0 is taken for 1.
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    pub async fn page(&self, after: Option<&str>, limit: usize) -> Result<Page<P::Document>, ReadError> {
        self.0.page(after, limit).await
    }
}

impl<P: RowProjection> RowReader<P> {
    /// Reads from this store.
    pub fn new(store: impl Store) -> Self {
        Self(Model {
            store: Arc::new(store),
            name: P::NAME,
            version: P::VERSION,
            parks: P::ON_POISON == OnPoison::Park,
            keyed: false,
            expires_at: P::expires_at,
            now: None,
        })
    }

    /// As [`Reader::at`].
    pub fn at(mut self, time: Timestamp) -> Self {
        self.0.now = Some(time);
        self
    }

    /// The row of this [id](crate::row_id); `None` where there is none.
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    pub async fn get(&self, id: &str) -> Result<Option<Found<P::Row>>, ReadError> {
        self.0.get(id).await
    }

    /// As [`Reader::applied_through`].
    ///
    /// # Errors
    ///
    /// [`AppliedError`].
    pub async fn applied_through(&self, position: Position, timeout: Duration) -> Result<(), AppliedError> {
        applied_through(&*self.0.store, self.0.name, position, timeout).await
    }

    /// At most `limit` rows with ids behind `after`, in the order of the log. A limit of 0 is taken for 1.
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    pub async fn page(&self, after: Option<&str>, limit: usize) -> Result<Page<P::Row>, ReadError> {
        self.0.page(after, limit).await
    }
}

impl<P: Projection> Clone for Reader<P> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<P: RowProjection> Clone for RowReader<P> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// How often an answer is asked for that may have met a switch of generations, and with what pause. A compatible server
/// answers nothing, or not all, to queries that meet the rename itself (seen in 3 of 100 renames under constant
/// reading, for up to 67 ms). A switch takes some tens of milliseconds; one whose rebuilder died is waited for no
/// longer than this.
const READS_MAX: usize = 25;
const READ_PAUSE: Duration = Duration::from_millis(20);

struct Model<D> {
    store: Arc<dyn Store>,
    name: &'static str,
    version: u32,
    parks: bool,
    keyed: bool,
    expires_at: fn(&D) -> Option<Timestamp>,
    now: Option<Timestamp>,
}

impl<D> Clone for Model<D> {
    fn clone(&self) -> Self {
        Self { store: Arc::clone(&self.store), ..*self }
    }
}

/// How far the model was right before its documents were read.
struct View {
    checkpoint: Checkpoint,
    parked: Vec<Parked>,
}

impl<D: DeserializeOwned> Model<D> {
    async fn get(&self, key: &str) -> Result<Option<Found<D>>, ReadError> {
        let ids = [key];
        let Some((view, rows)) = self.read(1, || self.store.fetch(self.name, &ids)).await? else { return Ok(None) };
        let found = rows.into_iter().find_map(|row| self.found(&view, row).transpose());
        found.transpose()
    }

    async fn page(&self, after: Option<&str>, limit: usize) -> Result<Page<D>, ReadError> {
        let limit = limit.max(1);
        let mut page = Page { found: Vec::new(), as_of: Position::new(i64::MAX), next: after.map(str::to_owned) };
        // What is hidden makes room for what comes behind it.
        loop {
            let (after, wanted) = (page.next.as_deref(), limit - page.found.len());
            let scan = || self.store.scan(self.name, after, None, wanted);
            let Some((view, rows)) = self.read(wanted, scan).await? else {
                return Ok(Page { as_of: Position::START, next: None, ..page });
            };
            page.next = if rows.len() < wanted { None } else { rows.last().map(|row| row.id.clone()) };
            page.as_of = page.as_of.min(view.position());
            for row in rows {
                page.found.extend(self.found(&view, row)?);
            }
            if page.next.is_none() || page.found.len() == limit {
                return Ok(page);
            }
        }
    }

    /// The rows, and how far the model was before they were read; `None` where there is no model yet.
    async fn read<F>(&self, full: usize, ask: impl Fn() -> F) -> Result<Option<(View, Vec<Row>)>, StoreError>
    where
        F: Future<Output = Result<Vec<Row>, StoreError>>,
    {
        let mut reads = 1;
        loop {
            let Some(view) = self.view().await? else { return Ok(None) };
            let rows = ask().await?;
            let newer = rows.iter().any(|row| row.generation > view.generation());
            // A single document that is there is the answer, whatever happened meanwhile.
            let whole = full == 1 && rows.len() == full;
            if reads < READS_MAX && (newer || (!whole && self.may_have_met_a_switch(&view).await?)) {
                reads += 1;
                tokio::time::sleep(READ_PAUSE).await;
                continue;
            }
            return Ok(Some((view, rows)));
        }
    }

    /// In this order: whoever moves a checkpoint past an event has parked its key before.
    async fn view(&self) -> Result<Option<View>, StoreError> {
        let Some(checkpoint) = self.store.checkpoint(self.name).await? else { return Ok(None) };
        let mut parked = if self.parks { self.store.parked(self.name).await? } else { Vec::new() };
        parked.retain(|parked| parked.generation == checkpoint.generation);
        Ok(Some(View { checkpoint, parked }))
    }

    async fn may_have_met_a_switch(&self, view: &View) -> Result<bool, StoreError> {
        let now = self.store.checkpoint(self.name).await?;
        Ok(now.is_some_and(|now| now.switching.is_some() || now.generation != view.checkpoint.generation))
    }

    fn found(&self, view: &View, row: Row) -> Result<Option<Found<D>>, ReadError> {
        let Row { id: key, generation, position, state } = row;
        let (true, Some(state)) = (view.shows(generation), state) else { return Ok(None) };
        let document = self.document(view, &key, &state)?;
        let now = self.now.unwrap_or_else(Timestamp::now);
        if (self.expires_at)(&document).is_some_and(|expires_at| expires_at <= now) {
            return Ok(None);
        }
        let as_of = if self.keyed { view.position_of(&key, generation) } else { view.position() };
        Ok(Some(Found { key, document, position, as_of }))
    }

    fn document(&self, view: &View, key: &str, state: &RawDocumentBuf) -> Result<D, ReadError> {
        bson::deserialize_from_slice(state.as_bytes()).map_err(|error| ReadError::Document {
            projection: self.name,
            key: key.to_owned(),
            wanted: self.version,
            built: view.checkpoint.version,
            message: error.to_string(),
        })
    }
}

impl View {
    /// The newest generation that its checkpoint knows of.
    fn generation(&self) -> i64 {
        let switching = self.checkpoint.switching.as_ref().map(|mark| mark.to.generation);
        switching.map_or(self.checkpoint.generation, |to| to.max(self.checkpoint.generation))
    }

    /// While a switch is under way the collection is of either generation.
    fn shows(&self, generation: i64) -> bool {
        let to = self.checkpoint.switching.as_ref().map(|mark| mark.to.generation);
        generation == self.checkpoint.generation || Some(generation) == to
    }

    /// How far all of the model is.
    fn position(&self) -> Position {
        let held = self.parked.iter().map(before).min();
        let switching = self.checkpoint.switching.as_ref().map(|mark| mark.position);
        [held, switching].into_iter().flatten().fold(self.checkpoint.position(), Position::min)
    }

    /// How far the document of this key is.
    fn position_of(&self, key: &str, generation: i64) -> Position {
        if generation != self.checkpoint.generation {
            return self.checkpoint.switching.as_ref().map_or(Position::START, |mark| mark.position);
        }
        let buckets = &self.checkpoint.buckets;
        let bucket = buckets.get(bucket_of(key, buckets.len())).map_or(Position::START, |bucket| bucket.position);
        self.parked.iter().find(|parked| parked.key == key).map_or(bucket, |parked| before(parked).min(bucket))
    }
}

/// A parked key's document holds everything before the event that it waits with.
fn before(parked: &Parked) -> Position {
    Position::new(parked.position.get().saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_as_far_as_the_bucket_that_its_key_is_dealt_to() {
        let mut checkpoint = Checkpoint::new("things", "shop", 1, 2, 3, Timestamp::UNIX_EPOCH);
        for (number, bucket) in (0_i64..).zip(&mut checkpoint.buckets) {
            bucket.position = Position::new(10 * number);
        }
        let view = View { checkpoint, parked: Vec::new() };
        for key in ["a", "b", "c", "user/42", "assets:cash|EUR"] {
            let expected = 10 * i64::try_from(bucket_of(key, 3)).unwrap();
            assert_eq!(view.position_of(key, 2).get(), expected, "{key}");
        }
    }
}
