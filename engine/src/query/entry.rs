//! One entry, with all that belongs to it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::command::Meta;
use crate::error::Error;
use crate::event::{Event, Payload, PostedLeg, kind};
use crate::hash::Hash;
use crate::log::Log;
use crate::position::Position;
use crate::state::{Head, Hold, HoldEnd, reversal_stream};

/// Most settles of one hold that [`Log::entry`] names, the oldest ones.
const SETTLES_MAX: usize = 1_000;

/// An entry of the log: an entry proper, a reversal, a hold or a settle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EntryView {
    /// Its id.
    pub id: String,
    /// Which of the four.
    pub kind: EntryKind,
    /// Its place in the log.
    pub position: Position,
    /// Its legs; those of a hold as it was made, those of a settle as they were posted.
    pub legs: Vec<PostedLeg>,
    /// What it was for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// When it counts.
    pub effective_at: Timestamp,
    /// When the ledger learnt it.
    pub recorded_at: Timestamp,
    /// The log's hash at its position.
    pub hash: Hash,
    /// The business process that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub correlation: Option<String>,
    /// The caller's own remarks.
    #[serde(skip_serializing_if = "Meta::is_empty")]
    pub meta: Meta,
    /// Of a reversal: the id of the entry that it reverses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reverses: Option<String>,
    /// Of a reversal: why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The id of the reversal of this entry, if it was reversed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reversed_by: Option<String>,
    /// Of a settle: the id of its hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold: Option<String>,
    /// Of a settle: what it released unposted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub released: Vec<PostedLeg>,
    /// Of a hold: what has become of it; its fields stand beside the others.
    #[serde(flatten)]
    pub state: Option<HoldView>,
}

/// What kind of entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EntryKind {
    /// By `post` or `transfer`.
    Entry,
    /// By `reverse`.
    Reversal,
    /// By `hold`: pending.
    Hold,
    /// By `settle`: posts all of a hold, or part.
    Settle,
}

impl EntryKind {
    /// The word that JSON has for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Entry => "entry",
            Self::Reversal => "reversal",
            Self::Hold => "hold",
            Self::Settle => "settle",
        }
    }

    /// The kind of an event that has posted legs.
    pub(crate) fn posted(kind: &str, reverses: Option<&str>) -> Self {
        match (kind, reverses) {
            (kind::HOLD_SETTLED, _) => Self::Settle,
            (_, Some(_)) => Self::Reversal,
            _ => Self::Entry,
        }
    }
}

/// What has become of a hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HoldView {
    /// Whether it still reserves something, or how it ended.
    pub state: HoldState,
    /// From when on it can no longer be settled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// Whether that time had come when the log's newest event was recorded. An open hold keeps its
    /// reservation until `expire_due` voids it, but can no longer be settled or voided.
    pub overdue: bool,
    /// What it still reserves.
    pub left: Vec<PostedLeg>,
    /// The ids of its settles, in order, at most the first 1,000; not in lists of holds.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub settles: Vec<String>,
}

/// Whether a hold still reserves something, or how it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum HoldState {
    /// It reserves what is left of it.
    Open,
    /// Settled; what was not posted was released.
    Settled,
    /// Voided by its owner.
    Voided,
    /// Voided by `expire_due`, since its time was over.
    Expired,
}

impl HoldState {
    /// The word that JSON has for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Settled => "settled",
            Self::Voided => "voided",
            Self::Expired => "expired",
        }
    }
}

impl Log {
    /// The entry, reversal, hold or settle of this id, as of the head.
    ///
    /// # Errors
    ///
    /// [`Error::EntryNotFound`]; [`Error::NotAnEntry`] when the id was used by another kind of command;
    /// otherwise when the database is not available.
    pub async fn entry(&self, id: &str) -> Result<EntryView, Error> {
        let head = self.head().await?;
        let queries = self.store().queries();
        let event = queries.event_of_id(id, head.position).await?;
        let event = event.ok_or_else(|| Error::EntryNotFound { id: id.to_owned() })?;
        let payload = event.payload()?;
        let streams = [reversal_stream(event.position), Hold::stream(event.position)];
        let newest = queries.newest(&streams, head.position).await?;
        let [reversals, changes] = &streams;
        let Some(mut entry) = EntryView::new(&event, payload, newest.get(changes), head)? else {
            return Err(Error::NotAnEntry { id: id.to_owned(), kind: event.kind, position: event.position });
        };
        entry.reversed_by = newest.get(reversals).and_then(|reversal| reversal.id.clone());
        if let Some(hold) = &mut entry.state {
            let changes = self.store().stream(None, changes, 0, SETTLES_MAX).await?;
            let as_of_head = changes.into_iter().filter(|change| change.position <= head.position);
            let settles = as_of_head.filter(|change| change.kind == kind::HOLD_SETTLED);
            hold.settles = settles.filter_map(|settle| settle.id).collect();
        }
        Ok(entry)
    }
}

impl EntryView {
    /// What an event says of itself, and the newest change of a hold; `None` if it is no entry.
    pub(crate) fn new(
        event: &Event,
        payload: Payload,
        changed: Option<&Event>,
        head: Head,
    ) -> Result<Option<Self>, Error> {
        let envelope = event.envelope()?;
        let bare = Self {
            id: event.id.clone().unwrap_or_default(),
            kind: EntryKind::Entry,
            position: event.position,
            legs: Vec::new(),
            text: None,
            effective_at: event.effective_at,
            recorded_at: event.recorded_at,
            hash: event.hash,
            correlation: envelope.correlation,
            meta: envelope.meta,
            reverses: None,
            reason: None,
            reversed_by: None,
            hold: None,
            released: Vec::new(),
            state: None,
        };
        Ok(Some(match payload {
            Payload::EntryPosted(entry) => Self {
                kind: EntryKind::posted(&event.kind, entry.reverses.as_deref()),
                legs: entry.legs.to_vec(),
                text: entry.text,
                reverses: entry.reverses,
                reason: entry.reason,
                ..bare
            },
            Payload::HoldSettled(settled) => Self {
                kind: EntryKind::Settle,
                legs: settled.legs.to_vec(),
                text: settled.text,
                hold: Some(settled.hold),
                released: settled.released,
                ..bare
            },
            Payload::HoldPlaced(placed) => {
                let mut hold = Hold::placed(event, &placed);
                if let Some(changed) = changed {
                    hold.changed(changed, &changed.payload()?);
                }
                let state = Some(HoldView::new(&hold, head));
                Self { kind: EntryKind::Hold, legs: placed.legs, text: placed.text, state, ..bare }
            }
            _ => return Ok(None),
        }))
    }
}

impl HoldView {
    fn new(hold: &Hold, head: Head) -> Self {
        Self {
            state: match hold.end {
                None => HoldState::Open,
                Some(HoldEnd::Settled) => HoldState::Settled,
                Some(HoldEnd::Voided) => HoldState::Voided,
                Some(HoldEnd::Expired) => HoldState::Expired,
            },
            expires_at: hold.expires_at,
            overdue: hold.end.is_none() && hold.expires_at.is_some_and(|time| head.recorded_at >= Some(time)),
            left: hold.left(),
            settles: Vec::new(),
        }
    }
}
