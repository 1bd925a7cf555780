//! The store of the read models as a process reaches it: through everything that can go wrong on the way.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt;
use postfold::Position;
use postfold::simulation::Delivery;
use postfold_projections::{
    Bucket, Checkpoint, Collection, Drift, Guard, Index, Mark, Member, MemoryStore, Parked, Row, Store, StoreError,
    StoreErrorKind, Written,
};
use tokio::time::Instant;

use super::oracle::Oracle;
use crate::bug::Bug;
use crate::world::{Broken, Fault, Process};

/// A server that renames answers nothing to questions that meet it, for so long.
const RENAME: Duration = Duration::from_millis(20);

/// What all processes share.
#[derive(Clone)]
pub(super) struct Server {
    pub(super) store: MemoryStore,
    pub(super) oracle: Oracle,
    /// Until when a rename of the collection goes on.
    pub(super) renames: Arc<Mutex<HashMap<String, Instant>>>,
}

/// The store as one process reaches it.
pub(super) struct Remote {
    server: Server,
    process: Process,
    /// Of a process that acknowledges documents before they are written.
    owed: Mutex<Vec<Write>>,
}

/// A write to be done later.
type Write = Arc<dyn Fn() + Send + Sync>;

impl Remote {
    pub(super) const fn new(server: Server, process: Process) -> Self {
        Self { server, process, owed: Mutex::new(Vec::new()) }
    }

    async fn read<T: Send>(
        &self,
        step: &'static str,
        find: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        self.process.ask(step).await.map_err(broken)?;
        let found = find.await;
        self.process.answer(step).await.map_err(broken)?;
        found
    }

    /// A question about documents, which may meet a rename.
    async fn find<T: Default + Send>(
        &self,
        step: &'static str,
        collection: &str,
        find: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        self.process.ask(step).await.map_err(broken)?;
        let renames = self.server.renames.lock().unwrap_or_else(PoisonError::into_inner).get(collection).copied();
        let met = renames.is_some_and(|until| Instant::now() < until);
        let found = match met.then(|| self.process.strike(step, &[Fault::EmptyRead])).flatten() {
            Some(_) => Ok(T::default()),
            None => find.await,
        };
        self.process.answer(step).await.map_err(broken)?;
        found
    }

    async fn write<T: Send + 'static>(
        &self,
        step: &'static str,
        write: impl Fn(&Server) -> Result<T, StoreError> + Send + Sync + 'static,
    ) -> Result<T, StoreError> {
        self.deliver(step, false, write).await
    }

    async fn deliver<T: Send + 'static>(
        &self,
        step: &'static str,
        once: bool,
        write: impl Fn(&Server) -> Result<T, StoreError> + Send + Sync + 'static,
    ) -> Result<T, StoreError> {
        let answer = Arc::new(Mutex::new(None));
        let (server, slot) = (self.server.clone(), Arc::clone(&answer));
        let change = move || {
            let done = write(&server);
            slot.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(done);
        };
        let change = Arc::new(change);
        let sent =
            if once { self.process.send_once(step, change).await } else { self.process.send(step, change).await };
        match sent {
            Delivery::Answered => {
                let answer = answer.lock().unwrap_or_else(PoisonError::into_inner).take();
                answer.unwrap_or_else(|| Err(broken(Broken)))
            }
            Delivery::Broken | Delivery::Unreachable => Err(broken(Broken)),
            Delivery::Refused(code) => Err(StoreError::new(StoreErrorKind::Server(1), code)),
        }
    }

    /// Documents, each on its own: some of them may be written and the others not.
    async fn write_rows(
        &self,
        step: &'static str,
        collection: &str,
        rows: &[&Row],
        write: impl Fn(&Server, &[&Row]) -> Result<Written, StoreError> + Send + Sync + 'static,
    ) -> Result<Written, StoreError> {
        let mut rows: Vec<Row> = rows.iter().map(|row| (*row).clone()).collect();
        let torn = rows.len() > 1 && self.process.strike(step, &[Fault::Torn]).is_some();
        if torn {
            rows.retain(|_| self.process.world().percent(50));
        }
        let count = rows.len();
        let write = move |server: &Server| write(server, &rows.iter().collect::<Vec<_>>());
        let live = !collection.contains("__g");
        if live && self.process.world().has(Bug::CheckpointBeforeDocuments) {
            let server = self.server.clone();
            let later = move || drop(write(&server));
            self.owed.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::new(later));
            return Ok(Written { done: count, refused: Vec::new() });
        }
        let written = self.write(step, write).await;
        if torn { Err(broken(Broken)) } else { written }
    }

    /// Writes what was only said to be written.
    async fn pay(&self) {
        let owed = std::mem::take(&mut *self.owed.lock().unwrap_or_else(PoisonError::into_inner));
        for write in owed {
            self.process.send("write at last", write).await;
        }
    }
}

