//! Read models in MongoDB 7 or newer, or in a server that speaks its protocol.
//!
//! This module and its parts are the only place that knows the driver. Used are only commands that
//! MongoDB and its compatible servers share: no transactions, no views, no `bulkWrite`, no index build
//! on a live collection, no collation.

mod error;
mod index;
mod settings;
mod table;
mod wire;

use std::future::Future;
use std::time::Duration;

use async_trait::async_trait;
use bson::raw::{RawArrayBuf, RawDocumentBuf, cstr};
use bson::{Bson, Document, doc, rawdoc};
use futures::TryStreamExt;
use mongodb::options::{ClientOptions, ReadConcern};
use mongodb::{Client, Cursor, Database};
use postfold::{Hash, Position};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use settings::{MongoSettings, WriteForm};

use self::table::Tables;
use super::{
    CHECKPOINTS, Collection, Drift, Guard, MEMBERS, Mark, Member, PARKED, Parked, Row, Store, StoreError,
    StoreErrorKind, Written,
};
use crate::checkpoint::{Bucket, Checkpoint};
use crate::projection::Index;

/// Longest name of a database that MongoDB takes, in bytes.
const DATABASE_NAME_BYTES_MAX: usize = 63;
/// What [`database_name`] puts before the ledger's name.
const DATABASE_PREFIX: &str = "postfold_";

/// A [`Store`] in one database of a MongoDB server. Cheap to clone.
///
/// Writes wait for a majority of the replica set, and reads see only what a majority has, so that no
/// change of the primary takes back what a checkpoint counts as done.
#[derive(Clone, Debug)]
pub struct MongoStore {
    client: Client,
    database: Database,
    settings: MongoSettings,
    /// Whether replaces go many documents a statement.
    tables: bool,
}

/// The default name of the database for a ledger's read models: `postfold_<ledger>`.
///
/// A name with anything but `a-z`, `0-9`, `_` and `-`, or one that is too long for MongoDB, is shortened
/// to what is safe, and told from its likes by eight hexadecimal digits of its hash.
///
/// ```
/// use postfold_projections::database_name;
/// assert_eq!(database_name("shop"), "postfold_shop");
/// assert_ne!(database_name("Shop"), database_name("sHOP"));
/// ```
pub fn database_name(ledger: &str) -> String {
    let safe = |character: char| {
        character.is_ascii_lowercase() || character.is_ascii_digit() || matches!(character, '_' | '-')
    };
    let room = DATABASE_NAME_BYTES_MAX - DATABASE_PREFIX.len();
    if ledger.len() <= room && ledger.chars().all(safe) {
        return format!("{DATABASE_PREFIX}{ledger}");
    }
    let mut digest = Hash::genesis(ledger).to_string();
    digest.truncate(8);
    let kept = ledger.chars().take(room - digest.len() - 1);
    let kept: String = kept.map(|character| if safe(character) { character } else { '_' }).collect();
    format!("{DATABASE_PREFIX}{kept}-{digest}")
}

impl MongoStore {
    /// Connects to the database of this name, which need not be there yet, and asks the server for a
    /// sign of life.
    ///
    /// # Errors
    ///
    /// When the URI is not one, or the server does not answer within the
    /// [connect time-out](MongoSettings::connect_timeout).
    pub async fn connect(uri: &str, database: &str) -> Result<Self, StoreError> {
        Self::connect_with(uri, database, MongoSettings::default()).await
    }

    /// As [`connect`](Self::connect), with bounds of your own.
    ///
    /// # Errors
    ///
    /// As for [`connect`](Self::connect).
    pub async fn connect_with(uri: &str, database: &str, settings: MongoSettings) -> Result<Self, StoreError> {
        let mut options = ClientOptions::parse(uri).await.map_err(|error| error::of_driver(&error))?;
        options.app_name.get_or_insert_with(|| "postfold".to_owned());
        options.connect_timeout.get_or_insert(settings.connect_timeout);
        options.server_selection_timeout.get_or_insert(settings.connect_timeout);
        let client = Client::with_options(options).map_err(|error| error::of_driver(&error))?;
        let mut store = Self { database: client.database(database), client, settings, tables: false };
        let server = store.server().await?;
        store.tables = store.settings.write_form.is_table(&server);
        Ok(store)
    }

