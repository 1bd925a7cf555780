//! For tests of projections: a log to write by hand, and given / when / then.
//!
//! What is here panics where a test should fail.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use postfold::event::{self, AccountOpened, EntryPosted, PostedLeg, SideAmount};
use postfold::hash::Fields;
use postfold::{AccountType, Event, Hash, Head, Limits, Position};
use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::sync::watch;

use crate::event::ReadEvent;
use crate::folder::{Folder, State, Typed};
use crate::log::{EntityChange, LogError, LogSource};
use crate::projection::{Change, FoldError, Projection};

/// A log in memory, written event by event, with a hash chain like the real one. Clones share it.
///
/// No rule of the ledger is checked: a test may write what the engine never would. Each event is recorded
/// one second after the one before it, from 2026-01-01T00:00:01Z on.
#[derive(Clone, Debug)]
pub struct EventLog {
    ledger: Arc<str>,
    written: Arc<Mutex<Written>>,
    length: Arc<watch::Sender<usize>>,
    pages: Arc<AtomicUsize>,
}

#[derive(Debug, Default)]
struct Written {
    events: Vec<Event>,
    versions: HashMap<String, i64>,
}

/// When the event at position 0 would have been recorded: 2026-01-01T00:00:00Z.
const EPOCH_SECONDS: i64 = 1_767_225_600;

impl EventLog {
    /// An empty log of this ledger.
    pub fn new(ledger: &str) -> Self {
        Self {
            ledger: ledger.into(),
            written: Arc::default(),
            length: Arc::new(watch::Sender::new(0)),
            pages: Arc::default(),
        }
    }

    /// An account was opened, without limits; its currency has two decimals.
    pub fn open_account(&self, account: &str, currency: &str, account_type: AccountType) -> Event {
        self.open(&AccountOpened {
            account: account.to_owned(),
            currency: currency.to_owned(),
            scale: 2,
            account_type,
            normal: account_type.normal(),
            limits: Limits::default(),
            owner: None,
            name: None,
        })
    }

    /// An account was opened.
    pub fn open(&self, opened: &AccountOpened) -> Event {
        self.append(None, event::kind::ACCOUNT_OPENED, &json(opened))
    }

    /// An entry of two legs was posted.
    pub fn post(&self, debit: &str, credit: &str, currency: &str, amount: Decimal) -> Event {
        let leg =
            |account: &str, amount| PostedLeg { account: account.to_owned(), currency: currency.to_owned(), amount };
        let legs = vec![leg(debit, SideAmount::Debit(amount)), leg(credit, SideAmount::Credit(amount))];
        self.post_entry(&EntryPosted::new(legs))
    }

    /// An entry was posted.
    pub fn post_entry(&self, entry: &EntryPosted) -> Event {
        self.append(None, event::kind::ENTRY_POSTED, &json(entry))
    }

    /// An entity (`type/id`) changed; `data` is a JSON object. Its versions count up by themselves.
    pub fn change(&self, entity: &str, kind: &str, data: &str) -> Event {
        self.append(Some(entity), kind, data)
    }

    /// An event with an envelope of its own is written: a JSON object such as
    /// `{"fingerprint": "", "correlation": "c-1", "meta": {"by": "user/7"}}`.
    ///
    /// # Panics
    ///
    /// When `data` or `meta` is no JSON.
    pub fn append_with(&self, stream: Option<&str>, kind: &str, data: &str, meta: &str) -> Event {
        let mut written = self.lock();
        let Written { events, versions } = &mut *written;
        let position = events.last().map_or(Position::START, |last| last.position).next();
        let recorded_at = at(position);
        let version = stream.map(|stream| {
            let version = versions.entry(stream.to_owned()).or_default();
            *version += 1;
            *version
        });
        let mut event = Event {
            position,
            id: None,
            stream: stream.map(str::to_owned),
            version,
            kind: kind.to_owned(),
            schema: 1,
            data: raw(data),
            meta: raw(meta),
            effective_at: recorded_at,
            recorded_at,
            hash: Hash::genesis(&self.ledger),
        };
        let before = events.last().map_or(event.hash, |last| last.hash);
        event.hash = before.chain(&Fields::from(&event));
        events.push(event.clone());
        self.length.send_replace(events.len());
        event
    }