fn broken(_: Broken) -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, "the connection broke")
}

/// The answer of a store in memory, which never waits.
fn at_once<T>(answer: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    answer.now_or_never().unwrap_or_else(|| Err(broken(Broken)))
}

#[async_trait]
impl Store for Remote {
    async fn ping(&self) -> Result<(), StoreError> {
        self.read("ping", self.server.store.ping()).await
    }

    async fn probe(&self, projection: &str) -> Result<(), StoreError> {
        self.read("probe", self.server.store.probe(projection)).await
    }

    async fn fetch(&self, collection: &str, ids: &[&str]) -> Result<Vec<Row>, StoreError> {
        self.find("fetch documents", collection, self.server.store.fetch(collection, ids)).await
    }

    async fn marks(&self, collection: &str, ids: &[&str]) -> Result<Vec<Mark>, StoreError> {
        self.find("fetch marks", collection, self.server.store.marks(collection, ids)).await
    }

    async fn scan(
        &self,
        collection: &str,
        after: Option<&str>,
        through: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        self.find("scan documents", collection, self.server.store.scan(collection, after, through, limit)).await
    }

    async fn count(&self, collection: &str) -> Result<u64, StoreError> {
        self.read("count documents", self.server.store.count(collection)).await
    }

    async fn replace(&self, collection: &str, guard: Guard, rows: &[&Row]) -> Result<Written, StoreError> {
        let name = collection.to_owned();
        let replace = move |server: &Server, rows: &[&Row]| at_once(server.store.replace(&name, guard, rows));
        self.write_rows("replace documents", collection, rows, replace).await
    }

    async fn insert(&self, collection: &str, rows: &[&Row]) -> Result<Written, StoreError> {
        let name = collection.to_owned();
        let insert = move |server: &Server, rows: &[&Row]| at_once(server.store.insert(&name, rows));
        self.write_rows("insert documents", collection, rows, insert).await
    }

    async fn bury(
        &self,
        collection: &str,
        ids: &[&str],
        generation: i64,
        through: Position,
    ) -> Result<u64, StoreError> {
        let (collection, ids) = (collection.to_owned(), ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>());
        let bury = move |server: &Server| {
            let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
            at_once(server.store.bury(&collection, &ids, generation, through))
        };
        self.write("bury tombstones", bury).await
    }

    async fn sweep(&self, collection: &str, generation: i64, through: Position) -> Result<u64, StoreError> {
        let collection = collection.to_owned();
        self.write("sweep", move |server| at_once(server.store.sweep(&collection, generation, through))).await
    }

    async fn collections(&self) -> Result<Vec<Collection>, StoreError> {
        self.read("list collections", self.server.store.collections()).await
    }

    async fn create(&self, collection: &str, indexes: &[Index]) -> Result<(), StoreError> {
        let (collection, indexes) = (collection.to_owned(), indexes.to_vec());
        self.write("create collection", move |server| at_once(server.store.create(&collection, &indexes))).await
    }

    async fn drift(&self, collection: &str, indexes: &[Index]) -> Result<Vec<Drift>, StoreError> {
        self.read("list indexes", self.server.store.drift(collection, indexes)).await
    }

    async fn reindex(&self, collection: &str, indexes: &[Index]) -> Result<(), StoreError> {
        let (collection, indexes) = (collection.to_owned(), indexes.to_vec());
        self.write("reindex", move |server| at_once(server.store.reindex(&collection, &indexes))).await
    }

