//! An event as projections read it.

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use postfold::event::{AccountOpened, Envelope, Movement};
use postfold::{Event, Payload, Side};
use rust_decimal::Decimal;
use serde::Deserialize;

use crate::accounts::{self, Known};
use crate::projection::FoldError;

/// An [`Event`] whose typed content is read at most once, however many projections look at it.
///
/// It dereferences to the event, so `event.position`, `event.kind` or `event.entity()` are at hand.
#[derive(Debug)]
pub struct ReadEvent {
    event: Event,
    payload: OnceLock<Result<Payload, FoldError>>,
    envelope: OnceLock<Result<Envelope, FoldError>>,
    moves: OnceLock<HashMap<String, Vec<Move>>>,
    /// The account of each leg, in the order of [`Payload::movements`]; empty where nobody asks for them.
    accounts: Vec<Option<Arc<AccountOpened>>>,
}

/// What one leg of an event does to its account: see [`ReadEvent::moves_of`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Move {
    /// The place of the leg among those of the event, from 0.
    pub leg: usize,
    /// The side of the leg.
    pub side: Side,
    /// What is posted on that side; zero or above.
    pub posted: Decimal,
    /// What becomes pending on that side; below zero where it is settled or released.
    pub pending: Decimal,
}

impl Move {
    fn of((leg, moved): (usize, Movement<'_>)) -> Self {
        Self { leg, side: moved.leg.amount.side(), posted: moved.posted, pending: moved.pending }
    }
}

/// Up to so many legs are gone through for each account; those of a larger entry are sorted by account once.
const LEGS_SCANNED_MAX: usize = 8;

impl ReadEvent {
    /// Wraps an event of the log.
    pub const fn new(event: Event) -> Self {
        Self {
            event,
            payload: OnceLock::new(),
            envelope: OnceLock::new(),
            moves: OnceLock::new(),
            accounts: Vec::new(),
        }
    }

    /// What the event says, typed: see [`Event::payload`].
    ///
    /// # Errors
    ///
    /// When the data does not have the shape that its kind promises, or a newer version wrote it.
    pub fn payload(&self) -> Result<&Payload, FoldError> {
        self.payload.get_or_init(|| Ok(self.event.payload()?)).as_ref().map_err(Clone::clone)
    }

    /// The event's envelope, typed: see [`Event::envelope`].
    ///
    /// # Errors
    ///
    /// When `meta` is not the object that the engine writes.
    pub fn envelope(&self) -> Result<&Envelope, FoldError> {
        self.envelope.get_or_init(|| Ok(self.event.envelope()?)).as_ref().map_err(Clone::clone)
    }

    /// What a change of an entity says: its data, read as the embedder's own type.
    ///
    /// # Errors
    ///
    /// When the data does not have the shape of that type.
    pub fn change<'a, T: Deserialize<'a>>(&'a self) -> Result<T, FoldError> {
        let data = serde_json::from_str(self.event.data.get());
        data.map_err(|error| FoldError::new(format!("the data of {} cannot be read: {error}", self.event.kind)))
    }

    /// What the event does to accounts, leg by leg.
    ///
    /// # Errors
    ///
    /// As for [`payload`](Self::payload).
    pub fn moves(&self) -> Result<impl Iterator<Item = Move>, FoldError> {
        Ok(self.payload()?.movements().enumerate().map(Move::of))
    }

    /// What the event does to one account, leg by leg; nothing where it does not name it.
    ///
    /// # Errors
    ///
    /// As for [`payload`](Self::payload).
    pub fn moves_of(&self, account: &str, currency: &str) -> Result<impl Iterator<Item = Move>, FoldError> {
        let payload = self.payload()?;
        let many = payload.movements().nth(LEGS_SCANNED_MAX).is_some();
        let sorted = many.then(|| self.moves.get_or_init(|| sorted_by_account(payload)));
        let found = sorted.and_then(|moves| moves.get(&accounts::key(account, currency)));
        let ours =
            move |(_, moved): &(usize, Movement<'_>)| moved.leg.account == account && moved.leg.currency == currency;
        let scanned = (!many).then(|| payload.movements().enumerate().filter(ours).map(Move::of));
        Ok(found.into_iter().flatten().copied().chain(scanned.into_iter().flatten()))
    }

    /// What the account of a leg was opened as: its type, side, scale, owner and name, which never change. The
    /// legs themselves do not say this. The place is that of [`Move::leg`].
    ///
    /// # Errors
    ///
    /// When the account was never opened; and always for a projection that does not say
    /// [`READS_ACCOUNTS`](crate::Projection::READS_ACCOUNTS).
    pub fn account_of(&self, leg: usize) -> Result<&AccountOpened, FoldError> {
        self.accounts.get(leg).and_then(Option::as_deref).ok_or_else(|| {
            FoldError::new(format!(
                "the account of leg {leg} was never opened, or the projection does not say READS_ACCOUNTS"
            ))
        })
    }

    /// Codes and currencies of the accounts of the event's legs, in their order.
    pub(crate) fn named(&self) -> impl Iterator<Item = (&str, &str)> {
        let legs = self.payload().ok().into_iter().flat_map(Payload::movements).map(|moved| moved.leg);
        legs.map(|leg| (leg.account.as_str(), leg.currency.as_str()))
    }

    /// Takes the accounts of its legs out of these.
    pub(crate) fn attach(&mut self, known: &Known) {
        self.accounts =
            self.named().map(|(account, currency)| known.get(&accounts::key(account, currency)).cloned()).collect();
    }

    /// Bytes of text that the event holds: what it costs to keep in memory, roughly.
    pub(crate) fn weight(&self) -> usize {
        self.event.data.get().len() + self.event.meta.get().len() + EVENT_OVERHEAD_BYTES
    }
}

/// What an event takes beside its data and meta: its other fields and their allocations.
const EVENT_OVERHEAD_BYTES: usize = 400;

impl Deref for ReadEvent {
    type Target = Event;

    fn deref(&self) -> &Event {
        &self.event
    }
}

impl From<Event> for ReadEvent {
    fn from(event: Event) -> Self {
        Self::new(event)
    }
}

fn sorted_by_account(payload: &Payload) -> HashMap<String, Vec<Move>> {
    let mut sorted: HashMap<String, Vec<Move>> = HashMap::new();
    for (leg, moved) in payload.movements().enumerate() {
        sorted.entry(accounts::key(&moved.leg.account, &moved.leg.currency)).or_default().push(Move::of((leg, moved)));
    }
    sorted
}
