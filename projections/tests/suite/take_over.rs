//! Several projectors of one projection: one at a time has it, another takes over, the first may be late.

use std::time::Duration;

use postfold::Position;
use postfold_projections::testing::EventLog;
use postfold_projections::{MemoryStore, Projector, RunReport, Settings, Store};
use tokio_util::sync::CancellationToken;

use crate::faults::{Fault, Faulty};
use crate::notes::{Notes, assert_whole, log_of_notes, small_steps, write_note};

fn projector(log: &EventLog, store: impl Store, settings: Settings) -> Projector {
    Projector::new(log.clone(), store).with(Notes).settings(settings)
}

#[tokio::test(start_paused = true)]
async fn a_projector_that_was_suspended_at_any_write_past_its_lease_changes_nothing() {
    for write in 0.. {
        let (log, store) = (log_of_notes(30), MemoryStore::new());
        let meanwhile = {
            let (log, store) = (log.clone(), store.clone());
            Box::pin(async move {
                for number in 30..50 {
                    write_note(&log, number);
                }
                projector(&log, store, Settings::default()).catch_up(CancellationToken::new()).await.unwrap();
            })
        };
        let late = Faulty::at(&store, write, Fault::Suspended(meanwhile));
        projector(&log, late.clone(), small_steps()).catch_up(CancellationToken::new()).await.unwrap();
        if !late.struck() {
            assert!(write > 30, "too few steps to tell anything: {write}");
            return;
        }
        assert_whole::<Notes>(&store, &log).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_process_that_dies_is_replaced_when_its_lease_has_run_out_and_not_before() {
    let (log, store) = (log_of_notes(30), MemoryStore::new());
    let dying = Faulty::at(&store, 20, Fault::DiesBefore);
    let life = dying.life.clone();
    projector(&log, dying, small_steps()).catch_up(life).await.unwrap();
    let began = tokio::time::Instant::now();
    let settings = Settings { lease: Duration::from_secs(7), ..small_steps() };
    let other = projector(&log, store.clone(), settings);
    other.catch_up(CancellationToken::new()).await.unwrap();
    let took = began.elapsed();
    let lease = Settings::default().lease;
    assert!(took >= lease && took < lease + Duration::from_secs(1), "by the lease of the one who died: {took:?}");
    assert_whole::<Notes>(&store, &log).await;
}

#[tokio::test(start_paused = true)]
async fn a_process_that_ends_well_is_followed_at_once() {
    let (log, store) = (log_of_notes(10), MemoryStore::new());
    let began = tokio::time::Instant::now();
    for events in [10, 20, 30] {
        projector(&log, store.clone(), small_steps()).catch_up(CancellationToken::new()).await.unwrap();
        (events..events + 10).for_each(|number| write_note(&log, number));
    }
    assert!(began.elapsed() < Settings::default().lease, "nobody waited for a lease");
    assert!(store.members().await.unwrap().is_empty(), "whoever ends says good-bye");
}

#[tokio::test(start_paused = true)]
async fn catching_up_is_also_done_when_another_process_does_the_work() {
    let (log, store) = (log_of_notes(30), MemoryStore::new());
    let shutdown = CancellationToken::new();
    let running = tokio::spawn({
        let (projector, shutdown) = (projector(&log, store.clone(), small_steps()), shutdown.clone());
        async move { projector.run(shutdown).await }
    });
    let other = projector(&log, store.clone(), small_steps());
    other.applied_through("notes", Position::new(30), Duration::from_mins(1)).await.unwrap();
    (30..40).for_each(|number| write_note(&log, number));
    let report: RunReport = other.catch_up(CancellationToken::new()).await.unwrap();
    assert_eq!(report.projections[0].position, Position::new(40));
    shutdown.cancel();
    running.await.unwrap().unwrap();
    assert_whole::<Notes>(&store, &log).await;
}

#[tokio::test(start_paused = true)]
async fn several_processes_share_the_buckets_of_a_model_and_the_last_one_has_them_all() {
    let (log, store) = (log_of_notes(60), MemoryStore::new());
    let settings = || Settings { buckets: 6, ..small_steps() };
    let start = |name: &str| {
        let stop = CancellationToken::new();
        let projector = projector(&log, store.clone(), settings()).named(name);
        (stop.clone(), tokio::spawn(async move { projector.run(stop).await }))
    };
    let owners = |store: MemoryStore| async move {
        let checkpoint = store.checkpoint("notes").await.unwrap()?;
        let mut names: Vec<String> =
            checkpoint.buckets.into_iter().filter_map(|bucket| Some(bucket.owner?.name)).collect();
        names.sort();
        Some(names.join(" "))
    };
    let settles = |expected: &'static str| {
        let store = store.clone();
        async move {
            let settled = async {
                while owners(store.clone()).await.as_deref() != Some(expected) {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            };
            let settled = tokio::time::timeout(Duration::from_mins(2), settled).await.is_ok();
            assert!(settled, "the buckets are shared as {:?}, not as {expected}", owners(store).await);
        }
    };
    let (stop_a, a) = start("a");
    settles("a a a a a a").await;
    let (stop_b, b) = start("b");
    settles("a a a b b b").await;
    let (stop_c, c) = start("c");
    settles("a a b b c c").await;
    (60..90).for_each(|number| write_note(&log, number));
    stop_b.cancel();
    b.await.unwrap().unwrap();
    settles("a a a c c c").await;
    stop_a.cancel();
    a.await.unwrap().unwrap();
    settles("c c c c c c").await;
    let whole = projector(&log, store.clone(), settings());
    whole.applied_through("notes", Position::new(90), Duration::from_mins(1)).await.unwrap();
    stop_c.cancel();
    c.await.unwrap().unwrap();
    assert_whole::<Notes>(&store, &log).await;
}
