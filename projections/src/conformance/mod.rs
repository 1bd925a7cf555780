//! What every [`Store`] has to keep, as tests: run [`all`] on an empty one.
//!
//! ```
//! # async fn example() {
//! postfold_projections::conformance::all(&postfold_projections::MemoryStore::new()).await;
//! # }
//! ```

#![allow(clippy::expect_used, reason = "these are tests, though not only our own")]

mod checkpoints;
mod collections;
mod documents;
mod sharing;

use bson::rawdoc;
use postfold::Position;

use crate::store::{Guard, Row, Store, Written};

/// Runs every test of the suite. Each works in collections of its own.
///
/// # Panics
///
/// When the store breaks one of the rules, or does not answer.
pub async fn all(store: &dyn Store) {
    store.ping().await.expect("the store answers a ping");
    documents::all(store).await;
    collections::all(store).await;
    checkpoints::all(store).await;
    sharing::all(store).await;
}

fn row(id: &str, generation: i64, position: i64) -> Row {
    let state = Some(rawdoc! { "at": position, "nested": { "list": [1_i64, "x", null] } });
    Row { id: id.to_owned(), generation, position: Position::new(position), state }
}

fn tombstone(id: &str, generation: i64, position: i64) -> Row {
    Row { state: None, ..row(id, generation, position) }
}

async fn insert(store: &dyn Store, collection: &str, rows: &[Row]) -> Written {
    let rows: Vec<&Row> = rows.iter().collect();
    store.insert(collection, &rows).await.expect("insert")
}

async fn replace(store: &dyn Store, collection: &str, guard: Guard, rows: &[Row]) -> usize {
    let rows: Vec<&Row> = rows.iter().collect();
    let written = store.replace(collection, guard, &rows).await.expect("replace");
    assert_eq!(written.refused, [], "nothing is wrong with these statements");
    written.done
}

async fn everything(store: &dyn Store, collection: &str) -> Vec<Row> {
    store.scan(collection, None, None, 1_000).await.expect("scan")
}
