//! Documents: every write is guarded, one by one.

use bson::rawdoc;
use postfold::Position;

use super::{everything, insert, replace, row, tombstone};
use crate::store::{Guard, Mark, Row, Store, StoreErrorKind, Written};

pub(super) async fn all(store: &dyn Store) {
    documents_come_back_as_they_were(store).await;
    an_insert_leaves_what_is_there(store).await;
    a_replace_never_moves_a_document_back(store).await;
    a_replace_stays_in_its_generation(store).await;
    many_documents_at_once_are_guarded_one_by_one(store).await;
    documents_with_odd_names_are_replaced_beside_others(store).await;
    a_stray_of_an_earlier_generation_gives_way(store).await;
    a_scan_goes_by_key_and_meets_every_document_once(store).await;
    a_scan_keeps_to_its_bounds(store).await;
    only_tombstones_that_are_passed_are_buried(store).await;
    a_sweep_takes_earlier_generations_and_passed_tombstones(store).await;
}

async fn documents_come_back_as_they_were(store: &dyn Store) {
    let name = "c_documents";
    store.create(name, &[]).await.expect("create");
    assert_eq!(store.count(name).await.expect("count"), 0);
    // Keys and names as odd as embedders' data may be, after the escaping of crate::json.
    let odd = rawdoc! { "data": { "": 1_i64, "a b": null, "%24set": true, "a$": [], "ä": "\u{1F600}" }, "amount": bson::Decimal128::from_bytes([1; 16]) };
    let rows = [
        tombstone("", 1, 3),
        row(" |\"\\/", 1, 1),
        Row { state: Some(odd), ..row("assets:cash|EUR", 1, 2) },
        Row { state: Some(rawdoc! {}), ..row("ä$.\u{1F600}", 2, i64::MAX) },
    ];
    assert_eq!(insert(store, name, &rows).await, Written { done: 4, refused: vec![] });
    let ids: Vec<&str> = rows.iter().map(|row| row.id.as_str()).chain(["absent"]).collect();
    let mut found = store.fetch(name, &ids).await.expect("fetch");
    found.sort_by(|one, other| one.id.cmp(&other.id));
    assert_eq!(found, rows);
    let mut marks = store.marks(name, &ids).await.expect("marks");
    marks.sort_by(|one, other| one.id.cmp(&other.id));
    let expected = rows.map(|row| Mark { id: row.id, generation: row.generation, position: row.position });
    assert_eq!(marks, expected);
    assert_eq!(store.count(name).await.expect("count"), 4, "tombstones count");
    assert_eq!(store.fetch("c_no_such", &["a"]).await.expect("fetch"), []);
}

async fn an_insert_leaves_what_is_there(store: &dyn Store) {
    let name = "c_insert";
    insert(store, name, &[row("b", 1, 5)]).await;
    let written = insert(store, name, &[row("a", 1, 9), row("b", 1, 9), row("c", 1, 9)]).await;
    assert_eq!(written.done, 2, "the others go in");
    let refused: Vec<_> = written.refused.iter().map(|refused| (refused.index, refused.error.kind)).collect();
    assert_eq!(refused, [(1, StoreErrorKind::Duplicate)]);
    assert_eq!(everything(store, name).await, [row("a", 1, 9), row("b", 1, 5), row("c", 1, 9)]);
}

async fn a_replace_never_moves_a_document_back(store: &dyn Store) {
    let name = "c_behind";
    insert(store, name, &[row("behind", 1, 4), row("equal", 1, 5), row("further", 1, 6)]).await;
    let sent = [row("absent", 1, 5), row("behind", 1, 5), tombstone("equal", 1, 5), tombstone("further", 1, 5)];
    assert_eq!(replace(store, name, Guard::Behind, &sent).await, 1);
    assert_eq!(everything(store, name).await, [row("behind", 1, 5), row("equal", 1, 5), row("further", 1, 6)]);
    assert_eq!(replace(store, name, Guard::Behind, &[tombstone("behind", 1, 7)]).await, 1);
    assert_eq!(
        replace(store, name, Guard::Behind, &[row("behind", 1, 8)]).await,
        1,
        "a tombstone can be followed by a document"
    );
    assert_eq!(store.fetch(name, &["behind"]).await.expect("fetch"), [row("behind", 1, 8)]);
}

async fn a_replace_stays_in_its_generation(store: &dyn Store) {
    let name = "c_generation";
    insert(store, name, &[row("earlier", 1, 4), row("later", 3, 4)]).await;
    assert_eq!(replace(store, name, Guard::Behind, &[row("earlier", 2, 9), row("later", 2, 9)]).await, 0);
    assert_eq!(everything(store, name).await, [row("earlier", 1, 4), row("later", 3, 4)]);
}

async fn many_documents_at_once_are_guarded_one_by_one(store: &dyn Store) {
    let name = "c_many";
    let id = |number: i64| format!("key {number:04}");
    // Every third is behind what is sent, every third equal to it, every third ahead; of each seven one is of
    // another generation, and one of each eleven is not there.
    let stored: Vec<Row> = (0..300)
        .filter(|number| number % 11 != 0)
        .map(|number| row(&id(number), if number % 7 == 0 { 2 } else { 1 }, 1_000 + number % 3))
        .collect();
    insert(store, name, &stored).await;
    let sent: Vec<Row> = (0..300)
        .map(|number| if number % 5 == 0 { tombstone(&id(number), 1, 1_001) } else { row(&id(number), 1, 1_001) })
        .collect();
    let expected: Vec<Row> = stored
        .iter()
        .map(|before| {
            let open = before.generation == 1 && before.position < Position::new(1_001);
            let new = sent.iter().find(|row| open && row.id == before.id);
            new.unwrap_or(before).clone()
        })
        .collect();
    let written = expected.iter().zip(&stored).filter(|(new, before)| new != before).count();
    assert!(written > 70);
    assert_eq!(replace(store, name, Guard::Behind, &sent).await, written, "each that was written is counted");
    assert_eq!(everything(store, name).await, expected);
    assert_eq!(replace(store, name, Guard::Behind, &sent).await, 0, "sent again, they find nothing to do");
    assert_eq!(everything(store, name).await, expected);
}

