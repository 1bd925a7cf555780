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