    /// Takes away everything behind this position, as if the log was restored from a backup.
    pub fn restore_to(&self, position: Position) {
        let mut written = self.lock();
        let Written { events, versions } = &mut *written;
        events.truncate(place(position));
        versions.clear();
        for event in events.iter() {
            versions.extend(event.stream.clone().zip(event.version));
        }
        self.length.send_replace(events.len());
    }

    /// How many pages were read so far.
    pub fn pages_read(&self) -> usize {
        self.pages.load(Ordering::Relaxed)
    }

    fn append(&self, stream: Option<&str>, kind: &str, data: &str) -> Event {
        self.append_with(stream, kind, data, r#"{"fingerprint":""}"#)
    }

    fn events(&self) -> Vec<Event> {
        self.lock().events.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Written> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn at(position: Position) -> Timestamp {
    Timestamp::from_second(EPOCH_SECONDS.saturating_add(position.get())).unwrap_or(Timestamp::MAX)
}

/// Positions are dense: an event's place is its position, less one.
fn place(position: Position) -> usize {
    usize::try_from(position.get()).unwrap_or(usize::MAX)
}

fn raw(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_owned()).unwrap_or_else(|error| panic!("{text} is not JSON: {error}"))
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_else(|error| panic!("the data does not go into JSON: {error}"))
}

#[async_trait]
impl LogSource for EventLog {
    fn ledger_name(&self) -> &str {
        &self.ledger
    }

    async fn head(&self) -> Result<Head, LogError> {
        let events = &self.lock().events;
        let (position, hash) = events
            .last()
            .map_or_else(|| (Position::START, Hash::genesis(&self.ledger)), |last| (last.position, last.hash));
        Ok(Head { position, hash, recorded_at: events.last().map(|last| last.recorded_at) })
    }

    async fn page(&self, after: Position, limit: usize) -> Result<Vec<Event>, LogError> {
        self.pages.fetch_add(1, Ordering::Relaxed);
        Ok(self.lock().events.iter().skip(place(after)).take(limit).cloned().collect())
    }

    async fn hash_at(&self, position: Position) -> Result<Option<Hash>, LogError> {
        if position == Position::START {
            return Ok(Some(Hash::genesis(&self.ledger)));
        }
        Ok(place(position).checked_sub(1).and_then(|place| self.lock().events.get(place).map(|event| event.hash)))
    }

    async fn changes(&self, entity: &str) -> Result<Vec<EntityChange>, LogError> {
        let ours = self.events().into_iter().filter(|event| event.stream.as_deref() == Some(entity));
        let change = |event: Event| EntityChange {
            position: event.position,
            kind: event.kind,
            data: event.data.get().to_owned(),
        };
        Ok(ours.map(change).collect())
    }

    async fn changed(&self, after: Position, timeout: Duration) -> Result<(), LogError> {
        let after = place(after);
        let mut length = self.length.subscribe();
        // The time being up is an answer, not an error.
        let _ = tokio::time::timeout(timeout, length.wait_for(|length| *length > after)).await;
        Ok(())
    }
}

/// Given some events, when further ones come, then these are the documents.
///
/// Between any two events every document goes through BSON and back, as it would through a database:
/// a document that does not survive that fails the test.
///
/// ```
/// use postfold_projections::models::Preferences;
/// use postfold_projections::testing::Scenario;
///
/// Scenario::<Preferences>::new()
///     .given(|log| {
///         log.change("user/42", "preference.changed", r#"{"theme": "dark"}"#);
///     })
///     .when(|log| {
///         log.change("user/42", "preference.changed", r#"{"mail": {"weekly": true}}"#);
///     })
///     .then_touches(&["user/42"])
///     .then("user/42", |preference| {
///         assert_eq!(preference.version, 2);
///         assert_eq!(preference.preferences.get_str("theme").unwrap(), "dark");
///     })
///     .then_none("user/43");
/// ```
pub struct Scenario<P: Projection> {
    folder: Typed<P>,
    log: EventLog,
    folded: usize,
    documents: BTreeMap<String, State>,
    touched: Vec<String>,
    refused: Option<FoldError>,
}

impl<P: Projection> Default for Scenario<P> {
    fn default() -> Self {
        Self::new()
    }
}

impl<P: Projection> Scenario<P> {
    /// An empty log, no documents.
    pub fn new() -> Self {
        Self {
            folder: Typed::new(),
            log: EventLog::new("scenario"),
            folded: 0,
            documents: BTreeMap::new(),
            touched: Vec::new(),
            refused: None,
        }
    }

    /// Events that came before.
    ///
    /// # Panics
    ///
    /// When one of them cannot be folded.
    pub fn given(mut self, write: impl FnOnce(&EventLog)) -> Self {
        write(&self.log);
        if let Err(error) = self.catch_up() {
            panic!("what was given cannot be folded: {error}");
        }
        self
    }

    /// The events that the test is about.
    pub fn when(mut self, write: impl FnOnce(&EventLog)) -> Self {
        write(&self.log);
        self.touched.clear();
        self.refused = self.catch_up().err();
        self
    }

    /// There is a document with this key, and `check` is content with it.
    ///
    /// # Panics
    ///
    /// When there is none, or the events could not be folded.
    pub fn then(self, key: &str, check: impl FnOnce(&P::Document)) -> Self {
        self.assert_folded();
        let Some(document) = self.documents.get(key).and_then(|state| state.downcast_ref()) else {
            panic!("there is no document {key:?}, only {:?}", self.documents.keys());
        };
        check(document);
        self
    }

    /// The document with this key is this one.
    ///
    /// # Panics
    ///
    /// When it is not, or the events could not be folded.
    pub fn then_is(self, key: &str, expected: &P::Document) -> Self
    where
        P::Document: PartialEq + Debug,
    {
        self.then(key, |found| assert_eq!(found, expected, "the document {key:?}"))
    }

    /// There is no document with this key.
    ///
    /// # Panics
    ///
    /// When there is one, or the events could not be folded.
    pub fn then_none(self, key: &str) -> Self {
        self.assert_folded();
        assert!(!self.documents.contains_key(key), "there is a document {key:?}");
        self
    }

    /// These are the keys that the events of `when` touched, in any order.
    ///
    /// # Panics
    ///
    /// When they are not, or the events could not be folded.
    pub fn then_touches(self, keys: &[&str]) -> Self {
        self.assert_folded();
        let sorted = |keys: &mut Vec<String>| {
            keys.sort_unstable();
            keys.dedup();
        };
        let (mut expected, mut found) = (keys.iter().map(|key| (*key).to_owned()).collect(), self.touched.clone());
        sorted(&mut expected);
        sorted(&mut found);
        assert_eq!(found, expected, "the keys touched");
        self
    }

    /// An event of `when` could not be folded, and `check` is content with the reason.
    ///
    /// # Panics
    ///
    /// When all could be folded.
    pub fn then_refuses(self, check: impl FnOnce(&FoldError)) -> Self {
        let Some(error) = &self.refused else { panic!("the events could all be folded") };
        check(error);
        self
    }

    fn assert_folded(&self) {
        if let Some(error) = &self.refused {
            panic!("an event could not be folded: {error}");
        }
    }

    fn catch_up(&mut self) -> Result<(), FoldError> {
        for event in self.log.events().into_iter().skip(self.folded) {
            self.folded += 1;
            let event = ReadEvent::new(event);
            for key in self.folder.keys(&event)? {
                self.fold(key, &event)?;
            }
        }
        Ok(())
    }

    fn fold(&mut self, key: String, event: &ReadEvent) -> Result<(), FoldError> {
        match self.folder.fold(self.documents.get(&key), &key, event)?.change {
            Change::Put(state) => {
                let stored = self.folder.encode(&state)?;
                self.documents.insert(key.clone(), self.folder.decode(&stored)?);
            }
            Change::Delete => drop(self.documents.remove(&key)),
            Change::Keep => {}
        }
        self.touched.push(key);
        Ok(())
    }
}
