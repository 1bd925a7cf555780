//! Guarded replaces, many documents a statement.
//!
//! A server whose cost is by statement gains two to four times. One statement carries the keys, the positions
//! and the documents, each in an array, and finds its place in them by the key of the document that it meets:
//!
//! ```text
//! q: { _id: { $in: keys }, g: generation, $expr: { $lt: ["$p", positions[place]] } }
//! u: [{ $replaceWith: documents[place] }]        place = { $indexOfArray: [keys, "$_id"] }
//! ```
//!
//! The guard stands in the filter, document by document, as in a statement of its own: so the server looks at
//! it again when it waited for another writer, and its count is that of the documents written. Used are only
//! operators of MongoDB 7.0; `$getField` by a computed name would need 7.2.

use std::ops::Range;

use bson::raw::{RawArrayBuf, RawBsonRef, RawDocument, RawDocumentBuf};
use bson::rawdoc;

use super::{error, wire};
use crate::store::{Guard, Refused, Row, StoreError};

/// Documents of one table: the server searches it from its start for each of them.
const TABLE_DOCUMENTS_MAX: usize = 50;
/// Bytes of one table, roughly: it is copied on the way. Larger documents gain little.
const TABLE_BYTES_MAX: usize = 1_000_000;

/// The statements of a command, and the rows that each of them stands for.
pub(super) struct Tables {
    pub(super) statements: RawArrayBuf,
    pub(super) rows: Vec<Range<usize>>,
}

/// The `update` statements that replace what is behind these rows, in the order of the rows.
pub(super) fn replaces(rows: &[&Row]) -> Result<Tables, StoreError> {
    let mut tables = Tables { statements: RawArrayBuf::new(), rows: Vec::new() };
    for range in cut(rows)? {
        match rows.get(range.clone()).unwrap_or_default() {
            [row] => tables.statements.push(wire::replace(Guard::Behind, row)?),
            rows => tables.statements.push(table(rows)?),
        }
        tables.rows.push(range);
    }
    Ok(tables)
}

/// What was refused of the statements, as what was refused of the rows: of a table, its first.
pub(super) fn of_rows(refused: Vec<Refused>, rows: &[Range<usize>]) -> Vec<Refused> {
    let first = |index: usize| rows.get(index).map_or(index, |rows| rows.start);
    refused.into_iter().map(|refused| Refused { index: first(refused.index), ..refused }).collect()
}

/// Rows of one generation go together within the bounds; one with a name that a pipeline may misread, alone.
fn cut(rows: &[&Row]) -> Result<Vec<Range<usize>>, StoreError> {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    let (mut bytes, mut open) = (0_usize, false);
    for (at, row) in rows.iter().enumerate() {
        let plain = row.state.as_deref().map_or(Ok(true), is_plain)?;
        bytes = bytes.saturating_add(row.weight());
        match ranges.last_mut() {
            Some(range)
                if open
                    && plain
                    && bytes <= TABLE_BYTES_MAX
                    && range.len() < TABLE_DOCUMENTS_MAX
                    && rows.get(range.start).is_some_and(|first| first.generation == row.generation) =>
            {
                range.end = at + 1;
            }
            _ => {
                ranges.push(at..at + 1);
                bytes = row.weight();
            }
        }
        open = plain;
    }
    Ok(ranges)
}

