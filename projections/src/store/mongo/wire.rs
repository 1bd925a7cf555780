//! Rows as BSON, and what servers answer.

use bson::raw::{RawArrayBuf, RawDocument, RawDocumentBuf, cstr};
use bson::{Bson, Document};
use postfold::Position;

use super::error;
use crate::store::{Guard, Mark, RESERVED_FIELDS, Refused, Row, StoreError, Written};

/// A row as the document that is stored.
pub(super) fn document(row: &Row) -> Result<RawDocumentBuf, StoreError> {
    let mut document = RawDocumentBuf::new();
    document.append(cstr!("_id"), row.id.as_str());
    document.append(cstr!("g"), row.generation);
    document.append(cstr!("p"), row.position.get());
    match &row.state {
        None => {
            document.append(cstr!("dead"), true);
            Ok(document)
        }
        Some(state) => joined(document, state.as_bytes().get(LENGTH_BYTES..).unwrap_or_default()),
    }
}

/// The fields of a document, and behind them those that these bytes hold, with the zero at their end. Bytes stand as they
/// are: to read and write each field again takes longer than all else that is done to a row on its way.
fn joined(head: RawDocumentBuf, fields: &[u8]) -> Result<RawDocumentBuf, StoreError> {
    let mut bytes = head.into_bytes();
    bytes.truncate(bytes.len().saturating_sub(ZERO_BYTES));
    bytes.extend_from_slice(fields);
    let length = i32::try_from(bytes.len()).map_err(error::malformed)?.to_le_bytes();
    bytes.splice(..LENGTH_BYTES, length);
    RawDocumentBuf::from_bytes(bytes).map_err(error::malformed)
}

/// Bytes of a document's length, which it begins with.
const LENGTH_BYTES: usize = 4;
/// Bytes of a field's type, which it begins with.
const TYPE_BYTES: usize = 1;
/// The zero that ends a name, and a document.
const ZERO_BYTES: usize = 1;

/// A stored document as a row.
pub(super) fn row(document: &RawDocument) -> Result<Row, StoreError> {
    let Mark { id, generation, position } = mark(document)?;
    let (mut own_from, mut in_front, mut mixed, mut dead) = (LENGTH_BYTES, true, false, false);
    for element in document.iter_elements() {
        let element = element.map_err(error::malformed)?;
        let name = element.key().as_str();
        if RESERVED_FIELDS.contains(&name) {
            own_from += TYPE_BYTES + name.len() + ZERO_BYTES + element.size();
            (mixed, dead) = (mixed || !in_front, dead || name == "dead");
        } else {
            in_front = false;
        }
    }
    let state = match (dead, mixed) {
        (true, _) => None,
        (false, true) => Some(own_fields(document)?),
        (false, false) => Some(joined(RawDocumentBuf::new(), document.as_bytes().get(own_from..).unwrap_or_default())?),
    };
    Ok(Row { id, generation, position, state })
}

/// Key, generation and position of a stored document.
pub(super) fn mark(document: &RawDocument) -> Result<Mark, StoreError> {
    Ok(Mark {
        id: document.get_str("_id").map_err(error::malformed)?.to_owned(),
        generation: document.get_i64("g").map_err(error::malformed)?,
        position: Position::new(document.get_i64("p").map_err(error::malformed)?),
    })
}

/// Of a document that somebody else has written: its own fields, from wherever they stand.
fn own_fields(document: &RawDocument) -> Result<RawDocumentBuf, StoreError> {
    let mut own = RawDocumentBuf::new();
    for element in document {
        let (name, value) = element.map_err(error::malformed)?;
        if !RESERVED_FIELDS.contains(&name.as_str()) {
            own.append(name, value);
        }
    }
    Ok(own)
}

/// The `insert` statements for these rows.
pub(super) fn inserts(rows: &[&Row]) -> Result<RawArrayBuf, StoreError> {
    let mut documents = RawArrayBuf::new();
    for row in rows {
        documents.push(document(row)?);
    }
    Ok(documents)
}

/// The `update` statements for these rows: each a filter with its guard, and the whole new document.
pub(super) fn replaces(guard: Guard, rows: &[&Row]) -> Result<RawArrayBuf, StoreError> {
    let mut statements = RawArrayBuf::new();
    for row in rows {
        statements.push(replace(guard, row)?);
    }
    Ok(statements)
}

/// The `update` statement for this row.
pub(super) fn replace(guard: Guard, row: &Row) -> Result<RawDocumentBuf, StoreError> {
    let mut filter = RawDocumentBuf::new();
    filter.append(cstr!("_id"), row.id.as_str());
    match guard {
        Guard::Behind => {
            filter.append(cstr!("g"), row.generation);
            filter.append(cstr!("p"), below(row.position.get()));
        }
        Guard::OlderGeneration => filter.append(cstr!("g"), below(row.generation)),
    }
    let mut statement = RawDocumentBuf::new();
    statement.append(cstr!("q"), filter);
    statement.append(cstr!("u"), document(row)?);
    Ok(statement)
}

