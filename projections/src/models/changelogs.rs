//! `changelogs`: every change of every entity.

use bson::raw::RawDocumentBuf;
use jiff::{SignedDuration, Timestamp};
use postfold::Position;
use serde::{Deserialize, Serialize};

use super::merge;
use crate::event::ReadEvent;
use crate::projection::{Added, Change, FoldError, Index, Keys, OnPoison, RowProjection};

/// Bytes of BSON up to which an entity's changes tell what it was before and after: a row holds it twice, and
/// what changed besides, and has to stay below what a document may take.
pub const ENTITY_BYTES_MAX: usize = 3_000_000;

/// One row per change of an entity, for good: the collection `changelogs`.
///
/// ```json
/// { "_id": "0000000000000812:00000", "entity": "user/42", "type": "user", "version": 3,
///   "kind": "user.renamed", "data": { "name": "Ada" }, "changed": ["name"],
///   "before": { "name": "Ade" }, "after": { "name": "Ada" }, "position": 812,
///   "effective_at": ISODate(".."), "recorded_at": ISODate(".."), "by": "admin/7",
///   "correlation": "import-3", "g": 1, "p": 812 }
/// ```
///
/// `before` and `after` are the entity as its changes add up, as in the ledger's own `history` and in
/// [`Entities`](super::Entities): see there. `before` is absent in the first change. An entity that grew
/// beyond [`ENTITY_BYTES_MAX`] is no longer added up: from then on its rows have `data`, and `omitted: true`
/// instead of `before`, `after` and `changed`.
#[derive(Clone, Copy, Debug)]
pub struct Changelogs;

/// [`Changelogs`] whose rows are removed so many days after they were recorded: in `changelogs`, too, so use
/// one of the two. What an entity was before a change is known however old its last one is.
///
/// Another number of days asks for a rebuild.
///
/// ```no_run
/// use postfold_projections::Projector;
/// use postfold_projections::models::ExpiringChangelogs;
///
/// # fn example(projector: Projector) -> Projector {
/// projector.with_rows(ExpiringChangelogs::<365>)
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct ExpiringChangelogs<const DAYS: u32>;

/// A row of [`Changelogs`].
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
    pub data: RawDocumentBuf,
    /// The names at the top of the entity whose value is another after the change, as they were given.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub changed: Option<Vec<String>>,
    /// The entity before it; absent when there was none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub before: Option<RawDocumentBuf>,
    /// The entity after it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub after: Option<RawDocumentBuf>,
    /// The entity is too large to tell what it was before and after.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub omitted: bool,
    /// Its place in the log.
    pub position: Position,
    /// When it counts.
    #[serde(with = "crate::money::date")]
    pub effective_at: Timestamp,
    /// When the ledger learnt it.
    #[serde(with = "crate::money::date")]
    pub recorded_at: Timestamp,
    /// Who did it, if the command said so: the remark `by` of its `meta`, or else `user`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub by: Option<String>,
    /// The business process that it belongs to, if the command said so.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub correlation: Option<String>,
    /// From when on the server may remove it; only in [`ExpiringChangelogs`].
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub expires_at: Option<bson::DateTime>,
}

/// What [`Changelogs`] carries from one change of an entity to the next.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EntityState {
    /// What its changes add up to; absent once it is too large.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub state: Option<RawDocumentBuf>,
}

impl RowProjection for Changelogs {
    type Row = Changelog;
    type Carry = EntityState;
    const NAME: &'static str = "changelogs";
    const VERSION: u32 = 1;
    const ON_POISON: OnPoison = OnPoison::Park;

    fn indexes() -> Vec<Index> {
        vec![
            Index::ascending(["entity", "version"]).unique(),
            Index::ascending(["type"]).then_descending("recorded_at"),
            Index::ascending(["by"]).then_descending("recorded_at"),
        ]
    }

    fn keys(event: &ReadEvent) -> Result<Keys, FoldError> {
        Ok(event.entity().map_or_else(Keys::none, Keys::one))
    }

    fn fold(
        carry: Option<&EntityState>,
        key: &str,
        event: &ReadEvent,
    ) -> Result<Added<EntityState, Changelog>, FoldError> {
        row(carry, key, event, None)
    }
}

impl<const DAYS: u32> RowProjection for ExpiringChangelogs<DAYS> {
    type Row = Changelog;
    type Carry = EntityState;
    const NAME: &'static str = Changelogs::NAME;
    const VERSION: u32 = Changelogs::VERSION * 1_000_000 + DAYS;
    const ON_POISON: OnPoison = Changelogs::ON_POISON;

    fn indexes() -> Vec<Index> {
        let mut indexes = Changelogs::indexes();
        indexes.push(Index::expiring("expires_at"));
        indexes
    }

    fn keys(event: &ReadEvent) -> Result<Keys, FoldError> {
        Changelogs::keys(event)
    }

    fn fold(
        carry: Option<&EntityState>,
        key: &str,
        event: &ReadEvent,
    ) -> Result<Added<EntityState, Changelog>, FoldError> {
        let kept = SignedDuration::from_hours(24 * i64::from(DAYS));
        row(carry, key, event, Some(event.recorded_at.checked_add(kept).unwrap_or(Timestamp::MAX)))
    }

    fn expires_at(row: &Changelog) -> Option<Timestamp> {
        Timestamp::from_millisecond(row.expires_at?.timestamp_millis()).ok()
    }
}

fn row(
    carry: Option<&EntityState>,
    entity: &str,
    event: &ReadEvent,
    expires_at: Option<Timestamp>,
) -> Result<Added<EntityState, Changelog>, FoldError> {
    let data = merge::data(event)?;
    let added = Sum::of(carry, &data)?;
    let row = Changelog {
        entity: entity.to_owned(),
        entity_type: merge::type_of(entity).to_owned(),
        version: merge::version(event)?,
        kind: event.kind.clone(),
        data,
        changed: added.changed,
        before: added.before,
        omitted: added.after.is_none(),
        after: added.after.clone(),
        position: event.position,
        effective_at: event.effective_at,
        recorded_at: event.recorded_at,
        by: merge::by(event)?,
        correlation: event.envelope()?.correlation.clone(),
        expires_at: expires_at.map(crate::money::date::to_bson),
    };
    Ok(Added { carry: Change::Put(EntityState { state: added.after }), rows: vec![(0, row)] })
}

/// What a change makes of an entity; nothing where it is too large.
#[derive(Default)]
struct Sum {
    changed: Option<Vec<String>>,
    before: Option<RawDocumentBuf>,
    after: Option<RawDocumentBuf>,
}

impl Sum {
    fn of(carry: Option<&EntityState>, data: &RawDocumentBuf) -> Result<Self, FoldError> {
        let before = match carry {
            None => None,
            Some(EntityState { state: None }) => return Ok(Self::default()),
            Some(EntityState { state }) => state.clone(),
        };
        let nothing = RawDocumentBuf::new();
        let (after, changed) = merge::merged_with_changes(before.as_ref().unwrap_or(&nothing), data)?;
        if after.as_bytes().len() > ENTITY_BYTES_MAX {
            return Ok(Self::default());
        }
        Ok(Self { changed: Some(changed), before, after: Some(after) })
    }
}
