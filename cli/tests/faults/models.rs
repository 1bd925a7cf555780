//! The read models as anybody with the driver sees them, without a line of Postfold.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use bson::{Binary, Bson, Document, doc};
use futures::TryStreamExt;
use mongodb::{Client, Collection, Database};
use postfold_projections::database_name;
use tokio::runtime::Runtime;

use crate::process::Ledger;

const CHECKPOINTS: &str = "postfold_checkpoints";

/// Documents by model and key.
pub(crate) type Documents = BTreeMap<String, BTreeMap<String, Document>>;

/// The database of a ledger's read models.
pub(crate) struct Models {
    runtime: Runtime,
    database: Database,
    client: Client,
}

/// Connects to the database of a ledger's read models.
pub(crate) async fn connect(ledger: &Ledger) -> Result<(Client, Database)> {
    let client = Client::with_uri_str(&ledger.servers.mongodb_uri).await?;
    let database = client.database(&database_name(&ledger.name));
    Ok((client, database))
}

/// At most `limit` documents with keys behind `after`, by key.
pub(crate) async fn page(
    collection: &Collection<Document>,
    after: Option<&str>,
    limit: i64,
) -> mongodb::error::Result<Vec<Document>> {
    let filter = after.map_or_else(Document::new, |after| doc! {"_id": {"$gt": after}});
    collection.find(filter).sort(doc! {"_id": 1}).limit(limit).await?.try_collect().await
}

impl Models {
    pub(crate) fn connect(ledger: &Ledger) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (client, database) = runtime.block_on(connect(ledger))?;
        Ok(Self { runtime, database, client })
    }

    /// Every document of every model, but for its generation; tombstones are none.
    pub(crate) fn documents(&self, models: &[String]) -> Result<Documents> {
        let mut all = Documents::new();
        for model in models {
            let (collection, documents) = (self.database.collection(model), all.entry(model.clone()).or_default());
            loop {
                let after = documents.last_key_value().map(|(key, _)| key.as_str());
                let page = self.runtime.block_on(page(&collection, after, 1_000))?;
                if page.is_empty() {
                    break;
                }
                for mut document in page {
                    document.remove("g");
                    documents.insert(key(&document).to_owned(), document);
                }
            }
            documents.retain(|_, document| !is_tombstone(document));
        }
        Ok(all)
    }

    /// All collections, by name.
    pub(crate) fn collections(&self) -> Result<Vec<String>> {
        Ok(self.runtime.block_on(async { self.database.list_collection_names().await })?)
    }

    /// The collections of what the keys of rows carry, as the checkpoints name them.
    pub(crate) fn carries(&self) -> Result<Vec<String>> {
        let checkpoints = self.database.collection::<Document>(CHECKPOINTS);
        let found = self.runtime.block_on(async { checkpoints.distinct("carry", Document::new()).await })?;
        Ok(found.iter().filter_map(Bson::as_str).map(str::to_owned).collect())
    }

    /// What tells a collection from another one of the same name.
    pub(crate) fn uuid(&self, collection: &str) -> Result<Option<Binary>> {
        self.runtime.block_on(async {
            let mut found = self.database.list_collections().filter(doc! {"name": collection}).await?;
            Ok(found.try_next().await?.and_then(|found| found.info.uuid))
        })
    }

    /// The collection of the attempt that is switching, if the checkpoint of the model names one.
    pub(crate) fn switching(&self, model: &str) -> Result<Option<String>> {
        let checkpoints = self.database.collection::<Document>(CHECKPOINTS);
        let found = self.runtime.block_on(async { checkpoints.find_one(doc! {"_id": model}).await })?;
        let checkpoint = found.with_context(|| format!("{model} has no checkpoint"))?;
        let Some(Bson::Document(switching)) = checkpoint.get("switching") else { return Ok(None) };
        let to = switching.get_document("to")?;
        Ok(Some(format!("{model}__g{}_e{}", to.get_i64("generation")?, to.get_i64("epoch")?)))
    }

    /// Writes a document as a late writer of a first generation would.
    pub(crate) fn plant(&self, collection: &str, key: &str) -> Result<()> {
        let document = doc! {"_id": key, "g": 1_i64, "p": 1_i64, "planted": true};
        self.runtime.block_on(async { self.database.collection(collection).insert_one(document).await })?;
        Ok(())
    }

    pub(crate) fn drop(self) -> Result<()> {
        self.runtime.block_on(async {
            self.database.drop().await?;
            self.client.shutdown().await;
            Ok(())
        })
    }
}

/// Nothing in the one that is not in the other.
pub(crate) fn ensure_equal(live: &Documents, rebuilt: &Documents) -> Result<()> {
    for (model, live) in live {
        let rebuilt = &rebuilt[model];
        for key in live.keys().chain(rebuilt.keys()) {
            let (live, rebuilt) = (live.get(key), rebuilt.get(key));
            ensure!(live == rebuilt, "{model} {key}: live {live:?}, rebuilt {rebuilt:?}");
        }
    }
    Ok(())
}

pub(crate) fn key(document: &Document) -> &str {
    document.get_str("_id").unwrap_or_default()
}

pub(crate) fn is_tombstone(document: &Document) -> bool {
    document.get("dead") == Some(&Bson::Boolean(true))
}
