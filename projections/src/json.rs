//! JSON into BSON and back, without losing anything: [`to_bson`] is total and can be undone.
//!
//! The data of an entity change is the embedder's own: any field names, any numbers, any depth. What
//! BSON or the server would refuse is written another way, marked by a `%`:
//!
//! | JSON | BSON |
//! |---|---|
//! | whole number that fits 64 bits | int64 |
//! | any other number of up to 34 digits | Decimal128, with the digits and the scale as written; never a float |
//! | a number past that, such as `1e9999` | `{"%number": "1e9999"}`, the text as written |
//! | a value nested more than [`DEPTH_MAX`] deep | `{"%json": "..."}`, the text as written |
//! | field name that begins with `$` | the `$` becomes `%24` |
//! | field name with `.`, `%` or U+0000 | `%2E`, `%25`, `%00` |
//! | everything else | itself |
//!
//! Since every `%` of a name is itself escaped, no data can be mistaken for a mark.

use std::borrow::Cow;
use std::fmt;

use bson::{Bson, Document};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::money;
use crate::projection::FoldError;

/// Objects and arrays nested deeper than this are kept as text (a server takes 100 levels in all).
pub const DEPTH_MAX: usize = 80;

/// Marks a number that no Decimal128 holds.
const NUMBER_MARK: &str = "%number";
/// Marks a value that is nested too deep.
const TEXT_MARK: &str = "%json";

/// A JSON text as BSON, by the table above.
///
/// # Errors
///
/// Only when the text is no JSON, which the log never holds.
pub fn to_bson(text: &str) -> Result<Bson, FoldError> {
    convert(text.trim(), DEPTH_MAX)
}

/// A JSON object as a BSON document, by the table above.
///
/// # Errors
///
/// When the text is no JSON object.
pub fn to_document(text: &str) -> Result<Document, FoldError> {
    match to_bson(text)? {
        Bson::Document(document) => Ok(document),
        _ => Err(FoldError::new("the data is not a JSON object")),
    }
}

/// A field name as it is stored.
pub fn to_name(name: &str) -> Cow<'_, str> {
    if !name.starts_with('$') && !name.contains(['%', '.', '\0']) {
        return Cow::Borrowed(name);
    }
    let mut stored = String::with_capacity(name.len() + 4);
    for (at, character) in name.char_indices() {
        match character {
            '$' if at == 0 => stored.push_str("%24"),
            '%' => stored.push_str("%25"),
            '.' => stored.push_str("%2E"),
            '\0' => stored.push_str("%00"),
            other => stored.push(other),
        }
    }
    Cow::Owned(stored)
}

/// Undoes [`to_name`].
pub fn from_name(stored: &str) -> String {
    stored.replace("%24", "$").replace("%2E", ".").replace("%00", "\0").replace("%25", "%")
}

/// Undoes [`to_bson`]: the JSON text of a stored value, numbers digit by digit.
///
/// # Errors
///
/// When the value holds a BSON type that [`to_bson`] never writes.
pub fn from_bson(value: &Bson) -> Result<String, FoldError> {
    let mut text = String::new();
    write(&mut text, value)?;
    Ok(text)
}

/// Whether a document whose first field has this name stands for a number or a text, not for an object.
pub(crate) fn is_mark_name(name: &str) -> bool {
    name == NUMBER_MARK || name == TEXT_MARK
}

fn is_mark(document: &Document) -> bool {
    document.keys().next().is_some_and(|name| is_mark_name(name))
}

fn convert(text: &str, depth: usize) -> Result<Bson, FoldError> {
    match text.as_bytes().first() {
        Some(b'{' | b'[') if depth == 0 => Ok(mark(TEXT_MARK, text)),
        Some(b'{') => {
            let Fields(fields) = read(text)?;
            let fields = fields
                .into_iter()
                .map(|(name, value)| Ok((to_name(&name).into_owned(), convert(value.get(), depth - 1)?)));
            fields.collect::<Result<Document, FoldError>>().map(Bson::Document)
        }
        Some(b'[') => {
            let items: Vec<&RawValue> = read(text)?;
            items.into_iter().map(|item| convert(item.get(), depth - 1)).collect::<Result<Vec<_>, _>>().map(Bson::Array)
        }
        Some(b'"') => read(text).map(Bson::String),
        Some(b't' | b'f') => read(text).map(Bson::Boolean),
        Some(b'n') => read::<()>(text).map(|()| Bson::Null),
        _ => {
            read::<&RawValue>(text)?;
            Ok(number(text))
        }
    }
}

fn number(text: &str) -> Bson {
    // "-0" is not a whole number here: its sign would be lost.
    if let Ok(whole) = text.parse::<i64>()
        && text != "-0"
    {
        return Bson::Int64(whole);
    }
    exact_decimal(text).map_or_else(|| mark(NUMBER_MARK, text), Bson::Decimal128)
}

fn exact_decimal(text: &str) -> Option<bson::Decimal128> {
    let (negative, unsigned) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = [whole, fraction].concat();
    let digits = digits.trim_start_matches('0');
    if digits.len() > money::DIGITS_MAX {
        return None;
    }
    let coefficient: u128 = if digits.is_empty() { 0 } else { digits.parse().ok()? };
    let exponent: i32 = exponent.parse().ok()?;
    money::decimal128(negative, coefficient, exponent.checked_sub(i32::try_from(fraction.len()).ok()?)?)
}

fn mark(name: &str, text: &str) -> Bson {
    let mut document = Document::new();
    document.insert(name, text);
    Bson::Document(document)
}

