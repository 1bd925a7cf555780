//! Following the log: soon, once for all, within bounds.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use postfold::Position;
use postfold_projections::models::{Balances, Entities, Preferences};
use postfold_projections::testing::EventLog;
use postfold_projections::{
    AppliedError, Change, FoldError, Keys, MemoryStore, Phase, Projection, Projector, ReadEvent, Settings, State, Store,
};
use tokio_util::sync::CancellationToken;

use crate::notes::{Notes, assert_whole, log_of_notes, write_note};

fn log_of_preferences(changes: usize) -> EventLog {
    let log = EventLog::new("test");
    for number in 0..changes {
        log.change(&format!("user/{}", number % 7), "preference.changed", &format!("{{\"n\":{number}}}"));
    }
    log
}

#[tokio::test(start_paused = true)]
async fn projections_that_are_close_to_each_other_read_each_page_of_the_log_once() {
    let log = log_of_preferences(200);
    let settings = Settings { batch_events_max: 50, ..Settings::default() };
    let all = Projector::new(log.clone(), MemoryStore::new())
        .with(Preferences)
        .with(Entities)
        .with(Balances)
        .settings(settings);
    all.catch_up(CancellationToken::new()).await.unwrap();
    assert_eq!(log.pages_read(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_projection_that_is_new_catches_up_beside_the_others() {
    let (log, store) = (log_of_preferences(500), MemoryStore::new());
    let settings = Settings { batch_events_max: 50, ..Settings::default() };
    let old = Projector::new(log.clone(), store.clone()).with(Preferences).settings(settings);
    old.catch_up(CancellationToken::new()).await.unwrap();
    for _ in 0..100 {
        log.change("user/9", "preference.changed", "{}");
    }
    let all = old.with(Entities).with(Balances);
    let report = all.catch_up(CancellationToken::new()).await.unwrap();
    assert!(report.projections.iter().all(|outcome| outcome.position == Position::new(600)));
    assert_whole::<Preferences>(&store, &log).await;
    assert_whole::<Entities>(&store, &log).await;
    assert_whole::<Balances>(&store, &log).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_written_while_following_can_be_waited_for() {
    let (log, store) = (log_of_notes(3), MemoryStore::new());
    let live = Projector::new(log.clone(), store.clone()).with(Notes);
    let shutdown = CancellationToken::new();
    let running = tokio::spawn({
        let (live, shutdown) = (live.clone(), shutdown.clone());
        async move { live.run(shutdown).await }
    });
    for number in 3..50 {
        write_note(&log, number);
        let written = Position::new(i64::try_from(number).unwrap() + 1);
        live.applied_through("notes", written, Duration::from_secs(30)).await.unwrap();
    }
    let early = live.applied_through("notes", Position::new(99), Duration::from_millis(10)).await.unwrap_err();
    assert!(matches!(early, AppliedError::TimedOut { reached, .. } if reached == Position::new(50)));
    let status = live.status().await.unwrap().remove(0);
    assert_eq!((status.state, status.lag, status.position), (State::CaughtUp, 0, Position::new(50)));
    assert!(status.lag_seconds.abs() < f64::EPSILON, "nothing waits");
    shutdown.cancel();
    let report = running.await.unwrap().unwrap();
    assert_eq!(report.projections[0].position, Position::new(50));
    assert_whole::<Notes>(&store, &log).await;
}

#[tokio::test(start_paused = true)]
async fn progress_is_told_for_every_batch_and_every_phase() {
    let (log, store) = (log_of_notes(100), MemoryStore::new());
    let told = Arc::new(Mutex::new(Vec::new()));
    let settings = Settings { batch_events_max: 10, ..Settings::default() };
    let projector = Projector::new(log.clone(), store).with(Notes).settings(settings).on_progress({
        let told = Arc::clone(&told);
        move |progress| told.lock().unwrap().push((progress.phase, progress.position, progress.end))
    });
    projector.catch_up(CancellationToken::new()).await.unwrap();
    let expected: Vec<_> = (0..=10).map(|batch| (Phase::Follow, batch * 10, 100)).collect();
    assert_eq!(*told.lock().unwrap(), expected);
    told.lock().unwrap().clear();
    for number in 100..115 {
        write_note(&log, number);
    }
    projector.catch_up(CancellationToken::new()).await.unwrap();
    assert_eq!(
        *told.lock().unwrap(),
        [100, 110, 115].map(|position| (Phase::Follow, position, 115)),
        "from where it is"
    );
    told.lock().unwrap().clear();
    projector.rebuild("notes", CancellationToken::new()).await.unwrap();
    let mut phases: Vec<Phase> = told.lock().unwrap().iter().map(|(phase, ..)| *phase).collect();
    phases.dedup();
    assert_eq!(
        phases,
        [Phase::Fold, Phase::Load, Phase::Index, Phase::Tail, Phase::Switch, Phase::Tail, Phase::Switch]
    );
}

/// Ever longer documents, to meet the bounds on bytes.
struct Growing;

impl Projection for Growing {
    type Document = Vec1;
    const NAME: &'static str = "growing";
    const VERSION: u32 = 1;

    fn keys(event: &ReadEvent) -> Result<Keys, FoldError> {
        Ok(event.entity().map_or_else(Keys::none, Keys::one))
    }

    fn fold(document: Option<&Vec1>, _key: &str, event: &ReadEvent) -> Result<Change<Vec1>, FoldError> {
        let mut texts = document.cloned().unwrap_or_default();
        texts.texts.push(format!("{}{}", event.position, "x".repeat(500)));
        Ok(Change::Put(texts))
    }
}

#[derive(Clone, Default, serde::Serialize, serde::Deserialize)]
struct Vec1 {
    texts: Vec<String>,
}

#[tokio::test(start_paused = true)]
async fn batches_that_meet_a_bound_on_bytes_are_cut_and_lose_nothing() {
    let log = EventLog::new("test");
    for number in 0..600 {
        log.change(&format!("doc/{}", number % 50), "doc.grew", "{}");
    }
    for (batch_bytes_max, command_bytes_max, cache_bytes_max) in
        [(2_000, 1_000, 1), (100_000, 5_000, 10_000), (1, 1, 1)]
    {
        let settings = Settings { batch_bytes_max, command_bytes_max, cache_bytes_max, ..Settings::default() };
        let store = MemoryStore::new();
        let projector = Projector::new(log.clone(), store.clone()).with(Growing).settings(settings);
        projector.catch_up(CancellationToken::new()).await.unwrap();
        assert_whole::<Growing>(&store, &log).await;
    }
}

#[tokio::test(start_paused = true)]
async fn one_event_that_touches_more_than_a_batch_may_is_taken_whole() {
    let (log, store) = (EventLog::new("test"), MemoryStore::new());
    let keys: Vec<String> = (0..3_000).map(|number| format!("\"n{number}\"")).collect();
    log.change("note/1", "note.changed", &format!("{{\"put\":[{}]}}", keys.join(",")));
    log.change("note/1", "note.changed", r#"{"put":["n1"]}"#);
    let settings =
        Settings { batch_documents_max: 2, batch_bytes_max: 1, cache_documents_max: 1, ..Settings::default() };
    let projector = Projector::new(log.clone(), store.clone()).with(Notes).settings(settings);
    projector.catch_up(CancellationToken::new()).await.unwrap();
    assert_whole::<Notes>(&store, &log).await;
    log.change("note/1", "note.changed", &format!("{{\"put\":[{}]}}", keys.join(",")));
    projector.catch_up(CancellationToken::new()).await.unwrap();
    assert_whole::<Notes>(&store, &log).await;
    assert_eq!(store.count("notes").await.unwrap(), 3_000);
}
