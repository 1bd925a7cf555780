//! The promises once more, on the server that `MONGODB_URI` names.

use std::time::Duration;

use bson::Bson;
use postfold::Position;
use postfold_projections::models::{Entities, Preferences};
use postfold_projections::testing::EventLog;
use postfold_projections::{
    Change, FoldError, Halt, Index, Keys, MongoStore, Projection, Projector, ReadEvent, Row, RunError, Settings, Store,
    json,
};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::database::Database;
use crate::faults::{Fault, Faulty};
use crate::notes::{Notes, assert_whole, fold_of, log_of_notes, small_steps, stored, write_note};

/// Small steps, a quick second try, and processes that are soon taken for dead.
fn settings() -> Settings {
    Settings {
        retry_delay_min: Duration::from_millis(1),
        switch_grace: Duration::from_millis(10),
        lease: Duration::from_millis(300),
        ..small_steps()
    }
}

fn projector(log: &EventLog, store: impl Store) -> Projector {
    Projector::new(log.clone(), store).with(Notes).settings(settings())
}

async fn catch_up(log: &EventLog, store: &MongoStore) {
    projector(log, store.clone()).catch_up(CancellationToken::new()).await.unwrap();
}

#[tokio::test]
async fn a_model_is_whole_after_crashes_at_many_writes() {
    let database = Database::create().await;
    let log = log_of_notes(0);
    let mut events = 0;
    for write in [0, 1, 2, 3, 5, 8, 13, 21, 30] {
        for after in [false, true] {
            for _ in 0..20 {
                write_note(&log, events);
                events += 1;
            }
            let dying = Faulty::at(&database.store, write, if after { Fault::DiesAfter } else { Fault::DiesBefore });
            let died = dying.life.clone();
            projector(&log, dying).catch_up(died).await.unwrap();
        }
        catch_up(&log, &database.store).await;
        assert_whole::<Notes>(&database.store, &log).await;
    }
    let found = projector(&log, database.store.clone()).verify("notes", CancellationToken::new()).await.unwrap();
    assert!(found.is_clean(), "{:?}", found.differences);
    database.drop().await;
}

#[tokio::test]
async fn a_projector_that_was_suspended_takes_nothing_back() {
    for write in [4, 9, 16] {
        let database = Database::create().await;
        let log = log_of_notes(30);
        let meanwhile = {
            let (log, store) = (log.clone(), database.store.clone());
            Box::pin(async move {
                for number in 30..50 {
                    write_note(&log, number);
                }
                catch_up(&log, &store).await;
            })
        };
        let late = Faulty::at(&database.store, write, Fault::Suspended(meanwhile));
        projector(&log, late.clone()).catch_up(CancellationToken::new()).await.unwrap();
        assert!(late.struck(), "write {write} never came");
        assert_whole::<Notes>(&database.store, &log).await;
        database.drop().await;
    }
}

#[tokio::test]
async fn a_projector_goes_on_by_itself_when_a_rebuild_comes_between() {
    for write in [5, 10, 20] {
        let database = Database::create().await;
        let log = log_of_notes(30);
        let meanwhile = {
            let (log, store) = (log.clone(), database.store.clone());
            Box::pin(async move {
                projector(&log, store).rebuild("notes", CancellationToken::new()).await.unwrap();
            })
        };
        let late = Faulty::at(&database.store, write, Fault::Suspended(meanwhile));
        projector(&log, late).catch_up(CancellationToken::new()).await.unwrap();
        assert_whole::<Notes>(&database.store, &log).await;
        assert_eq!(database.store.checkpoint("notes").await.unwrap().unwrap().generation, 2);
        database.drop().await;
    }
}

#[tokio::test]
async fn a_rebuild_that_dies_around_the_switch_is_ended_by_the_next_start() {
    for (kind, at) in [("swap_header", 1), ("rename", 0), ("sweep", 0), ("swap_checkpoint", 0), ("insert", 3)] {
        for fault in [Fault::DiesBefore, Fault::DiesAfter] {
            let database = Database::create().await;
            let log = log_of_notes(30);
            catch_up(&log, &database.store).await;
            let dying = Faulty::at(&database.store, at, fault).only(kind);
            let died = dying.life.clone();
            assert!(projector(&log, dying).rebuild("notes", died).await.is_err());
            assert_eq!(stored(&database.store, "notes").await, fold_of::<Notes>(&log, Position::new(30)).await);
            if let Some(mark) = database.store.checkpoint("notes").await.unwrap().unwrap().switching {
                // And a ghost, where the rename has been.
                let side = mark.to.collection("notes");
                if !database.store.collections().await.unwrap().iter().any(|found| found.name == side) {
                    let late = Row { id: "late".into(), generation: 2, position: Position::new(1), state: None };
                    database.store.insert(&side, &[&late]).await.unwrap();
                }
            }
            write_note(&log, 30);
            catch_up(&log, &database.store).await;
            assert_whole::<Notes>(&database.store, &log).await;
            projector(&log, database.store.clone()).rebuild("notes", CancellationToken::new()).await.unwrap();
            assert_whole::<Notes>(&database.store, &log).await;
            let names: Vec<String> =
                database.store.collections().await.unwrap().into_iter().map(|found| found.name).collect();
            assert!(!names.iter().any(|name| name.contains("__g")), "{names:?}");
            database.drop().await;
        }
    }
}