    /// The version that the server says it has; a compatible server says which MongoDB it is like.
    ///
    /// # Errors
    ///
    /// When the server does not answer, or not with a version.
    pub async fn server_version(&self) -> Result<String, StoreError> {
        self.server().await?.get_str("version").map(str::to_owned).map_err(error::malformed)
    }

    /// Ends the connections. Call it before the runtime ends, or the driver's background tasks complain.
    pub async fn shutdown(self) {
        self.client.shutdown().await;
    }

    /// Drops the whole database: every model and every checkpoint of this ledger.
    ///
    /// # Errors
    ///
    /// When the server does not do it.
    pub async fn drop_database(&self) -> Result<(), StoreError> {
        self.run(rawdoc! { "dropDatabase": 1 }, self.settings.command_timeout).await.map(drop)
    }

    /// What the server says of itself.
    async fn server(&self) -> Result<Document, StoreError> {
        self.run(rawdoc! { "buildInfo": 1 }, self.settings.command_timeout).await
    }

    /// Runs a command with `maxTimeMS`, and a time-out of our own: the driver has none for commands.
    async fn run(&self, command: RawDocumentBuf, time: Duration) -> Result<Document, StoreError> {
        self.run_in(&self.database, command, time).await
    }

    async fn run_in(
        &self,
        database: &Database,
        mut command: RawDocumentBuf,
        time: Duration,
    ) -> Result<Document, StoreError> {
        command.append(cstr!("maxTimeMS"), milliseconds(time));
        in_time(time, async { database.run_raw_command(command).await }).await
    }

    /// Runs a command that writes, and waits for a majority.
    async fn write(&self, mut command: RawDocumentBuf, time: Duration) -> Result<Document, StoreError> {
        command.append(cstr!("writeConcern"), majority());
        self.run(command, time).await
    }

    /// What a table names as refused is one of many documents: then statements tell which one, and do the rest.
    async fn replace_by_tables(&self, collection: &str, rows: &[&Row]) -> Result<Written, StoreError> {
        let Tables { statements, rows: of } = table::replaces(rows)?;
        let passes = |error: &StoreError| error.kind == StoreErrorKind::Unavailable;
        let done = match self.update(collection, statements).await {
            Ok(Written { done, refused }) if refused.iter().all(|refused| passes(&refused.error)) => {
                return Ok(Written { done, refused: table::of_rows(refused, &of) });
            }
            Err(error) if passes(&error) => return Err(error),
            Ok(Written { done, .. }) => done,
            Err(_) => 0,
        };
        let rest = self.update(collection, wire::replaces(Guard::Behind, rows)?).await?;
        Ok(Written { done: done + rest.done, ..rest })
    }

    async fn update(&self, collection: &str, statements: RawArrayBuf) -> Result<Written, StoreError> {
        let mut command = rawdoc! { "update": collection, "ordered": false };
        command.append(cstr!("updates"), statements);
        wire::written(&self.write(command, self.settings.command_timeout).await?)
    }

    async fn update_one(&self, collection: &str, filter: Document, update: Document) -> Result<bool, StoreError> {
        let statement = doc! { "q": filter, "u": update };
        let command = doc! { "update": collection, "updates": [statement] };
        let command = RawDocumentBuf::try_from(&command).map_err(error::malformed)?;
        let answer = self.write(command, self.settings.command_timeout).await?;
        let Written { done, refused } = wire::written(&answer)?;
        refused.into_iter().next().map_or(Ok(done == 1), |first| Err(first.error))
    }

