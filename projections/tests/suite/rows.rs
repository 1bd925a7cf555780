//! Rows that are only added, and what is carried between them: the same hazards as for keyed documents.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use bson::Document;
use futures::future::BoxFuture;
use postfold::event::AccountOpened;
use postfold::{Event, Hash, Head, Position};
use postfold_projections::testing::EventLog;
use postfold_projections::{
    Added, Change, EntityChange, FoldError, Keys, LogError, LogSource, MemoryStore, Projection, Projector, ReadEvent,
    RebuildError, RowProjection, Settings, Store, row_id,
};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::database::Database;
use crate::faults::{Fault, Faulty};
use crate::notes::{Notes, log_of_notes, small_steps, write_note};

/// A row for every note that an event touches, with the number of touches so far.
pub(crate) struct Trail;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Touches {
    touches: i64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Step {
    key: String,
    touches: i64,
}

impl RowProjection for Trail {
    type Row = Step;
    type Carry = Touches;
    const NAME: &'static str = "trail";
    const VERSION: u32 = 1;

    fn keys(event: &ReadEvent) -> Result<Keys, FoldError> {
        Notes::keys(event)
    }

    fn fold(carry: Option<&Touches>, key: &str, event: &ReadEvent) -> Result<Added<Touches, Step>, FoldError> {
        let touches = carry.map_or(0, |carry| carry.touches) + 1;
        let mut keys: Vec<String> = Notes::keys(event)?.into_iter().collect();
        keys.sort();
        keys.dedup();
        let ordinal = keys.iter().position(|other| other == key).and_then(|at| u32::try_from(at).ok()).unwrap_or(0);
        let row = Step { key: key.to_owned(), touches };
        Ok(Added { carry: Change::Put(Touches { touches }), rows: vec![(ordinal, row)] })
    }
}

fn projector(log: &EventLog, store: impl Store, settings: Settings) -> Projector {
    Projector::new(log.clone(), store).with_rows(Trail).settings(settings)
}

async fn catch_up(log: &EventLog, store: &MemoryStore, settings: Settings) {
    projector(log, store.clone(), settings).catch_up(CancellationToken::new()).await.unwrap();
}

/// Bounds so small that carries come and go, and are stored in many steps.
fn tiny_steps() -> Settings {
    Settings { carry_events_max: 7, ..small_steps() }
}

/// The plain fold of the log: what every model has to equal.
async fn rows_of(log: &EventLog, through: Position) -> BTreeMap<String, Document> {
    let events = log.page(Position::START, usize::MAX).await.unwrap();
    let (mut carries, mut rows) = (BTreeMap::<String, Touches>::new(), BTreeMap::new());
    for event in events.into_iter().filter(|event| event.position <= through).map(ReadEvent::new) {
        let mut keys: Vec<String> = Trail::keys(&event).unwrap().into_iter().collect();
        keys.sort();
        keys.dedup();
        for key in keys {
            let added = Trail::fold(carries.get(&key), &key, &event).unwrap();
            for (ordinal, row) in added.rows {
                rows.insert(row_id(event.position, ordinal), bson::serialize_to_document(&row).unwrap());
            }
            if let Change::Put(carry) = added.carry {
                carries.insert(key, carry);
            }
        }
    }
    rows
}

async fn stored_rows(store: &impl Store) -> BTreeMap<String, Document> {
    let rows = store.scan("trail", None, None, usize::MAX >> 1).await.unwrap();
    let generations: std::collections::BTreeSet<i64> = rows.iter().map(|row| row.generation).collect();
    assert!(generations.len() <= 1, "several generations: {generations:?}");
    rows.into_iter().map(|row| (row.id, Document::try_from(row.state.unwrap().as_ref()).unwrap())).collect()
}

async fn assert_whole(store: &impl Store, log: &EventLog) {
    let head = log.head().await.unwrap();
    let checkpoint = store.checkpoint("trail").await.unwrap().expect("there is a checkpoint");
    assert_eq!(checkpoint.position(), head.position);
    assert_eq!(stored_rows(store).await, rows_of(log, head.position).await);
}

#[tokio::test(start_paused = true)]
async fn rows_are_the_plain_fold_of_the_log_whatever_the_bounds() {
    let log = log_of_notes(60);
    for settings in [Settings::default(), small_steps(), tiny_steps()] {
        for buckets in [1, 3] {
            let store = MemoryStore::new();
            catch_up(&log, &store, Settings { buckets, ..settings.clone() }).await;
            assert_whole(&store, &log).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn rows_are_whole_after_a_crash_at_any_write() {
    let log = log_of_notes(40);
    let mut crashes = 0;
    for write in 0.. {
        for fault in [Fault::DiesBefore, Fault::DiesAfter] {
            let store = MemoryStore::new();
            let dying = Faulty::at(&store, write, fault);
            let died = dying.life.clone();
            projector(&log, dying, tiny_steps()).catch_up(died.clone()).await.unwrap();
            if !died.is_cancelled() {
                assert!(crashes > 50, "too few steps to tell anything: {crashes}");
                return;
            }
            crashes += 1;
            if let Some(checkpoint) = store.checkpoint("trail").await.unwrap() {
                let bucket = &checkpoint.buckets[0];
                let unsaved = bucket.position.get() - bucket.carried.get();
                assert!(unsaved <= 7 + 2 * 4, "what is folded again after a crash is bounded: {unsaved} events");
            }
            // Once more, with other borders between the batches, and then to the end.
            let again = Faulty::at(&store, write / 3, Fault::DiesAfter);
            let life = again.life.clone();
            let settings = Settings { batch_events_max: 7, cache_documents_max: 3, ..tiny_steps() };
            projector(&log, again, settings).catch_up(life).await.unwrap();
            catch_up(&log, &store, Settings::default()).await;
            assert_whole(&store, &log).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn rows_are_whole_when_a_projector_is_stopped_while_it_folds_again_what_a_dead_one_carried() {
    let log = log_of_notes(40);
    let mut stopped = 0;
    for write in 0.. {
        let dies_at_write = |store: &MemoryStore| Faulty::at(store, write, Fault::DiesBefore);
        for fetch in 0.. {
            let store = MemoryStore::new();
            let dying = dies_at_write(&store);
            let died = dying.life.clone();
            projector(&log, dying, small_steps()).catch_up(died.clone()).await.unwrap();
            if !died.is_cancelled() {
                assert!(stopped > 100, "too few steps to tell anything: {stopped}");
                return;
            }
            let stop = CancellationToken::new();
            let asked = stop.clone();
            let asks = Fault::Suspended(Box::pin(async move { asked.cancel() }));
            let stopping = Faulty::at(&store, fetch, asks).only("fetch");
            projector(&log, stopping.clone(), small_steps()).catch_up(stop).await.unwrap();
            catch_up(&log, &store, Settings::default()).await;
            assert_whole(&store, &log).await;
            if !stopping.struck() {
                break;
            }
            stopped += 1;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn rows_are_whole_when_a_projector_is_stopped_at_a_write_that_did_not_succeed() {
    // The batch behind it is on its way already, with carries that are ahead of the rows that were not stored.
    let log = log_of_notes(40);
    for write in 0.. {
        let (store, stop) = (MemoryStore::new(), CancellationToken::new());
        let stopping = Faulty::at(&store, write, Fault::Stops(stop.clone())).only("insert");
        projector(&log, stopping.clone(), small_steps()).catch_up(stop).await.unwrap();
        catch_up(&log, &store, Settings::default()).await;
        assert_whole(&store, &log).await;
        if !stopping.struck() {
            assert!(write > 20, "too few steps to tell anything: {write}");
            return;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn rows_are_not_folded_on_where_what_their_keys_carry_is_gone() {
    let (log, store) = (log_of_notes(20), MemoryStore::new());
    catch_up(&log, &store, tiny_steps()).await;
    let carry = store.checkpoint("trail").await.unwrap().unwrap().carry.unwrap();
    store.drop_collection(&carry).await.unwrap();
    write_note(&log, 20);
    let ended = projector(&log, store.clone(), tiny_steps()).catch_up(CancellationToken::new()).await;
    let halt = ended.expect_err("it halts").to_string();
    assert!(halt.contains(&carry) && halt.contains("rebuild"), "{halt}");
    projector(&log, store.clone(), tiny_steps()).rebuild("trail", CancellationToken::new()).await.unwrap();
    assert_whole(&store, &log).await;
}

#[tokio::test(start_paused = true)]
async fn a_rebuild_gives_the_rows_that_following_gave_and_following_goes_on_from_it() {
    let (log, store) = (log_of_notes(60), MemoryStore::new());
    catch_up(&log, &store, tiny_steps()).await;
    let report = projector(&log, store.clone(), tiny_steps()).rebuild("trail", CancellationToken::new()).await.unwrap();
    assert_eq!((report.generation, report.position), (2, Position::new(60)));
    assert_whole(&store, &log).await;
    for number in 60..80 {
        write_note(&log, number);
    }
    catch_up(&log, &store, tiny_steps()).await;
    assert_whole(&store, &log).await;
    let names: Vec<String> = store.collections().await.unwrap().into_iter().map(|found| found.name).collect();
    assert_eq!(
        names.iter().filter(|name| name.ends_with("_carry")).count(),
        1,
        "the carry of the generation before is gone: {names:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_rebuild_of_rows_that_dies_at_any_write_leaves_them_whole() {
    let log = log_of_notes(30);
    for is_first in [false, true] {
        for write in 0.. {
            let store = MemoryStore::new();
            if !is_first {
                catch_up(&log, &store, tiny_steps()).await;
            }
            let dying = Faulty::at(&store, write, Fault::DiesAfter);
            let died = dying.life.clone();
            let ended = projector(&log, dying.clone(), tiny_steps()).rebuild("trail", died).await;
            if !is_first {
                assert_whole(&store, &log).await;
            }
            (30..40).for_each(|number| write_note(&log, number));
            // Many batches: what is carried comes back from the store.
            catch_up(&log, &store, tiny_steps()).await;
            assert_whole(&store, &log).await;
            log.restore_to(Position::new(30));
            if !dying.struck() {
                ended.unwrap();
                assert!(write > 15, "too few steps to tell anything: {write}");
                break;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_first_rebuild_of_rows_that_dies_at_any_write_leaves_room_for_following() {
    let log = log_of_notes(30);
    for write in 0.. {
        let store = MemoryStore::new();
        let dying = Faulty::at(&store, write, Fault::DiesAfter);
        let died = dying.life.clone();
        let ended = projector(&log, dying.clone(), tiny_steps()).rebuild("trail", died).await;
        catch_up(&log, &store, tiny_steps()).await;
        assert_whole(&store, &log).await;
        if !dying.struck() {
            ended.unwrap();
            assert!(write > 15, "too few steps to tell anything: {write}");
            return;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_row_that_is_wrong_missing_or_too_many_is_named() {
    let (log, store) = (log_of_notes(40), MemoryStore::new());
    catch_up(&log, &store, Settings::default()).await;
    let verify = || async {
        let projector = projector(&log, store.clone(), Settings::default());
        projector.verify("trail", CancellationToken::new()).await.unwrap()
    };
    assert!(verify().await.is_clean());
    let rows = store.scan("trail", None, None, 1_000).await.unwrap();
    let mut wrong = rows[3].clone();
    wrong.generation = 2;
    wrong.state = Some(bson::rawdoc! { "key": "n1", "touches": 99_i64 });
    // By way of a later generation, the guard lets it through.
    store.replace("trail", postfold_projections::Guard::OlderGeneration, &[&wrong]).await.unwrap();
    let mut extra = rows[5].clone();
    extra.id = row_id(rows[5].position, 77);
    store.insert("trail", &[&extra]).await.unwrap();
    let found = verify().await;
    let keys: Vec<&str> = found.differences.iter().map(|difference| difference.key.as_str()).collect();
    assert_eq!((found.different, keys), (2, vec![rows[3].id.as_str(), extra.id.as_str()]));
}

#[tokio::test]
async fn rows_live_rebuilt_and_verified_on_the_server() {
    let database = Database::create().await;
    let log = log_of_notes(200);
    let projector =
        projector(&log, database.store.clone(), Settings { buckets: 2, carry_events_max: 50, ..Settings::default() });
    projector.catch_up(CancellationToken::new()).await.unwrap();
    assert_whole(&database.store, &log).await;
    assert!(projector.verify("trail", CancellationToken::new()).await.unwrap().is_clean());
    projector.rebuild("trail", CancellationToken::new()).await.unwrap();
    (200..230).for_each(|number| write_note(&log, number));
    projector.catch_up(CancellationToken::new()).await.unwrap();
    assert_whole(&database.store, &log).await;
    assert!(projector.verify("trail", CancellationToken::new()).await.unwrap().is_clean());
    database.drop().await;
}

/// Rows of things that have to be opened before anything else happens to them.
struct Opened;

impl RowProjection for Opened {
    type Row = Step;
    type Carry = Touches;
    const NAME: &'static str = "opened";
    const VERSION: u32 = 1;

    fn keys(event: &ReadEvent) -> Result<Keys, FoldError> {
        Ok(event.entity().map_or_else(Keys::none, Keys::one))
    }

    fn fold(carry: Option<&Touches>, key: &str, event: &ReadEvent) -> Result<Added<Touches, Step>, FoldError> {
        if carry.is_none() && event.kind != "thing.opened" {
            return Err(FoldError::new("it was never opened"));
        }
        Trail::fold(carry, key, event)
    }
}

#[tokio::test(start_paused = true)]
async fn carries_that_a_switch_took_away_stop_no_projector() {
    const THINGS: i64 = 30;
    let (log, store) = (EventLog::new("test"), MemoryStore::new());
    let happens = |kind: &str| {
        for thing in 0..THINGS {
            log.change(&format!("thing/{thing}"), kind, "{}");
        }
    };
    let projector = || {
        // What a batch needs is read from the store.
        let settings = Settings { cache_documents_max: 1, ..Settings::default() };
        Projector::new(log.clone(), store.clone()).with_rows(Opened).settings(settings)
    };
    let shutdown = CancellationToken::new();
    let running = tokio::spawn({
        let (projector, shutdown) = (projector(), shutdown.clone());
        async move { projector.run(shutdown).await }
    });
    let minute = std::time::Duration::from_mins(1);
    happens("thing.opened");
    projector().applied_through("opened", Position::new(THINGS), minute).await.unwrap();
    while store.checkpoint("opened").await.unwrap().unwrap().buckets[0].carried < Position::new(THINGS) {
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    }

    projector().rebuild("opened", shutdown.clone()).await.unwrap();
    happens("thing.moved");
    projector().applied_through("opened", Position::new(2 * THINGS), minute).await.unwrap();
    shutdown.cancel();
    running.await.unwrap().unwrap();
    assert_eq!(store.count("opened").await.unwrap(), u64::try_from(2 * THINGS).unwrap());
}

/// A log at which something happens when a hash is asked for the first time.
struct Meanwhile {
    log: EventLog,
    /// Held up as a whole while it happens; otherwise it goes on saying that it lives.
    process: Option<Faulty>,
    happens: Mutex<Option<BoxFuture<'static, ()>>>,
}

impl Meanwhile {
    fn new(log: &EventLog, process: Option<Faulty>, happens: impl Future<Output = ()> + Send + 'static) -> Self {
        Self { log: log.clone(), process, happens: Mutex::new(Some(Box::pin(happens))) }
    }
}

#[async_trait]
impl LogSource for Meanwhile {
    fn ledger_name(&self) -> &str {
        self.log.ledger_name()
    }

    async fn head(&self) -> Result<Head, LogError> {
        self.log.head().await
    }

    async fn page(&self, after: Position, limit: usize) -> Result<Vec<Event>, LogError> {
        self.log.page(after, limit).await
    }

    async fn opened(&self, accounts: &[(&str, &str)]) -> Result<Vec<AccountOpened>, LogError> {
        self.log.opened(accounts).await
    }

    async fn hash_at(&self, position: Position) -> Result<Option<Hash>, LogError> {
        let happens = self.happens.lock().unwrap().take();
        if let Some(happens) = happens {
            match &self.process {
                Some(process) => process.suspend(happens).await,
                None => happens.await,
            }
        }
        self.log.hash_at(position).await
    }

    async fn changes(&self, entity: &str) -> Result<Vec<EntityChange>, LogError> {
        self.log.changes(entity).await
    }

    async fn changed(&self, after: Position, timeout: Duration) -> Result<(), LogError> {
        self.log.changed(after, timeout).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_switch_between_taking_rows_over_and_looking_at_them_stops_no_projector() {
    let (log, store) = (log_of_notes(20), MemoryStore::new());
    catch_up(&log, &store, tiny_steps()).await;
    write_note(&log, 20);
    let rebuild = {
        let rebuilder = projector(&log, store.clone(), tiny_steps());
        async move {
            rebuilder.rebuild("trail", CancellationToken::new()).await.unwrap();
        }
    };
    let process = Faulty::at(&store, usize::MAX, Fault::DiesBefore);
    let meanwhile = Meanwhile::new(&log, Some(process.clone()), rebuild);
    let late = Projector::new(meanwhile, process).with_rows(Trail).settings(tiny_steps());
    late.catch_up(CancellationToken::new()).await.unwrap();
    assert_whole(&store, &log).await;
}

#[tokio::test(start_paused = true)]
async fn a_rebuild_gives_up_where_a_projector_that_lives_does_not_let_go() {
    let (log, store) = (log_of_notes(20), MemoryStore::new());
    catch_up(&log, &store, tiny_steps()).await;
    write_note(&log, 20);
    let rebuild = {
        let rebuilder = projector(&log, store.clone(), tiny_steps());
        async move {
            let ended = rebuilder.rebuild("trail", CancellationToken::new()).await;
            assert_eq!(ended, Err(RebuildError::Held("trail")));
        }
    };
    let stuck = Meanwhile::new(&log, None, rebuild);
    let late = Projector::new(stuck, store.clone()).with_rows(Trail).settings(tiny_steps());
    late.catch_up(CancellationToken::new()).await.unwrap();
    let checkpoint = store.checkpoint("trail").await.unwrap().unwrap();
    assert_eq!((checkpoint.generation, checkpoint.switching), (1, None));
    assert_whole(&store, &log).await;
}
