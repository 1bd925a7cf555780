//! The engine over a log in memory that is reached through a [`Wire`]: for simulations of what networks, servers and
//! processes do to each other. With the feature `simulation` only.
//!
//! Everything above the store is the code that runs on PostgreSQL: writer, rules, fold, retries, queries.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::Notify;

use crate::draft::Draft;
use crate::error::Error;
use crate::event::{AccountOpened, Event};
use crate::ledger::{Ledger, LedgerBuilder};
use crate::log::Log;
use crate::position::Position;
use crate::state::{Account, AccountId, Head, Need};
use crate::store::memory::MemoryStore;
use crate::store::{
    AccountPage, AppendError, Loaded, Matching, Move, Moves, PgConnection, PostingKey, PostingRow, Queries, Range,
    Store, StoredAccount, StreamKey, Sums, View,
};

/// A log in memory that several simulated processes share. Clones are the same log.
#[derive(Clone)]
pub struct SharedLog {
    log: Arc<MemoryStore>,
    /// Who follows the log is woken in the order in which they began to wait: the store's own way is by chance.
    grown: Arc<Notify>,
}

/// What is between a process and its log.
///
/// Every call is one step of the process; where the process is dead, none returns.
#[async_trait]
pub trait Wire: Send + Sync + 'static {
    /// Carries a question to the log; it is looked up when this returns.
    ///
    /// # Errors
    ///
    /// When the question is lost.
    async fn ask(&self, step: &'static str) -> Result<(), Lost>;

    /// Carries the answer back.
    ///
    /// # Errors
    ///
    /// When the answer is lost.
    async fn answer(&self, step: &'static str) -> Result<(), Lost>;

    /// Carries a change to the log and its answer back.
    async fn change(&self, step: &'static str, change: Change) -> Delivery;

    /// Waits until no other process holds the ledger's lease, and takes it.
    ///
    /// # Errors
    ///
    /// When it could not be asked for.
    async fn take_lease(&self) -> Result<(), Lost>;

    /// Gives the lease to who has waited longest.
    async fn give_lease(&self);
}

/// Changes the log; whoever holds it may do so never, later, or more than once.
pub type Change = Arc<dyn Fn() + Send + Sync>;

/// A message did not arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost;

/// What the sender of a change is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// What the first delivery came to.
    Answered,
    /// Nothing: the connection broke when the change was on its way, or its answer.
    Broken,
    /// That there is no connection: nothing was sent.
    Unreachable,
    /// That the server refused it, with this SQLSTATE: nothing was changed.
    Refused(&'static str),
}

impl SharedLog {
    /// An empty log.
    pub fn new() -> Self {
        Self { log: Arc::new(MemoryStore::new("memory")), grown: Arc::default() }
    }

    /// A ledger of one process, which writes to this log through a wire.
    pub fn open(&self, builder: LedgerBuilder, wire: Arc<dyn Wire>) -> Ledger {
        builder.start(self.wired(wire))
    }

    /// The log as a process reads it through a wire.
    pub fn read(&self, wire: Arc<dyn Wire>) -> Log {
        Log::new(self.wired(wire))
    }

    /// The log as it is, read at once: no call waits.
    pub fn truth(&self) -> Log {
        Log::new(Arc::clone(&self.log) as Arc<dyn Store>)
    }

    fn wired(&self, wire: Arc<dyn Wire>) -> Arc<dyn Store> {
        Arc::new(Wired { log: Arc::clone(&self.log), grown: Arc::clone(&self.grown), wire })
    }
}

impl Default for SharedLog {
    fn default() -> Self {
        Self::new()
    }
}

/// The log at the other end of a wire.
struct Wired {
    log: Arc<MemoryStore>,
    grown: Arc<Notify>,
    wire: Arc<dyn Wire>,
}

impl Wired {
    async fn read<T: Send>(
        &self,
        step: &'static str,
        look_up: impl Future<Output = Result<T, Error>> + Send,
    ) -> Result<T, Error> {
        self.wire.ask(step).await?;
        let found = look_up.await;
        self.wire.answer(step).await?;
        found
    }
}

impl From<Lost> for Error {
    fn from(_: Lost) -> Self {
        Self::Unavailable("the connection broke".to_owned())
    }
}

#[async_trait]
impl Store for Wired {
    fn name(&self) -> &str {
        self.log.name()
    }

    async fn head(&self) -> Result<Head, Error> {
        self.read("read the head", self.log.head()).await
    }

    async fn load(&self, needs: &[Need], at: Position) -> Result<Loaded, Error> {
        self.read("load the state", self.log.load(needs, at)).await
    }

    async fn append(&self, draft: &Draft) -> Result<(), AppendError> {
        let answer = Arc::new(Mutex::new(None));
        let (log, draft, slot) = (Arc::clone(&self.log), draft.clone(), Arc::clone(&answer));
        let change = move || {
            let appended = log.append_now(&draft);
            slot.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(appended);
        };
        let broken = || Error::from(Lost);
        match self.wire.change("append", Arc::new(change)).await {
            Delivery::Answered => {
                let answer = answer.lock().unwrap_or_else(PoisonError::into_inner).take();
                answer.unwrap_or(Err(AppendError::Unknown(broken())))
            }
            Delivery::Broken => Err(AppendError::Unknown(broken())),
            Delivery::Unreachable => Err(AppendError::Failed(broken())),
            Delivery::Refused(code) => {
                let message = "refused by the simulation".to_owned();
                Err(AppendError::Failed(Error::Database { code: code.to_owned(), message }))
            }
        }
    }

    async fn page(&self, after: Position, limit: usize) -> Result<Vec<Event>, Error> {
        self.read("read a page", self.log.page(after, limit)).await
    }

    async fn stream(
        &self,
        within: Option<&mut PgConnection>,
        stream: &str,
        after: i64,
        limit: usize,
    ) -> Result<Vec<Event>, Error> {
        self.read("read a stream", self.log.stream(within, stream, after, limit)).await
    }

    async fn postings(&self, after: PostingKey, from: Position, limit: usize) -> Result<Vec<PostingRow>, Error> {
        self.read("read postings", self.log.postings(after, from, limit)).await
    }

    async fn accounts(&self, after: AccountId, at: Position, limit: usize) -> Result<Vec<StoredAccount>, Error> {
        self.read("read accounts", self.log.accounts(after, at, limit)).await
    }

    async fn streams(&self, after: &StreamKey, limit: usize) -> Result<Vec<StreamKey>, Error> {
        self.read("read streams", self.log.streams(after, limit)).await
    }

    fn queries(&self) -> &dyn Queries {
        self
    }

    async fn take_lease(&self) -> Result<(), Error> {
        Ok(self.wire.take_lease().await?)
    }

    async fn give_lease(&self) {
        self.wire.give_lease().await;
    }

    async fn announce(&self, _head: Position) {
        let grown = Arc::clone(&self.grown);
        self.wire.change("announce", Arc::new(move || grown.notify_waiters())).await;
    }

    async fn changed(&self, after: Position, timeout: Duration) -> Result<(), Error> {
        let grown = self.grown.notified();
        if self.log.head().await?.position <= after {
            // A timeout is as good as a hint: the caller reads either way.
            let _ = tokio::time::timeout(timeout, grown).await;
        }
        Ok(())
    }
}

#[async_trait]
impl Queries for Wired {
    async fn account_page(&self, page: &AccountPage<'_>, view: View) -> Result<Vec<Account>, Error> {
        self.read("query", self.log.account_page(page, view)).await
    }

    async fn opened(&self, accounts: &[(&str, &str)]) -> Result<Vec<AccountOpened>, Error> {
        self.read("query", self.log.opened(accounts)).await
    }

    async fn count_accounts(&self, at: Position) -> Result<u64, Error> {
        self.read("query", self.log.count_accounts(at)).await
    }

    async fn recorded_by(&self, time: Timestamp, upto: Position) -> Result<Position, Error> {
        self.read("query", self.log.recorded_by(time, upto)).await
    }

    async fn event_of_id(&self, id: &str, at: Position) -> Result<Option<Event>, Error> {
        self.read("query", self.log.event_of_id(id, at)).await
    }

    async fn newest(
        &self,
        streams: &[String],
        at: Position,
    ) -> Result<std::collections::HashMap<String, Event>, Error> {
        self.read("query", self.log.newest(streams, at)).await
    }

    async fn matching(&self, wanted: &Matching, range: Range, limit: usize) -> Result<Vec<Event>, Error> {
        self.read("query", self.log.matching(wanted, range, limit)).await
    }

    async fn sums(&self, moves: &Moves) -> Result<Sums, Error> {
        self.read("query", self.log.sums(moves)).await
    }

    async fn moves(&self, moves: &Moves, limit: usize) -> Result<Vec<Move>, Error> {
        self.read("query", self.log.moves(moves, limit)).await
    }
}
