//! What is wrong with a stored document.

use bson::raw::RawDocumentBuf;
use bson::{Bson, Document};
use postfold::Position;
use sha2::{Digest, Sha256};

use super::Wrong;

/// Characters of a value that a difference shows.
const VALUE_CHARACTERS_MAX: usize = 200;

/// A stored document, as much of it as a look needs.
pub(super) struct Stored {
    pub(super) generation: i64,
    pub(super) position: Position,
    pub(super) content: Content,
}

#[derive(PartialEq)]
pub(super) enum Content {
    Dead,
    Digest([u8; 32]),
    Whole(RawDocumentBuf),
}

/// How a look keeps what is stored: by hash, or as it is.
pub(super) type Keep = fn(RawDocumentBuf) -> Content;

/// What is wrong with what was found.
pub(super) fn differ(expected: &Stored, found: &Stored) -> Result<Vec<Wrong>, String> {
    if found.generation != expected.generation {
        return Ok(vec![Wrong::Generation { found: found.generation }]);
    }
    if found.content == Content::Dead {
        return Ok(vec![Wrong::Missing]);
    }
    let mut wrong = Vec::new();
    if found.position != expected.position {
        wrong.push(Wrong::Position { expected: expected.position, found: found.position });
    }
    match (&expected.content, &found.content) {
        (Content::Whole(expected), Content::Whole(found)) => wrong.extend(fields(expected, found)?),
        (expected, found) if expected == found => {}
        // Which field it is, the second look tells.
        _ => wrong.push(Wrong::Field { name: String::new(), expected: None, found: None }),
    }
    Ok(wrong)
}

fn fields(expected: &RawDocumentBuf, found: &RawDocumentBuf) -> Result<Vec<Wrong>, String> {
    let decode = |raw: &RawDocumentBuf| Document::try_from(raw.as_ref()).map_err(|error| error.to_string());
    let (expected, found) = (decode(expected)?, decode(found)?);
    let mut names: Vec<&String> =
        expected.keys().chain(found.keys().filter(|name| !expected.contains_key(name.as_str()))).collect();
    names.retain(|name| expected.get(name.as_str()) != found.get(name.as_str()));
    let show = |value: Option<&Bson>| value.map(|value| value.to_string().chars().take(VALUE_CHARACTERS_MAX).collect());
    let wrong = names.into_iter().map(|name| Wrong::Field {
        name: name.clone(),
        expected: show(expected.get(name)),
        found: show(found.get(name)),
    });
    Ok(wrong.collect())
}

pub(super) fn by_digest(state: RawDocumentBuf) -> Content {
    Content::Digest(Sha256::digest(state.into_bytes()).into())
}
