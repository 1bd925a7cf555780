//! The log in memory: the same semantics as in PostgreSQL, for tests of embedders and for doc-tests.

mod queries;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use rust_decimal::Decimal;
use tokio::sync::watch;

use super::{AppendError, Loaded, PgConnection, PostingKey, PostingRow, Queries, Store, StoredAccount, StreamKey};
use crate::draft::Draft;
use crate::error::Error;
use crate::event::{DailyOut, Event, Payload, PostedLeg, kind};
use crate::fold::{self, Posting};
use crate::hash::Hash;
use crate::money::{self, Minor};
use crate::position::Position;
use crate::state::{
    Account, AccountId, Facts, Head, Hold, Need, Outflow, PERIOD_STREAM, PeriodMark, PostedEntry, Totals,
    reversal_stream,
};

/// A ledger's log in memory; gone with the process.
pub(crate) struct MemoryStore {
    name: String,
    log: Mutex<Log>,
    known: watch::Sender<Position>,
}

#[derive(Default)]
struct Log {
    events: Vec<Event>,
    ids: HashMap<String, usize>,
    streams: BTreeMap<(String, i64), usize>,
    accounts: Vec<Arc<Facts>>,
    postings: BTreeMap<(Position, Position, i32), Posting>,
}

impl MemoryStore {
    pub(crate) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), log: Mutex::default(), known: watch::Sender::new(Position::START) }
    }

    pub(crate) fn append_now(&self, draft: &Draft) -> Result<(), AppendError> {
        self.log().append(draft, &self.name)
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Store for MemoryStore {
    fn name(&self) -> &str {
        &self.name
    }

    async fn head(&self) -> Result<Head, Error> {
        Ok(self.log().head(&self.name))
    }

    async fn load(&self, needs: &[Need], at: Position) -> Result<Loaded, Error> {
        let log = self.log();
        let mut loaded = Loaded::default();
        for need in needs {
            match need {
                Need::Code(code) => loaded.codes.push((code.clone(), log.accounts_of(code, at)?)),
                Need::Currency(code) => loaded.currencies.push((code.clone(), log.currency(code, at)?)),
                Need::Id(id) => {
                    let event = log.ids.get(id).and_then(|index| log.events.get(*index));
                    let record =
                        event.filter(|event| event.position <= at).map(|event| fold::record(event, &event.payload()?));
                    loaded.ids.push((id.clone(), record.transpose()?));
                }
                Need::Stream(stream) => loaded.streams.push((stream.clone(), log.version(stream, at))),
                Need::Record(position) => {
                    if let Some(event) = log.event(*position).filter(|event| event.position <= at) {
                        loaded.records.push(fold::record(event, &event.payload()?)?);
                    }
                }
                Need::Hold(placed) => loaded.holds.extend(log.hold(*placed, at)?),
                Need::Due(now) => {
                    let due = log.due(*now, at)?;
                    loaded.due.push((*now, due.iter().map(|hold| hold.placed).collect()));
                    loaded.holds.extend(due);
                }
                Need::Entry(position) => {
                    let reversed = log.version(&reversal_stream(*position), at) > 0;
                    if let Some(legs) = log.legs(*position)? {
                        loaded.entries.push((*position, PostedEntry { legs, reversed }));
                    }
                }
                Need::Period => loaded.period = Some(log.period(at)?),
                Need::AsOf(account, time) => loaded.as_of.push(((*account, *time), log.as_of(*account, *time, at))),
            }
        }
        Ok(loaded)
    }

    async fn append(&self, draft: &Draft) -> Result<(), AppendError> {
        self.append_now(draft)
    }

    async fn page(&self, after: Position, limit: usize) -> Result<Vec<Event>, Error> {
        let log = self.log();
        let start = usize::try_from(after.get()).unwrap_or(usize::MAX);
        Ok(log.events.iter().skip(start).take(limit).cloned().collect())
    }

    async fn stream(
        &self,
        _within: Option<&mut PgConnection>,
        stream: &str,
        after: i64,
        limit: usize,
    ) -> Result<Vec<Event>, Error> {
        let log = self.log();
        let event = |version| log.streams.get(&(stream.to_owned(), version)).and_then(|index| log.events.get(*index));
        Ok((after + 1..).map_while(event).take(limit).cloned().collect())
    }

    async fn postings(&self, after: PostingKey, from: Position, limit: usize) -> Result<Vec<PostingRow>, Error> {
        let log = self.log();
        let behind = (Bound::Excluded((after.account, after.position, after.leg)), Bound::Unbounded);
        let rows = log.postings.range(behind).filter(|((_, position, _), _)| *position > from);
        Ok(rows.take(limit).map(|(_, posting)| PostingRow::from(posting)).collect())
    }

    async fn accounts(&self, after: AccountId, at: Position, limit: usize) -> Result<Vec<StoredAccount>, Error> {
        let log = self.log();
        // They are kept in the order in which they were opened, which is that of their numbers.
        let behind = log.accounts.partition_point(|facts| facts.id <= after);
        let accounts = log.accounts[behind..].iter().take_while(|facts| facts.id <= at).take(limit);
        let stored = |facts: &Arc<Facts>| StoredAccount {
            id: facts.id,
            facts: Ok(facts.as_ref().clone()),
            totals: log.totals(facts.id, at),
        };
        Ok(accounts.map(stored).collect())
    }

    async fn streams(&self, after: &StreamKey, limit: usize) -> Result<Vec<StreamKey>, Error> {
        let log = self.log();
        let behind = (Bound::Excluded((after.stream.clone(), after.version)), Bound::Unbounded);
        let key = |((stream, version), index): (&(String, i64), &usize)| {
            let position = Position::START.plus(index + 1);
            StreamKey { stream: stream.clone(), version: *version, position }
        };
        Ok(log.streams.range(behind).take(limit).map(key).collect())
    }

    fn queries(&self) -> &dyn Queries {
        self
    }

    async fn announce(&self, head: Position) {
        self.known.send_replace(head);
    }

    async fn changed(&self, after: Position, timeout: Duration) -> Result<(), Error> {
        let mut heads = self.known.subscribe();
        // A timeout is as good as a hint: the caller reads either way.
        let _ = tokio::time::timeout(timeout, heads.wait_for(|head| *head > after)).await;
        Ok(())
    }
}

impl Log {
    fn head(&self, name: &str) -> Head {
        match self.events.last() {
            None => Head { position: Position::START, hash: Hash::genesis(name), recorded_at: None },
            Some(event) => Head { position: event.position, hash: event.hash, recorded_at: Some(event.recorded_at) },
        }
    }

    fn append(&mut self, draft: &Draft, name: &str) -> Result<(), AppendError> {
        let Some(first) = draft.events.first() else { return Ok(()) };
        let head = self.head(name).position;
        if first.position <= head {
            return Err(AppendError::LostRace);
        }
        if first.position != head.next() {
            let what = format!("positions from {} leave a gap behind {head}", first.position);
            return Err(AppendError::Failed(Error::Damaged { position: first.position, what }));
        }
        let mut ids = HashSet::new();
        for event in &draft.events {
            let id_taken = event.id.as_ref().is_some_and(|id| self.ids.contains_key(id) || !ids.insert(id));
            let version_taken = key(event).is_some_and(|key| self.streams.contains_key(&key));
            if id_taken || version_taken {
                return Err(AppendError::Duplicate);
            }
        }
        self.check_balance(draft)?;
        for event in &draft.events {
            let index = self.events.len();
            if let Some(id) = &event.id {
                self.ids.insert(id.clone(), index);
            }
            if let Some(key) = key(event) {
                self.streams.insert(key, index);
            }
            self.events.push(event.clone());
        }
        self.accounts.extend(draft.accounts.iter().map(|row| Arc::clone(&row.0)));
        for posting in &draft.postings {
            self.postings.insert((posting.account_id, posting.position, posting.leg), posting.clone());
        }
        Ok(())
    }

    /// What the triggers check in PostgreSQL.
    fn check_balance(&self, draft: &Draft) -> Result<(), AppendError> {
        let mut sums: HashMap<(Position, &str), (Minor, Minor)> = HashMap::new();
        for posting in &draft.postings {
            let opened = draft.accounts.iter().map(|row| &row.0);
            let mut accounts = self.accounts.iter().chain(opened);
            let Some(facts) = accounts.find(|facts| facts.id == posting.account_id) else {
                let what = format!("a posting names account {}, which does not exist", posting.account_id);
                return Err(AppendError::Failed(Error::Damaged { position: posting.position, what }));
            };
            let sum = sums.entry((posting.position, &facts.currency)).or_default();
            sum.0 += posting.posted;
            sum.1 += posting.pending;
        }
        match sums.into_iter().find(|(_, sum)| *sum != (0, 0)) {
            None => Ok(()),
            Some(((position, currency), _)) => {
                let what = format!("the entry does not balance in {currency}");
                Err(AppendError::Failed(Error::Damaged { position, what }))
            }
        }
    }

    fn event(&self, position: Position) -> Option<&Event> {
        let index = usize::try_from(position.get() - 1).ok()?;
        self.events.get(index)
    }

    fn accounts_of(&self, code: &str, at: Position) -> Result<Vec<Account>, Error> {
        let facts = self.accounts.iter().filter(|facts| *facts.code == *code && facts.id <= at);
        facts.map(|facts| self.account(facts, at)).collect()
    }

    fn account(&self, facts: &Arc<Facts>, at: Position) -> Result<Account, Error> {
        let damaged = |what: &str| Error::Damaged { position: facts.id, what: what.to_owned() };
        let Some(Payload::AccountOpened(opened)) = self.event(facts.id).map(Event::payload).transpose()? else {
            return Err(damaged("no event opens the account"));
        };
        let mut account = Account::opened(facts.id, &opened).map_err(|_| damaged("a limit has too many digits"))?;
        if let Some(changed) = self.newest(&Account::stream(facts.id), at)
            && let Payload::AccountChanged(change) = changed.payload()?
        {
            let version = changed.version.unwrap_or_default();
            account.changed(version, &change.status).map_err(|_| damaged("a limit has too many digits"))?;
        }
        account.totals = self.totals(facts.id, at);
        if account.status.counting {
            account.out = self.outflow(&account, at)?;
        }
        Ok(account)
    }

    /// The running totals of an account's newest posting.
    fn totals(&self, account: AccountId, at: Position) -> Totals {
        let newest = self.postings.range((account, Position::START, 0)..=(account, at, i32::MAX)).next_back();
        newest.map_or(Totals::default(), |(_, posting)| posting.totals)
    }

    fn outflow(&self, account: &Account, at: Position) -> Result<Option<Outflow>, Error> {
        for event in self.events.iter().rev().filter(|event| event.position <= at) {
            let payload = event.payload()?;
            let of_account =
                |out: &&DailyOut| out.account == *account.facts.code && out.currency == *account.facts.currency;
            if let Some(out) = payload.outflow().iter().find(of_account) {
                let sum = money::to_minor(out.sum, account.facts.scale).unwrap_or_default();
                return Ok(Some(Outflow { day: money::day(event.recorded_at), sum }));
            }
        }
        Ok(None)
    }

    fn hold(&self, placed: Position, at: Position) -> Result<Option<Hold>, Error> {
        let Some(event) = self.event(placed).filter(|event| event.position <= at) else { return Ok(None) };
        let Payload::HoldPlaced(payload) = event.payload()? else { return Ok(None) };
        let mut hold = Hold::placed(event, &payload);
        if let Some(newest) = self.newest(&Hold::stream(placed), at) {
            hold.changed(newest, &newest.payload()?);
        }
        Ok(Some(hold))
    }

    fn due(&self, now: Timestamp, at: Position) -> Result<Vec<Hold>, Error> {
        let placed = self.events.iter().filter(|event| event.kind == kind::HOLD_PLACED && event.position <= at);
        let holds = placed.filter_map(|event| self.hold(event.position, at).transpose());
        let due = |hold: &Hold| hold.end.is_none() && hold.expires_at.is_some_and(|expires_at| expires_at <= now);
        Ok(holds.collect::<Result<Vec<_>, _>>()?.into_iter().filter(due).collect())
    }

    fn legs(&self, position: Position) -> Result<Option<Arc<[PostedLeg]>>, Error> {
        Ok(match self.event(position).map(Event::payload).transpose()? {
            Some(Payload::EntryPosted(entry)) => Some(entry.legs),
            Some(Payload::HoldSettled(settled)) => Some(settled.legs),
            _ => None,
        })
    }

    fn period(&self, at: Position) -> Result<PeriodMark, Error> {
        let Some(event) = self.newest(PERIOD_STREAM, at) else { return Ok(PeriodMark::default()) };
        let through = match event.payload()? {
            Payload::PeriodMoved(moved) => moved.through,
            _ => None,
        };
        Ok(PeriodMark { through, version: event.version.unwrap_or_default() })
    }

    fn as_of(&self, account: Position, time: Timestamp, at: Position) -> Decimal {
        let postings = self.postings.range((account, Position::START, 0)..=(account, at, i32::MAX));
        let took_effect =
            |posting: &&Posting| self.event(posting.position).is_some_and(|event| event.effective_at <= time);
        let counted = postings.map(|(_, posting)| posting).filter(took_effect);
        counted.map(|posting| money::to_decimal(posting.posted, posting.scale)).sum()
    }

    /// The newest event of a stream.
    fn newest(&self, stream: &str, at: Position) -> Option<&Event> {
        let version = self.version(stream, at);
        self.streams.get(&(stream.to_owned(), version)).and_then(|index| self.events.get(*index))
    }

    fn currency(&self, code: &str, at: Position) -> Result<Option<(u8, Position)>, Error> {
        let index = self.streams.get(&(format!("currency:{code}"), 1));
        let Some(event) = index.and_then(|index| self.events.get(*index)).filter(|event| event.position <= at) else {
            return Ok(None);
        };
        match event.payload()? {
            Payload::CurrencyRegistered(currency) => Ok(Some((currency.scale, event.position))),
            _ => Ok(None),
        }
    }

    fn version(&self, stream: &str, at: Position) -> i64 {
        let visible = |version: &i64| {
            let index = self.streams.get(&(stream.to_owned(), *version));
            index.and_then(|index| self.events.get(*index)).is_some_and(|event| event.position <= at)
        };
        (1..=at.get()).take_while(visible).last().unwrap_or_default()
    }
}

fn key(event: &Event) -> Option<(String, i64)> {
    event.stream.clone().zip(event.version)
}
