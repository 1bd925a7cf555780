//! What `decide` sees: the part of a ledger that a batch touches, as of one position.
//!
//! Nothing is loaded here: a look-up of something that is not here yet answers what is needed
//! ([`Need`]), the writer loads it and decides again.

mod account;
mod hold;
mod tracked;

use std::collections::HashSet;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::Date;
use rust_decimal::Decimal;
use smallvec::SmallVec;

pub(crate) use account::{Account, AccountId, Facts, MinorLimits, Outflow, Totals};
pub(crate) use hold::{Hold, HoldEnd};
use tracked::Tracked;

use crate::aggregate::Cached;
use crate::command::Fingerprint;
use crate::event::{Event, PostedLeg};
use crate::hash::Hash;
use crate::money::{self, Minor};
use crate::outcome::Receipt;
use crate::position::Position;

/// The end of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Head {
    /// The last position; 0 in an empty log.
    pub position: Position,
    /// The hash at that position; in an empty log the one that stands before the first event.
    pub hash: Hash,
    /// When the last event was recorded.
    pub recorded_at: Option<Timestamp>,
}

/// Something to be loaded from the log before a command can be decided.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Need {
    /// All accounts of this code.
    Code(String),
    /// A currency that is not in ISO 4217.
    Currency(String),
    /// Whether, and by what, this id was used.
    Id(String),
    /// The version that this stream has.
    Stream(String),
    /// The receipt and fingerprint of the event at this position.
    Record(Position),
    /// The hold that was placed at this position.
    Hold(Position),
    /// The holds that have not ended and expire up to here.
    Due(Timestamp),
    /// The entry at this position, and whether it was reversed.
    Entry(Position),
    /// Up to which date the books are closed.
    Period,
    /// An account's posted balance, debit minus credit, of all that took effect up to a time.
    AsOf(AccountId, Timestamp),
}

/// The stream in which the closed period is moved.
pub(crate) const PERIOD_STREAM: &str = "period";

/// The stream that an entry's reversal is written to, so that there is one.
pub(crate) fn reversal_stream(entry: Position) -> String {
    format!("entry:{entry}")
}

/// An entry, as its reversal needs it.
/// Cheap to clone.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PostedEntry {
    pub(crate) legs: Arc<[PostedLeg]>,
    pub(crate) reversed: bool,
}

/// What an earlier command under an id, or at a position, left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) position: Position,
    pub(crate) id: Option<String>,
    pub(crate) kind: String,
    pub(crate) fingerprint: Option<Fingerprint>,
    pub(crate) hash: Hash,
    pub(crate) recorded_at: Timestamp,
    pub(crate) amount: Option<Decimal>,
}

impl Record {
    pub(crate) fn duplicate(&self) -> Receipt {
        Receipt {
            position: Some(self.position),
            id: self.id.clone(),
            hash: Some(self.hash),
            recorded_at: Some(self.recorded_at),
            duplicate: true,
            amount: self.amount,
            ..Receipt::default()
        }
    }
}

/// What is known of an id.
#[derive(Clone, Debug)]
pub(crate) enum IdUse {
    /// Not looked up: taken as free, since most are; the unique index of the log refuses one that is
    /// not, and a command that is refused for another reason is decided again once it was looked up.
    Unverified,
    /// Not used in the log up to the head.
    Free,
    /// Used by this event.
    Used(Arc<Record>),
}

/// How much of a ledger is kept in memory between batches.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CacheBounds {
    pub(crate) accounts: usize,
    pub(crate) ids: usize,
    pub(crate) streams: usize,
    pub(crate) aggregates: usize,
}

pub(crate) struct State {
    pub(crate) head: Head,
    /// The head without what is on its way to the log.
    durable: Head,
    codes: Tracked<Arc<str>, Vec<AccountId>>,
    accounts: Tracked<AccountId, Account>,
    currencies: Tracked<Arc<str>, Option<(u8, Position)>>,
    ids: Tracked<Arc<str>, IdUse>,
    streams: Tracked<Arc<str>, i64>,
    records: Tracked<Position, Arc<Record>>,
    holds: Tracked<Position, Arc<Hold>>,
    due: Tracked<Timestamp, Vec<Position>>,
    entries: Tracked<Position, PostedEntry>,
    period: Tracked<(), PeriodMark>,
    as_of: Tracked<(AccountId, Timestamp), Minor>,
    /// States of entities; `None` where an event could not be followed.
    aggregates: Tracked<Arc<str>, Option<Cached>>,
}