    async fn find(
        &self,
        collection: &str,
        filter: Document,
        fields: Document,
        limit: Option<usize>,
    ) -> Result<Vec<RawDocumentBuf>, StoreError> {
        let time = self.settings.command_timeout;
        let found = async {
            let collection = self.database.collection::<RawDocumentBuf>(collection);
            let mut find =
                collection.find(filter).projection(fields).read_concern(ReadConcern::majority()).max_time(time);
            if let Some(limit) = limit {
                find = find.sort(doc! { "_id": 1 }).limit(i64::try_from(limit).unwrap_or(i64::MAX));
            }
            let mut cursor = find.batch_size(FIND_BATCH_DOCUMENTS).await?;
            let mut documents = Vec::new();
            while cursor.advance().await? {
                documents.push(cursor.current().to_owned());
            }
            Ok(documents)
        };
        in_time(time, found).await
    }

    async fn list(&self, command: Document) -> Result<Vec<Document>, StoreError> {
        let listed = async {
            let cursor: Cursor<Document> = self.database.run_cursor_command(command).await?;
            cursor.try_collect().await
        };
        in_time(self.settings.command_timeout, listed).await
    }

    async fn delete(&self, collection: &str, filters: &[Document]) -> Result<u64, StoreError> {
        let deletes: Vec<Document> = filters.iter().map(|filter| doc! { "q": filter, "limit": 0 }).collect();
        let command = doc! { "delete": collection, "deletes": deletes, "ordered": false };
        let command = RawDocumentBuf::try_from(&command).map_err(error::malformed)?;
        wire::removed(&self.write(command, self.settings.collection_timeout).await?)
    }

    /// A compatible server answers `ok: true`, which the driver takes for no answer at all: what counts is whether
    /// the index is gone.
    async fn drop_index(&self, collection: &str, name: &str) -> Result<(), StoreError> {
        let command = rawdoc! { "dropIndexes": collection, "index": name };
        let Err(error) = self.write(command, self.settings.collection_timeout).await else { return Ok(()) };
        let listed = self.list(doc! { "listIndexes": collection }).await?;
        let there = listed.iter().any(|listed| listed.get_str("name").is_ok_and(|listed| listed == name));
        if there { Err(error) } else { Ok(()) }
    }

    /// That a server took `createIndexes` does not mean that it built what was asked for.
    async fn check_indexes(&self, collection: &str, indexes: &[Index]) -> Result<(), StoreError> {
        let listed = self.list(doc! { "listIndexes": collection }).await?;
        for wanted in indexes {
            if !listed.iter().any(|listed| index::is_index(listed, wanted)) {
                let message = format!("the server did not build the index {} of {collection} as asked", wanted.name());
                return Err(StoreError::new(StoreErrorKind::Refused(0), message));
            }
        }
        Ok(())
    }
}

/// Documents a batch of a cursor holds; servers cut it at 16 MB besides.
const FIND_BATCH_DOCUMENTS: u32 = 10_000;

/// `NamespaceExists`: what `create` answers for a collection that is there.
const NAMESPACE_EXISTS: i32 = 48;

#[async_trait]
impl Store for MongoStore {
    async fn ping(&self) -> Result<(), StoreError> {
        self.run(rawdoc! { "ping": 1 }, self.settings.command_timeout).await.map(drop)
    }

    async fn probe(&self, projection: &str) -> Result<(), StoreError> {
        self.ping().await?;
        // Nobody reads this field, and no guard looks at it.
        let update = doc! { "$set": { "probed_at": bson::DateTime::now() } };
        self.update_one(CHECKPOINTS, doc! { "_id": projection }, update).await.map(drop)
    }

    async fn fetch(&self, collection: &str, ids: &[&str]) -> Result<Vec<Row>, StoreError> {
        let documents = self.find(collection, keyed(ids), Document::new(), None).await?;
        documents.iter().map(|document| wire::row(document)).collect()
    }

    async fn marks(&self, collection: &str, ids: &[&str]) -> Result<Vec<Mark>, StoreError> {
        let documents = self.find(collection, keyed(ids), doc! { "_id": 1, "g": 1, "p": 1 }, None).await?;
        documents.iter().map(|document| wire::mark(document)).collect()
    }

