//! `entities`: what every entity is now.

use bson::raw::RawDocumentBuf;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::merge;
use crate::event::ReadEvent;
use crate::projection::{Change, FoldError, Index, Keys, OnPoison, Projection};

/// One document per entity, as its changes add up: the collection `entities`.
///
/// ```json
/// { "_id": "user/42", "type": "user", "version": 3, "kind": "user.renamed", "state": { "name": "Ada" },
///   "created_at": ISODate(".."), "updated_at": ISODate(".."), "by": "admin/7", "g": 1, "p": 812 }
/// ```
///
/// The data of each change is merged into the state, objects field by field and to any depth, everything
/// else replaced as a whole; a null is a value like any other. So it is in the ledger's own `history`; what
/// a kind means beyond that is its application's own business. Values and names are stored by the rules of
/// [`crate::json`].
///
/// An entity that grows beyond [`DOCUMENT_BYTES_MAX`](crate::DOCUMENT_BYTES_MAX) is parked.
#[derive(Clone, Copy, Debug)]
pub struct Entities;

/// A document of [`Entities`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entity {
    /// What stands before the first `/` of the key.
    #[serde(rename = "type")]
    pub entity_type: String,
    /// How many changes led to it.
    pub version: i64,
    /// What kind of change was the last.
    pub kind: String,
    /// What its changes add up to.
    pub state: RawDocumentBuf,
    /// When the first change was recorded.
    #[serde(with = "crate::money::date")]
    pub created_at: Timestamp,
    /// When the last change was recorded.
    #[serde(with = "crate::money::date")]
    pub updated_at: Timestamp,
    /// Who made the last change, if the command said so.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub by: Option<String>,
}

impl Projection for Entities {
    type Document = Entity;
    const NAME: &'static str = "entities";
    const VERSION: u32 = 1;
    const ON_POISON: OnPoison = OnPoison::Park;

    fn indexes() -> Vec<Index> {
        vec![Index::ascending(["type"]).then_descending("updated_at")]
    }

    fn keys(event: &ReadEvent) -> Result<Keys, FoldError> {
        Ok(event.entity().map_or_else(Keys::none, Keys::one))
    }

    fn fold(document: Option<&Entity>, key: &str, event: &ReadEvent) -> Result<Change<Entity>, FoldError> {
        let data = merge::data(event)?;
        Ok(Change::Put(Entity {
            entity_type: merge::type_of(key).to_owned(),
            version: merge::version(event)?,
            kind: event.kind.clone(),
            state: document.map_or(Ok(None), |before| merge::merged(&before.state, &data).map(Some))?.unwrap_or(data),
            created_at: document.map_or(event.recorded_at, |before| before.created_at),
            updated_at: event.recorded_at,
            by: merge::by(event)?,
        }))
    }
}
