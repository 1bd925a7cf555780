//! Events that cannot be folded into a document, where the projection parks its key: everything else goes on, and
//! nothing of the key is lost.

use postfold::Position;
use postfold::hash::Fields;
use postfold_projections::testing::EventLog;
use postfold_projections::{
    Change, FoldError, Halt, Keys, MemoryStore, OnPoison, Projection, Projector, ReadEvent, RunError, Settings, Store,
    parking,
};
use tokio_util::sync::CancellationToken;

use crate::faults::{Fault, Faulty};
use crate::notes::{Note, Notes, small_steps, stored, write_note};

/// [`Notes`], parking what they cannot fold.
struct Strict;

/// The same, mended.
struct Mended;

impl Projection for Strict {
    type Document = Note;
    const NAME: &'static str = "notes";
    const VERSION: u32 = 1;
    const ON_POISON: OnPoison = OnPoison::Park;

    fn keys(event: &ReadEvent) -> Result<Keys, FoldError> {
        if event.kind.starts_with("projection.") { Ok(Keys::none()) } else { Notes::keys(event) }
    }

    fn fold(document: Option<&Note>, key: &str, event: &ReadEvent) -> Result<Change<Note>, FoldError> {
        Notes::fold(document, key, event)
    }
}

impl Projection for Mended {
    type Document = Note;
    const NAME: &'static str = "notes";
    const VERSION: u32 = 1;
    const ON_POISON: OnPoison = OnPoison::Park;

    fn keys(event: &ReadEvent) -> Result<Keys, FoldError> {
        Strict::keys(event)
    }

    fn fold(document: Option<&Note>, key: &str, event: &ReadEvent) -> Result<Change<Note>, FoldError> {
        Notes::fold(document, key, event).or_else(|_| {
            let writes = document.map_or(0, |note| note.writes);
            Ok(Change::Put(Note { writes, text: format!("mended at {}", event.position) }))
        })
    }
}

fn strict(log: &EventLog, store: impl Store) -> Projector {
    Projector::new(log.clone(), store).with(Strict).settings(small_steps())
}

fn mended(log: &EventLog, store: impl Store) -> Projector {
    Projector::new(log.clone(), store).with(Mended).settings(small_steps())
}

async fn catch_up(projector: Projector) {
    projector.catch_up(CancellationToken::new()).await.unwrap();
}

