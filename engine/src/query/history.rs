//! The history of an entity: each change, with what was there before and after it.

use std::collections::HashMap;

use async_stream::try_stream;
use futures::Stream;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::command::Meta;
use crate::command::json::Json;
use crate::error::Error;
use crate::event::Event;
use crate::log::Log;
use crate::outcome::Invalid;
use crate::position::Position;

/// Changes read at a time.
const PAGE_CHANGES: usize = 100;

/// One change of an entity.
///
/// `before` and `after` are the entity as its changes add up: the data of each is merged into what was
/// there, objects field by field and to any depth, everything else replaced as a whole; a null is a value
/// like any other. What a kind means beyond that is its application's own business.
#[derive(Clone, Debug, Serialize)]
pub struct Revision {
    /// The entity, as `type/id`.
    pub entity: String,
    /// The number of the change, from 1.
    pub version: i64,
    /// What kind of change.
    pub kind: String,
    /// Its place in the log.
    pub position: Position,
    /// The id it came under.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// When it counts.
    pub effective_at: Timestamp,
    /// When the ledger learnt it.
    pub recorded_at: Timestamp,
    /// The business process that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub correlation: Option<String>,
    /// The caller's own remarks, such as who did it.
    #[serde(skip_serializing_if = "Meta::is_empty")]
    pub meta: Meta,
    /// What the change carried, as it is stored.
    pub data: Box<RawValue>,
    /// The names at the top of the entity whose value is another after the change.
    pub changed: Vec<String>,
    /// The entity before it; null when there was none.
    pub before: Option<Box<RawValue>>,
    /// The entity after it.
    pub after: Box<RawValue>,
}

impl Log {
    /// The changes of an entity behind a version (0: all), in order, as of the head as it is found. An entity
    /// that was never changed has none.
    ///
    /// Keeps the entity, and at most 100 changes. What stands before `after` is read, too, since the entity
    /// is the sum of its changes. The stream fails with [`Error::Query`] when the name is not one of an
    /// entity, `type/id`.
    pub fn history(&self, entity: &str, after: i64) -> impl Stream<Item = Result<Revision, Error>> + Send + use<> {
        let (log, entity) = (self.clone(), entity.to_owned());
        try_stream! {
            if !entity.contains('/') {
                let message = format!("an entity is named type/id, such as user/42, not {entity:?}");
                Err(Error::Query(Invalid::new("entity", Some(entity.clone()), message)))?;
            }
            let head = log.head().await?.position;
            let mut state = None;
            let mut version = 0;
            loop {
                let page = log.store().stream(None, &entity, version, PAGE_CHANGES).await?;
                let Some(last) = page.last() else { break };
                version = last.version.unwrap_or(i64::MAX);
                for event in page.into_iter().filter(|event| event.position <= head) {
                    let revision = revise(&mut state, event)?;
                    if revision.version > after {
                        yield revision;
                    }
                }
            }
        }
    }
}

/// Merges a change into the entity.
fn revise(state: &mut Option<Json>, event: Event) -> Result<Revision, Error> {
    let envelope = event.envelope()?;
    let damaged = |what: String| Error::Damaged { position: event.position, what };
    let raw = |json: &Json| RawValue::from_string(json.compact()).map_err(|error| damaged(error.to_string()));
    let data = Json::parse(event.data.get()).map_err(damaged)?;
    let before = state.take();
    let mut after = before.clone().unwrap_or_else(|| Json::Object(Vec::new()));
    let changed = merge(&mut after, data);
    let revision = Revision {
        changed,
        before: before.as_ref().map(raw).transpose()?,
        after: raw(&after)?,
        entity: event.stream.unwrap_or_default(),
        version: event.version.unwrap_or_default(),
        kind: event.kind,
        position: event.position,
        id: event.id,
        effective_at: event.effective_at,
        recorded_at: event.recorded_at,
        correlation: envelope.correlation,
        meta: envelope.meta,
        data: event.data,
    };
    *state = Some(after);
    Ok(revision)
}

/// Merges one value into another, and tells the names at its top that have another value now.
fn merge(into: &mut Json, patch: Json) -> Vec<String> {
    let (Json::Object(entries), Json::Object(patch)) = (&mut *into, &patch) else {
        *into = patch;
        return Vec::new();
    };
    let mut places: HashMap<String, usize> =
        entries.iter().enumerate().map(|(place, (name, _))| (name.clone(), place)).collect();
    let mut changed = Vec::new();
    for (name, value) in patch {
        if let Some((_, old)) = places.get(name).and_then(|place| entries.get_mut(*place)) {
            let before = old.canonical();
            merge(old, value.clone());
            if old.canonical() != before {
                changed.push(name.clone());
            }
        } else {
            places.insert(name.clone(), entries.len());
            entries.push((name.clone(), value.clone()));
            changed.push(name.clone());
        }
    }
    changed
}
