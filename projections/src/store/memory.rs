//! Read models in memory: for tests of an application that have no server.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use postfold::Position;
use uuid::Uuid;

use super::{Collection, Guard, Mark, Refused, Row, Store, StoreError, StoreErrorKind, Written};
use crate::checkpoint::Checkpoint;
use crate::projection::Index;

/// A [`Store`] in memory. Clones share what they hold.
///
/// It keeps every promise of the real one, except that an [`Index`] is only noted: unique ones are
/// not enforced, and there is nothing to search with.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    collections: HashMap<String, Documents>,
    checkpoints: BTreeMap<String, Checkpoint>,
}

#[derive(Debug)]
struct Documents {
    uuid: String,
    rows: BTreeMap<String, Row>,
    indexes: Vec<String>,
}

impl Documents {
    fn new() -> Self {
        Self { uuid: Uuid::now_v7().simple().to_string(), rows: BTreeMap::new(), indexes: Vec::new() }
    }
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// The names of a collection's indexes; none where it is not there.
    pub fn indexes(&self, collection: &str) -> Vec<String> {
        self.lock().collections.get(collection).map(|documents| documents.indexes.clone()).unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic of another thread cannot leave a row half written: each is replaced as a whole.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read<T>(&self, collection: &str, read: impl FnOnce(&BTreeMap<String, Row>) -> T) -> T {
        match self.lock().collections.get(collection) {
            Some(documents) => read(&documents.rows),
            None => read(&BTreeMap::new()),
        }
    }

    fn write<T>(&self, collection: &str, write: impl FnOnce(&mut BTreeMap<String, Row>) -> T) -> T {
        let mut inner = self.lock();
        write(&mut inner.collections.entry(collection.to_owned()).or_insert_with(Documents::new).rows)
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn ping(&self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn probe(&self, _projection: &str) -> Result<(), StoreError> {
        Ok(())
    }

    async fn fetch(&self, collection: &str, ids: &[&str]) -> Result<Vec<Row>, StoreError> {
        Ok(self.read(collection, |rows| ids.iter().filter_map(|id| rows.get(*id)).cloned().collect()))
    }

    async fn marks(&self, collection: &str, ids: &[&str]) -> Result<Vec<Mark>, StoreError> {
        let mark = |row: &Row| Mark { id: row.id.clone(), generation: row.generation, position: row.position };
        Ok(self.read(collection, |rows| ids.iter().filter_map(|id| rows.get(*id)).map(mark).collect()))
    }

    async fn scan(&self, collection: &str, after: Option<&str>, limit: usize) -> Result<Vec<Row>, StoreError> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        Ok(self.read(collection, |rows| {
            rows.range::<str, _>((start, Bound::Unbounded)).take(limit).map(|(_, row)| row.clone()).collect()
        }))
    }

    async fn count(&self, collection: &str) -> Result<u64, StoreError> {
        Ok(self.read(collection, |rows| u64::try_from(rows.len()).unwrap_or(u64::MAX)))
    }

    async fn replace(&self, collection: &str, guard: Guard, rows: &[&Row]) -> Result<Written, StoreError> {
        Ok(self.write(collection, |stored| {
            let mut written = Written::default();
            for &row in rows {
                let Some(found) = stored.get_mut(&row.id) else { continue };
                let open = match guard {
                    Guard::Behind => found.generation == row.generation && found.position < row.position,
                    Guard::OlderGeneration => found.generation < row.generation,
                };
                if open {
                    *found = row.clone();
                    written.done += 1;
                }
            }
            written
        }))
    }

    async fn insert(&self, collection: &str, rows: &[&Row]) -> Result<Written, StoreError> {
        Ok(self.write(collection, |stored| {
            let mut written = Written::default();
            for (index, &row) in rows.iter().enumerate() {
                if stored.contains_key(&row.id) {
                    let error =
                        StoreError::new(StoreErrorKind::Duplicate, format!("there is a document {:?} already", row.id));
                    written.refused.push(Refused { index, error });
                } else {
                    stored.insert(row.id.clone(), row.clone());
                    written.done += 1;
                }
            }
            written
        }))
    }

    async fn bury(
        &self,
        collection: &str,
        ids: &[&str],
        generation: i64,
        through: Position,
    ) -> Result<u64, StoreError> {
        Ok(self.write(collection, |stored| {
            let mut buried = 0;
            for id in ids {
                let dead = |row: &Row| row.state.is_none() && row.generation == generation && row.position <= through;
                if stored.get(*id).is_some_and(dead) {
                    stored.remove(*id);
                    buried += 1;
                }
            }
            buried
        }))
    }

    async fn sweep(&self, collection: &str, generation: i64, through: Position) -> Result<u64, StoreError> {
        Ok(self.write(collection, |stored| {
            let before = stored.len();
            stored.retain(|_, row| row.generation >= generation && (row.state.is_some() || row.position > through));
            u64::try_from(before - stored.len()).unwrap_or(u64::MAX)
        }))
    }

    async fn collections(&self) -> Result<Vec<Collection>, StoreError> {
        let inner = self.lock();
        let all = inner
            .collections
            .iter()
            .map(|(name, documents)| Collection { name: name.clone(), uuid: documents.uuid.clone() });
        Ok(all.collect())
    }

    async fn create(&self, collection: &str, indexes: &[Index]) -> Result<(), StoreError> {
        let mut inner = self.lock();
        let documents = inner.collections.entry(collection.to_owned()).or_insert_with(Documents::new);
        for index in indexes {
            let name = index.name();
            if !documents.indexes.contains(&name) {
                documents.indexes.push(name);
            }
        }
        Ok(())
    }

    async fn rename(&self, from: &str, to: &str) -> Result<(), StoreError> {
        let mut inner = self.lock();
        let missing = || StoreError::new(StoreErrorKind::NotFound, format!("there is no collection {from}"));
        let documents = inner.collections.remove(from).ok_or_else(missing)?;
        inner.collections.insert(to.to_owned(), documents);
        Ok(())
    }

    async fn drop_collection(&self, collection: &str) -> Result<(), StoreError> {
        self.lock().collections.remove(collection);
        Ok(())
    }

    async fn checkpoints(&self) -> Result<Vec<Checkpoint>, StoreError> {
        Ok(self.lock().checkpoints.values().cloned().collect())
    }

    async fn checkpoint(&self, projection: &str) -> Result<Option<Checkpoint>, StoreError> {
        Ok(self.lock().checkpoints.get(projection).cloned())
    }

    async fn create_checkpoint(&self, checkpoint: &Checkpoint) -> Result<bool, StoreError> {
        let mut inner = self.lock();
        let free = !inner.checkpoints.contains_key(&checkpoint.name);
        if free {
            inner.checkpoints.insert(checkpoint.name.clone(), checkpoint.clone());
        }
        Ok(free)
    }

    async fn swap_checkpoint(&self, old: &Checkpoint, new: &Checkpoint) -> Result<bool, StoreError> {
        let mut inner = self.lock();
        let Some(found) = inner.checkpoints.get_mut(&old.name) else { return Ok(false) };
        let same = found.epoch == old.epoch && found.revision == old.revision;
        if same {
            *found = new.clone();
        }
        Ok(same)
    }
}
