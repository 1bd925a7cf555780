//! The hash chain: what makes an altered log visible.
//!
//! `hash = SHA-256(previous hash || fields)`. The fields are, in this order, `position`, `id`,
//! `stream`, `version`, `kind`, `schema`, `data`, `meta`, `effective_at`, `recorded_at`; each is
//! written as a length in 4 bytes (big-endian, signed) and its UTF-8 text; an absent one is the
//! length -1 and no text. Whole numbers are decimal text; times are microseconds since
//! 1970-01-01T00:00:00Z as decimal text. The hash before position 1 is
//! `SHA-256("postfold/1/" || ledger name)`, so a log can be moved to another database and a log
//! cannot be passed off as another ledger's. `docs/hash.md` says how to recompute it with stock tools.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::position::Position;

/// A SHA-256 hash; hexadecimal in text and JSON.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Hash(#[serde(with = "hex::serde")] [u8; 32]);

impl Hash {
    /// The hash that stands before the first event of the ledger of this name.
    pub fn genesis(ledger: &str) -> Self {
        let mut digest = Sha256::new();
        digest.update(b"postfold/1/");
        digest.update(ledger.as_bytes());
        Self(digest.finalize().into())
    }

    /// The hash of an event that follows the event with this hash.
    #[must_use]
    pub fn chain(self, fields: &Fields<'_>) -> Self {
        let mut digest = Sha256::new();
        digest.update(self.0);
        let mut number = itoa::Buffer::new();
        put(&mut digest, Some(number.format(fields.position.get())));
        put(&mut digest, fields.id);
        put(&mut digest, fields.stream);
        put(&mut digest, fields.version.map(|version| number.format(version)));
        put(&mut digest, Some(fields.kind));
        put(&mut digest, Some(number.format(fields.schema)));
        put(&mut digest, Some(fields.data));
        put(&mut digest, Some(fields.meta));
        put(&mut digest, Some(number.format(fields.effective_at.as_microsecond())));
        put(&mut digest, Some(number.format(fields.recorded_at.as_microsecond())));
        Self(digest.finalize().into())
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The hash of these bytes, if there are 32 of them.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }
}

/// What the hash of an event covers, beside the hash before it.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a> {
    /// [`crate::Event::position`]
    pub position: Position,
    /// [`crate::Event::id`]
    pub id: Option<&'a str>,
    /// [`crate::Event::stream`]
    pub stream: Option<&'a str>,
    /// [`crate::Event::version`]
    pub version: Option<i64>,
    /// [`crate::Event::kind`]
    pub kind: &'a str,
    /// [`crate::Event::schema`]
    pub schema: i16,
    /// [`crate::Event::data`]
    pub data: &'a str,
    /// [`crate::Event::meta`]
    pub meta: &'a str,
    /// [`crate::Event::effective_at`]
    pub effective_at: Timestamp,
    /// [`crate::Event::recorded_at`]
    pub recorded_at: Timestamp,
}

impl<'a> From<&'a crate::Event> for Fields<'a> {
    fn from(event: &'a crate::Event) -> Self {
        Self {
            position: event.position,
            id: event.id.as_deref(),
            stream: event.stream.as_deref(),
            version: event.version,
            kind: &event.kind,
            schema: event.schema,
            data: event.data.get(),
            meta: event.meta.get(),
            effective_at: event.effective_at,
            recorded_at: event.recorded_at,
        }
    }
}

fn put(digest: &mut Sha256, text: Option<&str>) {
    let length = text.map_or(-1, |text| i32::try_from(text.len()).unwrap_or(i32::MAX));
    digest.update(length.to_be_bytes());
    digest.update(text.unwrap_or_default().as_bytes());
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first() -> Fields<'static> {
        Fields {
            position: Position::new(1),
            id: Some("sale-1"),
            stream: None,
            version: None,
            kind: "entry.posted",
            schema: 1,
            data: r#"{"legs":[]}"#,
            meta: "{}",
            effective_at: "2025-03-01T12:00:00Z".parse().unwrap(),
            recorded_at: "2025-03-01T12:00:00.000001Z".parse().unwrap(),
        }
    }

    /// Computed by Python's `hashlib`.
    #[test]
    fn the_chain_is_that_of_its_documented_encoding() {
        let genesis = Hash::genesis("shop");
        assert_eq!(genesis.to_string(), "71ce8f7e8fb012bda95d8ab89ce41763675c81218b09835e7527317af9e33170");
        let hash = genesis.chain(&first());
        assert_eq!(hash.to_string(), "7eebe587737839271f8cdc22553a7c3145253728ac5230792a92d0a8ccd5fff6");
        let second = Fields {
            position: Position::new(2),
            id: None,
            stream: Some("user/é"),
            version: Some(3),
            kind: "user.named",
            schema: 2,
            data: r#"{"name":"É"}"#,
            meta: r#"{"by":"eve"}"#,
            effective_at: "1969-12-31T23:59:59.999999Z".parse().unwrap(),
            recorded_at: first().recorded_at,
        };
        let hash = hash.chain(&second);
        assert_eq!(hash.to_string(), "6cb058f74723d5a9f096be85fd6e720c0af55817ef30012a2ffc7c18c8b0049e");
        assert_eq!(format!("{hash:?}"), hash.to_string());
    }

    #[test]
    fn an_absent_field_is_not_an_empty_one_and_no_text_can_move_to_its_neighbour() {
        let hash = |fields: &Fields<'_>| Hash::genesis("shop").chain(fields);
        let fields = first();
        assert_ne!(hash(&fields), hash(&Fields { stream: Some(""), ..fields }));
        assert_ne!(hash(&Fields { id: None, stream: Some("sale-1"), ..fields }), hash(&fields));
        assert_ne!(
            hash(&Fields { data: "{}", meta: "{}{}", ..fields }),
            hash(&Fields { data: "{}{}", meta: "{}", ..fields })
        );
    }

    #[test]
    fn a_hash_has_32_bytes() {
        let hash = Hash::genesis("shop");
        assert_eq!(Hash::from_slice(hash.as_bytes()), Some(hash));
        assert_eq!(Hash::from_slice(&hash.as_bytes()[1..]), None);
    }
}