fn write(text: &mut String, value: &Bson) -> Result<(), FoldError> {
    match value {
        Bson::Null => text.push_str("null"),
        Bson::Boolean(value) => text.push_str(if *value { "true" } else { "false" }),
        Bson::Int64(value) => text.push_str(&value.to_string()),
        Bson::Decimal128(value) => text.push_str(&value.to_string()),
        Bson::String(value) => text.push_str(&quoted(value)?),
        Bson::Array(items) => {
            text.push('[');
            for (at, item) in items.iter().enumerate() {
                text.push_str(if at == 0 { "" } else { "," });
                write(text, item)?;
            }
            text.push(']');
        }
        Bson::Document(document) if is_mark(document) => {
            let exact = document.values().next().and_then(Bson::as_str);
            text.push_str(exact.ok_or_else(|| FoldError::new("a mark without its text"))?);
        }
        Bson::Document(document) => {
            text.push('{');
            for (at, (name, value)) in document.iter().enumerate() {
                text.push_str(if at == 0 { "" } else { "," });
                text.push_str(&quoted(&from_name(name))?);
                text.push(':');
                write(text, value)?;
            }
            text.push('}');
        }
        other => return Err(FoldError::new(format!("{:?} does not come from JSON", other.element_type()))),
    }
    Ok(())
}

fn quoted(text: &str) -> Result<String, FoldError> {
    serde_json::to_string(text).map_err(|error| FoldError::new(error.to_string()))
}

fn read<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, FoldError> {
    serde_json::from_str(text).map_err(|error| FoldError::new(format!("the data is not JSON: {error}")))
}

/// The fields of an object, in order, their values unread: so that every number keeps its digits.
struct Fields<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;

        impl<'de> Visitor<'de> for InOrder {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
                let mut fields = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, &'de RawValue>()? {
                    fields.push((Cow::Owned(name), value));
                }
                Ok(Fields(fields))
            }
        }

        deserializer.deserialize_map(InOrder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::doc;
    use proptest::prelude::*;

    #[test]
    fn each_kind_of_value_has_its_place() {
        let table: Vec<(&str, Bson)> = vec![
            ("null", Bson::Null),
            ("true", Bson::Boolean(true)),
            ("\"a\\u00e4\"", Bson::String("aä".into())),
            ("42", Bson::Int64(42)),
            ("-9223372036854775808", Bson::Int64(i64::MIN)),
            ("9223372036854775808", Bson::Decimal128("9223372036854775808".parse().unwrap())),
            ("1.10", Bson::Decimal128("1.10".parse().unwrap())),
            ("-0", Bson::Decimal128("-0".parse().unwrap())),
            ("1e3", Bson::Decimal128("1E+3".parse().unwrap())),
            ("0.1e-6176", mark(NUMBER_MARK, "0.1e-6176")),
            ("1e9999", mark(NUMBER_MARK, "1e9999")),
            ("12345678901234567890123456789012345", mark(NUMBER_MARK, "12345678901234567890123456789012345")),
            ("1e99999999999", mark(NUMBER_MARK, "1e99999999999")),
            ("[1, {}]", Bson::Array(vec![Bson::Int64(1), Bson::Document(Document::new())])),
        ];
        for (text, expected) in table {
            assert_eq!(to_bson(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn names_that_a_server_refuses_are_escaped_and_come_back() {
        let text = r#"{"$set":{"a.b":1,"%2E":2,"a$":3,"":4},"%number":"5"}"#;
        let stored = to_document(text).unwrap();
        assert_eq!(
            stored,
            doc! { "%24set": { "a%2Eb": 1_i64, "%252E": 2_i64, "a$": 3_i64, "": 4_i64 }, "%25number": "5" }
        );
        assert_eq!(from_bson(&Bson::Document(stored)).unwrap(), text);
    }

    #[test]
    fn what_is_nested_too_deep_is_kept_as_text() {
        let text = format!("{}1.50{}", "[".repeat(500), "]".repeat(500));
        let stored = to_bson(&text).unwrap();
        let mut value = &stored;
        for _ in 0..DEPTH_MAX {
            value = &value.as_array().unwrap()[0];
        }
        assert!(is_mark(value.as_document().unwrap()));
        assert_eq!(from_bson(&stored).unwrap(), text);
    }

    #[test]
    fn what_is_no_json_is_refused() {
        for text in ["", "{", "nul", "[1,]", "1 2", "+1", "0x1"] {
            assert!(to_bson(text).is_err(), "{text}");
        }
    }

    fn any_json() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            Just("null".to_owned()),
            any::<bool>().prop_map(|value| value.to_string()),
            any::<i64>().prop_map(|value| value.to_string()),
            "-?[1-9][0-9]{0,40}(\\.[0-9]{1,40})?",
            ".{0,8}".prop_map(|text| serde_json::to_string(&text).unwrap()),
        ];
        leaf.prop_recursive(6, 60, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(|items| format!("[{}]", items.join(","))),
                prop::collection::btree_map("[$%.a0-9E]{0,4}", inner, 0..6).prop_map(|fields| {
                    let fields: Vec<String> = fields
                        .into_iter()
                        .map(|(name, value)| format!("{}:{value}", serde_json::to_string(&name).unwrap()))
                        .collect();
                    format!("{{{}}}", fields.join(","))
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn every_json_text_comes_back_as_it_was(text in any_json()) {
            prop_assert_eq!(from_bson(&to_bson(&text).unwrap()).unwrap(), text);
        }
    }
}
