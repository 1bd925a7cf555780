//! A strict reader of JSON text: duplicate keys and U+0000 are refused, numbers keep their digits.
//!
//! General readers keep the last of two equal keys and turn numbers into floats; a ledger may do
//! neither. The tokenising itself is `serde_json`'s.

use std::fmt::{self, Write};

use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// Objects and arrays may be nested this deep.
pub(crate) const MAX_DEPTH: usize = 64;

/// A JSON value whose numbers are still text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Json {
    Null,
    Bool(bool),
    Number(String),
    Text(String),
    Array(Vec<Json>),
    Object(Vec<(String, Json)>),
    /// Something that is JSON, but is not to be taken: a duplicate key, U+0000, too deep. It stands where
    /// it was met, so that it spoils what it belongs to and nothing else.
    Refused(String),
}

impl Json {
    /// Reads one JSON value.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let raw: &RawValue = serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))?;
        Self::from_raw(raw, 0)
    }

    /// The first refused part: its path and why.
    pub(crate) fn refused(&self) -> Option<(String, &str)> {
        match self {
            Self::Refused(why) => Some((String::new(), why)),
            Self::Array(items) => items.iter().enumerate().find_map(|(index, item)| {
                let (path, why) = item.refused()?;
                Some((join(&format!("[{index}]"), &path), why))
            }),
            Self::Object(entries) => entries.iter().find_map(|(key, value)| {
                let (path, why) = value.refused()?;
                Some((join(key, &path), why))
            }),
            _ => None,
        }
    }

    fn from_raw(raw: &RawValue, depth: usize) -> Result<Self, String> {
        let text = raw.get();
        if depth > MAX_DEPTH {
            return Ok(Self::Refused(format!("nested deeper than {MAX_DEPTH}")));
        }
        let not_json = |error: serde_json::Error| format!("not JSON: {error}");
        Ok(match text.as_bytes().first() {
            Some(b'{') => object(serde_json::from_str(text).map_err(not_json)?, depth)?,
            Some(b'[') => {
                let items: Items<'_> = serde_json::from_str(text).map_err(not_json)?;
                let read = items.0.into_iter().map(|item| Self::from_raw(item, depth + 1));
                Self::Array(read.collect::<Result<_, _>>()?)
            }
            Some(b'"') => {
                let text: String = serde_json::from_str(text).map_err(not_json)?;
                if text.contains('\0') { Self::Refused(NUL.to_owned()) } else { Self::Text(text) }
            }
            Some(b't') => Self::Bool(true),
            Some(b'f') => Self::Bool(false),
            Some(b'n') => Self::Null,
            _ => Self::Number(text.to_owned()),
        })
    }

    /// The value as compact JSON, keys in the order given.
    pub(crate) fn compact(&self) -> String {
        let mut out = String::new();
        self.write(&mut out, false);
        out
    }

    /// The value as compact JSON with sorted keys: equal for values that mean the same.
    pub(crate) fn canonical(&self) -> String {
        let mut out = String::new();
        self.write(&mut out, true);
        out
    }

    fn write(&self, out: &mut String, sorted: bool) {
        match self {
            Self::Null | Self::Refused(_) => out.push_str("null"),
            Self::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Self::Number(digits) => out.push_str(digits),
            Self::Text(text) => write_text(out, text),
            Self::Array(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    item.write(out, sorted);
                }
                out.push(']');
            }
            Self::Object(entries) => {
                let mut entries: Vec<_> = entries.iter().collect();
                if sorted {
                    entries.sort_by(|left, right| left.0.cmp(&right.0));
                }
                out.push('{');
                for (index, (key, value)) in entries.into_iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    write_text(out, key);
                    out.push(':');
                    value.write(out, sorted);
                }
                out.push('}');
            }
        }
    }
}

const NUL: &str = "the character U+0000 is not allowed";

fn object(entries: Entries<'_>, depth: usize) -> Result<Json, String> {
    let mut read: Vec<(String, Json)> = Vec::with_capacity(entries.0.len());
    for (key, value) in entries.0 {
        if key.contains('\0') {
            return Ok(Json::Refused(NUL.to_owned()));
        }
        read.push((key, Json::from_raw(value, depth + 1)?));
    }
    Ok(match duplicate(&read) {
        Some(key) => Json::Refused(format!("the key {key:?} stands twice in one object")),
        None => Json::Object(read),
    })
}

/// The path of what stands at `rest` within `first`.
pub(crate) fn join(first: &str, rest: &str) -> String {
    let dot = if rest.is_empty() || rest.starts_with('[') { "" } else { "." };
    format!("{first}{dot}{rest}")
}

/// A key that stands twice; small objects are compared in place, large ones sorted.
fn duplicate(entries: &[(String, Json)]) -> Option<&str> {
    if entries.len() <= 16 {
        let repeated = |index: usize, key: &String| entries.iter().take(index).any(|(other, _)| other == key);
        return entries
            .iter()
            .enumerate()
            .find(|(index, (key, _))| repeated(*index, key))
            .map(|(_, (key, _))| key.as_str());
    }
    let mut keys: Vec<&str> = entries.iter().map(|(key, _)| key.as_str()).collect();
    keys.sort_unstable();
    keys.windows(2).find(|pair| pair.first() == pair.last()).and_then(|pair| pair.first().copied())
}

/// Writes the text as a JSON string.
pub(crate) fn write_text(out: &mut String, text: &str) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            control if control < ' ' => {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\u{:04x}", u32::from(control));
            }
            other => out.push(other),
        }
    }
    out.push('"');
}

/// The entries of an object, in order, equal keys included.
struct Entries<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Entries<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Entries<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

struct Items<'a>(Vec<&'a RawValue>);

impl<'de> Deserialize<'de> for Items<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Items<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element()? {
                    items.push(item);
                }
                Ok(Items(items))
            }
        }
        deserializer.deserialize_seq(Collect)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_digits_and_keys_their_order() {
        let text = r#"{ "b": 1.50, "a": [1e400, -0, true, null, "x\u00e9\n"] }"#;
        let json = Json::parse(text).unwrap();
        assert_eq!(json.compact(), "{\"b\":1.50,\"a\":[1e400,-0,true,null,\"xé\\n\"]}");
        assert_eq!(json.canonical(), "{\"a\":[1e400,-0,true,null,\"xé\\n\"],\"b\":1.50}");
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        let many: Vec<String> = (0..40).chain([7]).map(|n| format!("\"k{n}\":1")).collect();
        let repeated = format!("{{{}}}", many.join(","));
        for bad in [
            r#"{"a":1,"a":2}"#,
            r#"{"a":{"b":1,"b":1}}"#,
            r#"["\u0000"]"#,
            r#"{"\u0000":1}"#,
            "{",
            "",
            "1 2",
            &repeated,
        ] {
            assert!(Json::parse(bad).map_or(true, |json| json.refused().is_some()), "{bad}");
        }
        let deep = format!("{}{}", "[".repeat(MAX_DEPTH + 2), "]".repeat(MAX_DEPTH + 2));
        assert!(Json::parse(&deep).unwrap().refused().is_some());
        let nested = Json::parse(r#"{"a":[1,{"b":{"c":1,"c":1}}]}"#).unwrap();
        assert_eq!(nested.refused().unwrap().0, "a[1].b");
    }
}