fn below(bound: i64) -> RawDocumentBuf {
    let mut condition = RawDocumentBuf::new();
    condition.append(cstr!("$lt"), bound);
    condition
}

/// What a write command answered: how many were done, and which statements were refused, why.
pub(super) fn written(answer: &Document) -> Result<Written, StoreError> {
    if let Ok(concern) = answer.get_document("writeConcernError") {
        // The writes are there, but not yet on enough members to outlive a change of the primary.
        return Err(error::of_code(number(concern, "code").unwrap_or(64), text(concern, "errmsg")));
    }
    let mut refused = Vec::new();
    for entry in answer.get_array("writeErrors").into_iter().flatten() {
        let entry = entry.as_document().ok_or_else(|| error::malformed("a write error that is no document"))?;
        let index = number(entry, "index").and_then(|index| usize::try_from(index).ok());
        let index = index.ok_or_else(|| error::malformed("a write error without its index"))?;
        refused
            .push(Refused { index, error: error::of_code(number(entry, "code").unwrap_or(0), text(entry, "errmsg")) });
    }
    Ok(Written { done: usize::try_from(number(answer, "n").unwrap_or(0)).unwrap_or(0), refused })
}

/// How many documents a `delete` removed.
pub(super) fn removed(answer: &Document) -> Result<u64, StoreError> {
    let Written { done, refused } = written(answer)?;
    match refused.into_iter().next() {
        Some(first) => Err(first.error),
        None => Ok(u64::try_from(done).unwrap_or(u64::MAX)),
    }
}

/// A number that servers write as any of their types.
pub(super) fn number(document: &Document, name: &str) -> Option<i32> {
    match document.get(name)? {
        Bson::Int32(value) => Some(*value),
        Bson::Int64(value) => i32::try_from(*value).ok(),
        Bson::Double(value) => format!("{value:.0}").parse().ok(),
        _ => None,
    }
}

fn text(document: &Document, name: &str) -> String {
    document.get_str(name).unwrap_or("no message").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::{doc, rawdoc};

    fn row_of(state: Option<RawDocumentBuf>) -> Row {
        Row { id: "k".into(), generation: 3, position: Position::new(7), state }
    }

    #[test]
    fn a_row_comes_back_as_it_was_written() {
        for state in [Some(rawdoc! { "a": 1_i64, "deep": { "b": [1, "x"] } }), Some(rawdoc! {}), None] {
            let written = row_of(state);
            assert_eq!(row(&document(&written).unwrap()).unwrap(), written);
        }
    }

    #[test]
    fn a_row_is_read_in_whatever_order_its_fields_stand() {
        let own =
            rawdoc! { "a": "x", "at": bson::DateTime::MIN, "sum": bson::Decimal128::from_bytes([1; 16]), "none": null };
        let usual = rawdoc! { "_id": "k", "g": 3_i64, "p": 7_i64, "a": "x", "at": bson::DateTime::MIN,
        "sum": bson::Decimal128::from_bytes([1; 16]), "none": null };
        let mixed = rawdoc! { "g": 3_i64, "a": "x", "at": bson::DateTime::MIN, "p": 7_i64,
        "sum": bson::Decimal128::from_bytes([1; 16]), "none": null, "_id": "k" };
        for stored in [usual, mixed] {
            assert_eq!(row(&stored).unwrap(), row_of(Some(own.clone())));
        }
        let dead = rawdoc! { "_id": "k", "a": 1, "g": 3_i64, "p": 7_i64, "dead": true };
        assert_eq!(row(&dead).unwrap(), row_of(None));
    }

    #[test]
    fn a_tombstone_holds_nothing_but_its_place() {
        let stored = document(&row_of(None)).unwrap();
        assert_eq!(stored, rawdoc! { "_id": "k", "g": 3_i64, "p": 7_i64, "dead": true });
    }

    #[test]
    fn a_replace_is_guarded_by_generation_and_position() {
        let row = row_of(Some(rawdoc! { "a": 1 }));
        let statements = replaces(Guard::Behind, &[&row]).unwrap();
        let expected = rawdoc! {
            "q": { "_id": "k", "g": 3_i64, "p": { "$lt": 7_i64 } },
            "u": { "_id": "k", "g": 3_i64, "p": 7_i64, "a": 1 },
        };
        assert_eq!(statements.get_document(0).unwrap(), &*expected);
    }

    #[test]
    fn an_answer_names_each_refused_statement() {
        let answer =
            doc! { "ok": true, "n": 2.0, "writeErrors": [{ "index": 1_i64, "code": 11_000, "errmsg": "dup" }] };
        let Written { done, refused } = written(&answer).unwrap();
        assert_eq!((done, refused.len(), refused[0].index), (2, 1, 1));
    }

    #[test]
    fn writes_that_are_not_safe_yet_count_as_not_done() {
        let answer = doc! { "ok": 1, "n": 2, "writeConcernError": { "code": 64, "errmsg": "waiting for replication timed out" } };
        assert!(written(&answer).is_err());
    }
}
