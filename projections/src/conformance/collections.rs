//! Collections, their names and their indexes.

use bson::rawdoc;

use super::{everything, insert, row};
use crate::projection::Index;
use crate::store::{Drift, Row, Store, StoreErrorKind};

pub(super) async fn all(store: &dyn Store) {
    a_rename_keeps_the_uuid_and_replaces_what_was_there(store).await;
    a_late_insert_makes_a_new_collection(store).await;
    indexes_can_be_asked_for_twice(store).await;
    an_index_of_the_same_name_is_not_taken_for_another(store).await;
    drift_is_reported_and_mended(store).await;
    indexes_go_with_their_collection(store).await;
}

async fn uuid(store: &dyn Store, name: &str) -> Option<String> {
    let there = store.collections().await.expect("collections");
    there.into_iter().find(|collection| collection.name == name).map(|collection| collection.uuid)
}

async fn a_rename_keeps_the_uuid_and_replaces_what_was_there(store: &dyn Store) {
    let (stable, side) = ("c_rename", "c_rename__g2_e1");
    insert(store, stable, &[row("old", 1, 1)]).await;
    insert(store, side, &[row("new", 2, 1)]).await;
    let (before, built) = (uuid(store, stable).await, uuid(store, side).await);
    assert!(before.is_some() && built.is_some() && before != built);
    store.rename(side, stable).await.expect("rename");
    assert_eq!(uuid(store, stable).await, built);
    assert_eq!(uuid(store, side).await, None);
    assert_eq!(everything(store, stable).await, [row("new", 2, 1)]);
    let again = store.rename(side, stable).await.expect_err("there is nothing to rename");
    assert_eq!(again.kind, StoreErrorKind::NotFound);
    assert_eq!(uuid(store, stable).await, built, "a rename that fails leaves the target");
}

async fn a_late_insert_makes_a_new_collection(store: &dyn Store) {
    let (stable, side) = ("c_ghost", "c_ghost__g2_e1");
    insert(store, side, &[row("a", 2, 1)]).await;
    let built = uuid(store, side).await;
    store.rename(side, stable).await.expect("rename, with nothing in the way");
    insert(store, side, &[row("late", 2, 1)]).await;
    let ghost = uuid(store, side).await;
    assert!(ghost.is_some() && ghost != built, "it can be told from the one that was renamed");
    store.drop_collection(side).await.expect("drop");
    store.drop_collection(side).await.expect("drop what is gone");
    assert_eq!(uuid(store, side).await, None);
    assert_eq!(uuid(store, stable).await, built);
}

async fn indexes_can_be_asked_for_twice(store: &dyn Store) {
    let indexes = [
        Index::ascending(["entity"]).then_descending("at"),
        Index::ascending(["email"]).unique().only(bson::doc! { "email": { "$exists": true } }),
        Index::text(["title", "body"]).then_ascending("at"),
        Index::ascending(["parent"]).sparse(),
        Index::expiring("expires_at"),
    ];
    store.create("c_indexes", &indexes).await.expect("create");
    store.create("c_indexes", &indexes).await.expect("create again");
    let spoken =
        Row { state: Some(rawdoc! { "title": "words", "language": "none that a server knows" }), ..row("c", 1, 1) };
    assert_eq!(insert(store, "c_indexes", &[row("a", 1, 1), row("b", 1, 1), spoken]).await.done, 3);
}

async fn drift(store: &dyn Store, collection: &str, indexes: &[Index]) -> Vec<Drift> {
    let mut drift = store.drift(collection, indexes).await.expect("drift");
    drift.sort_by_key(|drift| format!("{drift:?}"));
    drift
}

async fn an_index_of_the_same_name_is_not_taken_for_another(store: &dyn Store) {
    let name = "c_index_options";
    store.create(name, &[Index::ascending(["email"])]).await.expect("create");
    let unique = [Index::ascending(["email"]).unique()];
    let refused = store.create(name, &unique).await.expect_err("there is one with other options");
    assert!(matches!(refused.kind, StoreErrorKind::Refused(_)), "{refused:?}");
    assert_eq!(drift(store, name, &unique).await, [Drift::Different("email_1".to_owned())]);
}

async fn drift_is_reported_and_mended(store: &dyn Store) {
    let name = "c_drift";
    let before = [
        Index::ascending(["kept"]).then_descending("at"),
        Index::ascending(["changed"]),
        Index::expiring("expires_at"),
        Index::ascending(["dropped"]).sparse(),
        Index::text(["title"]),
    ];
    let after = [
        Index::ascending(["kept"]).then_descending("at"),
        Index::ascending(["changed"]).only(bson::doc! { "changed": { "$gt": 5 } }),
        Index::expiring("expires_at"),
        Index::ascending(["created"]).unique(),
        Index::text(["title", "body"]),
    ];
    let missing = |index: &Index| Drift::Missing(index.name());
    assert_eq!(
        drift(store, name, &before[..2]).await,
        [missing(&before[1]), missing(&before[0])],
        "nothing is there yet"
    );
    store.create(name, &before).await.expect("create");
    assert_eq!(drift(store, name, &before).await, []);
    assert_eq!(
        drift(store, name, &after[..3]).await,
        [
            Drift::Different("changed_1".to_owned()),
            Drift::Extra("dropped_1".to_owned()),
            Drift::Extra("title_text".to_owned()),
        ]
    );
    let rows = [row("a", 1, 1)];
    insert(store, name, &rows).await;
    store.reindex(name, &after).await.expect("reindex");
    assert_eq!(drift(store, name, &after).await, []);
    store.reindex(name, &after).await.expect("reindex what is as it should be");
    assert_eq!(everything(store, name).await, rows, "no document is touched");
    store.reindex(name, &[]).await.expect("drop all");
    assert_eq!(drift(store, name, &[]).await, []);
}

async fn indexes_go_with_their_collection(store: &dyn Store) {
    let (stable, side) = ("c_index_rename", "c_index_rename__g2_e1");
    let (old, new) = ([Index::ascending(["old"])], [Index::ascending(["new"])]);
    store.create(stable, &old).await.expect("create");
    store.create(side, &new).await.expect("create");
    store.rename(side, stable).await.expect("rename");
    assert_eq!(drift(store, stable, &new).await, []);
}
