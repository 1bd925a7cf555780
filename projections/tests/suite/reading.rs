//! What readers see, and what they are told about it; on both stores.

use std::time::Duration;

use bson::rawdoc;
use jiff::Timestamp;
use postfold::{Hash, Position};
use postfold_projections::{
    Added, Attempt, Change, Checkpoint, FoldError, Found, Keys, MemoryStore, OnPoison, Parked, Projection, Projector,
    ReadError, ReadEvent, Reader, Row, RowProjection, RowReader, Settings, Store, Switching, row_id,
};
use serde::{Deserialize, Serialize};

use tokio_util::sync::CancellationToken;

use crate::database::Database;
use crate::notes::{Notes, fold_of, log_of_notes, small_steps};

macro_rules! on_both_stores {
    ($($check:ident),* $(,)?) => {
        mod in_memory {
            $(#[tokio::test] async fn $check() { super::$check(&super::MemoryStore::new()).await; })*
        }
        mod in_mongodb {
            $(#[tokio::test] async fn $check() {
                let database = super::Database::create().await;
                super::$check(&database.store).await;
                database.drop().await;
            })*
        }
    };
}

on_both_stores!(
    there_is_nothing_before_the_model_is,
    a_page_is_full_whatever_is_hidden,
    a_document_reflects_what_its_bucket_does,
    a_parked_key_holds_back_its_own_document_and_the_model,
    a_model_can_be_read_while_it_is_switched,
    a_document_of_another_shape_is_named,
    rows_come_in_the_order_of_the_log_and_are_complete_up_to_a_position,
    readers_miss_nothing_and_meet_nothing_older_through_rebuilds,
);

/// Things that may expire. Nothing is folded here: the tests write what projectors would.
struct Things;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Thing {
    number: i64,
    until: Option<i64>,
}

impl Projection for Things {
    type Document = Thing;
    const NAME: &'static str = "things";
    const VERSION: u32 = 3;
    const ON_POISON: OnPoison = OnPoison::Park;

    fn keys(_: &ReadEvent) -> Result<Keys, FoldError> {
        Ok(Keys::none())
    }

    fn fold(_: Option<&Thing>, _: &str, _: &ReadEvent) -> Result<Change<Thing>, FoldError> {
        Ok(Change::Keep)
    }

    fn expires_at(thing: &Thing) -> Option<Timestamp> {
        thing.until.map(at)
    }
}

struct Lines;

impl RowProjection for Lines {
    type Row = Thing;
    type Carry = ();
    const NAME: &'static str = "things";
    const VERSION: u32 = 3;
    const ON_POISON: OnPoison = OnPoison::Park;

    fn keys(_: &ReadEvent) -> Result<Keys, FoldError> {
        Ok(Keys::none())
    }