    async fn scan(
        &self,
        collection: &str,
        after: Option<&str>,
        through: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        let mut range = Document::new();
        range.extend(after.map(|after| ("$gt".to_owned(), after.into())));
        range.extend(through.map(|through| ("$lte".to_owned(), through.into())));
        let filter = if range.is_empty() {
            range
        } else {
            doc! { "_id": range }
        };
        let documents = self.find(collection, filter, Document::new(), Some(limit)).await?;
        documents.iter().map(|document| wire::row(document)).collect()
    }

    async fn count(&self, collection: &str) -> Result<u64, StoreError> {
        let time = self.settings.collection_timeout;
        let documents = self.database.collection::<Document>(collection);
        let count = documents.count_documents(Document::new()).read_concern(ReadConcern::majority()).max_time(time);
        in_time(time, async { count.await }).await
    }

    async fn replace(&self, collection: &str, guard: Guard, rows: &[&Row]) -> Result<Written, StoreError> {
        if self.tables && guard == Guard::Behind {
            return self.replace_by_tables(collection, rows).await;
        }
        self.update(collection, wire::replaces(guard, rows)?).await
    }

    async fn insert(&self, collection: &str, rows: &[&Row]) -> Result<Written, StoreError> {
        let documents: RawArrayBuf = wire::inserts(rows)?;
        let mut command = rawdoc! { "insert": collection, "ordered": false };
        command.append(cstr!("documents"), documents);
        wire::written(&self.write(command, self.settings.command_timeout).await?)
    }

    async fn bury(
        &self,
        collection: &str,
        ids: &[&str],
        generation: i64,
        through: Position,
    ) -> Result<u64, StoreError> {
        let mut filter = keyed(ids);
        filter.extend(doc! { "g": generation, "dead": true, "p": { "$lte": through.get() } });
        self.delete(collection, &[filter]).await
    }

    async fn sweep(&self, collection: &str, generation: i64, through: Position) -> Result<u64, StoreError> {
        let older = doc! { "g": { "$lt": generation } };
        let dead = doc! { "dead": true, "p": { "$lte": through.get() } };
        self.delete(collection, &[older, dead]).await
    }

    async fn collections(&self) -> Result<Vec<Collection>, StoreError> {
        let listed = self.list(doc! { "listCollections": 1 }).await?;
        let read = |entry: &Document| {
            let name = entry.get_str("name").map_err(error::malformed)?.to_owned();
            let info = entry.get_document("info").map_err(error::malformed)?;
            let uuid = info.get("uuid").and_then(uuid_text);
            let uuid =
                uuid.ok_or_else(|| error::malformed(format!("the server tells no UUID of the collection {name}")))?;
            Ok(Collection { name, uuid })
        };
        listed.iter().map(read).collect()
    }

    async fn create(&self, collection: &str, indexes: &[Index]) -> Result<(), StoreError> {
        let time = self.settings.collection_timeout;
        match self.write(rawdoc! { "create": collection }, time).await {
            Err(StoreError { kind: StoreErrorKind::Server(NAMESPACE_EXISTS), .. }) => {}
            other => drop(other?),
        }
        if indexes.is_empty() {
            return Ok(());
        }
        let specifications: Vec<Document> = indexes.iter().map(index::specification).collect();
        let command = doc! { "createIndexes": collection, "indexes": specifications };
        self.write(RawDocumentBuf::try_from(&command).map_err(error::malformed)?, time).await?;
        self.check_indexes(collection, indexes).await
    }

    async fn drift(&self, collection: &str, indexes: &[Index]) -> Result<Vec<Drift>, StoreError> {
        match self.list(doc! { "listIndexes": collection }).await {
            Ok(listed) => Ok(index::drift(&listed, indexes)),
            Err(StoreError { kind: StoreErrorKind::NotFound, .. }) => Ok(index::drift(&[], indexes)),
            Err(error) => Err(error),
        }
    }

