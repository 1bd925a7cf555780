//! The ledger: what an embedder holds.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};

use crate::clock::{Clock, SystemClock};
use crate::command::{Account, Change, Command, Entry, Hold, Settle, Transfer, Void};
use crate::error::Error;
use crate::log::Log;
use crate::outcome::{Outcome, Receipt};
use crate::query::Balance;
use crate::settings::Settings;
use crate::store::memory::MemoryStore;
use crate::store::postgres::{Connection, PostgresSettings, PostgresStore};
use crate::store::{PgConnection, Store};
use crate::writer::{Request, Writer};

/// An open ledger: a book with one log and one chart of accounts.
///
/// Cheap to clone; all clones share one writer, which commits the commands of many callers together.
/// Several processes may write one ledger at the same time.
///
/// ```
/// use postfold::{Account, Entry, Ledger};
/// use rust_decimal::dec;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), postfold::Error> {
/// let ledger = Ledger::in_memory();
/// ledger.open(Account::asset("cash:till-1", "EUR")).await?;
/// ledger.open(Account::income("sales", "EUR").ceiling(dec!(1_000_000))).await?;
///
/// let sale = Entry::new("sale-1").debit("cash:till-1", dec!(12.50)).credit("sales", dec!(12.50));
/// let receipt = ledger.post(sale).await?; // durable here, or it did not happen
///
/// let till = ledger.balance("cash:till-1").await?;
/// assert_eq!(till.posted, dec!(12.50));
/// assert_eq!(Some(till.position), receipt.position);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Ledger {
    requests: mpsc::Sender<Request>,
    clock: Arc<dyn Clock>,
    settings: Settings,
    log: Log,
    writer: Arc<Closing>,
}

/// By which a writer is asked to end, and tells that it has.
struct Closing {
    asked: watch::Sender<bool>,
    ended: watch::Receiver<()>,
}

/// How a ledger is opened: see [`Ledger::builder`].
#[derive(Default)]
pub struct LedgerBuilder {
    settings: Settings,
    postgres: PostgresSettings,
    clock: Option<Arc<dyn Clock>>,
}

impl LedgerBuilder {
    /// Sets the bounds of the writer.
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// Sets schema, pool and timeouts.
    pub fn postgres(mut self, postgres: PostgresSettings) -> Self {
        self.postgres = postgres;
        self
    }

    /// Sets where the recorded time comes from; default: the machine's clock.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Opens a ledger in PostgreSQL. Must be called within a tokio runtime.
    ///
    /// # Errors
    ///
    /// When the database cannot be reached, its schema is of another version, or there is no ledger
    /// of this name: `postfold init` (or [`crate::init`]) creates it.
    pub async fn connect(self, connection: impl Into<Connection>, name: &str) -> Result<Ledger, Error> {
        let store = PostgresStore::open(connection.into(), name, self.postgres.clone()).await?;
        Ok(self.start(Arc::new(store)))
    }

    /// Opens an empty ledger in memory. Must be called within a tokio runtime.
    pub fn in_memory(self) -> Ledger {
        self.start(Arc::new(MemoryStore::new("memory")))
    }

    pub(crate) fn start(self, store: Arc<dyn Store>) -> Ledger {
        let (requests, receiver) = mpsc::channel(self.settings.queue_commands);
        let (asked, closing) = watch::channel(false);
        let (running, ended) = watch::channel(());
        let writer = Writer::new(Arc::clone(&store), self.settings.clone());
        tokio::spawn(async move {
            writer.run(receiver, closing).await;
            drop(running);
        });
        let clock = self.clock.unwrap_or_else(|| Arc::new(SystemClock));
        let writer = Arc::new(Closing { asked, ended });
        Ledger { requests, clock, settings: self.settings, log: Log::new(store), writer }
    }
}

impl Ledger {
    /// Opens a ledger in PostgreSQL with the default settings; creates nothing.
    ///
    /// # Errors
    ///
    /// As [`LedgerBuilder::connect`].
    pub async fn connect(connection: impl Into<Connection>, name: &str) -> Result<Self, Error> {
        Self::builder().connect(connection, name).await
    }

    /// An empty ledger in memory, with the same rules: for tests.
    pub fn in_memory() -> Self {
        Self::builder().in_memory()
    }

    /// Sets bounds, schema or clock before the ledger is opened.
    pub fn builder() -> LedgerBuilder {
        LedgerBuilder::default()
    }

    /// Opens an account.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] by a rule (such as `account_exists`), otherwise as [`Ledger::submit`].
    pub async fn open(&self, account: Account) -> Result<Receipt, Error> {
        self.execute(account).await
    }

    /// Posts a balanced entry. When this returns, it is durable; a repeat under the same id answers
    /// the same receipt with `duplicate`.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] by a rule (such as `insufficient_funds`), otherwise as [`Ledger::submit`].
    pub async fn post(&self, entry: Entry) -> Result<Receipt, Error> {
        self.execute(entry).await
    }

    /// Posts the two-leg entry.
    ///
    /// # Errors
    ///
    /// As [`Ledger::post`].
    pub async fn transfer(&self, transfer: Transfer) -> Result<Receipt, Error> {
        self.execute(transfer).await
    }

    /// Places a hold: a pending entry.
    ///
    /// # Errors
    ///
    /// As [`Ledger::post`].
    pub async fn hold(&self, hold: Hold) -> Result<Receipt, Error> {
        self.execute(hold).await
    }

    /// Posts all of a hold, or part.
    ///
    /// # Errors
    ///
    /// As [`Ledger::post`].
    pub async fn settle(&self, settle: Settle) -> Result<Receipt, Error> {
        self.execute(settle).await
    }

