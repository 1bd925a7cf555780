//! An event as projections read it.

use std::ops::Deref;
use std::sync::OnceLock;

use postfold::event::Envelope;
use postfold::{Event, Payload};
use serde::Deserialize;

use crate::projection::FoldError;

/// An [`Event`] whose typed content is read at most once, however many projections look at it.
///
/// It dereferences to the event, so `event.position`, `event.kind` or `event.entity()` are at hand.
#[derive(Debug)]
pub struct ReadEvent {
    event: Event,
    payload: OnceLock<Result<Payload, FoldError>>,
    envelope: OnceLock<Result<Envelope, FoldError>>,
}

impl ReadEvent {
    /// Wraps an event of the log.
    pub const fn new(event: Event) -> Self {
        Self { event, payload: OnceLock::new(), envelope: OnceLock::new() }
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
