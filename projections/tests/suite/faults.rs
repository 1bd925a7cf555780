//! A store that dies, or is held up, at a chosen write.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures::future::BoxFuture;
use postfold::Position;
use postfold_projections::{
    Bucket, Checkpoint, Collection, Drift, Guard, Index, Mark, Member, MemoryStore, Parked, Row, Store, StoreError,
    StoreErrorKind, Written,
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// What happens at the chosen write.
pub(crate) enum Fault {
    /// The process dies before the write reaches the server.
    DiesBefore,
    /// The write is done, and the process dies before it hears of it.
    DiesAfter,
    /// The process is suspended while this happens; then the write goes out, late.
    Suspended(BoxFuture<'static, ()>),
    /// The process is told to stop, and hears that the server is away.
    Stops(CancellationToken),
    /// The server answers so, this many times.
    Answers(StoreErrorKind, usize),
}

/// One process's way to the store: its writes are counted, and at one of them the fault strikes.
#[derive(Clone)]
pub(crate) struct Faulty<S = MemoryStore> {
    inner: S,
    at: usize,
    only: Option<&'static str>,
    fault: Arc<Mutex<Option<Fault>>>,
    writes: Arc<AtomicUsize>,
    dead: Arc<AtomicBool>,
    suspended: Arc<watch::Sender<bool>>,
    /// The renames that were asked for, in order: from, to.
    pub(crate) renames: Arc<Mutex<Vec<(String, String)>>>,
    /// Cancelled when the process dies: nothing of it runs on.
    pub(crate) life: CancellationToken,
}

impl<S: Store + Clone> Faulty<S> {
    /// The fault strikes at the write of this number, from 0.
    pub(crate) fn at(inner: &S, at: usize, fault: Fault) -> Self {
        Self {
            inner: inner.clone(),
            at,
            only: None,
            fault: Arc::new(Mutex::new(Some(fault))),
            writes: Arc::default(),
            dead: Arc::default(),
            suspended: Arc::new(watch::Sender::new(false)),
            renames: Arc::default(),
            life: CancellationToken::new(),
        }
    }

    /// Counts only writes of this kind.
    pub(crate) fn only(mut self, kind: &'static str) -> Self {
        self.only = Some(kind);
        self
    }

    /// Whether the fault has struck: otherwise the work took fewer writes.
    pub(crate) fn struck(&self) -> bool {
        self.fault.lock().unwrap().is_none()
    }
}

impl<S> Faulty<S> {
    fn die<T>(&self) -> Result<T, StoreError> {
        self.dead.store(true, Ordering::SeqCst);
        self.life.cancel();
        self.alive()?;
        unreachable!("a dead process gets no answer")
    }

    fn alive(&self) -> Result<(), StoreError> {
        if self.dead.load(Ordering::SeqCst) {
            return Err(StoreError::new(StoreErrorKind::Unavailable, "the process is dead"));
        }
        Ok(())
    }

    async fn write<T>(
        &self,
        kind: &'static str,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        self.awake().await;
        self.alive()?;
        let counts = self.only.is_none_or(|only| only == kind);
        if !counts || self.writes.fetch_add(1, Ordering::SeqCst) < self.at {
            return work.await;
        }
        let fault = self.fault.lock().unwrap().take();
        match fault {
            None => work.await,
            Some(Fault::DiesBefore) => self.die(),
            Some(Fault::DiesAfter) => {
                work.await?;
                self.die()
            }
            Some(Fault::Suspended(meanwhile)) => {
                self.suspend(meanwhile).await;
                work.await
            }
            Some(Fault::Stops(stop)) => {
                stop.cancel();
                Err(StoreError::new(StoreErrorKind::Unavailable, "the server is away"))
            }
            Some(Fault::Answers(kind, times)) => {
                *self.fault.lock().unwrap() = (times > 1).then_some(Fault::Answers(kind, times - 1));
                Err(StoreError::new(kind, "no"))
            }
        }
    }

    /// Holds the whole process up while this happens: it does not say that it lives, either.
    pub(crate) async fn suspend(&self, meanwhile: BoxFuture<'static, ()>) {
        self.suspended.send_replace(true);
        meanwhile.await;
        self.suspended.send_replace(false);
    }

    async fn read<T>(&self, work: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        self.awake().await;
        self.alive()?;
        work.await
    }

    /// Nothing of a suspended process runs on.
    async fn awake(&self) {
        let mut suspended = self.suspended.subscribe();
        suspended.wait_for(|suspended| !suspended).await.expect("the sender is ours");
    }
}

/// Two writers whose statements come in different orders could block each other for ever.
fn assert_in_order(rows: &[&Row]) {
    assert!(rows.windows(2).all(|pair| pair[0].id < pair[1].id), "the statements of a command go by key");
}

#[async_trait]
impl<S: Store> Store for Faulty<S> {
    async fn ping(&self) -> Result<(), StoreError> {
        self.read(self.inner.ping()).await
    }

    async fn probe(&self, projection: &str) -> Result<(), StoreError> {
        self.read(self.inner.probe(projection)).await
    }

    async fn fetch(&self, collection: &str, ids: &[&str]) -> Result<Vec<Row>, StoreError> {
        // Strikes only where it is asked for by name.
        let fetch = self.inner.fetch(collection, ids);
        if self.only == Some("fetch") { self.write("fetch", fetch).await } else { self.read(fetch).await }
    }

    async fn marks(&self, collection: &str, ids: &[&str]) -> Result<Vec<Mark>, StoreError> {
        self.read(self.inner.marks(collection, ids)).await
    }

    async fn scan(
        &self,
        collection: &str,
        after: Option<&str>,
        through: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        self.read(self.inner.scan(collection, after, through, limit)).await
    }

    async fn count(&self, collection: &str) -> Result<u64, StoreError> {
        self.read(self.inner.count(collection)).await
    }

    async fn replace(&self, collection: &str, guard: Guard, rows: &[&Row]) -> Result<Written, StoreError> {
        assert_in_order(rows);
        self.write("replace", self.inner.replace(collection, guard, rows)).await
    }

    async fn insert(&self, collection: &str, rows: &[&Row]) -> Result<Written, StoreError> {
        assert_in_order(rows);
        self.write("insert", self.inner.insert(collection, rows)).await
    }

    async fn bury(
        &self,
        collection: &str,
        ids: &[&str],
        generation: i64,
        through: Position,
    ) -> Result<u64, StoreError> {
        self.write("bury", self.inner.bury(collection, ids, generation, through)).await
    }

    async fn sweep(&self, collection: &str, generation: i64, through: Position) -> Result<u64, StoreError> {
        self.write("sweep", self.inner.sweep(collection, generation, through)).await
    }

    async fn collections(&self) -> Result<Vec<Collection>, StoreError> {
        self.read(self.inner.collections()).await
    }

    async fn create(&self, collection: &str, indexes: &[Index]) -> Result<(), StoreError> {
        self.write("create", self.inner.create(collection, indexes)).await
    }

    async fn drift(&self, collection: &str, indexes: &[Index]) -> Result<Vec<Drift>, StoreError> {
        self.read(self.inner.drift(collection, indexes)).await
    }

    async fn reindex(&self, collection: &str, indexes: &[Index]) -> Result<(), StoreError> {
        self.write("reindex", self.inner.reindex(collection, indexes)).await
    }

    async fn rename(&self, from: &str, to: &str) -> Result<(), StoreError> {
        self.renames.lock().unwrap().push((from.to_owned(), to.to_owned()));
        self.write("rename", self.inner.rename(from, to)).await
    }

    async fn drop_collection(&self, collection: &str) -> Result<(), StoreError> {
        self.write("drop", self.inner.drop_collection(collection)).await
    }

    async fn checkpoints(&self) -> Result<Vec<Checkpoint>, StoreError> {
        self.read(self.inner.checkpoints()).await
    }

    async fn checkpoint(&self, projection: &str) -> Result<Option<Checkpoint>, StoreError> {
        self.read(self.inner.checkpoint(projection)).await
    }

    async fn create_checkpoint(&self, checkpoint: &Checkpoint) -> Result<bool, StoreError> {
        self.write("create_checkpoint", self.inner.create_checkpoint(checkpoint)).await
    }

    async fn swap_header(&self, old: &Checkpoint, new: &Checkpoint) -> Result<bool, StoreError> {
        self.write("swap_header", self.inner.swap_header(old, new)).await
    }

    async fn swap_checkpoint(&self, old: &Checkpoint, new: &Checkpoint) -> Result<bool, StoreError> {
        self.write("swap_checkpoint", self.inner.swap_checkpoint(old, new)).await
    }

    async fn swap_bucket(&self, of: &Checkpoint, index: usize, new: &Bucket) -> Result<bool, StoreError> {
        self.write("swap_bucket", self.inner.swap_bucket(of, index, new)).await
    }

    async fn members(&self) -> Result<Vec<Member>, StoreError> {
        self.read(self.inner.members()).await
    }

    // Beats come by the clock: counting them would make the place of a fault depend on it.
    async fn beat(&self, member: &Member) -> Result<(), StoreError> {
        self.read(self.inner.beat(member)).await
    }

    async fn leave(&self, member: &str) -> Result<(), StoreError> {
        self.read(self.inner.leave(member)).await
    }

    async fn parked(&self, projection: &str) -> Result<Vec<Parked>, StoreError> {
        self.read(self.inner.parked(projection)).await
    }

    async fn park(&self, parked: &Parked) -> Result<(), StoreError> {
        self.write("park", self.inner.park(parked)).await
    }

    async fn unpark(&self, projection: &str, generation: i64, key: &str) -> Result<(), StoreError> {
        self.write("unpark", self.inner.unpark(projection, generation, key)).await
    }
}
