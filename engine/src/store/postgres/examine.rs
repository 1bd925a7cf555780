//! `examine`: what an operator has to know about a database before money goes into it.
//!
//! Facts only, over one connection of its own; nothing is written. What is good and what is not, the
//! caller says.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgConnection, Postgres};
use sqlx::{AssertSqlSafe, ConnectOptions, Row};

use super::connect::{self, Connection, PostgresSettings};
use super::failed;
use super::setup::{self, Schema};
use crate::error::Error;

/// The roles that `init` creates when it is asked to.
const ROLES: [&str; 2] = ["postfold_app", "postfold_read"];

/// What refuses bad books and changed rows: table and trigger.
const GUARDS: [(&str, &str); 8] = [
    ("account", "append_only"),
    ("account", "check_accounts"),
    ("event", "append_only"),
    ("event", "check_events"),
    ("joint", "check_joint"),
    ("ledger", "append_only"),
    ("posting", "append_only"),
    ("posting", "check_postings"),
];

/// What was found out about a PostgreSQL server and a schema in it.
#[derive(Clone, Debug, Serialize)]
pub struct Examination {
    /// Where: `user@host:port/database`.
    pub target: String,
    /// The server's version, as it says it.
    pub version: String,
    /// The same as a number, such as 160004.
    pub version_number: i32,
    /// The oldest server that will do.
    pub version_number_min: i32,
    /// How the database writes text; `UTF8` is needed.
    pub encoding: String,
    /// Whether the server is a standby, which takes no writes.
    pub standby: bool,
    /// Whether what is committed survives a crash of the machine.
    pub fsync: bool,
    /// Whether a page that was half written in a crash can be mended.
    pub full_page_writes: bool,
    /// What a commit waits for; with `off` an acknowledged entry may be lost.
    pub synchronous_commit: String,
    /// How far the server's clock is ahead of this machine's; below zero: behind.
    pub clock_ahead: SignedDuration,
    /// How far [`Examination::clock_ahead`] may be off: half a round trip.
    pub clock_uncertainty: SignedDuration,
    /// What is in the schema, if it is the one that this library writes.
    pub schema: Result<SchemaFacts, SchemaTrouble>,
}

/// What was found in a schema.
#[derive(Clone, Debug, Serialize)]
pub struct SchemaFacts {
    /// The version of its migrations, which is this library's.
    pub version: i64,
    /// Whether the user of this connection may append; reading it may.
    pub may_append: bool,
    /// Triggers that should be there and are missing or disabled: `table.trigger`.
    pub guards_missing: Vec<String>,
    /// Roles of `init --roles` that are missing, or have no rights in this schema.
    pub roles_missing: Vec<&'static str>,
}

/// Why a schema cannot be used: the message of the error that opening a ledger would give.
#[derive(Clone, Debug, Serialize)]
pub struct SchemaTrouble(pub String);

/// Looks at a server and at the schema of the settings.
///
/// # Errors
///
/// [`Error::Unavailable`] or [`Error::Database`] when there is no way in: not there, not ours, or too
/// slow. A server or a schema that will not do is no error but among the facts.
pub async fn examine(connection: impl Into<Connection>, settings: &PostgresSettings) -> Result<Examination, Error> {
    let schema = Schema::new(&settings.schema)?;
    let mut session = Session::open(connection.into(), settings).await?;
    let facts = in_time(settings.statement_timeout, look(&mut session, &schema)).await?;
    session.close().await;
    Ok(facts)
}

/// Connects once and says at once what stands in the way, if anything does.
///
/// A pool takes a refused connection for a server that is about to start, and tries until its time
/// is up; somebody who mistyped a port should not have to wait for that.
///
/// # Errors
///
/// As [`examine`].
pub async fn reach(connection: impl Into<Connection>, settings: &PostgresSettings) -> Result<(), Error> {
    Session::open(connection.into(), settings).await?.close().await;
    Ok(())
}

/// One connection, and where it leads.
struct Session {
    connection: Held,
    target: String,
}

enum Held {
    Own(Box<PgConnection>),
    Pooled(PoolConnection<Postgres>),
}

impl Session {
    async fn open(connection: Connection, settings: &PostgresSettings) -> Result<Self, Error> {
        match connection {
            Connection::Pool(pool) => {
                let target = target(&pool.connect_options());
                let connection = Held::Pooled(pool.acquire().await.map_err(failed)?);
                Ok(Self { connection, target })
            }
            Connection::Url(url) => {
                let options = connect::options(&url)?;
                let target = target(&options);
                let connected = tokio::time::timeout(settings.connect_timeout, options.connect()).await;
                let connection = match connected {
                    Ok(Ok(connection)) => Held::Own(Box::new(connection)),
                    Ok(Err(error)) => return Err(unreachable(&target, error)),
                    Err(_) => {
                        let waited = settings.connect_timeout.as_secs_f32();
                        return Err(Error::Unavailable(format!("{target}: no answer within {waited} s")));
                    }
                };
                Ok(Self { connection, target })
            }
        }
    }

    fn connection(&mut self) -> &mut PgConnection {
        match &mut self.connection {
            Held::Own(connection) => connection,
            Held::Pooled(connection) => connection,
        }
    }

    /// Says good-bye; whether the server hears it does not matter.
    async fn close(self) {
        use sqlx::Connection as _;
        if let Held::Own(connection) = self.connection {
            let _ = connection.close().await;
        }
    }
}