async fn documents_with_odd_names_are_replaced_beside_others(store: &dyn Store) {
    let name = "c_names";
    let odd = |id: &str, position: i64| Row {
        state: Some(
            rawdoc! { "deep": { "$ref": "$p", "a.b": { "$set": position } }, "list": [{ "$literal": "$$ROOT" }] },
        ),
        ..row(id, 1, position)
    };
    let value = |id: &str, position: i64| Row {
        state: Some(rawdoc! { "text": "$p", "list": ["$_id", "$$ROOT", "a.b"], "at": position }),
        ..row(id, 1, position)
    };
    let all = |position: i64| [value("a", position), odd("b", position), value("c", position), value("d", position)];
    insert(store, name, &all(1)).await;
    assert_eq!(replace(store, name, Guard::Behind, &all(2)).await, 4);
    assert_eq!(everything(store, name).await, all(2));
}

async fn a_stray_of_an_earlier_generation_gives_way(store: &dyn Store) {
    let name = "c_stray";
    insert(store, name, &[row("earlier", 1, 9), row("later", 3, 4), row("same", 2, 4)]).await;
    let sent = [row("absent", 2, 5), row("earlier", 2, 5), row("later", 2, 5), row("same", 2, 5)];
    assert_eq!(replace(store, name, Guard::OlderGeneration, &sent).await, 1);
    assert_eq!(everything(store, name).await, [row("earlier", 2, 5), row("later", 3, 4), row("same", 2, 4)]);
}

async fn a_scan_goes_by_key_and_meets_every_document_once(store: &dyn Store) {
    let name = "c_scan";
    let mut ids: Vec<String> = (0..50).map(|number| format!("key {number}")).collect();
    ids.extend(["A", "a", "Z", "~", "ä", "\u{FFFD}", "\u{1F600}"].map(str::to_owned));
    ids.sort();
    let rows: Vec<Row> = ids.iter().map(|id| row(id, 1, 1)).collect();
    insert(store, name, &rows).await;
    let (mut found, mut after) = (Vec::new(), None::<String>);
    loop {
        let page = store.scan(name, after.as_deref(), None, 7).await.expect("scan");
        assert!(page.len() <= 7);
        let Some(last) = page.last() else { break };
        after = Some(last.id.clone());
        found.extend(page.into_iter().map(|row| row.id));
        assert!(found.len() <= ids.len(), "a page begins behind the last one");
    }
    assert_eq!(found, ids, "in the order of their bytes");
}

async fn a_scan_keeps_to_its_bounds(store: &dyn Store) {
    let name = "c_bounds";
    insert(store, name, &["a", "b", "c", "d", "e"].map(|id| row(id, 1, 1))).await;
    for (after, through, limit, expected) in [
        (None, None, 9, "abcde"),
        (None, None, 2, "ab"),
        (Some("b"), None, 9, "cde"),
        (None, Some("b"), 9, "ab"),
        (Some("a"), Some("d"), 9, "bcd"),
        (Some("a"), Some("d"), 2, "bc"),
        (Some("a"), Some("cc"), 9, "bc"),
        (Some("c"), Some("c"), 9, ""),
        (Some("d"), Some("b"), 9, ""),
        (Some("e"), None, 9, ""),
        (None, Some("A"), 9, ""),
    ] {
        let found = store.scan(name, after, through, limit).await.expect("scan");
        let ids: String = found.into_iter().map(|row| row.id).collect();
        assert_eq!(ids, expected, "after {after:?} through {through:?}, at most {limit}");
    }
}

async fn only_tombstones_that_are_passed_are_buried(store: &dyn Store) {
    let name = "c_bury";
    insert(
        store,
        name,
        &[
            row("alive", 1, 3),
            tombstone("beyond", 1, 6),
            tombstone("kept", 1, 4),
            tombstone("other", 2, 4),
            tombstone("passed", 1, 5),
        ],
    )
    .await;
    let ids = ["alive", "absent", "beyond", "other", "passed"];
    assert_eq!(store.bury(name, &ids, 1, Position::new(5)).await.expect("bury"), 1);
    let left: Vec<String> = everything(store, name).await.into_iter().map(|row| row.id).collect();
    assert_eq!(left, ["alive", "beyond", "kept", "other"]);
}

async fn a_sweep_takes_earlier_generations_and_passed_tombstones(store: &dyn Store) {
    let name = "c_sweep";
    insert(
        store,
        name,
        &[
            tombstone("beyond", 2, 6),
            row("earlier", 1, 9),
            row("later", 3, 1),
            tombstone("passed", 2, 5),
            row("same", 2, 1),
        ],
    )
    .await;
    assert_eq!(store.sweep(name, 2, Position::new(5)).await.expect("sweep"), 2);
    let left: Vec<String> = everything(store, name).await.into_iter().map(|row| row.id).collect();
    assert_eq!(left, ["beyond", "later", "same"]);
    assert_eq!(store.sweep("c_no_such", 2, Position::new(5)).await.expect("sweep"), 0);
}
