//! The server: databases for the peers, and whether it keeps what it acknowledges.

use serde::{Deserialize, Serialize};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use url::Url;

/// What the databases of a run are called at their beginning.
const PREFIX: &str = "postfold_peers_";
/// Of two runs on a server, each would disturb the other.
const LOCK: i64 = 0x7065_6572_7300;

/// The server, by a connection to a database that stays.
pub(crate) struct Server {
    connection: PgConnection,
    url: Url,
}

/// What is worth knowing of the server.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Facts {
    pub(crate) version: String,
    /// Names and values of settings.
    pub(crate) settings: Vec<(String, String)>,
}

impl Server {
    /// Connects, and drops what a killed run left.
    pub(crate) async fn connect(url: &str) -> anyhow::Result<Self> {
        anyhow::ensure!(!url.is_empty(), "DATABASE_URL is not set, and neither is --database-url");
        let mut connection = PgConnection::connect(url).await?;
        let alone: bool =
            sqlx::query_scalar("select pg_try_advisory_lock($1)").bind(LOCK).fetch_one(&mut connection).await?;
        anyhow::ensure!(alone, "another run is under way on this server");
        let mut server = Self { connection, url: url.parse()? };
        server.drop_all().await?;
        Ok(server)
    }

    /// Version and settings; refuses a server that may lose what it acknowledged.
    pub(crate) async fn facts(&mut self) -> anyhow::Result<Facts> {
        let version = sqlx::query_scalar("show server_version").fetch_one(&mut self.connection).await?;
        let settings: Vec<(String, String)> = sqlx::query_as(
            "select name, current_setting(name) from pg_settings where name = any($1) order by array_position($1, name)",
        )
        .bind(SETTINGS.map(str::to_owned))
        .fetch_all(&mut self.connection)
        .await?;
        for durable in ["fsync", "synchronous_commit", "full_page_writes"] {
            let on = settings.iter().any(|(name, value)| name == durable && value == "on");
            anyhow::ensure!(on, "{durable} is not on: rates would say nothing of a ledger");
        }
        Ok(Facts { version, settings })
    }

    pub(crate) async fn today(&mut self) -> anyhow::Result<String> {
        Ok(sqlx::query_scalar("select current_date::text").fetch_one(&mut self.connection).await?)
    }

    /// A database without anything in it. Answers its URL.
    pub(crate) async fn create(&mut self, name: &str) -> anyhow::Result<String> {
        self.create_from(name, "template0").await
    }

    /// A database with all that another one holds.
    pub(crate) async fn copy(&mut self, name: &str, of: &str) -> anyhow::Result<String> {
        self.create_from(name, &format!("{PREFIX}{of}")).await
    }

    async fn create_from(&mut self, name: &str, template: &str) -> anyhow::Result<String> {
        self.drop(name).await?;
        self.execute(&format!("create database {PREFIX}{name} template {template}")).await?;
        // Compiling costs more than these short statements take; without it nobody has to be told.
        self.execute(&format!("alter database {PREFIX}{name} set jit = off")).await?;
        let mut url = self.url.clone();
        url.set_path(&format!("{PREFIX}{name}"));
        Ok(url.into())
    }

    /// Gathers statistics, and lets nobody in any more: only then can it be copied.
    pub(crate) async fn freeze(&mut self, name: &str) -> anyhow::Result<()> {
        let mut url = self.url.clone();
        url.set_path(&format!("{PREFIX}{name}"));
        let mut inside = PgConnection::connect(url.as_str()).await?;
        sqlx::raw_sql("vacuum (analyze)").execute(&mut inside).await?;
        inside.close().await?;
        self.execute(&format!("alter database {PREFIX}{name} allow_connections false")).await?;
        let end = "select pg_terminate_backend(pid, 10000) from pg_stat_activity where datname = $1";
        sqlx::query(end).bind(format!("{PREFIX}{name}")).execute(&mut self.connection).await?;
        Ok(())
    }

    pub(crate) async fn drop(&mut self, name: &str) -> anyhow::Result<()> {
        self.execute(&format!("drop database if exists {PREFIX}{name} with (force)")).await
    }

    /// Writes back what is in memory, so that no peer pays for the one before.
    pub(crate) async fn checkpoint(&mut self) -> anyhow::Result<()> {
        self.execute("checkpoint").await
    }

    pub(crate) async fn drop_all(&mut self) -> anyhow::Result<()> {
        let left: Vec<String> = sqlx::query_scalar("select datname from pg_database where starts_with(datname, $1)")
            .bind(PREFIX)
            .fetch_all(&mut self.connection)
            .await?;
        for name in left {
            self.execute(&format!("drop database {name} with (force)")).await?;
        }
        Ok(())
    }

    async fn execute(&mut self, statement: &str) -> anyhow::Result<()> {
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut self.connection).await?;
        Ok(())
    }
}

/// What the documentation tells of the server.
const SETTINGS: [&str; 10] = [
    "fsync",
    "synchronous_commit",
    "full_page_writes",
    "wal_level",
    "wal_sync_method",
    "shared_buffers",
    "max_wal_size",
    "checkpoint_timeout",
    "autovacuum",
    "max_connections",
];

/// A look into the database of a cell.
pub(crate) struct Probe(PgConnection);

/// How much is written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bytes {
    pub(crate) disk: u64,
    pub(crate) wal: u64,
}

impl Probe {
    pub(crate) async fn connect(url: &str) -> anyhow::Result<Self> {
        Ok(Self(PgConnection::connect(url).await?))
    }

    /// Gathers statistics, as autovacuum would in time.
    pub(crate) async fn analyze(&mut self) -> anyhow::Result<()> {
        sqlx::raw_sql("analyze").execute(&mut self.0).await?;
        Ok(())
    }

    pub(crate) async fn bytes(&mut self) -> anyhow::Result<Bytes> {
        let bytes = "select pg_database_size(current_database()), (pg_current_wal_lsn() - '0/0')::bigint";
        let (disk, wal): (i64, i64) = sqlx::query_as(bytes).fetch_one(&mut self.0).await?;
        Ok(Bytes { disk: disk.try_into()?, wal: wal.try_into()? })
    }
}
