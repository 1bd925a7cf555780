//! The log in PostgreSQL.
//!
//! | phase | statement | round trips |
//! |---|---|---|
//! | load what the batch touches and the cache lacks | `load_accounts.sql`, `load_events.sql`; seldom `load_due.sql`, `load_as_of.sql` | 0 to 2 |
//! | append fewer rows than `copy_from_rows` | `append.sql` | 1 |
//! | the same while another batch is under way | `BEGIN`, `append_events.sql`, `append_postings.sql`, `COMMIT` | 4 |
//! | append more | `BEGIN`, `COPY event`, `COPY account`, `COPY posting`, `COMMIT` | 6 to 8 |
//! | within the host's transaction | see [`post_in`] | 5 or 6 |
//! | announce | `pg_notify`, debounced, after the commit | 1, off the path |
//!
//! The notification never is part of the appending transaction: it would serialise the commits of
//! the whole server.

mod append;
mod connect;
mod copy;
mod examine;
mod lease;
mod load;
mod notify;
mod numeric;
mod post_in;
mod queries;
mod setup;
mod writers;

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::value::RawValue;
use sqlx::postgres::{PgConnection, PgExecutor, PgPool, PgRow};
use sqlx::{AssertSqlSafe, Row};

pub use connect::{Connection, PostgresSettings};
pub use examine::{Examination, SchemaFacts, SchemaTrouble, examine, reach};
use setup::Schema;
pub use setup::init;

use super::stages::Stages;
use super::{
    AppendError, Loaded, PostingAmounts, PostingKey, PostingRow, Queries, Store, StoredAccount, Stray, StreamKey,
};
use crate::command::Command;
use crate::draft::Draft;
use crate::error::Error;
use crate::event::Event;
use crate::hash::Hash;
use crate::outcome::Outcome;
use crate::position::Position;
use crate::state::{AccountId, Head, Need};
use lease::LeaseSql;
use notify::Notify;
use numeric::Numeric;
use queries::QuerySql;
use writers::Writers;

/// A ledger's log in PostgreSQL.
pub(crate) struct PostgresStore {
    name: String,
    ledger_id: i64,
    pool: PgPool,
    settings: PostgresSettings,
    sql: Sql,
    writers: Writers,
    notify: Notify,
}

/// The statements, with the schema's name filled in once.
struct Sql {
    head: String,
    page: String,
    stream: String,
    postings: String,
    accounts: String,
    streams: String,
    strays: String,
    queries: QuerySql,
    load_accounts: String,
    load_events: String,
    load_due: String,
    load_as_of: String,
    append: String,
    append_with_accounts: String,
    append_events: String,
    append_postings: String,
    post_in: String,
    copy_event: String,
    copy_account: String,
    copy_posting: String,
    lease: LeaseSql,
}

/// The columns of an event, in the order in which [`event`] reads them.
const COLUMNS: &str = "position, id, stream, version, kind, schema, data::text as data, meta::text as meta, effective_at, recorded_at, hash";

impl Sql {
    fn new(schema: &Schema) -> Self {
        let fill = |sql: &str| {
            let sql = sql.replace("{lease_key}", lease::KEY).replace("{columns}", COLUMNS);
            sql.replace("{schema}", schema.as_str())
        };
        let (lease, events) = (include_str!("append_lease.sql"), include_str!("append_events.sql"));
        let append = |accounts| {
            let parts = [("{lease}", lease), ("{events}", events), ("{accounts}", accounts)];
            let sql = parts
                .into_iter()
                .fold(include_str!("append.sql").to_owned(), |sql, (part, with)| sql.replace(part, with));
            fill(&sql.replace("{postings}", &append_postings(EVENT_PARAMETERS)))
        };
        Self {
            head: fill(
                "select position, hash, recorded_at from {schema}.event where ledger_id = $1 \
                 order by position desc limit 1",
            ),
            page: fill(include_str!("page.sql")),
            stream: fill(include_str!("stream.sql")),
            postings: fill(
                "select account_id, position, leg, posted, pending, debits_posted, credits_posted, debits_pending, \
                 credits_pending from {schema}.posting \
                 where ledger_id = $1 and (account_id, position, leg) > ($2, $3, $4) and (position > $5 or position < 1) \
                 order by account_id, position, leg limit $6",
            ),
            accounts: fill(include_str!("accounts.sql")),
            streams: fill(
                "select stream, version, position from {schema}.event \
                 where ledger_id = $1 and stream is not null and (stream, version) > ($2, $3) \
                 order by stream, version limit $4",
            ),
            strays: fill(include_str!("strays.sql")),
            queries: QuerySql::new(fill),
            load_accounts: fill(include_str!("load_accounts.sql")),
            load_events: fill(include_str!("load_events.sql")),
            load_due: fill(include_str!("load_due.sql")),
            load_as_of: fill(include_str!("load_as_of.sql")),
            append: append(""),
            append_with_accounts: append(include_str!("append_accounts.sql")),
            append_events: fill(&format!("with {lease} {events}")),
            append_postings: fill(&append_postings(1)),
            post_in: fill(include_str!("post_in.sql")),
            copy_event: fill(
                "copy {schema}.event (ledger_id, position, id, stream, version, kind, schema, data, meta, \
                 effective_at, recorded_at, hash) from stdin",
            ),
            copy_account: fill(
                "copy {schema}.account (ledger_id, account_id, code, currency, scale, type, normal) from stdin",
            ),
            copy_posting: fill(
                "copy {schema}.posting (ledger_id, account_id, position, leg, posted, pending, debits_posted, \
                 credits_posted, debits_pending, credits_pending) from stdin",
            ),
            lease: LeaseSql::new(schema.as_str()),
        }
    }
}

