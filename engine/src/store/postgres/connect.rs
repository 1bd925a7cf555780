//! How a ledger in PostgreSQL is reached.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, Executor};

use super::notify::Notify;
use super::setup::{self, Schema};
use super::writers::Writers;
use super::{PostgresStore, Sql, failed};
use crate::error::Error;

/// Bounds and names of the connection to PostgreSQL.
#[derive(Clone, Debug)]
pub struct PostgresSettings {
    /// The schema that holds the log. Default `postfold`.
    pub schema: String,
    /// Most connections of an open ledger: two for the writer, of which the second only for large batches, and only where
    /// there are four or more; one to listen, the rest for queries. Default 8.
    pub connections_max: u32,
    /// How long to wait for a connection. Default 10 s.
    pub connect_timeout: Duration,
    /// How long a statement may run before the server ends it. Default 1 min.
    pub statement_timeout: Duration,
    /// How long a statement may wait for a lock. Default 10 s.
    pub lock_timeout: Duration,
    /// From this many events on, a batch goes in by `COPY`; below, as one statement. Default 5,000.
    ///
    /// `COPY` itself is cheaper from about 100 rows on, but the driver ends it with a small packet of its
    /// own, which TCP holds back until the server has acknowledged the data: 40 ms a table on Linux.
    /// Over a Unix socket, 100 is the better setting.
    pub copy_from_rows: usize,
    /// Most bytes of event data in one page of the log; a larger event comes alone. Default 16 MiB.
    pub page_bytes_max: usize,
    /// How long notifications are gathered before one is sent. Default 2 ms.
    pub notify_debounce: Duration,
}

impl Default for PostgresSettings {
    fn default() -> Self {
        Self {
            schema: "postfold".to_owned(),
            connections_max: 8,
            connect_timeout: Duration::from_secs(10),
            statement_timeout: Duration::from_mins(1),
            lock_timeout: Duration::from_secs(10),
            copy_from_rows: 5_000,
            page_bytes_max: 16 * 1024 * 1024,
            notify_debounce: Duration::from_millis(2),
        }
    }
}

/// A way to PostgreSQL: a URL, or a pool of the host application's, whose options are taken over.
///
/// A pooler in between must pool sessions: the writers' turns are a session lock, followers `LISTEN`, and statements
/// are prepared.
#[derive(Clone, Debug)]
pub enum Connection {
    /// `postgres://user:password@host:port/database`; add `?sslmode=verify-full` for TLS.
    Url(String),
    /// A pool that the host built. An open ledger has one of its own with the same options and at most
    /// [`PostgresSettings::connections_max`] connections: transactions of the host's that wait for the ledger may
    /// hold every connection of theirs, and the ledger must not wait for one of those.
    Pool(PgPool),
}

impl From<&str> for Connection {
    fn from(url: &str) -> Self {
        Self::Url(url.to_owned())
    }
}

impl From<&String> for Connection {
    fn from(url: &String) -> Self {
        Self::Url(url.clone())
    }
}

impl From<String> for Connection {
    fn from(url: String) -> Self {
        Self::Url(url)
    }
}

impl From<PgPool> for Connection {
    fn from(pool: PgPool) -> Self {
        Self::Pool(pool)
    }
}

impl Connection {
    /// The pool, built if it is not given.
    pub(super) fn pool(self, settings: &PostgresSettings) -> Result<PgPool, Error> {
        let url = match self {
            Self::Pool(pool) => return Ok(pool),
            Self::Url(url) => url,
        };
        let options = options(&url)?;
        let limits = format!(
            "set statement_timeout = {}; set lock_timeout = {}",
            settings.statement_timeout.as_millis(),
            settings.lock_timeout.as_millis(),
        );
        let pool = PgPoolOptions::new()
            .max_connections(settings.connections_max)
            .acquire_timeout(settings.connect_timeout)
            .test_before_acquire(false)
            .before_acquire(|connection, kept| {
                Box::pin(async move {
                    if kept.idle_for >= UNTESTED_IDLE_MAX {
                        sqlx::Connection::ping(connection).await?;
                    }
                    Ok(true)
                })
            })
            .after_connect(move |connection, _| {
                let limits = limits.clone();
                Box::pin(async move { connection.execute(AssertSqlSafe(limits)).await.map(|_| ()) })
            });
        Ok(pool.connect_lazy_with(options))
    }
}

/// A connection that was idle for less is taken as it is: to ask it each time would double the round trips of a query.
const UNTESTED_IDLE_MAX: Duration = Duration::from_secs(1);

/// What a URL says.
pub(super) fn options(url: &str) -> Result<PgConnectOptions, Error> {
    let options: PgConnectOptions = url.parse().map_err(|error: sqlx::Error| Error::Url(error.to_string()))?;
    Ok(options.application_name("postfold"))
}

impl PostgresStore {
    /// Opens the log of a ledger that was initialised before.
    pub(crate) async fn open(connection: Connection, name: &str, settings: PostgresSettings) -> Result<Self, Error> {
        let schema = Schema::new(&settings.schema)?;
        let pool = match connection {
            Connection::Pool(host) => {
                let options = host.options().clone().max_connections(settings.connections_max).min_connections(0);
                options.connect_lazy_with(host.connect_options().as_ref().clone())
            }
            url @ Connection::Url(_) => url.pool(&settings)?,
        };
        setup::check_version(&pool, &schema).await?;
        let find = format!("select ledger_id from {}.ledger where name = $1", schema.as_str());
        let found: Option<i64> =
            sqlx::query_scalar(AssertSqlSafe(find)).bind(name).fetch_optional(&pool).await.map_err(failed)?;
        let no_ledger = || Error::NoLedger { name: name.to_owned(), schema: settings.schema.clone() };
        let ledger_id = found.ok_or_else(no_ledger)?;
        let notify = Notify::new(pool.clone(), ledger_id, settings.notify_debounce);
        let sql = Sql::new(&schema);
        Ok(Self { name: name.to_owned(), ledger_id, pool, settings, sql, writers: Writers::default(), notify })
    }
}