/// Whether no field, however deep, has a name with a meaning in pipelines and paths.
fn is_plain(document: &RawDocument) -> Result<bool, StoreError> {
    for element in document {
        let (name, value) = element.map_err(error::malformed)?;
        if name.as_str().starts_with('$') || name.as_str().contains('.') || !is_plain_value(value)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn is_plain_value(value: RawBsonRef<'_>) -> Result<bool, StoreError> {
    match value {
        RawBsonRef::Document(inner) => is_plain(inner),
        RawBsonRef::Array(items) => {
            for item in items {
                if !is_plain_value(item.map_err(error::malformed)?)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        _ => Ok(true),
    }
}

fn table(rows: &[&Row]) -> Result<RawDocumentBuf, StoreError> {
    let generation = rows.first().map_or(0, |row| row.generation);
    let keys: RawArrayBuf = rows.iter().map(|row| row.id.as_str()).collect();
    let positions: RawArrayBuf = rows.iter().map(|row| row.position.get()).collect();
    let documents = wire::inserts(rows)?;
    let place = rawdoc! { "$indexOfArray": [{ "$literal": keys.clone() }, "$_id"] };
    let position = rawdoc! { "$arrayElemAt": [{ "$literal": positions }, place.clone()] };
    let document = rawdoc! { "$arrayElemAt": [{ "$literal": documents }, place] };
    Ok(rawdoc! {
        "q": { "_id": { "$in": keys }, "g": generation, "$expr": { "$lt": ["$p", position] } },
        "u": [{ "$replaceWith": document }],
        "multi": true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::Document;
    use postfold::Position;

    fn row(id: &str, position: i64, state: RawDocumentBuf) -> Row {
        Row { id: id.into(), generation: 3, position: Position::new(position), state: Some(state) }
    }

    fn ranges(rows: &[Row]) -> Vec<Range<usize>> {
        cut(&rows.iter().collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn a_table_carries_its_guard_for_each_document() {
        let rows = [row("a", 7, rawdoc! { "x": "$p" }), Row { state: None, ..row("b", 8, rawdoc! {}) }];
        let place = rawdoc! { "$indexOfArray": [{ "$literal": ["a", "b"] }, "$_id"] };
        let documents = rawdoc! { "$literal": [
            { "_id": "a", "g": 3_i64, "p": 7_i64, "x": "$p" },
            { "_id": "b", "g": 3_i64, "p": 8_i64, "dead": true },
        ] };
        let position = rawdoc! { "$arrayElemAt": [{ "$literal": [7_i64, 8_i64] }, place.clone()] };
        let expected = rawdoc! {
            "q": { "_id": { "$in": ["a", "b"] }, "g": 3_i64, "$expr": { "$lt": ["$p", position] } },
            "u": [{ "$replaceWith": { "$arrayElemAt": [documents, place] } }],
            "multi": true,
        };
        let tables = replaces(&rows.iter().collect::<Vec<_>>()).unwrap();
        assert_eq!((tables.rows.len(), &tables.rows[0]), (1, &(0..2)));
        let statement: Document = tables.statements.get_document(0).unwrap().try_into().unwrap();
        assert_eq!(statement, Document::try_from(expected).unwrap());
    }

    #[test]
    fn a_single_row_goes_as_a_statement_of_its_own() {
        let single = row("a", 7, rawdoc! { "x": 1 });
        let tables = replaces(&[&single]).unwrap();
        let statement = wire::replaces(Guard::Behind, &[&single]).unwrap();
        assert_eq!(tables.statements, statement);
        assert_eq!((tables.rows.len(), &tables.rows[0]), (1, &(0..1)));
    }

    #[test]
    fn names_that_a_pipeline_may_misread_stay_out_of_tables() {
        let plain = |id: &str| row(id, 1, rawdoc! { "text": "$p.q", "list": [{ "a$": 1 }] });
        for odd in [rawdoc! { "$set": 1 }, rawdoc! { "deep": { "a.b": 1 } }, rawdoc! { "list": [1, [{ "$ref": "x" }]] }]
        {
            let rows = [plain("a"), plain("b"), row("c", 1, odd), plain("d"), plain("e")];
            assert_eq!(ranges(&rows), [0..2, 2..3, 3..5]);
        }
    }

    #[test]
    fn a_table_ends_at_its_bounds_and_at_another_generation() {
        let many: Vec<Row> = (0..120).map(|number| row(&format!("{number:03}"), 1, rawdoc! {})).collect();
        assert_eq!(ranges(&many), [0..50, 50..100, 100..120]);
        let large = || rawdoc! { "x": "x".repeat(400_000) };
        let rows = [row("a", 1, large()), row("b", 1, large()), row("c", 1, large()), row("d", 1, rawdoc! {})];
        assert_eq!(ranges(&rows), [0..2, 2..4]);
        let rows = [row("a", 1, rawdoc! {}), Row { generation: 4, ..row("b", 1, rawdoc! {}) }];
        assert_eq!(ranges(&rows), [0..1, 1..2]);
        assert_eq!(ranges(&[]), []);
    }
}