    async fn rename(&self, from: &str, to: &str) -> Result<(), StoreError> {
        let (from, to) = (from.to_owned(), to.to_owned());
        self.server.renames.lock().unwrap_or_else(PoisonError::into_inner).insert(to.clone(), Instant::now() + RENAME);
        let rename = move |server: &Server| {
            let before = at_once(server.store.scan(&to, None, None, usize::MAX))?;
            at_once(server.store.rename(&from, &to))?;
            server.oracle.renamed(&to, &before);
            Ok(())
        };
        self.deliver("rename collection", true, rename).await
    }

    async fn drop_collection(&self, collection: &str) -> Result<(), StoreError> {
        let collection = collection.to_owned();
        let drop = move |server: &Server| at_once(server.store.drop_collection(&collection));
        self.deliver("drop collection", true, drop).await
    }

    async fn checkpoints(&self) -> Result<Vec<Checkpoint>, StoreError> {
        self.read("read checkpoints", self.server.store.checkpoints()).await
    }

    async fn checkpoint(&self, projection: &str) -> Result<Option<Checkpoint>, StoreError> {
        self.read("read checkpoint", self.server.store.checkpoint(projection)).await
    }

    async fn create_checkpoint(&self, checkpoint: &Checkpoint) -> Result<bool, StoreError> {
        let checkpoint = checkpoint.clone();
        let create = move |server: &Server| at_once(server.store.create_checkpoint(&checkpoint));
        self.write("create checkpoint", create).await
    }

    async fn swap_header(&self, old: &Checkpoint, new: &Checkpoint) -> Result<bool, StoreError> {
        if let Some(mark) = new.switching.as_ref().filter(|_| old.switching.is_none())
            && self.process.world().has(Bug::RenameBeforeIntent)
        {
            // Where it fails, it is tried again after the mark, as it should be.
            let _ = self.rename(&mark.to.collection(&new.name), &new.name).await;
        }
        let (old, new) = (old.clone(), new.clone());
        self.write("swap header", move |server| at_once(server.store.swap_header(&old, &new))).await
    }

    async fn swap_checkpoint(&self, old: &Checkpoint, new: &Checkpoint) -> Result<bool, StoreError> {
        let (old, new) = (old.clone(), new.clone());
        self.write("swap checkpoint", move |server| at_once(server.store.swap_checkpoint(&old, &new))).await
    }

    async fn swap_bucket(&self, of: &Checkpoint, index: usize, new: &Bucket) -> Result<bool, StoreError> {
        let (of, new) = (of.clone(), new.clone());
        let stale = self.process.world().has(Bug::StaleLeaseAccepted);
        let swap = move |server: &Server| {
            let found = if stale { at_once(server.store.checkpoint(&of.name))? } else { None };
            let swapped = at_once(server.store.swap_bucket(found.as_ref().unwrap_or(&of), index, &new))?;
            if swapped {
                server.oracle.bucket_moved(&of.name, index);
            }
            Ok(swapped)
        };
        let swapped = self.write("swap bucket", swap).await;
        self.pay().await;
        swapped
    }

    async fn members(&self) -> Result<Vec<Member>, StoreError> {
        self.read("read members", self.server.store.members()).await
    }

    async fn beat(&self, member: &Member) -> Result<(), StoreError> {
        let member = member.clone();
        self.write("beat", move |server| at_once(server.store.beat(&member))).await
    }

    async fn leave(&self, member: &str) -> Result<(), StoreError> {
        let member = member.to_owned();
        self.write("leave", move |server| at_once(server.store.leave(&member))).await
    }

    async fn parked(&self, projection: &str) -> Result<Vec<Parked>, StoreError> {
        self.read("read parked", self.server.store.parked(projection)).await
    }

    async fn park(&self, parked: &Parked) -> Result<(), StoreError> {
        let parked = parked.clone();
        self.write("park", move |server| at_once(server.store.park(&parked))).await
    }

    async fn unpark(&self, projection: &str, generation: i64, key: &str) -> Result<(), StoreError> {
        let (projection, key) = (projection.to_owned(), key.to_owned());
        self.write("unpark", move |server| at_once(server.store.unpark(&projection, generation, &key))).await
    }
}
