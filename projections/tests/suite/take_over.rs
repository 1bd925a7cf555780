//! Two projectors of one projection: the second takes over, the first may be late.

use postfold_projections::testing::EventLog;
use postfold_projections::{Halt, MemoryStore, Projector, RunError, Settings, Store};
use tokio_util::sync::CancellationToken;

use crate::faults::{Fault, Faulty};
use crate::notes::{Notes, assert_whole, log_of_notes, small_steps, write_note};

fn projector(log: &EventLog, store: impl Store, settings: Settings) -> Projector {
    Projector::new(log.clone(), store).with(Notes).settings(settings)
}

fn halt(error: RunError) -> Halt {
    let RunError::Halted(report) = error else { panic!("{error}") };
    report.projections.into_iter().find_map(|outcome| outcome.halt).expect("a halt")
}

#[tokio::test(start_paused = true)]
async fn a_projector_that_was_suspended_at_any_write_changes_nothing_and_stops() {
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
        let ended = projector(&log, late.clone(), small_steps()).catch_up(CancellationToken::new()).await;
        if !late.struck() {
            assert!(write > 30, "too few steps to tell anything: {write}");
            return;
        }
        match ended.map_err(halt) {
            // Suspended before it had claimed anything: then it is the one that takes over.
            Ok(_) => assert!(write <= 2, "write {write} went unnoticed"),
            Err(halt) => assert!(matches!(halt, Halt::TakenOver { epoch: 3.., .. }), "write {write}: {halt}"),
        }
        assert_whole::<Notes>(&store, &log).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_projector_that_lost_does_not_mark_the_model_as_halted() {
    let (log, store) = (log_of_notes(10), MemoryStore::new());
    let shutdown = CancellationToken::new();
    let first = tokio::spawn({
        let (projector, shutdown) = (projector(&log, store.clone(), Settings::default()), shutdown.clone());
        async move { projector.run(shutdown).await }
    });
    let second = projector(&log, store.clone(), Settings::default());
    second.applied_through("notes", postfold::Position::new(10), std::time::Duration::from_mins(1)).await.unwrap();
    second.catch_up(shutdown.clone()).await.unwrap();
    write_note(&log, 10);
    let lost = first.await.unwrap().map_err(halt).expect_err("the first has to stop by itself");
    assert!(lost.to_string().contains("took notes over (epoch 3)"), "{lost}");
    let status = second.status().await.unwrap().remove(0);
    assert_eq!((status.halted, status.epoch), (None, Some(3)));
    second.catch_up(shutdown).await.unwrap();
    assert_whole::<Notes>(&store, &log).await;
}