/// The parameters of `append_events.sql`.
const EVENT_PARAMETERS: usize = 12;

/// `append_postings.sql` behind so many parameters.
fn append_postings(before: usize) -> String {
    let number =
        |sql: String, parameter: usize| sql.replace(&format!("{{{parameter}}}"), &format!("${}", before + parameter));
    (1..=9).fold(include_str!("append_postings.sql").to_owned(), number)
}

#[async_trait]
impl Store for PostgresStore {
    fn name(&self) -> &str {
        &self.name
    }

    async fn head(&self) -> Result<Head, Error> {
        self.head_on(&self.pool).await
    }

    async fn load(&self, needs: &[Need], at: Position) -> Result<Loaded, Error> {
        let mut connection = self.pool.acquire().await.map_err(failed)?;
        load::load(self, &mut connection, needs, at).await
    }

    async fn append(&self, draft: &Draft) -> Result<(), AppendError> {
        append::append(self, draft).await
    }

    async fn append_in_stages(&self, draft: &Draft, stages: &mut Stages) -> Result<(), AppendError> {
        append::append_in_stages(self, draft, stages).await
    }

    async fn post_in(
        &self,
        connection: &mut PgConnection,
        command: &Command,
        stamp: Timestamp,
        attempts_max: usize,
    ) -> Result<Outcome, Error> {
        post_in::post_in(self, connection, command, stamp, attempts_max).await
    }

    async fn page(&self, after: Position, limit: usize) -> Result<Vec<Event>, Error> {
        self.page_on(&self.pool, after, limit).await
    }

    async fn stream(
        &self,
        within: Option<&mut PgConnection>,
        stream: &str,
        after: i64,
        limit: usize,
    ) -> Result<Vec<Event>, Error> {
        let query = sqlx::query(AssertSqlSafe(self.sql.stream.as_str()));
        let query = query.bind(self.ledger_id).bind(stream).bind(after).bind(count(limit));
        let query = query.bind(count(self.settings.page_bytes_max));
        let rows = match within {
            Some(connection) => query.fetch_all(connection).await,
            None => query.fetch_all(&self.pool).await,
        };
        rows.map_err(failed)?.iter().map(event).collect()
    }

    async fn postings(&self, after: PostingKey, from: Position, limit: usize) -> Result<Vec<PostingRow>, Error> {
        let query = sqlx::query(AssertSqlSafe(self.sql.postings.as_str()));
        let query = query.bind(self.ledger_id).bind(after.account.get()).bind(after.position.get()).bind(after.leg);
        let rows = query.bind(from.get()).bind(count(limit)).fetch_all(&self.pool).await.map_err(failed)?;
        rows.iter().map(posting).collect()
    }

    async fn accounts(&self, after: AccountId, at: Position, limit: usize) -> Result<Vec<StoredAccount>, Error> {
        let query = sqlx::query(AssertSqlSafe(self.sql.accounts.as_str()));
        let query = query.bind(self.ledger_id).bind(after.get()).bind(at.get()).bind(count(limit));
        let rows = query.fetch_all(&self.pool).await.map_err(failed)?;
        rows.iter().map(load::stored_account).collect()
    }

    async fn streams(&self, after: &StreamKey, limit: usize) -> Result<Vec<StreamKey>, Error> {
        let query = sqlx::query(AssertSqlSafe(self.sql.streams.as_str()));
        let query = query.bind(self.ledger_id).bind(&after.stream).bind(after.version).bind(count(limit));
        let rows = query.fetch_all(&self.pool).await.map_err(failed)?;
        rows.iter().map(stream_key).collect()
    }

    async fn strays(&self) -> Result<Vec<Stray>, Error> {
        let query = sqlx::query_as(AssertSqlSafe(self.sql.strays.as_str())).bind(self.ledger_id);
        let rows: Vec<(String, i64, i64)> = query.fetch_all(&self.pool).await.map_err(failed)?;
        let stray = |(column, stands_at, position)| Stray { column, stands_at, position: Position::new(position) };
        Ok(rows.into_iter().map(stray).collect())
    }

    fn queries(&self) -> &dyn Queries {
        self
    }

    async fn take_lease(&self) -> Result<(), Error> {
        self.take().await
    }

    async fn give_lease(&self) {
        self.give().await;
    }

    async fn announce(&self, head: Position) {
        self.notify.announce(head);
    }

    async fn changed(&self, after: Position, timeout: Duration) -> Result<(), Error> {
        self.notify.changed(after, timeout).await;
        Ok(())
    }
}