#[tokio::test]
async fn whatever_data_an_embedder_records_comes_back_from_the_server() {
    let database = Database::create().await;
    let log = EventLog::new("test");
    let deep = format!("{{\"deep\":{}1{}}}", "[".repeat(300), "]".repeat(300));
    let objects = format!("{}1{}", "{\"a\":".repeat(120), "}".repeat(120));
    let texts = [
        r#"{"$set":{"a.b":1},"$where":"x","a$":{"$ref":"c","$id":5,"$db":"d"},"":{"":null},".":[],"%":"%2E"}"#,
        r#"{"n":[0,-0,1.10,1e9999,123456789012345678901234567890123456789,9223372036854775808,-1e-6176,0.000]}"#,
        r#"{"t":"nul \u0000 in text","ä\u0000":"\ud83d\ude00","_id":1,"g":2,"p":3,"dead":true}"#,
        &deep,
        &objects,
    ];
    for (number, text) in texts.iter().enumerate() {
        log.change(&format!("thing/{number}"), "preference.changed", text);
        // Once more, so that it is replaced and not only inserted.
        log.change(&format!("thing/{number}"), "preference.changed", text);
    }
    let projector = Projector::new(log.clone(), database.store.clone()).with(Entities).with(Preferences);
    let one_by_one = projector.clone().settings(Settings { batch_events_max: 1, ..settings() });
    one_by_one.catch_up(CancellationToken::new()).await.unwrap();
    assert_whole::<Entities>(&database.store, &log).await;
    assert_whole::<Preferences>(&database.store, &log).await;
    let entities = stored(&database.store, "entities").await;
    for (number, text) in texts.iter().enumerate() {
        let (_, document) = &entities[&format!("thing/{number}")];
        let back = json::from_bson(&Bson::Document(document.get_document("state").unwrap().clone())).unwrap();
        assert_eq!(json::to_bson(&back).unwrap(), json::to_bson(text).unwrap());
    }
    for model in projector.names() {
        projector.rebuild(model, CancellationToken::new()).await.unwrap();
        assert!(projector.verify(model, CancellationToken::new()).await.unwrap().is_clean(), "{model}");
    }
    database.drop().await;
}

/// Entities with an address each; no two may have the same.
struct Addresses;

#[derive(Clone, Serialize, Deserialize)]
struct Address {
    address: String,
}

impl Projection for Addresses {
    type Document = Address;
    const NAME: &'static str = "addresses";
    const VERSION: u32 = 1;

    fn indexes() -> Vec<Index> {
        vec![Index::ascending(["address"]).unique()]
    }

    fn keys(event: &ReadEvent) -> Result<Keys, FoldError> {
        Ok(event.entity().map_or_else(Keys::none, Keys::one))
    }

    fn fold(_: Option<&Address>, _: &str, event: &ReadEvent) -> Result<Change<Address>, FoldError> {
        serde_json::from_str(event.data.get()).map(Change::Put).map_err(|error| FoldError::new(error.to_string()))
    }
}

fn move_to(log: &EventLog, entity: &str, address: &str) {
    log.change(entity, "address.changed", &format!("{{\"address\":\"{address}\"}}"));
}

#[tokio::test]
async fn a_unique_value_may_change_hands_and_may_not_be_shared() {
    let database = Database::create().await;
    let log = EventLog::new("test");
    move_to(&log, "user/2", "x");
    let projector = Projector::new(log.clone(), database.store.clone()).with(Addresses).settings(settings());
    projector.catch_up(CancellationToken::new()).await.unwrap();
    // In one batch; the new holder is written before the old one has let go.
    move_to(&log, "user/2", "y");
    move_to(&log, "user/1", "x");
    projector.catch_up(CancellationToken::new()).await.unwrap();
    assert_whole::<Addresses>(&database.store, &log).await;

    move_to(&log, "user/3", "y");
    let ended = projector.catch_up(CancellationToken::new()).await;
    let Err(RunError::Halted(report)) = ended else { panic!("{ended:?}") };
    assert!(matches!(&report.projections[0].halt, Some(Halt::Document { key, .. }) if key == "user/3"), "{report:?}");
    assert_eq!(report.projections[0].position, Position::new(3));
    database.drop().await;
}

#[tokio::test]
async fn a_document_that_grows_past_what_a_server_takes_parks_its_key() {
    let database = Database::create().await;
    let log = EventLog::new("test");
    for _ in 0..3 {
        log.change(
            "user/1",
            "preference.changed",
            &format!("{{\"{}\":\"{}\"}}", log.pages_read(), "x".repeat(1 << 20)),
        );
    }
    // Fifteen distinct fields of 1 MiB fit, a sixteenth does not.
    for number in 0..16 {
        log.change("user/1", "preference.changed", &format!("{{\"f{number}\":\"{}\"}}", "x".repeat(1 << 20)));
    }
    let projector = Projector::new(log.clone(), database.store.clone()).with(Preferences);
    projector.catch_up(CancellationToken::new()).await.unwrap();
    let parked = projector.parked("preferences").await.unwrap();
    assert_eq!(parked.len(), 1);
    assert_eq!(parked[0].key, "user/1");
    assert!(parked[0].reason.contains("larger than 16000000 bytes"), "{}", parked[0].reason);
    let before = Position::new(parked[0].position.get() - 1);
    assert_eq!(stored(&database.store, "preferences").await, fold_of::<Preferences>(&log, before).await);
    assert!(projector.verify("preferences", CancellationToken::new()).await.unwrap().is_clean());
    database.drop().await;
}
