//! A model is built anew while the old one serves, and whatever dies on the way.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use postfold::Position;
use postfold_projections::testing::EventLog;
use postfold_projections::{
    Attempt, Change, FoldError, Halt, Keys, MemoryStore, Projection, Projector, ReadEvent, RebuildError, Row, RunError,
    Settings, Store, StoreErrorKind,
};
use tokio_util::sync::CancellationToken;

use crate::faults::{Fault, Faulty};
use crate::notes::{Note, Notes, assert_whole, log_of_notes, small_steps, stored, write_note};
use crate::rows::Trail;

fn projector(log: &EventLog, store: impl Store, settings: Settings) -> Projector {
    Projector::new(log.clone(), store).with(Notes).settings(settings)
}

async fn catch_up(log: &EventLog, store: &MemoryStore) {
    projector(log, store.clone(), Settings::default()).catch_up(CancellationToken::new()).await.unwrap();
}

async fn names(store: &MemoryStore) -> Vec<String> {
    let mut names: Vec<String> = store.collections().await.unwrap().into_iter().map(|found| found.name).collect();
    names.sort();
    names
}

#[tokio::test(start_paused = true)]
async fn a_rebuild_gives_the_documents_that_following_gave() {
    let (log, store) = (log_of_notes(100), MemoryStore::new());
    catch_up(&log, &store).await;
    let followed = stored(&store, "notes").await;
    let report =
        projector(&log, store.clone(), small_steps()).rebuild("notes", CancellationToken::new()).await.unwrap();
    assert_eq!((report.generation, report.position, report.passes), (2, Position::new(100), 1));
    assert_eq!(stored(&store, "notes").await, followed);
    assert_eq!(names(&store).await, ["notes"]);
    assert_whole::<Notes>(&store, &log).await;
    catch_up(&log, &store).await;
    assert_whole::<Notes>(&store, &log).await;
}

#[tokio::test(start_paused = true)]
async fn a_model_that_outgrows_the_memory_is_rebuilt_share_by_share() {
    let (log, store) = (log_of_notes(5_000), MemoryStore::new());
    catch_up(&log, &store).await;
    let settings = Settings { rebuild_bytes_max: 1_000, batch_events_max: 100, ..Settings::default() };
    let report = projector(&log, store.clone(), settings).rebuild("notes", CancellationToken::new()).await.unwrap();
    assert!(report.passes > 1 && report.loaded > 0, "{report:?}");
    assert_whole::<Notes>(&store, &log).await;
}

#[tokio::test(start_paused = true)]
async fn the_first_model_of_all_can_come_from_a_rebuild() {
    let (log, store) = (log_of_notes(20), MemoryStore::new());
    projector(&log, store.clone(), Settings::default()).rebuild("notes", CancellationToken::new()).await.unwrap();
    assert_whole::<Notes>(&store, &log).await;
    write_note(&log, 20);
    catch_up(&log, &store).await;
    assert_whole::<Notes>(&store, &log).await;
}