    fn fold(_: Option<&()>, _: &str, _: &ReadEvent) -> Result<Added<(), Thing>, FoldError> {
        Ok(Added { carry: Change::Keep, rows: Vec::new() })
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn row(id: impl Into<String>, generation: i64, position: i64) -> Row {
    let state = Some(rawdoc! { "number": position, "until": null });
    Row { id: id.into(), generation, position: Position::new(position), state }
}

async fn insert(store: &impl Store, rows: &[Row]) {
    let rows: Vec<&Row> = rows.iter().collect();
    assert_eq!(store.insert("things", &rows).await.unwrap().done, rows.len());
}

/// A model of generation 2 whose buckets are this far.
async fn model(store: &impl Store, buckets: &[i64]) -> Checkpoint {
    let mut checkpoint = Checkpoint::new("things", "shop", 2, 2, buckets.len(), at(1_767_225_600));
    for (bucket, position) in checkpoint.buckets.iter_mut().zip(buckets) {
        bucket.position = Position::new(*position);
    }
    assert!(store.create_checkpoint(&checkpoint).await.unwrap());
    checkpoint
}

fn keys<D>(found: &[Found<D>]) -> Vec<&str> {
    found.iter().map(|found| found.key.as_str()).collect()
}

async fn there_is_nothing_before_the_model_is<S: Store + Clone>(store: &S) {
    let things = Reader::<Things>::new(store.clone());
    assert_eq!(things.get("a").await.unwrap(), None);
    let page = things.page(None, 10).await.unwrap();
    assert_eq!((page.found.len(), page.as_of, page.next), (0, Position::START, None));
    model(store, &[0]).await;
    let page = things.page(None, 10).await.unwrap();
    assert_eq!((page.found.len(), page.as_of, page.next), (0, Position::START, None));
}

async fn a_page_is_full_whatever_is_hidden<S: Store + Clone>(store: &S) {
    model(store, &[100]).await;
    let hidden = |id: &str| match id {
        "b" | "c" | "d" => Row { state: None, ..row(id, 2, 5) },
        "f" => Row { state: Some(rawdoc! { "number": 5_i64, "until": 1_000_i64 }), ..row(id, 2, 5) },
        "h" => row(id, 1, 5),
        "i" => row(id, 3, 5),
        _ => row(id, 2, 5),
    };
    insert(store, &["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"].map(hidden)).await;
    let things = Reader::<Things>::new(store.clone()).at(at(1_000));
    for (limit, expected) in [
        (0, vec!["a", "e", "g", "j"]),
        (1, vec!["a", "e", "g", "j"]),
        (2, vec!["ae", "gj"]),
        (3, vec!["aeg", "j"]),
        (9, vec!["aegj"]),
    ] {
        let (mut pages, mut after) = (Vec::new(), None::<String>);
        loop {
            let page = things.page(after.as_deref(), limit).await.unwrap();
            pages.extend((!page.found.is_empty()).then(|| keys(&page.found).concat()));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(pages, expected, "{limit} at a time");
    }
    for id in ["b", "f", "h", "i", "none"] {
        assert_eq!(things.get(id).await.unwrap(), None, "{id}");
    }
    let earlier = Reader::<Things>::new(store.clone()).at(at(999));
    assert_eq!(earlier.get("f").await.unwrap().unwrap().document, Thing { number: 5, until: Some(1_000) });
    let today = Reader::<Things>::new(store.clone());
    assert_eq!(today.get("f").await.unwrap(), None, "by the clock, where no time is given");
}

async fn a_document_reflects_what_its_bucket_does<S: Store + Clone>(store: &S) {
    model(store, &[70, 80, 90]).await;
    let rows: Vec<Row> = (0..60).map(|number| row(format!("{number:02}"), 2, 50)).collect();
    insert(store, &rows).await;
    let things = Reader::<Things>::new(store.clone());
    let page = things.page(None, 100).await.unwrap();
    assert_eq!((page.found.len(), page.as_of), (60, Position::new(70)), "the model is as far as its slowest bucket");
    for far in [70, 80, 90] {
        let with = page.found.iter().filter(|found| found.as_of == Position::new(far)).count();
        assert!((10..40).contains(&with), "{with} of 60 keys are in the bucket at {far}");
    }
    for found in page.found {
        assert_eq!(found.position, Position::new(50));
        assert_eq!(things.get(&found.key).await.unwrap(), Some(found));
    }
}

fn parked(generation: i64, key: &str, position: i64) -> Parked {
    Parked {
        projection: "things".to_owned(),
        generation,
        key: key.to_owned(),
        position: Position::new(position),
        reason: "because".to_owned(),
        attempts: 1,
        at: at(1_767_225_600),
    }
}

async fn a_parked_key_holds_back_its_own_document_and_the_model<S: Store + Clone>(store: &S) {
    model(store, &[100]).await;
    insert(store, &["a", "b"].map(|id| row(id, 2, 40))).await;
    store.park(&parked(2, "a", 50)).await.unwrap();
    store.park(&parked(1, "b", 10)).await.unwrap();
    let things = Reader::<Things>::new(store.clone());
    let as_of = |found: Option<Found<Thing>>| found.unwrap().as_of.get();
    assert_eq!(as_of(things.get("a").await.unwrap()), 49, "the event at 50 is not in it");
    assert_eq!(as_of(things.get("b").await.unwrap()), 100, "parked in an earlier generation only");
    assert_eq!(things.page(None, 10).await.unwrap().as_of.get(), 49);
    store.unpark("things", 2, "a").await.unwrap();
    assert_eq!(as_of(things.get("a").await.unwrap()), 100);
}

async fn a_model_can_be_read_while_it_is_switched<S: Store + Clone>(store: &S) {
    let live = model(store, &[100]).await;
    let mark = Switching {
        to: Attempt { generation: 3, epoch: 2 },
        uuid: "00ff".to_owned(),
        version: 3,
        buckets: 1,
        carry: None,
        position: Position::new(90),
        hash: Hash::genesis("shop"),
        turn: 0,
        yielded: Vec::new(),
    };
    let marked = Checkpoint { switching: Some(mark), epoch: 2, revision: 2, ..live.clone() };
    assert!(store.swap_header(&live, &marked).await.unwrap());
    // After the rename, before the mark is cleared: documents of the new generation, and strays.
    insert(store, &[row("new", 3, 40), row("old", 1, 40)]).await;
    let things = Reader::<Things>::new(store.clone());
    let page = things.page(None, 10).await.unwrap();
    assert_eq!((keys(&page.found), page.as_of), (vec!["new"], Position::new(90)));
    assert_eq!(things.get("new").await.unwrap().unwrap().as_of, Position::new(90));
    assert_eq!(things.get("old").await.unwrap(), None);
}

async fn a_document_of_another_shape_is_named<S: Store + Clone>(store: &S) {
    model(store, &[100]).await;
    let other = Row { state: Some(rawdoc! { "number": "four" }), ..row("a", 2, 4) };
    insert(store, &[other]).await;
    let things = Reader::<Things>::new(store.clone());
    for error in [things.get("a").await.unwrap_err(), things.page(None, 10).await.unwrap_err()] {
        assert!(matches!(&error, ReadError::Document { built: 2, wanted: 3, .. }), "{error:?}");
        let said = error.to_string();
        assert!(said.starts_with(r#"the document "a" of things cannot be read by version 3"#), "{said}");
    }
}

async fn rows_come_in_the_order_of_the_log_and_are_complete_up_to_a_position<S: Store + Clone>(store: &S) {
    model(store, &[30, 12]).await;
    let id = |position, ordinal| row_id(Position::new(position), ordinal);
    let rows = [(9, 0), (9, 1), (10, 0), (30, 0)].map(|(position, ordinal)| row(id(position, ordinal), 2, position));
    insert(store, &rows).await;
    let lines = RowReader::<Lines>::new(store.clone());
    let first = lines.page(None, 3).await.unwrap();
    let positions: Vec<i64> = first.found.iter().map(|found| found.position.get()).collect();
    assert_eq!((positions, first.as_of), (vec![9, 9, 10], Position::new(12)));
    let last = lines.page(first.next.as_deref(), 3).await.unwrap();
    assert_eq!((keys(&last.found), last.next), (vec![id(30, 0).as_str()], None));
    let found = lines.get(&id(9, 1)).await.unwrap().unwrap();
    assert_eq!((found.position, found.as_of), (Position::new(9), Position::new(12)));
    assert_eq!(lines.get(&id(11, 0)).await.unwrap(), None);
}

async fn readers_miss_nothing_and_meet_nothing_older_through_rebuilds<S: Store + Clone>(store: &S) {
    let log = log_of_notes(200);
    let settings = Settings { buckets: 3, switch_grace: Duration::from_millis(10), ..small_steps() };
    let projector = Projector::new(log.clone(), store.clone()).with(Notes).settings(settings);
    projector.catch_up(CancellationToken::new()).await.unwrap();
    let head = Position::new(200);
    let expected = fold_of::<Notes>(&log, head).await;
    let rebuilt = CancellationToken::new();
    let reading = async {
        let (notes, mut looks) = (Reader::<Notes>::new(store.clone()), 0);
        while !rebuilt.is_cancelled() {
            let (mut found, mut after) = (Vec::new(), None::<String>);
            loop {
                let page = notes.page(after.as_deref(), 7).await.unwrap();
                assert_eq!(page.as_of, head);
                found.extend(page.found);
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            let seen = found.iter().map(|found| (&found.key, found.position));
            assert!(seen.eq(expected.iter().map(|(key, (position, _))| (key, *position))), "{found:?}");
            for key in ["n0", "n1", "n2", "n3", "n4"] {
                let found = notes.get(key).await.unwrap();
                assert_eq!(
                    found.map(|found| (found.position, found.as_of)),
                    expected.get(key).map(|(at, _)| (*at, head))
                );
            }
            looks += 1;
            tokio::task::yield_now().await;
        }
        looks
    };
    let rebuilding = async {
        for _ in 0..3 {
            projector.rebuild("notes", CancellationToken::new()).await.unwrap();
        }
        rebuilt.cancel();
    };
    let (looks, ()) = tokio::join!(reading, rebuilding);
    assert!(looks > 0);
}