    async fn reindex(&self, collection: &str, indexes: &[Index]) -> Result<(), StoreError> {
        for drift in self.drift(collection, indexes).await? {
            if let Drift::Different(name) | Drift::Extra(name) = drift {
                self.drop_index(collection, &name).await?;
            }
        }
        self.create(collection, indexes).await
    }

    async fn rename(&self, from: &str, to: &str) -> Result<(), StoreError> {
        let database = self.database.name();
        let mut command = rawdoc! { "renameCollection": format!("{database}.{from}"), "to": format!("{database}.{to}"), "dropTarget": true };
        command.append(cstr!("writeConcern"), majority());
        self.run_in(&self.client.database("admin"), command, self.settings.collection_timeout).await.map(drop)
    }

    async fn drop_collection(&self, collection: &str) -> Result<(), StoreError> {
        match self.write(rawdoc! { "drop": collection }, self.settings.collection_timeout).await {
            Err(StoreError { kind: StoreErrorKind::NotFound, .. }) => Ok(()),
            other => other.map(drop),
        }
    }

    async fn checkpoints(&self) -> Result<Vec<Checkpoint>, StoreError> {
        let mut checkpoints = self.read_checkpoints(Document::new()).await?;
        checkpoints.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(checkpoints)
    }

    async fn checkpoint(&self, projection: &str) -> Result<Option<Checkpoint>, StoreError> {
        Ok(self.read_checkpoints(doc! { "_id": projection }).await?.into_iter().next())
    }

    async fn create_checkpoint(&self, checkpoint: &Checkpoint) -> Result<bool, StoreError> {
        let document = bson::serialize_to_document(checkpoint).map_err(error::malformed)?;
        let command = doc! { "insert": CHECKPOINTS, "documents": [document] };
        let command = RawDocumentBuf::try_from(&command).map_err(error::malformed)?;
        let Written { refused, .. } = wire::written(&self.write(command, self.settings.command_timeout).await?)?;
        match refused.into_iter().next() {
            None => Ok(true),
            Some(first) if first.error.kind == StoreErrorKind::Duplicate => Ok(false),
            Some(first) => Err(first.error),
        }
    }

    async fn swap_header(&self, old: &Checkpoint, new: &Checkpoint) -> Result<bool, StoreError> {
        let mut header = bson::serialize_to_document(new).map_err(error::malformed)?;
        header.remove("_id");
        header.remove("buckets");
        self.update_one(CHECKPOINTS, unchanged(old), doc! { "$set": header }).await
    }

    async fn swap_checkpoint(&self, old: &Checkpoint, new: &Checkpoint) -> Result<bool, StoreError> {
        let document = bson::serialize_to_document(new).map_err(error::malformed)?;
        self.update_one(CHECKPOINTS, unchanged(old), document).await
    }

    async fn swap_bucket(&self, of: &Checkpoint, index: usize, new: &Bucket) -> Result<bool, StoreError> {
        let Some(old) = of.buckets.get(index) else { return Ok(false) };
        let buckets = i32::try_from(of.buckets.len()).unwrap_or(i32::MAX);
        let filter = doc! {
            "_id": &of.name,
            "generation": of.generation,
            "switching": null,
            "buckets": { "$size": buckets },
            format!("buckets.{index}.epoch"): old.epoch,
            format!("buckets.{index}.revision"): old.revision,
        };
        let bucket = bson::serialize_to_document(new).map_err(error::malformed)?;
        self.update_one(CHECKPOINTS, filter, doc! { "$set": { format!("buckets.{index}"): bucket } }).await
    }

    async fn members(&self) -> Result<Vec<Member>, StoreError> {
        self.read_all(MEMBERS, Document::new()).await
    }

    async fn beat(&self, member: &Member) -> Result<(), StoreError> {
        self.upsert(MEMBERS, &member.id, member).await
    }

    async fn leave(&self, member: &str) -> Result<(), StoreError> {
        self.delete(MEMBERS, &[doc! { "_id": member }]).await.map(drop)
    }