/// Notes, one of which meets poison at position 21.
fn log_with_poison() -> EventLog {
    let log = EventLog::new("test");
    (0..20).for_each(|number| write_note(&log, number));
    log.change("note/1", "note.changed", r#"{"poison":["n1"],"put":["n2"]}"#);
    (21..40).for_each(|number| write_note(&log, number));
    log
}

fn decide(log: &EventLog, change: Result<postfold::Change, postfold::Invalid>) {
    let command: postfold::Command = change.unwrap().into();
    let json = serde_json::to_value(command).unwrap();
    let field = |name: &str| json[name].as_str().unwrap_or_else(|| panic!("{json}")).to_owned();
    log.change(&field("entity"), &field("kind"), &json["data"].to_string());
}

#[tokio::test(start_paused = true)]
async fn a_key_that_meets_poison_stays_as_it_was_and_all_others_go_on() {
    let (log, store) = (log_with_poison(), MemoryStore::new());
    catch_up(strict(&log, store.clone())).await;
    let parked = strict(&log, store.clone()).parked("notes").await.unwrap();
    assert_eq!(
        parked.iter().map(|parked| (parked.key.as_str(), parked.position.get())).collect::<Vec<_>>(),
        [("n1", 21)]
    );
    let (found, other) = (stored(&store, "notes").await, {
        let clean = MemoryStore::new();
        catch_up(mended(&log, clean.clone())).await;
        stored(&clean, "notes").await
    });
    assert!(found.get("n1").is_none_or(|(position, _)| *position < Position::new(21)));
    let but_one = |model: &crate::notes::Model| {
        model
            .iter()
            .filter(|(key, _)| *key != "n1")
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect::<Vec<_>>()
    };
    assert_eq!(but_one(&found), but_one(&other));
    let verification = strict(&log, store.clone()).verify("notes", CancellationToken::new()).await.unwrap();
    assert!(verification.is_clean() && verification.parked == 1, "{verification:?}");
}

#[tokio::test(start_paused = true)]
async fn a_retry_with_a_mended_fold_gives_what_a_fresh_rebuild_gives() {
    let (log, store) = (log_with_poison(), MemoryStore::new());
    catch_up(strict(&log, store.clone())).await;
    decide(&log, parking::retry("notes", "n1", "the fold is mended"));
    (40..50).for_each(|number| write_note(&log, number));
    catch_up(mended(&log, store.clone())).await;
    assert!(mended(&log, store.clone()).parked("notes").await.unwrap().is_empty());
    let retried = stored(&store, "notes").await;
    let fresh = MemoryStore::new();
    mended(&log, fresh.clone()).rebuild("notes", CancellationToken::new()).await.unwrap();
    assert_eq!(retried, stored(&fresh, "notes").await);
}

#[tokio::test(start_paused = true)]
async fn a_retry_of_what_cannot_be_folded_yet_parks_the_key_again() {
    let (log, store) = (log_with_poison(), MemoryStore::new());
    catch_up(strict(&log, store.clone())).await;
    decide(&log, parking::retry("notes", "n1", "hope"));
    catch_up(strict(&log, store.clone())).await;
    let parked = strict(&log, store.clone()).parked("notes").await.unwrap();
    assert_eq!((parked[0].key.as_str(), parked[0].position.get(), parked[0].attempts), ("n1", 21, 2));
}

#[tokio::test(start_paused = true)]
async fn an_event_that_is_skipped_is_skipped_live_in_a_rebuild_and_in_a_verification() {
    let (log, store) = (log_with_poison(), MemoryStore::new());
    catch_up(strict(&log, store.clone())).await;
    decide(&log, parking::skip("notes", Some("n1"), Position::new(21), "it never happened"));
    catch_up(strict(&log, store.clone())).await;
    assert!(strict(&log, store.clone()).parked("notes").await.unwrap().is_empty());
    let live = stored(&store, "notes").await;
    strict(&log, store.clone()).rebuild("notes", CancellationToken::new()).await.unwrap();
    assert_eq!(stored(&store, "notes").await, live);
    assert!(strict(&log, store.clone()).verify("notes", CancellationToken::new()).await.unwrap().is_clean());
}

#[tokio::test(start_paused = true)]
async fn a_rebuild_parks_by_the_same_policy_as_live_folding() {
    let (log, store, other) = (log_with_poison(), MemoryStore::new(), MemoryStore::new());
    catch_up(strict(&log, store.clone())).await;
    strict(&log, other.clone()).rebuild("notes", CancellationToken::new()).await.unwrap();
    assert_eq!(stored(&store, "notes").await, stored(&other, "notes").await);
    let parked = strict(&log, other.clone()).parked("notes").await.unwrap();
    assert_eq!((parked[0].key.as_str(), parked[0].position.get()), ("n1", 21));
    // And goes on with it live.
    (40..50).for_each(|number| write_note(&log, number));
    catch_up(strict(&log, store.clone())).await;
    catch_up(strict(&log, other.clone())).await;
    assert_eq!(stored(&store, "notes").await, stored(&other, "notes").await);
}

#[tokio::test(start_paused = true)]
async fn an_event_whose_keys_nobody_can_tell_halts_until_it_is_skipped_as_a_whole() {
    let (log, store) = (log_with_poison(), MemoryStore::new());
    log.change("note/1", "note.unreadable", "{}");
    (40..50).for_each(|number| write_note(&log, number));
    let ended = strict(&log, store.clone()).catch_up(CancellationToken::new()).await;
    let Err(RunError::Halted(report)) = ended else { panic!("{ended:?}") };
    assert_eq!(report.projections[0].position, Position::new(40));
    assert!(matches!(&report.projections[0].halt, Some(Halt::Fold { key: None, .. })));
    decide(&log, parking::skip("notes", None, Position::new(41), "no such thing"));
    catch_up(strict(&log, store.clone())).await;
    assert_eq!(store.checkpoint("notes").await.unwrap().unwrap().position(), Position::new(52));
}

#[tokio::test(start_paused = true)]
async fn too_many_parked_keys_stop_the_projection() {
    let (log, store) = (EventLog::new("test"), MemoryStore::new());
    for number in 0..5 {
        log.change("note/1", "note.changed", &format!(r#"{{"poison":["n{number}"]}}"#));
    }
    let settings = Settings { parked_keys_max: 3, ..small_steps() };
    let ended = strict(&log, store).settings(settings).catch_up(CancellationToken::new()).await;
    let Err(RunError::Halted(report)) = ended else { panic!("{ended:?}") };
    assert!(matches!(report.projections[0].halt, Some(Halt::TooManyParked { parked: 3, .. })), "{report:?}");
}

#[tokio::test(start_paused = true)]
async fn a_crash_at_any_write_around_parking_and_retrying_changes_nothing_in_the_end() {
    let log = log_with_poison();
    decide(&log, parking::retry("notes", "n1", "the fold is mended"));
    (40..45).for_each(|number| write_note(&log, number));
    let fresh = MemoryStore::new();
    mended(&log, fresh.clone()).rebuild("notes", CancellationToken::new()).await.unwrap();
    let mut retried = 0;
    for write in 0.. {
        let store = MemoryStore::new();
        // As far as the strict program comes before the key is tried again.
        let dying = Faulty::at(&store, write, Fault::DiesAfter);
        let died = dying.life.clone();
        strict(&log, dying.clone()).catch_up(died.clone()).await.unwrap();
        let second = Faulty::at(&store, write / 2, Fault::DiesBefore);
        let life = second.life.clone();
        mended(&log, second.clone()).catch_up(life).await.unwrap();
        catch_up(mended(&log, store.clone())).await;
        let parked = mended(&log, store.clone()).parked("notes").await.unwrap();
        // Where the strict program came as far as the retry, it has parked the key again.
        if parked.is_empty() {
            retried += 1;
            assert_eq!(stored(&store, "notes").await, stored(&fresh, "notes").await, "write {write}");
        }
        if !dying.struck() {
            assert!(write > 40 && retried > 30, "too few steps to tell anything: {write}, {retried}");
            return;
        }
    }
}

/// The hash of a log with decisions in it is whole: what is written here is what the engine would write.
#[tokio::test]
async fn a_decision_is_an_ordinary_change_of_an_entity() {
    let log = EventLog::new("test");
    decide(&log, parking::skip("notes", Some("n1"), Position::new(21), "because"));
    let event = postfold_projections::LogSource::page(&log, Position::START, 1).await.unwrap().remove(0);
    assert_eq!(event.stream.as_deref(), Some("projection/notes"));
    assert_eq!(event.data.get(), r#"{"key":"n1","position":21,"reason":"because"}"#);
    assert_eq!(postfold::Hash::genesis("test").chain(&Fields::from(&event)), event.hash);
}