    /// Releases what is left of a hold.
    ///
    /// # Errors
    ///
    /// As [`Ledger::post`].
    pub async fn void(&self, void: Void) -> Result<Receipt, Error> {
        self.execute(void).await
    }

    /// Records one change of an entity.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] with a conflict when `expected_version` is not the version found, otherwise
    /// as [`Ledger::submit`].
    pub async fn record(&self, change: Change) -> Result<Receipt, Error> {
        self.execute(change).await
    }

    /// Any command; a refusal is an error.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`], otherwise as [`Ledger::submit`].
    pub async fn execute(&self, command: impl Into<Command>) -> Result<Receipt, Error> {
        Ok(self.submit(command.into()).await?.into_result()?)
    }

    /// Any command; a refusal is an outcome.
    ///
    /// Waits for a place in the queue when it is full. Dropping the future does not take the command
    /// back.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] or [`Error::Database`]: it was not done. [`Error::OutcomeUnknown`]: it
    /// was done once or not at all; the same command under its id tells which.
    pub async fn submit(&self, command: Command) -> Result<Outcome, Error> {
        let answer = self.enqueue(command).await?;
        answer.await.unwrap_or(Err(Error::Closed))
    }

    /// Sends a command, stamped with the clock's time now, and answers at once with where its outcome
    /// will come: for callers that keep many on their way, in order.
    ///
    /// When the database fails a command, all that is queued behind it fails as well, so no later one is
    /// done where an earlier one was not.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] when the ledger's runtime is gone.
    pub async fn enqueue(&self, command: Command) -> Result<oneshot::Receiver<Result<Outcome, Error>>, Error> {
        let (reply, answer) = oneshot::channel();
        let request = Request { command, stamp: self.clock.now(), reply };
        self.requests.send(request).await.map_err(|_| Error::Closed)?;
        Ok(answer)
    }

    /// Any command, within a transaction of the host application's on the ledger's database: it commits with
    /// the host's own rows, or not at all. A refusal is an outcome, and leaves the transaction usable.
    ///
    /// Several in one transaction see each other; an atomic [`Batch`](crate::Batch) is the cheaper form. Until
    /// the host commits, the outcome is only what it would be: if the transaction is rolled back, or its commit
    /// fails, nothing happened. When the answer to the commit is lost, the same command under its id tells.
    ///
    /// **The transaction holds the end of this ledger until it ends**: every other writer of the ledger waits
    /// for it. So post last, commit at once, and await nothing of this ledger in between ([`Ledger::submit`]
    /// would wait for this very transaction, until the lock timeout). How long to wait for others is the
    /// host's `lock_timeout`.
    ///
    /// With the isolation level `read committed`, PostgreSQL's default, a lost race is decided again. With a
    /// stricter one the transaction cannot see what the winner wrote: the error is SQLSTATE 40001, and the
    /// whole transaction is to be run again.
    ///
    /// Readers that follow the log find what was committed at their next poll, within a second;
    /// [`Ledger::announce`] after the commit tells them at once. The role of the connection needs the rights of
    /// `postfold_app`. Dropping the future takes the command back.
    ///
    /// ```no_run
    /// # async fn order(pool: sqlx::PgPool, ledger: postfold::Ledger) -> Result<(), Box<dyn std::error::Error>> {
    /// use postfold::Transfer;
    /// use rust_decimal::dec;
    ///
    /// let mut transaction = pool.begin().await?;
    /// sqlx::query("insert into orders (id, customer) values (7, 42)").execute(&mut *transaction).await?;
    /// let fee = Transfer::between("order-7", "wallet:42", "wallet:shop", dec!(12.50));
    /// ledger.post_in(&mut transaction, fee).await?.into_result()?; // an error here rolls both back
    /// transaction.commit().await?;
    /// ledger.announce().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::HostTransaction`] when no transaction is under way, it is in another database, or the ledger is
    /// in memory; otherwise what the database says, and nothing of the command is in the transaction. Roll it
    /// back then: of some errors PostgreSQL lets it not recover.
    pub async fn post_in(&self, transaction: &mut PgConnection, command: impl Into<Command>) -> Result<Outcome, Error> {
        let (command, stamp) = (command.into(), self.clock.now());
        self.log.store().post_in(transaction, &command, stamp, self.settings.attempts_max).await
    }

    /// Tells those who follow the log, here and in other processes, that it has grown: after the commit of a
    /// transaction with [`Ledger::post_in`]. A hint; without it they look by themselves within a second.
    ///
    /// # Errors
    ///
    /// When the database is not available.
    pub async fn announce(&self) -> Result<(), Error> {
        // The head is read, not taken from the caller: to announce what is not there would keep readers busy.
        let head = self.log.head().await?;
        self.log.store().announce(head.position).await;
        Ok(())
    }

    /// Takes no more commands, answers all that were sent, and returns when that is done; the other handles
    /// of this ledger then answer [`Error::Closed`].
    ///
    /// Dropping all handles ends the writer likewise, with nobody to wait for it.
    pub async fn close(self) {
        self.writer.asked.send_replace(true);
        let mut ended = self.writer.ended.clone();
        // Nothing is ever sent: the channel closes when the writer has ended.
        while ended.changed().await.is_ok() {}
    }

    /// The balance of an account that is open in one currency, strongly consistent.
    ///
    /// # Errors
    ///
    /// As [`Log::balance`].
    pub async fn balance(&self, account: &str) -> Result<Balance, Error> {
        self.log.balance(account, None).await
    }

    pub(crate) const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The read half: events, balances, verification.
    pub const fn log(&self) -> &Log {
        &self.log
    }
}
