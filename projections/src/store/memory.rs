//! Read models in memory: for tests of an application that have no server.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use postfold::Position;
use uuid::Uuid;

use super::{Collection, Drift, Guard, Mark, Member, Parked, Refused, Row, Store, StoreError, StoreErrorKind, Written};
use crate::checkpoint::{Bucket, Checkpoint};
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
    members: BTreeMap<String, Member>,
    /// By projection, key and generation.
    parked: BTreeMap<(String, String, i64), Parked>,
}

#[derive(Debug)]
struct Documents {
    uuid: String,
    rows: BTreeMap<String, Row>,
    indexes: Vec<Index>,
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
        self.declared(collection).iter().map(Index::name).collect()
    }

    fn declared(&self, collection: &str) -> Vec<Index> {
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

    fn swap(&self, old: &Checkpoint, put: impl FnOnce(&mut Checkpoint)) -> bool {
        let mut inner = self.lock();
        let found = inner.checkpoints.get_mut(&old.name);
        let same = found.filter(|found| (found.epoch, found.revision) == (old.epoch, old.revision));
        same.map(put).is_some()
    }

    /// Changes what is there. Only an insert makes a collection, as in MongoDB.
    fn change<T: Default>(&self, collection: &str, change: impl FnOnce(&mut BTreeMap<String, Row>) -> T) -> T {
        self.lock().collections.get_mut(collection).map(|documents| change(&mut documents.rows)).unwrap_or_default()
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

    async fn scan(
        &self,
        collection: &str,
        after: Option<&str>,
        through: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let end = through.map_or(Bound::Unbounded, Bound::Included);
        if after.zip(through).is_some_and(|(after, through)| after >= through) {
            return Ok(Vec::new());
        }
        Ok(self.read(collection, |rows| {
            rows.range::<str, _>((start, end)).take(limit).map(|(_, row)| row.clone()).collect()
        }))
    }

    async fn count(&self, collection: &str) -> Result<u64, StoreError> {
        Ok(self.read(collection, |rows| u64::try_from(rows.len()).unwrap_or(u64::MAX)))
    }

    async fn replace(&self, collection: &str, guard: Guard, rows: &[&Row]) -> Result<Written, StoreError> {
        Ok(self.change(collection, |stored| {
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
        let mut inner = self.lock();
        let stored = &mut inner.collections.entry(collection.to_owned()).or_insert_with(Documents::new).rows;
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
        Ok(written)
    }

    async fn bury(
        &self,
        collection: &str,
        ids: &[&str],
        generation: i64,
        through: Position,
    ) -> Result<u64, StoreError> {
        Ok(self.change(collection, |stored| {
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
        Ok(self.change(collection, |stored| {
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
            match documents.indexes.iter().find(|there| there.name() == index.name()) {
                None => documents.indexes.push(index.clone()),
                Some(there) if there == index => {}
                Some(_) => {
                    let message = format!("{collection} has an index {} with other options", index.name());
                    return Err(StoreError::new(StoreErrorKind::Refused(0), message));
                }
            }
        }
        Ok(())
    }

    async fn drift(&self, collection: &str, indexes: &[Index]) -> Result<Vec<Drift>, StoreError> {
        let there = self.declared(collection);
        let named = |list: &[Index], name: &str| list.iter().find(|index| index.name() == name).cloned();
        let lacking = indexes.iter().filter_map(|index| match named(&there, &index.name()) {
            None => Some(Drift::Missing(index.name())),
            Some(found) => (found != *index).then(|| Drift::Different(index.name())),
        });
        let extra = there.iter().map(Index::name).filter(|name| named(indexes, name).is_none()).map(Drift::Extra);
        Ok(lacking.chain(extra).collect())
    }

    async fn reindex(&self, collection: &str, indexes: &[Index]) -> Result<(), StoreError> {
        let mut inner = self.lock();
        inner.collections.entry(collection.to_owned()).or_insert_with(Documents::new).indexes = indexes.to_vec();
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

    async fn swap_header(&self, old: &Checkpoint, new: &Checkpoint) -> Result<bool, StoreError> {
        Ok(self.swap(old, |found| {
            let buckets = std::mem::take(&mut found.buckets);
            *found = Checkpoint { buckets, ..new.clone() };
        }))
    }

    async fn swap_checkpoint(&self, old: &Checkpoint, new: &Checkpoint) -> Result<bool, StoreError> {
        Ok(self.swap(old, |found| *found = new.clone()))
    }

    async fn swap_bucket(&self, of: &Checkpoint, index: usize, new: &Bucket) -> Result<bool, StoreError> {
        let mut inner = self.lock();
        let Some(found) = inner.checkpoints.get_mut(&of.name) else { return Ok(false) };
        let same =
            found.generation == of.generation && found.buckets.len() == of.buckets.len() && found.switching.is_none();
        let guard = |bucket: &Bucket| (bucket.epoch, bucket.revision);
        match (found.buckets.get_mut(index), of.buckets.get(index)) {
            (Some(found), Some(old)) if same && guard(found) == guard(old) => {
                *found = new.clone();
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    async fn members(&self) -> Result<Vec<Member>, StoreError> {
        Ok(self.lock().members.values().cloned().collect())
    }

    async fn beat(&self, member: &Member) -> Result<(), StoreError> {
        self.lock().members.insert(member.id.clone(), member.clone());
        Ok(())
    }

    async fn leave(&self, member: &str) -> Result<(), StoreError> {
        self.lock().members.remove(member);
        Ok(())
    }

    async fn parked(&self, projection: &str) -> Result<Vec<Parked>, StoreError> {
        Ok(self.lock().parked.values().filter(|parked| parked.projection == projection).cloned().collect())
    }

    async fn park(&self, parked: &Parked) -> Result<(), StoreError> {
        let place = (parked.projection.clone(), parked.key.clone(), parked.generation);
        self.lock().parked.insert(place, parked.clone());
        Ok(())
    }

    async fn unpark(&self, projection: &str, generation: i64, key: &str) -> Result<(), StoreError> {
        self.lock().parked.remove(&(projection.to_owned(), key.to_owned(), generation));
        Ok(())
    }
}