/// Up to which date the books are closed, and how often the mark was moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PeriodMark {
    pub(crate) through: Option<Date>,
    pub(crate) version: i64,
}

/// A place in the undo logs of a [`State`].
pub(crate) struct Mark {
    head: Head,
    undo: [usize; 12],
}

impl Mark {
    pub(crate) fn position(&self) -> Position {
        self.head.position
    }
}

impl State {
    pub(crate) fn new(head: Head) -> Self {
        Self {
            head,
            durable: head,
            codes: Tracked::new(),
            accounts: Tracked::new(),
            currencies: Tracked::new(),
            ids: Tracked::new(),
            streams: Tracked::new(),
            records: Tracked::new(),
            holds: Tracked::new(),
            due: Tracked::new(),
            entries: Tracked::new(),
            period: Tracked::new(),
            as_of: Tracked::new(),
            aggregates: Tracked::new(),
        }
    }

    /// Forgets what stood at an earlier head. States of aggregates have versions, and go on from there.
    pub(crate) fn restart(&mut self, head: Head) {
        let aggregates = std::mem::replace(&mut self.aggregates, Tracked::new());
        *self = Self { aggregates, ..Self::new(head) };
    }

    // Look-ups, pure: what is not here is needed.

    /// The accounts of this code, one a currency, in the order in which they were opened.
    pub(crate) fn accounts_of(&self, code: &str) -> Result<SmallVec<[&Account; 2]>, Need> {
        let need = || Need::Code(code.to_owned());
        let ids = self.codes.get(code).ok_or_else(need)?;
        ids.iter().map(|id| self.accounts.get(id).ok_or_else(need)).collect()
    }

    /// Whether the accounts of this code are here.
    pub(crate) fn knows_code(&self, code: &str) -> bool {
        self.codes.get(code).is_some_and(|ids| ids.iter().all(|id| self.accounts.get(id).is_some()))
    }

    /// The account of this code in this currency, if it is here.
    pub(crate) fn account(&self, code: &str, currency: &str) -> Option<&Account> {
        let ids = self.codes.get(code)?;
        ids.iter().filter_map(|id| self.accounts.get(id)).find(|account| &*account.facts.currency == currency)
    }

    /// The scale of a registered currency and the position that registered it; `None` if there is none.
    pub(crate) fn registered_currency(&self, code: &str) -> Result<Option<(u8, Position)>, Need> {
        self.currencies.get(code).copied().ok_or_else(|| Need::Currency(code.to_owned()))
    }

    pub(crate) fn id(&self, id: &str) -> IdUse {
        self.ids.get(id).cloned().unwrap_or(IdUse::Unverified)
    }

    pub(crate) fn version(&self, stream: &str) -> Result<i64, Need> {
        self.streams.get(stream).copied().ok_or_else(|| Need::Stream(stream.to_owned()))
    }

    pub(crate) fn record(&self, position: Position) -> Result<&Arc<Record>, Need> {
        self.records.get(&position).ok_or(Need::Record(position))
    }

    pub(crate) fn hold(&self, placed: Position) -> Result<&Arc<Hold>, Need> {
        self.holds.get(&placed).ok_or(Need::Hold(placed))
    }

    /// The open holds that expire up to a time, in order of position.
    pub(crate) fn due(&self, now: Timestamp) -> Result<Vec<&Arc<Hold>>, Need> {
        let known = self.due.get(&now).ok_or(Need::Due(now))?;
        let mut due = known.iter().map(|placed| self.hold(*placed)).collect::<Result<Vec<_>, _>>()?;
        due.retain(|hold| hold.end.is_none());
        Ok(due)
    }

    pub(crate) fn entry(&self, position: Position) -> Result<&PostedEntry, Need> {
        self.entries.get(&position).ok_or(Need::Entry(position))
    }

    pub(crate) fn period(&self) -> Result<PeriodMark, Need> {
        self.period.get(&()).copied().ok_or(Need::Period)
    }

    /// The posted balance, debit minus credit, of all that took effect up to a time.
    pub(crate) fn as_of(&self, account: AccountId, time: Timestamp) -> Result<Minor, Need> {
        self.as_of.get(&(account, time)).copied().ok_or(Need::AsOf(account, time))
    }

    /// The state of an entity, if it is here.
    pub(crate) fn aggregate(&self, entity: &str) -> Option<Cached> {
        self.aggregates.get(entity).cloned().flatten()
    }

