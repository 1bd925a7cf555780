//! A projection that uses every kind of change, a log that exercises it, and what it has to come to.

use std::collections::{BTreeMap, BTreeSet};

use bson::Document;
use postfold::Position;
use postfold_projections::testing::EventLog;
use postfold_projections::{Change, FoldError, Keys, LogSource, Projection, ReadEvent, Settings, Store};
use serde::{Deserialize, Serialize};

/// Notes, written, left alone and thrown away; one event may touch several.
pub(crate) struct Notes;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Note {
    pub(crate) writes: i64,
    pub(crate) text: String,
}

/// `{"put": ["a"], "delete": ["b"], "keep": ["c"], "poison": ["d"]}`
#[derive(Default, Deserialize)]
#[serde(default)]
struct Change_ {
    put: Vec<String>,
    delete: Vec<String>,
    keep: Vec<String>,
    poison: Vec<String>,
}

fn read(event: &ReadEvent) -> Result<Change_, FoldError> {
    serde_json::from_str(event.data.get()).map_err(|error| FoldError::new(error.to_string()))
}

impl Projection for Notes {
    type Document = Note;
    const NAME: &'static str = "notes";
    const VERSION: u32 = 1;

    fn keys(event: &ReadEvent) -> Result<Keys, FoldError> {
        assert_ne!(event.kind, "note.panic_in_keys");
        if event.kind == "note.unreadable" {
            return Err(FoldError::new("unreadable"));
        }
        let Change_ { put, delete, keep, poison } = read(event)?;
        Ok(put.into_iter().chain(delete).chain(keep).chain(poison).collect())
    }

    fn fold(document: Option<&Note>, key: &str, event: &ReadEvent) -> Result<Change<Note>, FoldError> {
        let change = read(event)?;
        assert_ne!(event.kind, "note.panic_in_fold");
        let is = |keys: &[String]| keys.iter().any(|other| other == key);
        if is(&change.poison) {
            return Err(FoldError::new("poison"));
        }
        let (writes, text) = document.map_or((0, String::new()), |note| (note.writes, note.text.clone()));
        let put = || Change::Put(Note { writes: writes + 1, text: format!("{text}{},", event.position) });
        Ok(if is(&change.put) {
            put()
        } else if is(&change.delete) {
            Change::Delete
        } else {
            Change::Keep
        })
    }
}

/// A log in which notes come, change, go and come again.
pub(crate) fn log_of_notes(events: usize) -> EventLog {
    let log = EventLog::new("test");
    for number in 0..events {
        write_note(&log, number);
    }
    log
}

/// One more event of [`log_of_notes`].
pub(crate) fn write_note(log: &EventLog, number: usize) {
    let key = |factor: usize| format!("\"n{}\"", (number * factor) % 5);
    let data = match number % 6 {
        0 | 1 => format!("{{\"put\":[{}]}}", key(1)),
        2 => format!("{{\"put\":[{},{}]}}", key(3), key(2)),
        3 => format!("{{\"delete\":[{}]}}", key(2)),
        4 => format!("{{\"keep\":[{}],\"put\":[\"n{number}\"]}}", key(1)),
        _ => format!("{{\"delete\":[\"n{}\"]}}", number.saturating_sub(1)),
    };
    log.change("note/1", "note.changed", &data);
}

/// Bounds so small that everything happens in many steps.
pub(crate) fn small_steps() -> Settings {
    Settings {
        batch_events_max: 4,
        batch_documents_max: 3,
        command_statements_max: 1,
        cache_documents_max: 2,
        ..Settings::default()
    }
}

/// What a log comes to: position of the last change, and the document, by key.
pub(crate) type Model = BTreeMap<String, (Position, Document)>;

/// The plain fold of a log up to a position: what every model has to equal.
pub(crate) async fn fold_of<P: Projection>(log: &EventLog, through: Position) -> Model {
    let events = log.page(Position::START, usize::MAX).await.unwrap();
    let mut documents: BTreeMap<String, (Position, P::Document)> = BTreeMap::new();
    for event in events.into_iter().filter(|event| event.position <= through).map(ReadEvent::new) {
        let keys: BTreeSet<String> = P::keys(&event).unwrap().into_iter().collect();
        for key in keys {
            match P::fold(documents.get(&key).map(|(_, document)| document), &key, &event).unwrap() {
                Change::Put(document) => drop(documents.insert(key, (event.position, document))),
                Change::Delete => drop(documents.remove(&key)),
                Change::Keep => {}
            }
        }
    }
    let stored = |document: &P::Document| bson::serialize_to_document(document).unwrap();
    documents.into_iter().map(|(key, (position, document))| (key, (position, stored(&document)))).collect()
}

/// What a store holds for readers: no tombstones; and everything has to be of one generation.
pub(crate) async fn stored(store: &impl Store, collection: &str) -> Model {
    let rows = store.scan(collection, None, None, usize::MAX >> 1).await.unwrap();
    let generations: BTreeSet<i64> = rows.iter().map(|row| row.generation).collect();
    assert!(generations.len() <= 1, "several generations: {generations:?}");
    let alive = rows
        .into_iter()
        .filter_map(|row| Some((row.id, (row.position, Document::try_from(row.state?.as_ref()).unwrap()))));
    alive.collect()
}

/// The store holds what the whole log comes to, and its checkpoint says so.
pub(crate) async fn assert_whole<P: Projection>(store: &impl Store, log: &EventLog) {
    let head = log.head().await.unwrap();
    let checkpoint = store.checkpoint(P::NAME).await.unwrap().expect("there is a checkpoint");
    assert_eq!((checkpoint.position(), checkpoint.buckets[0].hash), (head.position, head.hash));
    assert_eq!(stored(store, P::NAME).await, fold_of::<P>(log, head.position).await);
}
