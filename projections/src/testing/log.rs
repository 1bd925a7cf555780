//! A log to write by hand.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use postfold::event::{self, AccountOpened, EntryPosted, PostedLeg, SideAmount};
use postfold::hash::Fields;
use postfold::{AccountType, Event, Hash, Head, Limits, Payload, Position};
use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::sync::watch;

use crate::log::{EntityChange, LogError, LogSource};

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

/// The envelope of a command without remarks.
const PLAIN_META: &str = r#"{"fingerprint":""}"#;

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
        self.write(stream, kind, [data, meta], None)
    }

    /// An event that takes effect at another time than it is recorded.
    ///
    /// # Panics
    ///
    /// When `data` is no JSON.
    pub fn append_effective(&self, kind: &str, data: &str, effective_at: Timestamp) -> Event {
        self.write(None, kind, [data, PLAIN_META], Some(effective_at))
    }

    fn write(
        &self,
        stream: Option<&str>,
        kind: &str,
        [data, meta]: [&str; 2],
        effective_at: Option<Timestamp>,
    ) -> Event {
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
            effective_at: effective_at.unwrap_or(recorded_at),
            recorded_at,
            hash: Hash::genesis(&self.ledger),
        };
        let before = events.last().map_or(event.hash, |last| last.hash);
        event.hash = before.chain(&Fields::from(&event));
        events.push(event.clone());
        self.length.send_replace(events.len());
        event
    }

    /// An event as another log has it, such as that of a ledger in memory.
    ///
    /// # Panics
    ///
    /// When it is not the one that comes next.
    pub fn copy(&self, event: Event) {
        let mut written = self.lock();
        let next = written.events.last().map_or(Position::START, |last| last.position).next();
        assert_eq!(event.position, next, "the position of the event copied");
        if let (Some(stream), Some(version)) = (&event.stream, event.version) {
            written.versions.insert(stream.clone(), version);
        }
        written.events.push(event);
        self.length.send_replace(written.events.len());
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
        self.append_with(stream, kind, data, PLAIN_META)
    }

    /// The events from this place on.
    pub(super) fn events(&self, from: usize) -> Vec<Event> {
        self.lock().events.get(from..).unwrap_or_default().to_vec()
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

    async fn opened(&self, accounts: &[(&str, &str)]) -> Result<Vec<AccountOpened>, LogError> {
        let opened = |event: &Event| match event.payload() {
            Ok(Payload::AccountOpened(opened)) => Some(opened),
            _ => None,
        };
        let all = self.events(0);
        let wanted = |opened: &AccountOpened| accounts.contains(&(&*opened.account, &*opened.currency));
        Ok(all.iter().filter_map(opened).filter(wanted).collect())
    }

    async fn hash_at(&self, position: Position) -> Result<Option<Hash>, LogError> {
        if position == Position::START {
            return Ok(Some(Hash::genesis(&self.ledger)));
        }
        Ok(place(position).checked_sub(1).and_then(|place| self.lock().events.get(place).map(|event| event.hash)))
    }

    async fn changes(&self, entity: &str) -> Result<Vec<EntityChange>, LogError> {
        let ours = self.events(0).into_iter().filter(|event| event.stream.as_deref() == Some(entity));
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
