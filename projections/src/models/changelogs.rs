//! `changelogs`: every change of every entity.

use bson::Document;
use jiff::Timestamp;
use postfold::Position;
use serde::{Deserialize, Serialize};

use crate::event::ReadEvent;
use crate::json;
use crate::projection::{Change, FoldError, Index, Keys, Projection};

/// One document per change of an entity: the collection `changelogs`.
///
/// ```json
/// { "_id": "user/42|0000000003", "entity": "user/42", "type": "user", "version": 3,
///   "kind": "user.renamed", "data": { "name": "Ada" }, "fields": ["name"], "position": 812,
///   "effective_at": ISODate(".."), "recorded_at": ISODate(".."), "by": "admin/7",
///   "correlation": "import-3", "g": 1, "p": 812 }
/// ```
///
/// `data` is what the change carried, by the rules of [`crate::json`]; `fields` are the names at its
/// top, as they were given. `by` is the remark `by` of the command's `meta`, or else `user`; it and
/// `correlation` are absent where the command had none. An entity's changes, in order, are a range of
/// `_id`:
///
/// ```text
/// db.changelogs.find({ _id: { $gte: "user/42|", $lt: "user/42}" }, entity: "user/42" }).sort({ _id: 1 })
/// db.changelogs.find({ recorded_at: { $gte: ISODate("2026-11-01") }, by: "admin/7" }).sort({ recorded_at: -1 })
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Changelogs;

/// A document of [`Changelogs`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Changelog {
    /// The entity, as `type/id`.
    pub entity: String,
    /// What stands before the first `/`.
    #[serde(rename = "type")]
    pub entity_type: String,
    /// The number of the change, from 1.
    pub version: i64,
    /// What kind of change.
    pub kind: String,
    /// What the change carried.
    pub data: Document,
    /// The names of the fields at the top of `data`.
    pub fields: Vec<String>,
    /// Its place in the log.
    pub position: Position,
    /// When it counts.
    #[serde(with = "crate::money::date")]
    pub effective_at: Timestamp,
    /// When the ledger learnt it.
    #[serde(with = "crate::money::date")]
    pub recorded_at: Timestamp,
    /// Who did it, if the command said so.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub by: Option<String>,
    /// The business process that it belongs to, if the command said so.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub correlation: Option<String>,
}

impl Changelogs {
    /// The key of a change: `<entity>|<version>`, the version in ten digits, so that keys sort as
    /// versions do. A version holds no `|`, so the last one always parts the two.
    pub fn key(entity: &str, version: i64) -> String {
        format!("{entity}|{version:010}")
    }
}

impl Projection for Changelogs {
    type Document = Changelog;
    const NAME: &'static str = "changelogs";
    const VERSION: u32 = 1;

    fn indexes() -> Vec<Index> {
        vec![Index::descending(["recorded_at"])]
    }

    fn keys(event: &ReadEvent) -> Result<Keys, FoldError> {
        let Some(entity) = event.entity() else { return Ok(Keys::none()) };
        Ok(Keys::one(Self::key(entity, version(event)?)))
    }

    fn fold(_document: Option<&Changelog>, _key: &str, event: &ReadEvent) -> Result<Change<Changelog>, FoldError> {
        let Some(entity) = event.entity() else { return Ok(Change::Keep) };
        let envelope = event.envelope()?;
        let data = json::to_document(event.data.get())?;
        let entity_type = entity.split_once('/').map_or(entity, |(entity_type, _)| entity_type);
        Ok(Change::Put(Changelog {
            entity: entity.to_owned(),
            entity_type: entity_type.to_owned(),
            version: version(event)?,
            kind: event.kind.clone(),
            fields: data.keys().map(|name| json::from_name(name)).collect(),
            data,
            position: event.position,
            effective_at: event.effective_at,
            recorded_at: event.recorded_at,
            by: envelope.meta.get("by").or_else(|| envelope.meta.get("user")).cloned(),
            correlation: envelope.correlation.clone(),
        }))
    }
}

fn version(event: &ReadEvent) -> Result<i64, FoldError> {
    event.version.ok_or_else(|| FoldError::new("the change of an entity has no version"))
}
