//! The schema that a bench works in: claimed, emptied before each run, dropped at the end.

use std::sync::Arc;
use std::time::Duration;

use postfold::{Ledger, PostgresSettings};
use tokio::sync::Mutex;
use tokio_postgres::{Client, Config, NoTls};

use crate::error::BenchError;

/// The ledger in it.
pub(crate) const LEDGER: &str = "bench";
/// What a schema of a bench is marked with; one without it is never touched.
const MARK: &str = "postfold bench: scratch, dropped at its end";
/// How long to wait for the server.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Statements of the engine may take so long: a bench has no use for a run that was cut short.
const STATEMENT_TIMEOUT: Duration = Duration::from_mins(10);

/// A schema of the bench's own.
pub(crate) struct Scratch {
    /// The bench's own connection, which holds the claim.
    pub(crate) client: Client,
    url: String,
    /// Held while the schema is filled: that goes to its end, also when nobody waits for it any more, since
    /// it would make the schema again behind a drop.
    filling: Arc<Mutex<()>>,
    /// Its name, not quoted.
    pub(crate) schema: String,
}

impl Scratch {
    /// Claims the schema. What an earlier bench left there is dropped, anything else refused.
    pub(crate) async fn claim(url: &str, schema: &str) -> Result<Self, BenchError> {
        let client = connect(url).await?;
        let claim = "select pg_try_advisory_lock(hashtextextended('postfold bench ' || $1, 0))";
        if !client.query_one(claim, &[&schema]).await?.get::<_, bool>(0) {
            return Err(BenchError::Schema(format!("another bench works in schema {schema}: wait for its end")));
        }
        let find = "select obj_description(oid, 'pg_namespace') from pg_namespace where nspname = $1";
        let found = client.query_opt(find, &[&schema]).await?;
        if found.is_some_and(|row| row.get::<_, Option<&str>>(0) != Some(MARK)) {
            return Err(BenchError::Schema(format!(
                "schema {schema} is there already and is not of a bench: name another with --schema \
                 (a bench works in the schema of that name with _bench behind it)"
            )));
        }
        let scratch = Self { client, url: url.to_owned(), filling: Arc::default(), schema: schema.to_owned() };
        scratch.remove().await?;
        Ok(scratch)
    }

    /// Makes it anew, with an empty ledger.
    pub(crate) async fn fresh(&self) -> Result<Ledger, BenchError> {
        let schema = self.quoted();
        let again = format!(
            "drop schema if exists {schema} cascade; create schema {schema}; comment on schema {schema} is '{MARK}'"
        );
        self.client.batch_execute(&again).await?;
        let (url, settings) = (self.url.clone(), self.settings());
        let filling = Arc::clone(&self.filling).lock_owned().await;
        let filled = tokio::spawn(async move {
            let _filling = filling;
            postfold::init(url, LEDGER, &settings, false).await
        });
        filled.await.map_err(|error| BenchError::Process(error.to_string()))??;
        Ok(Ledger::builder().postgres(self.settings()).connect(self.url.as_str(), LEDGER).await?)
    }

    /// Drops it.
    pub(crate) async fn drop(self) -> Result<(), BenchError> {
        self.remove().await
    }

    async fn remove(&self) -> Result<(), BenchError> {
        let _idle = self.filling.lock().await;
        Ok(self.client.batch_execute(&format!("drop schema if exists {} cascade", self.quoted())).await?)
    }

    /// Its name, for SQL.
    pub(crate) fn quoted(&self) -> String {
        format!("\"{}\"", self.schema.replace('"', "\"\""))
    }

    fn settings(&self) -> PostgresSettings {
        PostgresSettings {
            schema: self.schema.clone(),
            statement_timeout: STATEMENT_TIMEOUT,
            ..PostgresSettings::default()
        }
    }
}

async fn connect(url: &str) -> Result<Client, BenchError> {
    let mut config: Config = url.parse().map_err(|error: tokio_postgres::Error| {
        let why = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
        BenchError::Url(why)
    })?;
    config.connect_timeout(CONNECT_TIMEOUT).application_name("postfold bench");
    let (client, connection) = config.connect(NoTls).await?;
    // Ends with the client; what goes wrong is told to whoever asked for something.
    tokio::spawn(connection);
    Ok(client)
}