/// Who and where, without the password.
fn target(options: &PgConnectOptions) -> String {
    let place = match options.get_socket() {
        Some(socket) => socket.display().to_string(),
        None => format!("{}:{}", options.get_host(), options.get_port()),
    };
    let user = options.get_username();
    format!("{user}@{place}/{}", options.get_database().unwrap_or(user))
}

fn unreachable(target: &str, error: sqlx::Error) -> Error {
    match error {
        sqlx::Error::Io(error) => Error::Unavailable(format!("{target}: {error}")),
        error @ sqlx::Error::Database(_) => failed(error),
        other => Error::Unavailable(format!("{target}: {other}")),
    }
}

async fn in_time<T>(time: Duration, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    match tokio::time::timeout(time, work).await {
        Ok(done) => done,
        Err(_) => Err(Error::Unavailable(format!("no answer within {} s", time.as_secs_f32()))),
    }
}

async fn look(session: &mut Session, schema: &Schema) -> Result<Examination, Error> {
    let target = session.target.clone();
    let connection = session.connection();
    let sql = "select current_setting('server_version') as version, \
               current_setting('server_version_num')::int4 as version_number, \
               current_setting('server_encoding') as encoding, pg_is_in_recovery() as standby, \
               current_setting('fsync')::bool as fsync, \
               current_setting('full_page_writes')::bool as full_page_writes, \
               current_setting('synchronous_commit') as synchronous_commit";
    let row = sqlx::query(sql).fetch_one(&mut *connection).await.map_err(failed)?;
    let (clock_ahead, clock_uncertainty) = compare_clocks(connection).await?;
    Ok(Examination {
        target,
        version: row.try_get("version").map_err(failed)?,
        version_number: row.try_get("version_number").map_err(failed)?,
        version_number_min: setup::SERVER_VERSION_MIN,
        encoding: row.try_get("encoding").map_err(failed)?,
        standby: row.try_get("standby").map_err(failed)?,
        fsync: row.try_get("fsync").map_err(failed)?,
        full_page_writes: row.try_get("full_page_writes").map_err(failed)?,
        synchronous_commit: row.try_get("synchronous_commit").map_err(failed)?,
        clock_ahead,
        clock_uncertainty,
        schema: look_into(connection, schema).await?,
    })
}

/// The server's clock against the middle of the question's way there and back.
async fn compare_clocks(connection: &mut PgConnection) -> Result<(SignedDuration, SignedDuration), Error> {
    let question = sqlx::query_scalar::<_, jiff_sqlx::Timestamp>("select clock_timestamp()");
    let (asked, asked_at) = (Timestamp::now(), Instant::now());
    let theirs = question.fetch_one(connection).await.map_err(failed)?.to_jiff();
    let half = SignedDuration::try_from(asked_at.elapsed() / 2).unwrap_or(SignedDuration::MAX);
    Ok((theirs.duration_since(asked) - half, half))
}

async fn look_into(
    connection: &mut PgConnection,
    schema: &Schema,
) -> Result<Result<SchemaFacts, SchemaTrouble>, Error> {
    let version = match setup::check_version(&mut *connection, schema).await {
        Ok(version) => version,
        Err(error @ (Error::Schema { .. } | Error::Database { .. })) => {
            return Ok(Err(SchemaTrouble(error.to_string())));
        }
        Err(error) => return Err(error),
    };
    Ok(Ok(SchemaFacts {
        version,
        may_append: may_append(connection, schema).await?,
        guards_missing: guards_missing(connection, schema).await?,
        roles_missing: roles_missing(connection, schema).await?,
    }))
}

async fn may_append(connection: &mut PgConnection, schema: &Schema) -> Result<bool, Error> {
    let sql = "select bool_and(has_table_privilege(to_regclass($1 || '.' || name), 'insert')) \
               from unnest(array['event', 'account', 'posting']) as name";
    let may: Option<bool> =
        sqlx::query_scalar(sql).bind(schema.as_str()).fetch_one(connection).await.map_err(failed)?;
    Ok(may.unwrap_or_default())
}

async fn guards_missing(connection: &mut PgConnection, schema: &Schema) -> Result<Vec<String>, Error> {
    let sql = "select c.relname::text, t.tgname::text from pg_trigger t \
               join pg_class c on c.oid = t.tgrelid join pg_namespace n on n.oid = c.relnamespace \
               where n.nspname = $1 and not t.tgisinternal and t.tgenabled in ('O', 'A')";
    let found: Vec<(String, String)> =
        sqlx::query_as(sql).bind(schema.as_str()).fetch_all(connection).await.map_err(failed)?;
    let is_there = |(table, trigger): &&(&str, &str)| {
        found.iter().any(|(found_table, found_trigger)| found_table == table && found_trigger == trigger)
    };
    let missing = GUARDS.iter().filter(|guard| !is_there(guard));
    Ok(missing.map(|(table, trigger)| format!("{table}.{trigger}")).collect())
}

async fn roles_missing(connection: &mut PgConnection, schema: &Schema) -> Result<Vec<&'static str>, Error> {
    // The reader's right is the one that both roles have.
    let sql = format!(
        "select rolname::text from pg_roles \
         where rolname = any($1) and has_table_privilege(oid, '{0}.event'::regclass, 'select') \
         and has_schema_privilege(oid, '{0}', 'usage')",
        schema.as_str()
    );
    let found: Vec<String> =
        sqlx::query_scalar(AssertSqlSafe(sql)).bind(ROLES.as_slice()).fetch_all(connection).await.map_err(failed)?;
    Ok(ROLES.into_iter().filter(|role| !found.iter().any(|found| found == role)).collect())
}