    /// Whether what a command needs is not here.
    pub(crate) fn lacks(&self, need: &Need) -> bool {
        match need {
            Need::Code(code) => !self.knows_code(code),
            Need::Currency(code) => self.registered_currency(code).is_err(),
            Need::Id(id) => matches!(self.id(id), IdUse::Unverified),
            Need::Stream(stream) => self.version(stream).is_err(),
            Need::Record(position) => self.record(*position).is_err(),
            Need::Hold(placed) => self.hold(*placed).is_err(),
            Need::Due(now) => self.due.get(now).is_none(),
            Need::Entry(position) => self.entry(*position).is_err(),
            Need::Period => self.period().is_err(),
            Need::AsOf(account, time) => self.as_of(*account, *time).is_err(),
        }
    }

    /// Those of the needs that are not here, each once: what is loaded twice would be there twice.
    pub(crate) fn lacking(&self, mut needs: Vec<Need>) -> Vec<Need> {
        let mut seen = HashSet::new();
        needs.retain(|need| self.lacks(need) && seen.insert(need.clone()));
        needs
    }

    // Changes that a rollback takes back.

    pub(crate) fn set_account(&mut self, account: Account) {
        self.accounts.set(account.facts.id, account);
    }

    pub(crate) fn add_account(&mut self, account: Account) {
        // A code that is not here may have further accounts in the log: they are loaded when named.
        if let Some(ids) = self.codes.get(&*account.facts.code) {
            let mut ids = ids.clone();
            ids.push(account.facts.id);
            self.codes.set(Arc::clone(&account.facts.code), ids);
            self.set_account(account);
        }
    }

    pub(crate) fn set_currency(&mut self, code: &str, scale: u8, position: Position) {
        self.currencies.set(code.into(), Some((scale, position)));
    }

    pub(crate) fn set_version(&mut self, stream: &str, version: i64) {
        self.streams.set(stream.into(), version);
    }

    /// Folds a change into the state of its entity, if that is here.
    pub(crate) fn follow(&mut self, event: &Event) {
        if let Some(entity) = event.stream.as_deref()
            && let Some(known) = self.aggregate(entity)
        {
            self.aggregates.set(entity.into(), known.follow(event));
        }
    }

    /// Remembers what was written under an id, and what `open_account` and `register_currency` wrote.
    pub(crate) fn set_record(&mut self, record: Record, by_position: bool) {
        let record = Arc::new(record);
        if let Some(id) = &record.id {
            self.ids.set(id.as_str().into(), IdUse::Used(Arc::clone(&record)));
        }
        if by_position {
            self.records.set(record.position, record);
        }
    }

    pub(crate) fn set_hold(&mut self, hold: Hold) {
        self.holds.set(hold.placed, Arc::new(hold));
    }

    /// A hold that was just placed is due with those that expire when it does.
    pub(crate) fn add_due(&mut self, placed: Position, expires_at: Timestamp) {
        let times: Vec<Timestamp> = self.due.keys().filter(|now| expires_at <= **now).copied().collect();
        for now in times {
            let mut due = self.due.get(&now).cloned().unwrap_or_default();
            due.push(placed);
            self.due.set(now, due);
        }
    }

    pub(crate) fn set_entry(&mut self, position: Position, entry: PostedEntry) {
        self.entries.set(position, entry);
    }

    pub(crate) fn set_period(&mut self, mark: PeriodMark) {
        self.period.set((), mark);
    }

    /// Counts a posted leg in the balances as of a time that are known here.
    pub(crate) fn post_as_of(&mut self, account: AccountId, effective_at: Timestamp, posted: Minor) {
        let known = |key: &&(AccountId, Timestamp)| key.0 == account && effective_at <= key.1;
        let keys: Vec<(AccountId, Timestamp)> = self.as_of.keys().filter(known).copied().collect();
        for key in keys {
            let before = self.as_of.get(&key).copied().unwrap_or_default();
            self.as_of.set(key, before + posted);
        }
    }

    // What was read from the log as of the head.

    /// Of each code, its accounts. One of them may have been forgotten while another, or the code, is changed by
    /// what is not in the log yet: that one is kept as it is here.
    pub(crate) fn load_codes(&mut self, codes: Vec<(String, Vec<Account>)>) {
        let (codes_kept, accounts_kept) = (self.codes.under_way(), self.accounts.under_way());
        for (code, accounts) in codes {
            if !codes_kept.contains(code.as_str()) {
                self.codes.load(code.into(), accounts.iter().map(|account| account.facts.id).collect());
            }
            for account in accounts.into_iter().filter(|account| !accounts_kept.contains(&account.facts.id)) {
                self.accounts.load(account.facts.id, account);
            }
        }
    }

