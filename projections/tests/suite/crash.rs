//! A projector dies between any two steps.

use postfold::Position;
use postfold_projections::testing::EventLog;
use postfold_projections::{MemoryStore, Projector, Row, Settings, Store};
use proptest::prelude::*;
use tokio_util::sync::CancellationToken;

use crate::faults::{Fault, Faulty};
use crate::notes::{Notes, assert_whole, fold_of, log_of_notes, small_steps};

fn projector(log: &EventLog, store: impl Store, settings: Settings) -> Projector {
    Projector::new(log.clone(), store).with(Notes).settings(settings)
}

async fn catch_up(log: &EventLog, store: &MemoryStore, settings: Settings) {
    projector(log, store.clone(), settings).catch_up(CancellationToken::new()).await.unwrap();
}

/// Every document is the fold of its key up to its own position, and none is behind the checkpoint.
async fn assert_sound(store: &MemoryStore, log: &EventLog) {
    let Some(checkpoint) = store.checkpoint("notes").await.unwrap() else { return };
    let at_checkpoint = fold_of::<Notes>(log, checkpoint.position()).await;
    let rows = store.scan("notes", None, None, 1_000).await.unwrap();
    for (key, (position, _)) in &at_checkpoint {
        let row = rows.iter().find(|row| row.id == *key).expect("a document that the checkpoint counts is there");
        assert!(row.position >= *position, "{key} is behind the checkpoint");
    }
    for row in rows {
        let expected = fold_of::<Notes>(log, row.position.max(checkpoint.position())).await.remove(&row.id);
        let found = row.state.map(|state| (row.position, bson::Document::try_from(state.as_ref()).unwrap()));
        assert_eq!(found, expected, "{} at {}", row.id, row.position);
    }
}