    async fn parked(&self, projection: &str) -> Result<Vec<Parked>, StoreError> {
        let mut parked: Vec<Parked> = self.read_all(PARKED, doc! { "projection": projection }).await?;
        parked.sort_by(|one, other| one.key.cmp(&other.key));
        Ok(parked)
    }

    async fn park(&self, parked: &Parked) -> Result<(), StoreError> {
        self.upsert(PARKED, &parked_id(&parked.projection, parked.generation, &parked.key), parked).await
    }

    async fn unpark(&self, projection: &str, generation: i64, key: &str) -> Result<(), StoreError> {
        self.delete(PARKED, &[doc! { "_id": parked_id(projection, generation, key) }]).await.map(drop)
    }
}

impl MongoStore {
    async fn read_checkpoints(&self, filter: Document) -> Result<Vec<Checkpoint>, StoreError> {
        self.read_all(CHECKPOINTS, filter).await
    }

    async fn read_all<T: DeserializeOwned>(&self, collection: &str, filter: Document) -> Result<Vec<T>, StoreError> {
        let documents = self.find(collection, filter, Document::new(), None).await?;
        let read =
            |document: &RawDocumentBuf| bson::deserialize_from_slice(document.as_bytes()).map_err(error::malformed);
        documents.iter().map(read).collect()
    }

    async fn upsert(&self, collection: &str, id: &str, value: &impl Serialize) -> Result<(), StoreError> {
        let mut document = bson::serialize_to_document(value).map_err(error::malformed)?;
        document.insert("_id", id);
        let statement = doc! { "q": { "_id": id }, "u": document, "upsert": true };
        let command = doc! { "update": collection, "updates": [statement] };
        let command = RawDocumentBuf::try_from(&command).map_err(error::malformed)?;
        let Written { refused, .. } = wire::written(&self.write(command, self.settings.command_timeout).await?)?;
        refused.into_iter().next().map_or(Ok(()), |first| Err(first.error))
    }
}

fn unchanged(old: &Checkpoint) -> Document {
    doc! { "_id": &old.name, "epoch": old.epoch, "revision": old.revision }
}

fn parked_id(projection: &str, generation: i64, key: &str) -> String {
    format!("{projection}|{generation}|{key}")
}

fn keyed(ids: &[&str]) -> Document {
    doc! { "_id": { "$in": ids } }
}

fn majority() -> RawDocumentBuf {
    rawdoc! { "w": "majority" }
}

fn uuid_text(value: &Bson) -> Option<String> {
    let Bson::Binary(binary) = value else { return None };
    uuid::Uuid::from_slice(&binary.bytes).ok().map(|uuid| uuid.simple().to_string())
}

fn milliseconds(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

/// Gives up a little after the server should have, so that the server's own answer is heard.
const TIMEOUT_MARGIN: Duration = Duration::from_secs(2);

async fn in_time<T>(
    time: Duration,
    work: impl Future<Output = Result<T, mongodb::error::Error>>,
) -> Result<T, StoreError> {
    match tokio::time::timeout(time.saturating_add(TIMEOUT_MARGIN), work).await {
        Ok(done) => done.map_err(|error| error::of_driver(&error)),
        Err(_) => Err(StoreError::new(StoreErrorKind::Unavailable, format!("no answer within {time:?}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_name_is_one_that_the_server_takes() {
        for ledger in ["shop", "Shop", "a/b", "a.b", "$", "ü", "", &"x".repeat(128)] {
            let name = database_name(ledger);
            assert!(name.len() <= DATABASE_NAME_BYTES_MAX, "{name}");
            assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'), "{name}");
        }
    }

    #[test]
    fn no_two_ledgers_share_a_database() {
        let ledgers = ["a_b", "a/b", "a.b", "A_b"];
        let names: std::collections::HashSet<String> = ledgers.iter().map(|ledger| database_name(ledger)).collect();
        assert_eq!(names.len(), ledgers.len());
    }
}
