//! What the bare driver does with the same documents.

use std::future::IntoFuture;
use std::time::{Duration, Instant};

use futures::{StreamExt, TryStreamExt, stream};
use mongodb::bson::{Document, RawArrayBuf, RawDocumentBuf, doc, rawdoc};
use mongodb::{Client, Database};

use crate::error::BenchError;

/// Statements of a command, as the projector sends them.
const STATEMENTS: usize = 5_000;
/// Commands in flight, as the projector has them.
const IN_FLIGHT: usize = 2;
/// What a collection that is written for comparison is called, behind the name of the model.
const COPY: &str = "_raw";

/// A connection of the bare driver.
pub(super) struct Raw {
    client: Client,
    database: Database,
}

/// When indexes are built.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Indexes {
    Before,
    After,
}

impl Raw {
    pub(super) async fn connect(uri: &str, database: &str) -> Result<Self, BenchError> {
        let client = Client::with_uri_str(uri).await?;
        Ok(Self { database: client.database(database), client })
    }

    pub(super) async fn end(self) {
        self.client.shutdown().await;
    }

    /// Guarded replaces of documents of the size of a balance: first they are inserted, which is not timed, then
    /// each batch replaces what it touches.
    pub(super) async fn replace(&self, batches: &[Vec<String>]) -> Result<Duration, BenchError> {
        self.database.run_command(doc! { "dropDatabase": 1 }).await?;
        let mut keys: Vec<&String> = batches.iter().flatten().collect();
        keys.sort_unstable();
        keys.dedup();
        for chunk in keys.chunks(STATEMENTS) {
            let documents = array(chunk.iter().map(|key| balance(key, 0)));
            self.database.run_raw_command(rawdoc! { "insert": "raw", "documents": documents }).await?;
        }
        let started = Instant::now();
        for (number, batch) in batches.iter().enumerate() {
            let position = i64::try_from(number).unwrap_or(i64::MAX).saturating_add(1);
            let lanes = batch.chunks(batch.len().div_ceil(IN_FLIGHT).clamp(1, STATEMENTS));
            let commands = lanes.map(|keys| {
                let statement = |key: &String| {
                    rawdoc! { "q": { "_id": key.as_str(), "g": 1_i64, "p": { "$lt": position } }, "u": balance(key, position) }
                };
                let updates = array(keys.iter().map(statement));
                rawdoc! { "update": "raw", "updates": updates, "ordered": false, "writeConcern": { "w": "majority" } }
            });
            self.send(commands).await?;
        }
        Ok(started.elapsed())
    }

    /// The documents of these collections, inserted into empty ones with the same indexes.
    pub(super) async fn insert_again(&self, names: &[&str], indexes: Indexes) -> Result<Duration, BenchError> {
        let mut took = Duration::ZERO;
        for name in names {
            let documents: Vec<RawDocumentBuf> =
                self.database.collection(name).find(doc! {}).await?.try_collect().await?;
            let listed: Vec<Document> =
                self.database.run_cursor_command(doc! { "listIndexes": name }).await?.try_collect().await?;
            let copy = format!("{name}{COPY}");
            let started = Instant::now();
            if indexes == Indexes::Before {
                self.build(&copy, &listed).await?;
            }
            let chunks = documents.chunks(STATEMENTS).map(|chunk| {
                let documents = array(chunk.iter().cloned());
                rawdoc! { "insert": copy.as_str(), "documents": documents, "ordered": false, "writeConcern": { "w": "majority" } }
            });
            self.send(chunks).await?;
            if indexes == Indexes::After {
                self.build(&copy, &listed).await?;
            }
            took += started.elapsed();
            self.database.collection::<Document>(&copy).drop().await?;
        }
        Ok(took)
    }

    /// The names of the read models, without what belongs to the projector.
    pub(super) async fn models(&self) -> Result<Vec<String>, BenchError> {
        let names = self.database.list_collection_names().await?;
        let is_model = |name: &String| !name.starts_with("postfold_") && !name.contains("__");
        Ok(names.into_iter().filter(is_model).collect())
    }

    async fn build(&self, collection: &str, listed: &[Document]) -> Result<(), BenchError> {
        self.database.run_command(doc! { "create": collection }).await?;
        let mut wanted = Vec::new();
        for index in listed.iter().filter(|index| index.get_str("name").is_ok_and(|name| name != "_id_")) {
            let mut index = index.clone();
            for of_the_server in ["v", "storageEngine", "ns", "textIndexVersion"] {
                index.remove(of_the_server);
            }
            // A text index is listed by what the server keeps, and asked for by its fields.
            if let Ok(weights) = index.get_document("weights").cloned() {
                let key: Document = weights.keys().map(|field| (field.clone(), "text".into())).collect();
                index.insert("key", key);
            }
            wanted.push(index);
        }
        if !wanted.is_empty() {
            self.database.run_command(doc! { "createIndexes": collection, "indexes": wanted }).await?;
        }
        Ok(())
    }

    async fn send(&self, commands: impl Iterator<Item = RawDocumentBuf>) -> Result<(), BenchError> {
        let run = |command| self.database.run_raw_command(command).into_future();
        let sent = stream::iter(commands).map(run).buffered(IN_FLIGHT);
        let answers: Vec<Document> = sent.try_collect().await?;
        match answers.iter().find_map(|answer| answer.get_array("writeErrors").ok()) {
            Some(errors) => Err(BenchError::Models(format!("the bare driver's writes were refused: {errors:?}"))),
            None => Ok(()),
        }
    }
}

fn array(documents: impl Iterator<Item = RawDocumentBuf>) -> RawArrayBuf {
    let mut array = RawArrayBuf::new();
    documents.for_each(|document| array.push(document));
    array
}

/// A document of the shape and size of a balance.
fn balance(key: &str, position: i64) -> RawDocumentBuf {
    let amount = mongodb::bson::Decimal128::from_bytes([0; 16]);
    let at = mongodb::bson::DateTime::from_millis(1_767_225_600_000);
    rawdoc! {
        "_id": key, "g": 1_i64, "p": position, "account": key, "currency": "EUR", "type": "liability", "normal": "credit",
        "posted": amount, "pending_in": amount, "pending_out": amount, "available": amount, "opened_at": at,
        "moved": { "position": position, "effective_at": at, "recorded_at": at },
    }
}

impl From<mongodb::error::Error> for BenchError {
    fn from(error: mongodb::error::Error) -> Self {
        Self::Models(error.kind.to_string())
    }
}
