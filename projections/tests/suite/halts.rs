//! What stops one projection, and what must not.

use postfold::Position;
use postfold_projections::models::{Balances, Preferences};
use postfold_projections::testing::EventLog;
use postfold_projections::{
    AppliedError, ConfigError, Halt, LogSource, MemoryStore, Projector, RunError, RunReport, Settings, State, Store,
    StoreErrorKind,
};
use tokio_util::sync::CancellationToken;

use crate::faults::{Fault, Faulty};
use crate::notes::{Notes, assert_whole, fold_of, log_of_notes, small_steps, stored, write_note};

fn projector(log: &EventLog, store: impl Store, settings: Settings) -> Projector {
    Projector::new(log.clone(), store).with(Notes).settings(settings)
}

async fn halted(projector: &Projector) -> RunReport {
    match projector.catch_up(CancellationToken::new()).await {
        Err(RunError::Halted(report)) => report,
        other => panic!("it has to halt: {other:?}"),
    }
}

async fn halt(projector: &Projector) -> Halt {
    halted(projector).await.projections.remove(0).halt.expect("a halt")
}

#[tokio::test(start_paused = true)]
async fn an_event_that_cannot_be_folded_stops_its_projection_right_before_it() {
    for (settings, kind, data) in [
        (Settings::default(), "note.changed", r#"{"poison":["n1"],"put":["n2"]}"#),
        (small_steps(), "note.changed", r#"{"put":["n2"],"poison":["n1"]}"#),
        (Settings::default(), "note.unreadable", "{}"),
        (small_steps(), "note.unreadable", "{}"),
        (Settings::default(), "note.panic_in_keys", "{}"),
        (small_steps(), "note.panic_in_fold", r#"{"put":["n2"]}"#),
    ] {
        let (log, store) = (log_of_notes(10), MemoryStore::new());
        log.change("note/1", kind, data);
        log.change("note/1", "note.changed", r#"{"put":["n1"]}"#);
        let before = Position::new(10);
        let projector = projector(&log, store.clone(), settings);
        for _start in 0..2 {
            let found = halt(&projector).await;
            assert!(matches!(&found, Halt::Fold { position, .. } if *position == before.next()), "{found}");
            assert_eq!(store.checkpoint("notes").await.unwrap().unwrap().position(), before);
            assert_eq!(stored(&store, "notes").await, fold_of::<Notes>(&log_of_notes(10), before).await);
        }
        let wait = projector.applied_through("notes", before.next(), std::time::Duration::from_hours(1)).await;
        assert!(matches!(wait, Err(AppliedError::Halted { .. })), "nobody waits for what will not come");
        let status = projector.status().await.unwrap().remove(0);
        assert_eq!((status.state, status.lag), (State::Halted, 2));
        assert!(status.lag_seconds > 0.0, "the event at 11 waits");
        assert!(status.halted.unwrap().contains("the event at 11"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_projection_that_stops_does_not_hold_up_the_others() {
    let (log, store) = (EventLog::new("test"), MemoryStore::new());
    log.open_account("assets:cash", "EUR", postfold::AccountType::Asset);
    log.post("assets:cash", "never:opened", "EUR", rust_decimal::Decimal::ONE);
    log.change("user/1", "preference.changed", r#"{"theme":"dark"}"#);
    let report = halted(&Projector::new(log.clone(), store.clone()).with(Preferences).with(Balances)).await;
    let ends: Vec<_> = report
        .projections
        .iter()
        .map(|outcome| (outcome.projection, outcome.position.get(), outcome.halt.is_some()))
        .collect();
    assert_eq!(ends, [("preferences", 3, false), ("balances", 1, true)]);
}

#[tokio::test(start_paused = true)]
async fn a_log_restored_from_an_older_backup_stops_the_projector() {
    let (log, store) = (log_of_notes(20), MemoryStore::new());
    let projector = projector(&log, store.clone(), Settings::default());
    projector.catch_up(CancellationToken::new()).await.unwrap();
    let before = stored(&store, "notes").await;

    log.restore_to(Position::new(15));
    // The end of the log is before the checkpoint: there is nothing to catch up with, but it is noticed.
    let differs = |halt: &Halt| matches!(halt, Halt::LogDiffers { position, .. } if *position == Position::new(20));
    assert!(differs(&halt(&projector).await));
    assert_eq!(projector.status().await.unwrap()[0].state, State::Ahead);
    // Other events have come since: still not the log that was folded.
    for number in 0..10 {
        write_note(&log, number);
    }
    assert!(differs(&halt(&projector).await));
    assert_eq!(stored(&store, "notes").await, before, "the model is left as it was");

    projector.rebuild("notes", CancellationToken::new()).await.unwrap();
    projector.catch_up(CancellationToken::new()).await.unwrap();
    assert_whole::<Notes>(&store, &log).await;
}

#[tokio::test(start_paused = true)]
async fn a_log_that_is_replaced_under_a_running_projector_stops_it() {
    let (log, store) = (log_of_notes(20), MemoryStore::new());
    let projector = projector(&log, store.clone(), Settings::default());
    let running = tokio::spawn({
        let projector = projector.clone();
        async move { projector.run(CancellationToken::new()).await }
    });
    projector.applied_through("notes", Position::new(20), std::time::Duration::from_mins(1)).await.unwrap();
    log.restore_to(Position::new(15));
    for number in 0..30 {
        write_note(&log, number);
    }
    let RunError::Halted(report) = running.await.unwrap().unwrap_err() else { panic!("it has to halt") };
    assert!(matches!(report.projections[0].halt, Some(Halt::LogDiffers { .. })));
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_waited_out_however_long() {
    let (log, store) = (log_of_notes(20), MemoryStore::new());
    for write in 0..12 {
        let away = Faulty::at(&store, write, Fault::Answers(StoreErrorKind::Unavailable, 100));
        projector(&log, away, small_steps()).catch_up(CancellationToken::new()).await.unwrap();
        assert_whole::<Notes>(&store, &log).await;
        write_note(&log, 20 + write);
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_is_refused_again_and_again_while_the_server_is_well_stops_the_projector() {
    let (log, store) = (log_of_notes(20), MemoryStore::new());
    let refusing = Faulty::at(&store, 0, Fault::Answers(StoreErrorKind::Server(1), usize::MAX)).only("insert");
    let found = halt(&projector(&log, refusing, Settings::default())).await;
    assert!(matches!(&found, Halt::Document { key, .. } if key == "n0"), "{found}");
    projector(&log, store.clone(), Settings::default()).catch_up(CancellationToken::new()).await.unwrap();
    assert_whole::<Notes>(&store, &log).await;
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_is_refused_a_few_times_is_not_given_up() {
    let (log, store) = (log_of_notes(20), MemoryStore::new());
    let refusing = Faulty::at(&store, 0, Fault::Answers(StoreErrorKind::Server(1), 4)).only("insert");
    projector(&log, refusing, Settings::default()).catch_up(CancellationToken::new()).await.unwrap();
    assert_whole::<Notes>(&store, &log).await;
}

#[tokio::test(start_paused = true)]
async fn a_document_that_the_server_will_never_take_stops_the_projector_at_once() {
    let (log, store) = (log_of_notes(20), MemoryStore::new());
    let refusing = Faulty::at(&store, 0, Fault::Answers(StoreErrorKind::Refused(10_334), usize::MAX)).only("insert");
    assert!(matches!(halt(&projector(&log, refusing, Settings::default())).await, Halt::Document { .. }));
}

#[tokio::test(start_paused = true)]
async fn a_database_of_another_ledger_is_left_alone() {
    let (log, store) = (log_of_notes(20), MemoryStore::new());
    projector(&log, store.clone(), Settings::default()).catch_up(CancellationToken::new()).await.unwrap();
    let other = EventLog::new("other");
    write_note(&other, 0);
    let projector = projector(&other, store.clone(), Settings::default());
    assert!(matches!(halt(&projector).await, Halt::OtherLedger { .. }));
    assert!(projector.rebuild("notes", CancellationToken::new()).await.is_err());
    assert_whole::<Notes>(&store, &log).await;
}

#[tokio::test(start_paused = true)]
async fn documents_without_a_checkpoint_are_not_folded_upon() {
    let (log, store) = (log_of_notes(20), MemoryStore::new());
    let stray = postfold_projections::Row { id: "x".into(), generation: 1, position: Position::new(3), state: None };
    store.insert("notes", &[&stray]).await.unwrap();
    assert!(matches!(halt(&projector(&log, store.clone(), Settings::default())).await, Halt::NoCheckpoint { .. }));
    projector(&log, store.clone(), Settings::default()).rebuild("notes", CancellationToken::new()).await.unwrap();
    assert_whole::<Notes>(&store, &log).await;
}

#[tokio::test(start_paused = true)]
async fn a_collection_that_somebody_dropped_is_not_taken_for_an_empty_model() {
    let (log, store) = (log_of_notes(20), MemoryStore::new());
    let projector = projector(&log, store.clone(), Settings::default());
    projector.catch_up(CancellationToken::new()).await.unwrap();
    store.drop_collection("notes").await.unwrap();
    assert!(matches!(halt(&projector).await, Halt::Refused { .. }));
    projector.rebuild("notes", CancellationToken::new()).await.unwrap();
    assert_whole::<Notes>(&store, &log).await;
}

#[tokio::test]
async fn settings_and_names_that_cannot_work_are_refused_by_name() {
    let (log, store) = (log_of_notes(1), MemoryStore::new());
    let zero = Settings { lanes: 0, ..Settings::default() };
    let refused = projector(&log, store.clone(), zero).catch_up(CancellationToken::new()).await.unwrap_err();
    assert_eq!(refused.to_string(), "the setting lanes must not be zero");
    let twice = projector(&log, store.clone(), Settings::default()).with(Notes);
    assert!(matches!(
        twice.catch_up(CancellationToken::new()).await,
        Err(RunError::Config(ConfigError::Name("notes")))
    ));
    assert_eq!(log.head().await.unwrap().position, Position::new(1));
    assert!(store.checkpoints().await.unwrap().is_empty(), "nothing was begun");
}
