//! A model that is not what its log says is found out, and one that is never accused.

use postfold::Position;
use postfold_projections::testing::EventLog;
use postfold_projections::{
    ConfigError, Guard, Halt, MemoryStore, Projector, Row, Settings, Store, Verification, VerifyError, Wrong,
};
use tokio_util::sync::CancellationToken;

use crate::faults::{Fault, Faulty};
use crate::notes::{Note, Notes, log_of_notes, small_steps, write_note};

fn projector(log: &EventLog, store: impl Store, settings: Settings) -> Projector {
    Projector::new(log.clone(), store).with(Notes).settings(settings)
}

async fn verify(log: &EventLog, store: &MemoryStore, settings: Settings) -> Verification {
    projector(log, store.clone(), settings).verify("notes", CancellationToken::new()).await.unwrap()
}

/// A model of keys `n0` to `n99`, written by one event each.
async fn model() -> (EventLog, MemoryStore) {
    let (log, store) = (EventLog::new("test"), MemoryStore::new());
    for number in 0..100 {
        log.change("note/1", "note.changed", &format!("{{\"put\":[\"n{number}\"]}}"));
    }
    projector(&log, store.clone(), Settings::default()).catch_up(CancellationToken::new()).await.unwrap();
    (log, store)
}

fn row(id: &str, generation: i64, position: i64, writes: i64) -> Row {
    let note = Note { writes, text: format!("{position},") };
    let state = bson::serialize_to_raw_document_buf(&note).unwrap();
    Row { id: id.into(), generation, position: Position::new(position), state: Some(state) }
}

/// Puts a document in the place of whatever is there.
async fn force(store: &MemoryStore, row: Row) {
    let newer = Row { generation: row.generation + 1, state: None, ..row.clone() };
    store.replace("notes", Guard::OlderGeneration, &[&newer]).await.unwrap();
    store.bury("notes", &[&row.id], newer.generation, newer.position).await.unwrap();
    store.insert("notes", &[&row]).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn every_way_of_being_wrong_is_named() {
    let (log, store) = model().await;
    assert!(verify(&log, &store, Settings::default()).await.is_clean());

    let grave = Row { state: None, ..row("n1", 1, 2, 0) };
    force(&store, grave).await;
    store.bury("notes", &["n1"], 1, Position::new(100)).await.unwrap();
    force(&store, row("n2", 1, 3, 7)).await;
    force(&store, row("n3", 1, 3, 1)).await;
    force(&store, row("n4", 2, 5, 1)).await;
    force(&store, row("x", 1, 50, 1)).await;
    force(&store, Row { state: None, ..row("n5", 1, 6, 0) }).await;

    for parts in [1_000, 7] {
        let settings = Settings { verify_documents_max: parts, ..Settings::default() };
        let found = verify(&log, &store, settings).await;
        let mut wrong: Vec<(&str, String)> =
            found.differences.iter().map(|found| (found.key.as_str(), format!("{:?}", found.what))).collect();
        wrong.sort();
        let field = |name: &str, expected: &str, found: &str| Wrong::Field {
            name: name.into(),
            expected: Some(expected.into()),
            found: Some(found.into()),
        };
        let expected = [
            ("n1", Wrong::Missing),
            ("n2", field("writes", "1", "7")),
            ("n3", field("text", "\"4,\"", "\"3,\"")),
            ("n3", Wrong::Position { expected: Position::new(4), found: Position::new(3) }),
            ("n4", Wrong::Generation { found: 2 }),
            ("n5", Wrong::Missing),
            ("x", Wrong::Extra),
        ];
        assert_eq!(wrong, expected.map(|(key, what)| (key, format!("{what:?}"))));
        assert_eq!((found.different, found.documents), (6, 100));
    }
}

#[tokio::test(start_paused = true)]
async fn the_list_is_bounded_and_the_count_is_not() {
    let (log, store) = model().await;
    for number in 0..100 {
        force(&store, row(&format!("n{number}"), 1, number + 1, 99)).await;
    }
    let found = verify(&log, &store, Settings { verify_differences_max: 3, ..Settings::default() }).await;
    assert_eq!((found.different, found.differences.len()), (100, 3));
}

#[tokio::test(start_paused = true)]
async fn a_model_that_is_ahead_of_its_checkpoint_is_not_accused() {
    let mut crashes = 0;
    for write in 0.. {
        let (log, store) = (log_of_notes(40), MemoryStore::new());
        let dying = Faulty::at(&store, write, Fault::DiesAfter);
        let died = dying.life.clone();
        projector(&log, dying, small_steps()).catch_up(died.clone()).await.unwrap();
        if store.checkpoint("notes").await.unwrap().is_some() {
            crashes += 1;
            let found = verify(&log, &store, Settings::default()).await;
            assert!(found.is_clean(), "write {write}: {:?}", found.differences);
        }
        if !died.is_cancelled() {
            assert!(crashes > 30, "too few steps to tell anything: {crashes}");
            return;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_model_that_changes_meanwhile_is_not_accused() {
    let (log, store) = (log_of_notes(200), MemoryStore::new());
    let live = projector(&log, store.clone(), small_steps());
    let shutdown = CancellationToken::new();
    let running = tokio::spawn({
        let (live, shutdown) = (live.clone(), shutdown.clone());
        async move { live.run(shutdown).await }
    });
    live.applied_through("notes", Position::new(1), std::time::Duration::from_mins(1)).await.unwrap();
    let mut number = 200;
    for _ in 0..20 {
        let writing = async {
            for _ in 0..10 {
                write_note(&log, number);
                number += 1;
                tokio::task::yield_now().await;
            }
        };
        let (found, ()) = tokio::join!(verify(&log, &store, Settings::default()), writing);
        assert!(found.is_clean(), "{:?}", found.differences);
    }
    let (found, rebuilt) =
        tokio::join!(verify(&log, &store, Settings::default()), live.rebuild("notes", shutdown.clone()));
    rebuilt.unwrap();
    assert!(found.is_clean(), "{:?}", found.differences);
    shutdown.cancel();
    running.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_compared_is_said_not_guessed() {
    let (log, store) = model().await;
    let projector = projector(&log, store.clone(), Settings::default());
    assert_eq!(
        projector.verify("other", CancellationToken::new()).await.unwrap_err(),
        VerifyError::Config(ConfigError::Unknown("other".into()))
    );
    log.restore_to(Position::new(50));
    let differs = projector.verify("notes", CancellationToken::new()).await.unwrap_err();
    assert!(matches!(differs, VerifyError::Halted(Halt::LogDiffers { .. })));
    let none = Projector::new(log, MemoryStore::new())
        .with(Notes)
        .verify("notes", CancellationToken::new())
        .await
        .unwrap_err();
    assert_eq!(none, VerifyError::NoModel("notes"));
}
