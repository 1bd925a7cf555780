//! Which events which keys do not take, and what operators decided about them.
//!
//! A parked key's document stays as it was before the event that it could not take. Nothing has to be kept of
//! what comes later: the log has it, in order. What an operator decides is an entity change on the log
//! itself, of the entity `projection/<name>`; so it is audited, every process learns of it in the order of
//! the log, and a rebuild knows it from the beginning.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use postfold::{Change, Data, Invalid, Position};
use serde::{Deserialize, Serialize};

use crate::event::ReadEvent;
use crate::halt::{Halt, Stop};
use crate::log::{EntityChange, LogSource};
use crate::metrics;
use crate::patience::Context;
use crate::projection::FoldError;
use crate::store::Parked;

/// The kind of the change by which an operator has a parked key tried again.
pub const RETRIED: &str = "projection.retried";
/// The kind of the change by which an operator has an event skipped.
pub const SKIPPED: &str = "projection.skipped";

/// What an operator decided about a key, or an event, of a projection: the data of the change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// The key; absent where an event is skipped as a whole, since nobody can tell its keys.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub key: Option<String>,
    /// The event that is skipped.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub position: Option<Position>,
    /// Why.
    pub reason: String,
}

/// The entity whose changes are the decisions about a projection.
pub fn entity(projection: &str) -> String {
    format!("projection/{projection}")
}

/// The change of the log by which a parked key is tried again, from the event on that it could not take:
/// record it ([`postfold::Ledger::record`]), and the process that has the key's bucket carries it out when it
/// gets there. Mend the fold before.
///
/// # Errors
///
/// When the reason is too long for an event.
pub fn retry(projection: &str, key: &str, reason: &str) -> Result<Change, Invalid> {
    decided(projection, RETRIED, &Decision { key: Some(key.to_owned()), position: None, reason: reason.to_owned() })
}

/// The change of the log by which an event is skipped for a key, now and in every rebuild; a key that is
/// parked goes on behind it. Without a key the event is skipped as a whole: for one whose keys nobody can
/// tell.
///
/// # Errors
///
/// When the reason is too long for an event.
pub fn skip(projection: &str, key: Option<&str>, position: Position, reason: &str) -> Result<Change, Invalid> {
    let key = key.map(str::to_owned);
    decided(projection, SKIPPED, &Decision { key, position: Some(position), reason: reason.to_owned() })
}

fn decided(projection: &str, kind: &str, decision: &Decision) -> Result<Change, Invalid> {
    Ok(Change::new(entity(projection), kind, Data::new(decision)?))
}

/// The parked keys of a generation, and the events that are skipped for good.
#[derive(Debug, Default)]
pub(crate) struct Parking {
    parked: HashMap<String, Parked>,
    skipped: HashSet<(Position, Option<String>)>,
    /// The key that was let go last: parked again, its tries are counted on.
    last: Option<Parked>,
}

impl Parking {
    /// What is parked in this generation, and what was decided so far.
    pub(crate) fn new(parked: Vec<Parked>, generation: i64, decided: &[EntityChange]) -> Result<Self, FoldError> {
        let ours = parked.into_iter().filter(|parked| parked.generation == generation);
        let mut parking = Self { parked: ours.map(|parked| (parked.key.clone(), parked)).collect(), ..Self::default() };
        for change in decided.iter().filter(|change| change.kind == SKIPPED) {
            parking.skip(&read(&change.data)?);
        }
        Ok(parking)
    }

    /// Takes in a decision that comes along the log. Returns the parked key that has to be folded anew.
    pub(crate) fn decide(&mut self, event: &ReadEvent) -> Result<Option<Parked>, FoldError> {
        let decision = read(event.data.get())?;
        if event.kind == SKIPPED {
            self.skip(&decision);
        }
        self.last = decision.key.and_then(|key| self.parked.remove(&key));
        Ok(self.last.clone())
    }

    /// Whether the key takes the event at this position.
    pub(crate) fn lets(&self, key: &str, position: Position) -> bool {
        if self.parked.get(key).is_some_and(|parked| parked.position <= position) {
            return false;
        }
        self.skipped.is_empty()
            || !self.skipped.contains(&(position, Some(key.to_owned()))) && !self.skips_whole(position)
    }

    /// Whether the event at this position is skipped as a whole.
    pub(crate) fn skips_whole(&self, position: Position) -> bool {
        !self.skipped.is_empty() && self.skipped.contains(&(position, None))
    }

    /// Parks a key from this event on.
    pub(crate) fn park(
        &mut self,
        context: &Context,
        generation: i64,
        key: &str,
        position: Position,
        reason: String,
    ) -> Result<Parked, Halt> {
        let projection = context.projection;
        let most = context.settings.parked_keys_max;
        if self.parked.len() >= most {
            return Err(Halt::TooManyParked { projection, parked: most, position, message: reason });
        }
        let before = self.parked.get(key).or(self.last.as_ref().filter(|last| last.key == key));
        let attempts = before.map_or(0, |parked| parked.attempts).saturating_add(1);
        let parked = Parked {
            projection: projection.to_owned(),
            generation,
            key: key.to_owned(),
            position,
            reason,
            attempts,
            at: Timestamp::now(),
        };
        self.parked.insert(key.to_owned(), parked.clone());
        metrics::parked(projection, self.parked.len());
        Ok(parked)
    }

    pub(crate) fn len(&self) -> usize {
        self.parked.len()
    }

    /// Parked keys whose event has been skipped since: they can go on.
    pub(crate) fn released(&mut self) -> Vec<Parked> {
        let skipped = &self.skipped;
        let free = |parked: &Parked| {
            skipped.contains(&(parked.position, Some(parked.key.clone()))) || skipped.contains(&(parked.position, None))
        };
        let free: Vec<Parked> = self.parked.values().filter(|parked| free(parked)).cloned().collect();
        for parked in &free {
            self.parked.remove(&parked.key);
        }
        free
    }

    fn skip(&mut self, decision: &Decision) {
        self.skipped.extend(decision.position.map(|position| (position, decision.key.clone())));
    }
}

/// What is parked in this generation of a projection, and what was decided about it.
pub(crate) async fn load(context: &Context, log: &dyn LogSource, generation: i64) -> Result<Parking, Stop> {
    let projection = context.projection;
    let parked = context.store("read the parked keys", || context.store.parked(projection)).await?;
    let entity = entity(projection);
    let decided = context.log(|| log.changes(&entity)).await?;
    let parking = Parking::new(parked, generation, &decided);
    parking.map_err(|error| Halt::Log { projection, message: error.to_string() }.into())
}

/// Whether the event is a decision about this projection.
pub(crate) fn is_decision(event: &ReadEvent, entity: &str) -> bool {
    event.stream.as_deref() == Some(entity) && matches!(event.kind.as_str(), RETRIED | SKIPPED)
}

fn read(data: &str) -> Result<Decision, FoldError> {
    serde_json::from_str(data)
        .map_err(|error| FoldError::new(format!("an operator's decision cannot be read: {error}")))
}
