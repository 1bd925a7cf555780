//! Where the log lives: one trait, PostgreSQL and memory behind it.

pub(crate) mod memory;
pub(crate) mod postgres;
mod queries;
pub(crate) mod stages;

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use rust_decimal::Decimal;
pub(crate) use sqlx::postgres::PgConnection;

pub(crate) use queries::{AccountPage, Codes, Matching, Move, MoveKey, Moves, Queries, Range, Sums, View};

use crate::command::Command;
use crate::draft::Draft;
use crate::error::Error;
use crate::event::Event;
use crate::fold::Posting;
use crate::hash::Hash;
use crate::money;
use crate::outcome::Outcome;
use crate::position::Position;
use crate::state::{Account, AccountId, Facts, Head, Hold, Need, PeriodMark, PostedEntry, Record, State, Totals};
use stages::Stages;

/// What a ledger needs of the place where its log is kept.
///
/// Rows are only ever added, so "as of position P" is the prefix up to P, whenever it is read.
#[async_trait]
pub(crate) trait Store: Send + Sync {
    /// The ledger's name.
    fn name(&self) -> &str;

    /// The end of the log.
    async fn head(&self) -> Result<Head, Error>;

    /// What is needed, as of a position.
    async fn load(&self, needs: &[Need], at: Position) -> Result<Loaded, Error>;

    /// Appends all rows of a draft in one commit, or none.
    async fn append(&self, draft: &Draft) -> Result<(), AppendError>;

    /// The same for a draft that opens no account, behind one that may still be under way: what can be written before
    /// the turn, is; nothing is committed before.
    async fn append_in_stages(&self, draft: &Draft, stages: &mut Stages) -> Result<(), AppendError> {
        stages.placed();
        stages.turn().await?;
        self.append(draft).await
    }

    /// Decides a command on what a transaction of the host's sees, and appends its rows in that transaction:
    /// they become part of the log when the host commits.
    async fn post_in(
        &self,
        _connection: &mut PgConnection,
        _command: &Command,
        _stamp: Timestamp,
        _attempts_max: usize,
    ) -> Result<Outcome, Error> {
        Err(Error::HostTransaction("the ledger is not in a database"))
    }

    /// Up to `limit` events behind `after`, in order; fewer where they are large. Only an empty page says
    /// that there are no more.
    async fn page(&self, after: Position, limit: usize) -> Result<Vec<Event>, Error>;

    /// Up to `limit` events of a stream behind a version, in order; fewer where they are large. Only an empty page
    /// says that there are no more. Read on a connection of the host's where one is given.
    async fn stream(
        &self,
        within: Option<&mut PgConnection>,
        stream: &str,
        after: i64,
        limit: usize,
    ) -> Result<Vec<Event>, Error>;

    /// Up to `limit` postings behind `after`, in the order of the key (account, position, leg), of those
    /// that stand behind the position `from`, or before the first one. Only an empty page says that there are no more.
    async fn postings(&self, after: PostingKey, from: Position, limit: usize) -> Result<Vec<PostingRow>, Error>;

    /// Up to `limit` accounts behind `after`, in order of their numbers, as they are stored as of a position.
    async fn accounts(&self, after: AccountId, at: Position, limit: usize) -> Result<Vec<StoredAccount>, Error>;

    /// Up to `limit` places of streams behind `after`, in order of stream and version.
    async fn streams(&self, after: &StreamKey, limit: usize) -> Result<Vec<StreamKey>, Error>;

    /// Rows that stand where the log has no place for them: an event or an account before the first position, an
    /// account behind the end. None, unless somebody wrote past the engine.
    async fn strays(&self) -> Result<Vec<Stray>, Error> {
        Ok(Vec::new())
    }

    /// The look-ups behind the queries.
    fn queries(&self) -> &dyn Queries;

    /// Waits until no other writer holds the ledger's lease, and takes it; lost with the writer's connection.
    ///
    /// It only saves work among writers that ask for it: the position in the log is what keeps them apart.
    async fn take_lease(&self) -> Result<(), Error> {
        Ok(())
    }

    /// Gives the lease to the writer that has waited longest.
    async fn give_lease(&self) {}

    /// Tells readers elsewhere that the log has grown; a hint, never the truth.
    async fn announce(&self, head: Position);

    /// Returns when the log may hold events behind `after`, or at the timeout.
    async fn changed(&self, after: Position, timeout: Duration) -> Result<(), Error>;
}