/// What is read through the pool, or within a transaction of the host's.
impl PostgresStore {
    async fn head_on(&self, executor: impl PgExecutor<'_>) -> Result<Head, Error> {
        let query = sqlx::query(AssertSqlSafe(self.sql.head.as_str())).bind(self.ledger_id);
        match query.fetch_optional(executor).await.map_err(failed)? {
            Some(row) => head_of(&self.name, &row),
            None => Ok(Head { position: Position::START, hash: Hash::genesis(&self.name), recorded_at: None }),
        }
    }

    async fn page_on(&self, executor: impl PgExecutor<'_>, after: Position, limit: usize) -> Result<Vec<Event>, Error> {
        let query = sqlx::query(AssertSqlSafe(self.sql.page.as_str()));
        let query =
            query.bind(self.ledger_id).bind(after.get()).bind(count(limit)).bind(count(self.settings.page_bytes_max));
        let rows = query.fetch_all(executor).await.map_err(failed)?;
        rows.iter().map(event).collect()
    }
}

/// A failure of something that changes nothing.
fn failed(error: sqlx::Error) -> Error {
    match error {
        sqlx::Error::Database(database) => Error::Database {
            code: database.code().map(std::borrow::Cow::into_owned).unwrap_or_default(),
            message: database.message().to_owned(),
        },
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) | sqlx::Error::ColumnNotFound(_) => {
            Error::Database { code: String::new(), message: error.to_string() }
        }
        other => Error::Unavailable(other.to_string()),
    }
}

/// The event of a row, which holds what the engine wrote unless somebody wrote past it.
fn event(row: &PgRow) -> Result<Event, Error> {
    let position = position(row, "position")?;
    read_event(row, position).map_err(|error| Error::Damaged { position, what: error.to_string() })
}

fn read_event(row: &PgRow, position: Position) -> Result<Event, sqlx::Error> {
    let json = |column: &str| {
        let text: String = row.try_get(column)?;
        let bytes = text.len();
        let json = RawValue::from_string(text).map_err(|error| sqlx::Error::Decode(error.into()))?;
        // White space around it is dropped in reading, and would escape the hash.
        if json.get().len() == bytes {
            Ok(json)
        } else {
            Err(sqlx::Error::Decode(format!("{column} was altered").into()))
        }
    };
    let time = |column: &str| row.try_get::<jiff_sqlx::Timestamp, _>(column).map(jiff_sqlx::Timestamp::to_jiff);
    Ok(Event {
        position,
        id: row.try_get("id")?,
        stream: row.try_get("stream")?,
        version: row.try_get("version")?,
        kind: row.try_get("kind")?,
        schema: row.try_get("schema")?,
        data: json("data")?,
        meta: json("meta")?,
        effective_at: time("effective_at")?,
        recorded_at: time("recorded_at")?,
        hash: hash(row)?,
    })
}

/// The head that a row tells of; that of an empty log where its columns are null.
fn head_of(ledger: &str, row: &PgRow) -> Result<Head, Error> {
    let last: Option<i64> = row.try_get("position").map_err(failed)?;
    let Some(position) = last.map(Position::new) else {
        return Ok(Head { position: Position::START, hash: Hash::genesis(ledger), recorded_at: None });
    };
    let read = || {
        let recorded_at: jiff_sqlx::Timestamp = row.try_get("recorded_at")?;
        Ok(Head { position, hash: hash(row)?, recorded_at: Some(recorded_at.to_jiff()) })
    };
    read().map_err(|error: sqlx::Error| Error::Damaged { position, what: error.to_string() })
}

fn stream_key(row: &PgRow) -> Result<StreamKey, Error> {
    Ok(StreamKey {
        stream: row.try_get("stream").map_err(failed)?,
        // Where there is none the row is the last of its stream: as far from the one before as can be.
        version: row.try_get::<Option<i64>, _>("version").map_err(failed)?.unwrap_or(i64::MAX),
        position: position(row, "position")?,
    })
}

/// By place, in the order of the statement: there are many of them.
fn posting(row: &PgRow) -> Result<PostingRow, Error> {
    let decimal = |column: usize| row.try_get::<Option<Numeric>, _>(column).map(Numeric::or_wrong).map_err(failed);
    let position = |column: usize| row.try_get(column).map(Position::new).map_err(failed);
    Ok(PostingRow {
        key: PostingKey { account: position(0)?, position: position(1)?, leg: row.try_get(2).map_err(failed)? },
        amounts: PostingAmounts {
            posted: decimal(3)?,
            pending: decimal(4)?,
            debits_posted: decimal(5)?,
            credits_posted: decimal(6)?,
            debits_pending: decimal(7)?,
            credits_pending: decimal(8)?,
        },
    })
}

fn position(row: &PgRow, column: &str) -> Result<Position, Error> {
    row.try_get(column).map(Position::new).map_err(failed)
}

fn hash(row: &PgRow) -> Result<Hash, sqlx::Error> {
    let bytes: &[u8] = row.try_get("hash")?;
    Hash::from_slice(bytes).ok_or_else(|| sqlx::Error::Decode("a hash has 32 bytes".into()))
}

fn count(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