#[tokio::test(start_paused = true)]
async fn a_model_is_sound_after_a_crash_at_any_write_and_whole_after_the_next_start() {
    let log = log_of_notes(40);
    let mut crashes = 0;
    for write in 0.. {
        for fault in [Fault::DiesBefore, Fault::DiesAfter] {
            let store = MemoryStore::new();
            let dying = Faulty::at(&store, write, fault);
            let died = dying.life.clone();
            projector(&log, dying, small_steps()).catch_up(died.clone()).await.unwrap();
            if !died.is_cancelled() {
                assert!(crashes > 50, "too few steps to tell anything: {crashes}");
                return;
            }
            crashes += 1;
            assert_sound(&store, &log).await;
            // Other bounds, so other borders between the batches.
            let settings = Settings { batch_events_max: 7, batch_documents_max: 100, ..Settings::default() };
            catch_up(&log, &store, settings).await;
            assert_whole::<Notes>(&store, &log).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_deleted_document_is_not_seen_again_while_its_events_are_folded_a_second_time() {
    let log = EventLog::new("test");
    for data in [r#"{"put":["a"]}"#, r#"{"put":["b"]}"#, r#"{"delete":["a"]}"#] {
        log.change("note/1", "note.changed", data);
    }
    let store = MemoryStore::new();
    // The documents are written; the checkpoint, claimed by one swap, is never moved by another.
    let dying = Faulty::at(&store, 1, Fault::DiesBefore).only("swap_bucket");
    let died = dying.life.clone();
    projector(&log, dying, Settings::default()).catch_up(died).await.unwrap();
    let graves = |rows: Vec<Row>| rows.into_iter().filter(|row| row.state.is_none()).count();
    assert_eq!(graves(store.scan("notes", None, None, 9).await.unwrap()), 1, "the deleted document left a tombstone");

    // The second start folds one event a batch; after each batch "a" has to be as dead as before.
    let one_by_one = Settings { batch_events_max: 1, ..Settings::default() };
    for write in 0..8 {
        let slow = Faulty::at(&store, write, Fault::DiesAfter);
        let died = slow.life.clone();
        projector(&log, slow, one_by_one.clone()).catch_up(died).await.unwrap();
        let found = store.fetch("notes", &["a"]).await.unwrap();
        assert!(found.iter().all(|row| row.state.is_none()), "the dead document is back: {found:?}");
    }
    catch_up(&log, &store, one_by_one).await;
    assert_whole::<Notes>(&store, &log).await;
}

#[tokio::test(start_paused = true)]
async fn tombstones_are_removed_when_nobody_can_need_them_any_more() {
    let log = log_of_notes(40);
    let store = MemoryStore::new();
    catch_up(&log, &store, small_steps()).await;
    let tombstones = |store: MemoryStore| async move {
        let rows = store.scan("notes", None, None, 1_000).await.unwrap();
        rows.into_iter().filter(|row| row.state.is_none()).count()
    };
    assert!(tombstones(store.clone()).await > 0);
    assert!(store.checkpoint("notes").await.unwrap().unwrap().buckets[0].sweep_due, "the next start knows of them");

    let shutdown = CancellationToken::new();
    let running = tokio::spawn({
        let (projector, shutdown) = (projector(&log, store.clone(), small_steps()), shutdown.clone());
        async move { projector.run(shutdown).await }
    });
    while store.checkpoint("notes").await.unwrap().unwrap().buckets[0].sweep_due {
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    }
    assert_eq!(tombstones(store.clone()).await, 0);
    shutdown.cancel();
    running.await.unwrap().unwrap();
    assert_whole::<Notes>(&store, &log).await;
}

/// Which keys an event puts, deletes and keeps: few keys, so that they meet often.
fn any_events() -> impl Strategy<Value = Vec<(Vec<u8>, Vec<u8>, Vec<u8>)>> {
    let keys = || prop::collection::vec(0_u8..6, 0..3);
    prop::collection::vec((keys(), keys(), keys()), 1..60)
}

fn any_settings() -> impl Strategy<Value = Settings> {
    (1_usize..9, 1_usize..9, 1_usize..4, 1_usize..4, 1_usize..9).prop_map(
        |(events, documents, statements, lanes, cache)| Settings {
            batch_events_max: events,
            batch_documents_max: documents,
            command_statements_max: statements,
            cache_documents_max: cache,
            lanes,
            ..Settings::default()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn any_log_any_bounds_and_any_crashes_give_the_plain_fold(
        events in any_events(),
        starts in prop::collection::vec((any_settings(), 0_usize..40, any::<bool>()), 0..4),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let log = EventLog::new("test");
            for (put, delete, keep) in events {
                let names = |keys: Vec<u8>| keys.into_iter().map(|key| format!("n{key}")).collect::<Vec<_>>();
                let data = serde_json::json!({ "put": names(put), "delete": names(delete), "keep": names(keep) });
                log.change("note/1", "note.changed", &data.to_string());
            }
            let store = MemoryStore::new();
            for (settings, write, after) in starts {
                let dying = Faulty::at(&store, write, if after { Fault::DiesAfter } else { Fault::DiesBefore });
                let died = dying.life.clone();
                projector(&log, dying, settings).catch_up(died).await.unwrap();
                assert_sound(&store, &log).await;
            }
            catch_up(&log, &store, Settings::default()).await;
            assert_whole::<Notes>(&store, &log).await;
        });
    }
}

#[tokio::test(start_paused = true)]
async fn an_empty_log_gives_an_empty_model_that_grows_with_it() {
    let log = EventLog::new("test");
    let store = MemoryStore::new();
    catch_up(&log, &store, Settings::default()).await;
    assert_eq!(store.checkpoint("notes").await.unwrap().unwrap().position(), Position::START);
    log.change("note/1", "note.changed", r#"{"put":["a"]}"#);
    catch_up(&log, &store, Settings::default()).await;
    assert_whole::<Notes>(&store, &log).await;
}

#[tokio::test(start_paused = true)]
async fn what_a_late_writer_of_an_earlier_generation_left_gives_way_whenever_it_comes() {
    let (log, store) = (EventLog::new("test"), MemoryStore::new());
    let stray = |id: &str| Row { id: id.into(), generation: 0, position: Position::new(99), state: None };
    catch_up(&log, &store, Settings::default()).await;
    log.change("note/1", "note.changed", r#"{"put":["before","between"]}"#);
    store.insert("notes", &[&stray("before")]).await.unwrap();
    let meanwhile = {
        let store = store.clone();
        Box::pin(async move { drop(store.insert("notes", &[&stray("between")]).await.unwrap()) })
    };
    // One is met when the documents are read, the other only when they are inserted.
    let late = Faulty::at(&store, 0, Fault::Suspended(meanwhile)).only("insert");
    projector(&log, late, Settings::default()).catch_up(CancellationToken::new()).await.unwrap();
    assert_whole::<Notes>(&store, &log).await;
}