/// What [`Store::load`] found.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    /// Of every code asked for: its accounts.
    pub(crate) codes: Vec<(String, Vec<Account>)>,
    /// Of every currency asked for: scale and the position that registered it.
    pub(crate) currencies: Vec<(String, Option<(u8, Position)>)>,
    /// Of every id asked for: what used it.
    pub(crate) ids: Vec<(String, Option<Record>)>,
    /// Of every stream asked for: its version.
    pub(crate) streams: Vec<(String, i64)>,
    /// The records at the positions asked for.
    pub(crate) records: Vec<Record>,
    /// The holds asked for, and those that are due.
    pub(crate) holds: Vec<Hold>,
    /// Of every time asked for: the open holds that expire up to then.
    pub(crate) due: Vec<(Timestamp, Vec<Position>)>,
    /// The entries at the positions asked for.
    pub(crate) entries: Vec<(Position, PostedEntry)>,
    /// Up to where the books are closed, if asked for.
    pub(crate) period: Option<PeriodMark>,
    /// Of every account and time asked for: the posted balance, debit minus credit.
    pub(crate) as_of: Vec<((AccountId, Timestamp), Decimal)>,
}

impl Loaded {
    /// Puts what was loaded into the state, as of whose head it was; everything needed must then be there.
    pub(crate) fn fill(self, state: &mut State, needs: &[Need]) -> Result<(), Error> {
        state.load_codes(self.codes);
        for (code, currency) in self.currencies {
            state.load_currency(&code, currency);
        }
        for (id, record) in self.ids {
            state.load_id(&id, record);
        }
        for (stream, version) in self.streams {
            state.load_version(&stream, version);
        }
        for record in self.records {
            state.load_record(record);
        }
        for hold in self.holds {
            state.load_hold(hold);
        }
        for (now, due) in self.due {
            state.load_due(now, due);
        }
        for (position, entry) in self.entries {
            state.load_entry(position, entry);
        }
        if let Some(mark) = self.period {
            state.load_period(mark);
        }
        for ((account, time), balance) in self.as_of {
            state.load_as_of(account, time, balance);
        }
        match needs.iter().find(|need| state.lacks(need)) {
            None => Ok(()),
            Some(need) => {
                Err(Error::Damaged { position: state.head.position, what: format!("{need:?} is not in the log") })
            }
        }
    }
}

/// Why a draft was not appended.
#[derive(Debug)]
pub(crate) enum AppendError {
    /// Another writer has taken the position: read what was missed, decide again.
    LostRace,
    /// An id of the draft, or a version of a stream, is in the log: look it up, decide again.
    Duplicate,
    /// It may have been committed, or not.
    Unknown(Error),
    /// It was not committed.
    Failed(Error),
}

/// The place of a posting in the order of its table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PostingKey {
    pub(crate) account: Position,
    pub(crate) position: Position,
    pub(crate) leg: i32,
}

/// A posting as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PostingRow {
    pub(crate) key: PostingKey,
    pub(crate) amounts: PostingAmounts,
}

/// An account as it is stored, with the totals of its newest posting.
#[derive(Debug)]
pub(crate) struct StoredAccount {
    pub(crate) id: AccountId,
    /// Or why they cannot be read.
    pub(crate) facts: Result<Facts, String>,
    pub(crate) totals: Totals,
}

/// A place in a stream, and the position of the event that stands there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct StreamKey {
    pub(crate) stream: String,
    pub(crate) version: i64,
    pub(crate) position: Position,
}

/// A row that stands where the log has no place for it.
#[derive(Debug)]
pub(crate) struct Stray {
    /// Table and column that say where it stands.
    pub(crate) column: String,
    /// Where it stands.
    pub(crate) stands_at: i64,
    /// Where the log is not as it must be, if it belongs there.
    pub(crate) position: Position,
}

/// The columns of a posting that the fold of the log determines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PostingAmounts {
    pub(crate) posted: Decimal,
    pub(crate) pending: Decimal,
    pub(crate) debits_posted: Decimal,
    pub(crate) credits_posted: Decimal,
    pub(crate) debits_pending: Decimal,
    pub(crate) credits_pending: Decimal,
}

impl From<&Posting> for PostingRow {
    fn from(posting: &Posting) -> Self {
        let decimal = |minor| money::to_decimal(minor, posting.scale);
        Self {
            key: PostingKey { account: posting.account_id, position: posting.position, leg: posting.leg },
            amounts: PostingAmounts {
                posted: decimal(posting.posted),
                pending: decimal(posting.pending),
                debits_posted: decimal(posting.totals.debits_posted),
                credits_posted: decimal(posting.totals.credits_posted),
                debits_pending: decimal(posting.totals.debits_pending),
                credits_pending: decimal(posting.totals.credits_pending),
            },
        }
    }
}

/// The hash at a position of the log.
pub(crate) async fn hash_at(store: &dyn Store, position: Position) -> Result<Option<Hash>, Error> {
    if position == Position::START {
        return Ok(Some(Hash::genesis(store.name())));
    }
    let before = Position::new(position.get() - 1);
    let event = store.page(before, 1).await?.into_iter().next();
    Ok(event.filter(|event| event.position == position).map(|event| event.hash))
}