    pub(crate) fn load_currency(&mut self, code: &str, currency: Option<(u8, Position)>) {
        self.currencies.load(code.into(), currency);
    }

    pub(crate) fn load_id(&mut self, id: &str, record: Option<Record>) {
        let known = record.map_or(IdUse::Free, |record| IdUse::Used(Arc::new(record)));
        self.ids.load(id.into(), known);
    }

    pub(crate) fn load_version(&mut self, stream: &str, version: i64) {
        self.streams.load(stream.into(), version);
    }

    pub(crate) fn load_aggregate(&mut self, entity: &str, state: Cached) {
        self.aggregates.load(entity.into(), Some(state));
    }

    pub(crate) fn load_record(&mut self, record: Record) {
        self.records.load(record.position, Arc::new(record));
    }

    pub(crate) fn load_hold(&mut self, hold: Hold) {
        self.holds.load(hold.placed, Arc::new(hold));
    }

    pub(crate) fn load_due(&mut self, now: Timestamp, due: Vec<Position>) {
        self.due.load(now, due);
    }

    pub(crate) fn load_entry(&mut self, position: Position, entry: PostedEntry) {
        self.entries.load(position, entry);
    }

    pub(crate) fn load_period(&mut self, mark: PeriodMark) {
        self.period.load((), mark);
    }

    pub(crate) fn load_as_of(&mut self, account: AccountId, time: Timestamp, balance: Decimal) {
        let scale = self.accounts.get(&account).map_or(0, |account| account.facts.scale);
        // Totals are kept within their bound, so what they add up to fits.
        self.as_of.load((account, time), money::to_minor(balance, scale).unwrap_or_default());
    }

    // Batches.

    pub(crate) fn mark(&self) -> Mark {
        let undo = [
            self.codes.mark(),
            self.accounts.mark(),
            self.currencies.mark(),
            self.ids.mark(),
            self.streams.mark(),
            self.records.mark(),
            self.holds.mark(),
            self.due.mark(),
            self.entries.mark(),
            self.period.mark(),
            self.as_of.mark(),
            self.aggregates.mark(),
        ];
        Mark { head: self.head, undo }
    }

    pub(crate) fn rollback(&mut self, mark: &Mark) {
        let [codes, accounts, currencies, ids, streams, records, holds, due, entries, period, as_of, aggregates] =
            mark.undo;
        self.head = mark.head;
        self.codes.rollback(codes);
        self.accounts.rollback(accounts);
        self.currencies.rollback(currencies);
        self.ids.rollback(ids);
        self.streams.rollback(streams);
        self.records.rollback(records);
        self.holds.rollback(holds);
        self.due.rollback(due);
        self.entries.rollback(entries);
        self.period.rollback(period);
        self.as_of.rollback(as_of);
        self.aggregates.rollback(aggregates);
    }

    /// The head of the log as it is known: what is on its way is behind it.
    pub(crate) fn durable(&self) -> Head {
        self.durable
    }

    /// Takes back all that is not durable.
    pub(crate) fn take_back(&mut self) {
        self.rollback(&Mark { head: self.durable, undo: [0; 12] });
    }

    /// Makes what was done up to the mark final, and brings the caches back to their bounds.
    pub(crate) fn settle(&mut self, mark: &Mark, bounds: CacheBounds) {
        let [codes, accounts, currencies, ids, streams, records, holds, due, entries, period, as_of, aggregates] =
            mark.undo;
        self.durable = mark.head;
        self.codes.settle(codes, bounds.accounts);
        self.accounts.settle(accounts, bounds.accounts);
        self.currencies.settle(currencies, bounds.accounts);
        self.ids.settle(ids, bounds.ids);
        self.streams.settle(streams, bounds.streams);
        self.records.settle(records, bounds.ids);
        self.holds.settle(holds, bounds.ids);
        self.entries.settle(entries, bounds.ids);
        self.period.settle(period, 1);
        self.aggregates.settle(aggregates, bounds.aggregates);
        // Answers to questions that are seldom asked twice: they would only cost to keep true.
        self.due.settle(due, 0);
        self.as_of.settle(as_of, 0);
    }
}
