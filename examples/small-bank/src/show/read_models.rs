//! The read models as any application would read them: by its own driver, under their stable names.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, Result};
use mongodb::{
    Client, Collection, Database,
    bson::{Bson, Document, doc},
    options::ClientOptions,
};
use serde_json::{Map, Value};

/// How long a read may wait for a server.
const SERVER_SECONDS_MAX: u64 = 10;

/// The database of one ledger's read models.
#[derive(Clone, Debug)]
pub(crate) struct ReadModels {
    database: Database,
}

impl ReadModels {
    /// Finds the database that belongs to a ledger.
    pub(crate) async fn connect(uri: &str, ledger: &str) -> Result<Self> {
        let mut options = ClientOptions::parse(uri).await.context("MONGODB_URI cannot be read")?;
        options.server_selection_timeout = Some(Duration::from_secs(SERVER_SECONDS_MAX));
        let client = Client::with_options(options)?;
        let names = client.list_database_names().await?;
        let name = names
            .iter()
            .find(|name| name.ends_with(ledger))
            .with_context(|| format!("no database belongs to {ledger}"))?;
        Ok(Self { database: client.database(name) })
    }

    pub(crate) fn balances(&self) -> Collection<Document> {
        self.database.collection("balances")
    }

    /// The changes of an entity, oldest first.
    pub(crate) async fn changes(&self, entity: &str) -> Result<Vec<Document>> {
        let changelogs: Collection<Document> = self.database.collection("changelogs");
        let mut cursor = changelogs.find(doc! { "entity": entity }).sort(doc! { "version": 1 }).await?;
        let mut all = Vec::new();
        while cursor.advance().await? {
            all.push(cursor.deserialize_current()?);
        }
        Ok(all)
    }

    /// Every user's preferences, by entity.
    pub(crate) async fn preferences(&self) -> Result<BTreeMap<String, Value>> {
        let users: Collection<Document> = self.database.collection("preferences");
        let mut cursor = users.find(doc! {}).await?;
        let mut all = BTreeMap::new();
        while cursor.advance().await? {
            let document = cursor.deserialize_current()?;
            let entity = document.get_str("_id").unwrap_or_default().to_owned();
            let preferences = document.get("preferences").map_or(Value::Null, plain);
            all.insert(entity, preferences);
        }
        Ok(all)
    }
}

/// A stored value as the JSON it came from. Types that JSON has no word for become text.
pub(crate) fn plain(value: &Bson) -> Value {
    match value {
        Bson::Null => Value::Null,
        Bson::Boolean(truth) => Value::Bool(*truth),
        Bson::Int32(number) => Value::from(*number),
        Bson::Int64(number) => Value::from(*number),
        Bson::Double(number) => Value::from(*number),
        Bson::String(text) => Value::String(text.clone()),
        Bson::Array(items) => items.iter().map(plain).collect(),
        Bson::Document(members) => {
            let members: Map<String, Value> =
                members.iter().map(|(name, value)| (name.clone(), plain(value))).collect();
            Value::Object(members)
        }
        other => Value::String(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use mongodb::bson::{Bson, bson};
    use serde_json::json;

    use super::plain;

    #[test]
    fn stored_values_become_the_json_they_came_from() {
        let stored: Bson = bson!({"theme": "dark", "rows": [1, 2_i64], "on": true, "none": null});
        assert_eq!(plain(&stored), json!({"theme": "dark", "rows": [1, 2], "on": true, "none": null}));
    }
}
