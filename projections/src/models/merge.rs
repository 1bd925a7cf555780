//! How the changes of an entity add up, as the ledger's own history has it: objects field by field and to
//! any depth, everything else replaced as a whole; a null is a value like any other.
//!
//! It works on raw documents: what a change does not touch is copied as bytes.

use std::collections::HashMap;
use std::fmt::Display;

use bson::Bson;
use bson::raw::{CStr, RawBsonRef, RawDocument, RawDocumentBuf};

use crate::event::ReadEvent;
use crate::json;
use crate::projection::FoldError;

/// What an entity's change carried, as it is stored.
pub(super) fn data(event: &ReadEvent) -> Result<RawDocumentBuf, FoldError> {
    RawDocumentBuf::try_from(&json::to_document(event.data.get())?).map_err(unreadable)
}

/// Who did it, if the command said so: the remark `by`, or else `user`.
pub(super) fn by(event: &ReadEvent) -> Result<Option<String>, FoldError> {
    let meta = &event.envelope()?.meta;
    Ok(meta.get("by").or_else(|| meta.get("user")).cloned())
}

/// What stands before the first `/` of an entity's name.
pub(super) fn type_of(entity: &str) -> &str {
    entity.split_once('/').map_or(entity, |(entity_type, _)| entity_type)
}

/// The number of the change among those of its entity.
pub(super) fn version(event: &ReadEvent) -> Result<i64, FoldError> {
    event.version.ok_or_else(|| FoldError::new("the change of an entity has no version"))
}

/// A document with a patch merged into it.
pub(super) fn merged(before: &RawDocument, patch: &RawDocument) -> Result<RawDocumentBuf, FoldError> {
    merge(before, patch, None)
}

/// The same, and the names at the top whose value is another than before, as they were given.
#[allow(dead_code, reason = "changelogs use it")]
pub(super) fn merged_with_changes(
    before: &RawDocument,
    patch: &RawDocument,
) -> Result<(RawDocumentBuf, Vec<String>), FoldError> {
    let mut changed = Vec::new();
    let after = merge(before, patch, Some(&mut changed))?;
    Ok((after, changed))
}

/// A document without what the path leads to; a path that leads nowhere takes nothing away.
pub(super) fn without(document: &RawDocument, path: &[String]) -> Result<RawDocumentBuf, FoldError> {
    let Some((first, rest)) = path.split_first() else { return Ok(document.to_owned()) };
    let mut left = RawDocumentBuf::new();
    for element in document {
        let (name, value) = element.map_err(unreadable)?;
        match value {
            _ if name.as_str() != first => left.append(name, value),
            _ if rest.is_empty() => {}
            RawBsonRef::Document(inner) => left.append(name, without(inner, rest)?),
            _ => left.append(name, value),
        }
    }
    Ok(left)
}

fn merge(
    before: &RawDocument,
    patch: &RawDocument,
    mut changed: Option<&mut Vec<String>>,
) -> Result<RawDocumentBuf, FoldError> {
    let comparing = changed.is_some();
    let mut note = |name: &CStr| {
        if let Some(changed) = &mut changed {
            changed.push(json::from_name(name.as_str()));
        }
    };
    let mut patches = HashMap::new();
    for element in patch {
        let (name, value) = element.map_err(unreadable)?;
        patches.insert(name.as_str(), value);
    }
    let mut after = RawDocumentBuf::new();
    for element in before {
        let (name, old) = element.map_err(unreadable)?;
        match patches.remove(name.as_str()) {
            None => after.append(name, old),
            Some(new) => {
                let inner = object(old).zip(object(new)).map(|(old, new)| merged(old, new)).transpose()?;
                let new = inner.as_deref().map_or(new, RawBsonRef::Document);
                if comparing && !same(old, new)? {
                    note(name);
                }
                after.append(name, new);
            }
        }
    }
    for element in patch {
        let (name, value) = element.map_err(unreadable)?;
        if patches.contains_key(name.as_str()) {
            note(name);
            after.append(name, value);
        }
    }
    Ok(after)
}

/// A document that stands for an object, not for a number or a text.
fn object(value: RawBsonRef<'_>) -> Option<&RawDocument> {
    let document = value.as_document()?;
    let mark =
        document.iter().next().is_some_and(|first| first.is_ok_and(|(name, _)| json::is_mark_name(name.as_str())));
    (!mark).then_some(document)
}

/// The order of an object's fields means nothing; that of an array's items does.
fn same(one: RawBsonRef<'_>, other: RawBsonRef<'_>) -> Result<bool, FoldError> {
    let read = |value| Bson::try_from(value).map_err(unreadable);
    Ok(one == other || read(one)? == read(other)?)
}

fn unreadable(error: impl Display) -> FoldError {
    FoldError::new(format!("a stored document cannot be read: {error}"))
}