#[tokio::test(start_paused = true)]
async fn a_rebuild_that_dies_at_any_write_leaves_a_whole_model_old_or_new() {
    let mut crashes = 0;
    for write in 0.. {
        for fault in [Fault::DiesBefore, Fault::DiesAfter] {
            let (log, store) = (log_of_notes(30), MemoryStore::new());
            catch_up(&log, &store).await;
            let dying = Faulty::at(&store, write, fault);
            let died = dying.life.clone();
            let ended = projector(&log, dying, small_steps()).rebuild("notes", died.clone()).await;
            if !died.is_cancelled() {
                ended.unwrap();
                assert!(crashes > 20, "too few steps to tell anything: {crashes}");
                return;
            }
            crashes += 1;
            assert!(matches!(ended, Err(RebuildError::Cancelled)), "write {write}: {ended:?}");
            // Readers see a whole model at every moment; only generations may not be mixed.
            let head = Position::new(30);
            assert_eq!(
                stored(&store, "notes").await,
                crate::notes::fold_of::<Notes>(&log, head).await,
                "write {write}"
            );

            for number in 30..40 {
                write_note(&log, number);
            }
            catch_up(&log, &store).await;
            assert_whole::<Notes>(&store, &log).await;
            assert!(store.checkpoint("notes").await.unwrap().unwrap().switching.is_none());

            projector(&log, store.clone(), Settings::default())
                .rebuild("notes", CancellationToken::new())
                .await
                .unwrap();
            assert_eq!(names(&store).await, ["notes"], "what the dead rebuild left is gone");
            assert_whole::<Notes>(&store, &log).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_projector_goes_on_by_itself_whenever_a_rebuild_comes_between() {
    for write in 0.. {
        let (log, store) = (log_of_notes(30), MemoryStore::new());
        let meanwhile = {
            let (log, store) = (log.clone(), store.clone());
            Box::pin(async move {
                projector(&log, store, small_steps()).rebuild("notes", CancellationToken::new()).await.unwrap();
                for number in 30..40 {
                    write_note(&log, number);
                }
            })
        };
        // Suspended at any write, and then late: with documents of the old generation in flight.
        let late = Faulty::at(&store, write, Fault::Suspended(meanwhile));
        let live = projector(&log, late.clone(), small_steps());
        live.catch_up(CancellationToken::new()).await.unwrap();
        if !late.struck() {
            assert!(write > 30, "too few steps to tell anything: {write}");
            return;
        }
        live.catch_up(CancellationToken::new()).await.unwrap();
        assert_whole::<Notes>(&store, &log).await;
        let checkpoint = store.checkpoint("notes").await.unwrap().unwrap();
        assert_eq!((checkpoint.rebuild, checkpoint.switching), (None, None), "the rebuild is over");
    }
}

#[tokio::test(start_paused = true)]
async fn a_rebuild_beside_a_running_projector_loses_nothing() {
    let (log, store) = (log_of_notes(50), MemoryStore::new());
    let live = projector(&log, store.clone(), small_steps());
    let shutdown = CancellationToken::new();
    let running = tokio::spawn({
        let (live, shutdown) = (live.clone(), shutdown.clone());
        async move { live.run(shutdown).await }
    });
    live.applied_through("notes", Position::new(50), Duration::from_mins(5)).await.unwrap();
    let mut number = 50;
    for generation in 2..6 {
        let writing = async {
            for _ in 0..20 {
                write_note(&log, number);
                number += 1;
                tokio::task::yield_now().await;
            }
        };
        let other = projector(&log, store.clone(), small_steps());
        let (report, ()) = tokio::join!(other.rebuild("notes", CancellationToken::new()), writing);
        assert_eq!(report.unwrap().generation, generation);
    }
    let head = Position::new(i64::try_from(number).unwrap());
    live.applied_through("notes", head, Duration::from_mins(5)).await.unwrap();
    shutdown.cancel();
    running.await.unwrap().unwrap();
    assert_whole::<Notes>(&store, &log).await;
}

#[tokio::test(start_paused = true)]
async fn a_switch_that_was_left_half_way_is_ended_by_a_projector_that_has_nothing_else_to_do() {
    for (rename, fault) in
        [(0, Fault::DiesBefore), (0, Fault::DiesAfter), (1, Fault::DiesBefore), (1, Fault::DiesAfter)]
    {
        let (log, store) = (log_of_notes(30), MemoryStore::new());
        let live = Projector::new(log.clone(), store.clone()).with_rows(Trail).with(Notes).settings(small_steps());
        let shutdown = CancellationToken::new();
        let run = || {
            let (live, shutdown) = (live.clone(), shutdown.clone());
            tokio::spawn(async move { live.run(shutdown).await })
        };
        let running = run();
        live.applied_through("notes", Position::new(30), Duration::from_mins(5)).await.unwrap();
        let checkpoint = async || store.checkpoint("notes").await.unwrap().unwrap();
        while checkpoint().await.buckets.iter().any(|bucket| bucket.sweep_due) {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let dying = Faulty::at(&store, rename, fault).only("rename");
        let died = dying.life.clone();
        let ended = projector(&log, dying, small_steps()).rebuild("notes", died).await;
        assert!(matches!(ended, Err(RebuildError::Cancelled)), "{ended:?}");
        // Another one comes, which is to have this model: it cannot be given up before the switch has ended.
        let joining = run();
        let over = async {
            while checkpoint().await.switching.is_some() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::time::timeout(Duration::from_mins(2), over).await.expect("nobody ends the switch");
        write_note(&log, 30);
        live.applied_through("notes", Position::new(31), Duration::from_mins(5)).await.unwrap();
        shutdown.cancel();
        running.await.unwrap().unwrap();
        joining.await.unwrap().unwrap();
        assert_whole::<Notes>(&store, &log).await;
        assert!(!names(&store).await.iter().any(|name| name.starts_with("notes__")));
    }
}

/// The way to the store of a rebuilder, before whose mark of the switch a live projector, with a way of its own, goes ten
/// events further.
fn goes_further_before_the_mark(
    log: &EventLog,
    store: &MemoryStore,
    way: impl Store,
    life: CancellationToken,
) -> Faulty {
    let log = log.clone();
    let meanwhile = Box::pin(async move {
        for number in 20..30 {
            write_note(&log, number);
        }
        projector(&log, way, Settings::default()).catch_up(life).await.unwrap();
    });
    Faulty::at(store, 1, Fault::Suspended(meanwhile)).only("swap_header")
}

#[tokio::test(start_paused = true)]
async fn a_switch_never_takes_the_model_back() {
    let (log, store) = (log_of_notes(20), MemoryStore::new());
    catch_up(&log, &store).await;
    // The new generation is built; before the switch is marked, the live one goes further.
    let late = goes_further_before_the_mark(&log, &store, store.clone(), CancellationToken::new());
    let report = projector(&log, late, small_steps()).rebuild("notes", CancellationToken::new()).await.unwrap();
    assert_eq!(report.position, Position::new(30));
    assert_whole::<Notes>(&store, &log).await;
}

#[tokio::test(start_paused = true)]
async fn a_switch_never_takes_a_document_back_that_is_ahead_of_its_checkpoint() {
    let (log, store) = (log_of_notes(20), MemoryStore::new());
    catch_up(&log, &store).await;
    // As above, but the live projector dies between its documents and its checkpoint.
    let dying = Faulty::at(&store, 1, Fault::DiesBefore).only("swap_bucket");
    let died = dying.life.clone();
    let late = goes_further_before_the_mark(&log, &store, dying, died);
    let report = projector(&log, late, small_steps()).rebuild("notes", CancellationToken::new()).await.unwrap();
    assert_eq!(report.position, Position::new(30));
    assert_whole::<Notes>(&store, &log).await;
}

#[tokio::test(start_paused = true)]
async fn a_switch_takes_nothing_back_from_a_writer_who_was_idle_when_it_was_marked() {
    let (log, store) = (log_of_notes(20), MemoryStore::new());
    let live = projector(&log, store.clone(), Settings::default());
    let running = tokio::spawn({
        let live = live.clone();
        async move { live.run(CancellationToken::new()).await }
    });
    live.applied_through("notes", Position::new(20), Duration::from_mins(5)).await.unwrap();
    // Nothing is left to do but to rename, and then there is something new to write.
    let seen = Arc::new(Mutex::new(Vec::new()));
    let meanwhile = Box::pin({
        let (log, store, seen) = (log.clone(), store.clone(), Arc::clone(&seen));
        async move {
            write_note(&log, 20);
            let written = || async {
                let rows = store.scan("notes", None, None, 1_000).await.unwrap();
                rows.iter().any(|row| row.position == Position::new(21))
            };
            let yielded = || async {
                let checkpoint = store.checkpoint("notes").await.unwrap().unwrap();
                checkpoint.switching.is_some_and(|mark| mark.yielded == [0])
            };
            while !written().await && !yielded().await {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            running.abort();
            *seen.lock().unwrap() = store.scan("notes", None, None, 1_000).await.unwrap();
        }
    });
    let late = Faulty::at(&store, 0, Fault::Suspended(meanwhile)).only("rename");
    projector(&log, late, small_steps()).rebuild("notes", CancellationToken::new()).await.unwrap();
    let now = store.scan("notes", None, None, 1_000).await.unwrap();
    let seen = std::mem::take(&mut *seen.lock().unwrap());
    assert_not_older(&seen, &now);
}

#[tokio::test(start_paused = true)]
async fn a_switch_waits_for_the_lease_of_a_writer_that_died_and_no_longer() {
    let (log, store) = (log_of_notes(20), MemoryStore::new());
    let dying = Faulty::at(&store, 1, Fault::DiesBefore).only("swap_bucket");
    let died = dying.life.clone();
    projector(&log, dying, Settings::default()).run(died).await.unwrap();
    let owner = store.checkpoint("notes").await.unwrap().unwrap().buckets[0].owner.clone();
    assert!(owner.is_some(), "it died at work");
    let began = tokio::time::Instant::now();
    projector(&log, store.clone(), small_steps()).rebuild("notes", CancellationToken::new()).await.unwrap();
    let lease = Settings::default().lease;
    assert!((lease..lease * 2).contains(&began.elapsed()), "{:?}", began.elapsed());
    assert_whole::<Notes>(&store, &log).await;
}

/// Every document that was there is there, at the same position or further.
fn assert_not_older(before: &[Row], now: &[Row]) {
    for row in before.iter().filter(|row| row.state.is_some()) {
        let there = now.iter().find(|now| now.id == row.id).unwrap_or_else(|| panic!("{} is missing", row.id));
        assert!(there.position >= row.position, "{} went back from {} to {}", row.id, row.position, there.position);
    }
}

#[tokio::test(start_paused = true)]
async fn a_switch_that_somebody_else_ends_takes_no_document_back() {
    let (log, store) = (log_of_notes(20), MemoryStore::new());
    catch_up(&log, &store).await;
    // The live model goes further before the switch is marked, and the rebuilder dies right after the mark.
    let late = goes_further_before_the_mark(&log, &store, store.clone(), CancellationToken::new());
    let dying = Faulty::at(&late, 1, Fault::DiesAfter).only("swap_header");
    let died = dying.life.clone();
    projector(&log, dying, small_steps()).rebuild("notes", died).await.unwrap_err();
    let before = store.scan("notes", None, None, 1_000).await.unwrap();

    // Whoever ends the switch does so before it claims the bucket, and dies there.
    let next = Faulty::at(&store, 0, Fault::DiesBefore).only("swap_bucket");
    let died = next.life.clone();
    projector(&log, next, Settings::default()).catch_up(died).await.unwrap();
    assert_eq!(store.checkpoint("notes").await.unwrap().unwrap().switching, None, "the switch was ended");
    let now = store.scan("notes", None, None, 1_000).await.unwrap();
    assert_not_older(&before, &now);
    catch_up(&log, &store).await;
    assert_whole::<Notes>(&store, &log).await;
}

#[tokio::test(start_paused = true)]
async fn a_later_rebuild_wins_and_the_earlier_gives_way() {
    for write in 0.. {
        let (log, store) = (log_of_notes(20), MemoryStore::new());
        catch_up(&log, &store).await;
        let meanwhile = {
            let (log, store) = (log.clone(), store.clone());
            Box::pin(async move {
                projector(&log, store, small_steps()).rebuild("notes", CancellationToken::new()).await.unwrap();
            })
        };
        let late = Faulty::at(&store, write, Fault::Suspended(meanwhile));
        let ended = projector(&log, late.clone(), small_steps()).rebuild("notes", CancellationToken::new()).await;
        if !late.struck() {
            assert!(write > 10, "too few steps to tell anything: {write}");
            return;
        }
        let gave_way =
            matches!(ended, Err(RebuildError::Superseded(_) | RebuildError::Gone(_) | RebuildError::Differs { .. }));
        assert!(ended.is_ok() || gave_way, "write {write}: {ended:?}");
        assert_whole::<Notes>(&store, &log).await;
        // What the loser wrote late is beside the model, not in it; the next rebuild clears it away.
        projector(&log, store.clone(), Settings::default()).rebuild("notes", CancellationToken::new()).await.unwrap();
        assert_eq!(names(&store).await, ["notes"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_ghost_under_the_name_of_the_renamed_collection_never_becomes_the_model() {
    let (log, store) = (log_of_notes(30), MemoryStore::new());
    catch_up(&log, &store).await;
    // The rebuild dies right after it gave the stable name, with the mark in place.
    let dying = Faulty::at(&store, 1, Fault::DiesAfter).only("rename");
    let died = dying.life.clone();
    let ended = projector(&log, dying, Settings::default()).rebuild("notes", died).await;
    assert!(matches!(ended, Err(RebuildError::Cancelled)));
    let mark = store.checkpoint("notes").await.unwrap().unwrap().switching.expect("the switch is under way");

    // An insert that was long on its way makes a new collection under the old name.
    let ghost = mark.to.collection("notes");
    let late = Row { id: "late".into(), generation: mark.to.generation, position: Position::new(1), state: None };
    store.insert(&ghost, &[&late]).await.unwrap();

    catch_up(&log, &store).await;
    assert_eq!(names(&store).await, ["notes"]);
    assert_eq!(store.checkpoint("notes").await.unwrap().unwrap().generation, mark.to.generation);
    assert_whole::<Notes>(&store, &log).await;
}

#[tokio::test(start_paused = true)]
async fn a_switch_whose_new_collection_is_gone_leaves_the_old_model() {
    let (log, store) = (log_of_notes(30), MemoryStore::new());
    catch_up(&log, &store).await;
    let dying = Faulty::at(&store, 0, Fault::DiesBefore).only("rename");
    let died = dying.life.clone();
    drop(projector(&log, dying, Settings::default()).rebuild("notes", died).await);
    let mark = store.checkpoint("notes").await.unwrap().unwrap().switching.expect("the switch is under way");
    store.drop_collection(&mark.to.collection("notes")).await.unwrap();

    catch_up(&log, &store).await;
    assert_eq!(store.checkpoint("notes").await.unwrap().unwrap().generation, 1);
    assert_whole::<Notes>(&store, &log).await;
}

#[tokio::test(start_paused = true)]
async fn two_who_find_the_same_mark_end_the_switch_once() {
    for write in 0.. {
        let (log, store) = (log_of_notes(30), MemoryStore::new());
        catch_up(&log, &store).await;
        let dying = Faulty::at(&store, 0, Fault::DiesBefore).only("rename");
        let died = dying.life.clone();
        drop(projector(&log, dying, Settings::default()).rebuild("notes", died).await);

        let meanwhile = {
            let (log, store) = (log.clone(), store.clone());
            Box::pin(async move { catch_up(&log, &store).await })
        };
        let late = Faulty::at(&store, write, Fault::Suspended(meanwhile));
        let other = projector(&log, late.clone(), small_steps()).catch_up(CancellationToken::new()).await;
        if !late.struck() {
            assert!(write > 3, "too few steps to tell anything: {write}");
            return;
        }
        assert!(other.is_ok(), "write {write}: {other:?}");
        assert_eq!(names(&store).await, ["notes"]);
        assert_whole::<Notes>(&store, &log).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_rebuilder_whose_switch_somebody_ended_leaves_that_of_a_later_one_alone() {
    let (log, store) = (log_of_notes(30), MemoryStore::new());
    catch_up(&log, &store).await;
    // It stands still between mark and rename. A later one ends its switch, marks one of its own, and dies there.
    let meanwhile = {
        let (log, store) = (log.clone(), store.clone());
        Box::pin(async move {
            let dying = Faulty::at(&store, 0, Fault::DiesBefore).only("rename");
            let died = dying.life.clone();
            let ended = projector(&log, dying, small_steps()).rebuild("notes", died).await;
            assert!(matches!(ended, Err(RebuildError::Cancelled)), "{ended:?}");
        })
    };
    let late = Faulty::at(&store, 0, Fault::Suspended(meanwhile)).only("rename");
    let ended = projector(&log, late, small_steps()).rebuild("notes", CancellationToken::new()).await;
    assert!(matches!(ended, Err(RebuildError::Gone(_))), "{ended:?}");
    // What it knows of its own documents says nothing about those of the other.
    let checkpoint = store.checkpoint("notes").await.unwrap().unwrap();
    assert_eq!((checkpoint.generation, checkpoint.switching.map(|mark| mark.to.generation)), (1, Some(3)));
    catch_up(&log, &store).await;
    assert_eq!(names(&store).await, ["notes"]);
    assert_whole::<Notes>(&store, &log).await;
}

#[tokio::test(start_paused = true)]
async fn a_rebuilder_whose_switch_was_taken_over_renames_nothing() {
    let (log, store) = (log_of_notes(30), MemoryStore::new());
    catch_up(&log, &store).await;
    // It stands still for so long that a projector ends the switch in its place: a rename and a drop must not meet.
    let meanwhile = Box::pin({
        let (log, store) = (log.clone(), store.clone());
        async move { catch_up(&log, &store).await }
    });
    let late = Faulty::at(&store, 2, Fault::Suspended(meanwhile)).only("swap_header");
    write_note(&log, 30);
    let ended = projector(&log, late.clone(), small_steps()).rebuild("notes", CancellationToken::new()).await;
    assert!(late.struck() && matches!(ended, Err(RebuildError::Gone(_))), "{ended:?}");
    assert_eq!(*late.renames.lock().unwrap(), []);
    assert_whole::<Notes>(&store, &log).await;
    assert_eq!(names(&store).await, ["notes"]);
}

#[tokio::test(start_paused = true)]
async fn a_rename_that_comes_late_puts_no_ghost_in_the_place_of_the_model() {
    for rename in 0.. {
        let (log, store) = (log_of_notes(30), MemoryStore::new());
        catch_up(&log, &store).await;
        let faulty = Faulty::at(&store, rename, Fault::Answers(StoreErrorKind::Unavailable, 1)).only("rename");
        let report =
            projector(&log, faulty.clone(), small_steps()).rebuild("notes", CancellationToken::new()).await.unwrap();
        if !faulty.struck() {
            assert!(rename > 0, "there was no rename");
            return;
        }
        // An insert of the rebuild comes late, and makes its collection anew; then the rename that got no answer.
        let checkpoint = store.checkpoint("notes").await.unwrap().unwrap();
        let side = Attempt { generation: report.generation, epoch: checkpoint.epoch - 1 }.collection("notes");
        let ghost = store.scan("notes", None, None, 1).await.unwrap();
        store.insert(&side, &ghost.iter().collect::<Vec<_>>()).await.unwrap();
        let (from, to) = faulty.renames.lock().unwrap()[rename].clone();
        drop(store.rename(&from, &to).await);
        assert_whole::<Notes>(&store, &log).await;
        // What that leaves is nobody's, and the next rebuild clears it away.
        projector(&log, store.clone(), small_steps()).rebuild("notes", CancellationToken::new()).await.unwrap();
        assert_eq!(names(&store).await, ["notes"]);
    }
}

#[tokio::test(start_paused = true)]
async fn only_collections_of_earlier_attempts_are_cleared_away() {
    let (log, store) = (log_of_notes(10), MemoryStore::new());
    for name in ["notes__g1_e1", "notes__other", "notes2__g1_e1", "mine"] {
        store.create(name, &[]).await.unwrap();
    }
    projector(&log, store.clone(), Settings::default()).rebuild("notes", CancellationToken::new()).await.unwrap();
    assert_eq!(names(&store).await, ["mine", "notes", "notes2__g1_e1", "notes__other"]);
}

#[tokio::test(start_paused = true)]
async fn no_two_attempts_ever_have_the_same_generation_or_collection() {
    let (log, store) = (log_of_notes(10), MemoryStore::new());
    let mut attempts: Vec<Attempt> = Vec::new();
    for _ in 0..3 {
        let dying = Faulty::at(&store, 0, Fault::DiesBefore).only("insert");
        let died = dying.life.clone();
        drop(projector(&log, dying, Settings::default()).rebuild("notes", died).await);
        attempts.extend(store.checkpoint("notes").await.unwrap().unwrap().rebuild);
        catch_up(&log, &store).await;
    }
    let generations: Vec<i64> = attempts.iter().map(|attempt| attempt.generation).collect();
    assert_eq!(generations, [1, 2, 3]);
    assert!(attempts.windows(2).all(|pair| pair[0].epoch < pair[1].epoch), "{attempts:?}");
}

/// The same notes, folded otherwise.
struct NotesAgain;

impl Projection for NotesAgain {
    type Document = Note;
    const NAME: &'static str = "notes";
    const VERSION: u32 = 2;

    fn keys(event: &ReadEvent) -> Result<Keys, FoldError> {
        Notes::keys(event)
    }

    fn fold(document: Option<&Note>, key: &str, event: &ReadEvent) -> Result<Change<Note>, FoldError> {
        Ok(match Notes::fold(document, key, event)? {
            Change::Put(note) => Change::Put(Note { text: note.text.replace(',', ";"), ..note }),
            other => other,
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_version_waits_for_its_rebuild_and_the_old_program_stops_after_it() {
    let (log, store) = (log_of_notes(20), MemoryStore::new());
    catch_up(&log, &store).await;
    let new = Projector::new(log.clone(), store.clone()).with(NotesAgain);
    let RunError::Halted(report) = new.catch_up(CancellationToken::new()).await.unwrap_err() else {
        panic!("it has to halt")
    };
    let reason = report.projections[0].halt.as_ref().unwrap().to_string();
    assert!(reason.ends_with("run `postfold project rebuild --only notes`"), "{reason}");
    assert_eq!(new.status().await.unwrap()[0].state, postfold_projections::State::Outdated);

    new.rebuild("notes", CancellationToken::new()).await.unwrap();
    new.catch_up(CancellationToken::new()).await.unwrap();
    assert_whole::<NotesAgain>(&store, &log).await;

    let old = projector(&log, store.clone(), Settings::default()).catch_up(CancellationToken::new()).await;
    let RunError::Halted(report) = old.unwrap_err() else { panic!("it has to halt") };
    assert!(matches!(report.projections[0].halt, Some(Halt::VersionChanged { built: 2, wanted: 1, .. })));
    assert_whole::<NotesAgain>(&store, &log).await;
}
