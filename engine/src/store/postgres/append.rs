//! Appending a draft: one statement for few rows, `COPY` for many, two statements beside another batch. One commit,
//! all or nothing.

use jiff_sqlx::ToSqlx;
use rust_decimal::Decimal;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgArguments, PgConnection, PgDatabaseError, Postgres};
use sqlx::{AssertSqlSafe, Connection};

use super::{PostgresStore, copy, failed};
use crate::draft::Draft;
use crate::error::Error;
use crate::fold::Posting;
use crate::money::{self, Minor};
use crate::store::AppendError;
use crate::store::stages::Stages;

pub(super) async fn append(store: &PostgresStore, draft: &Draft) -> Result<(), AppendError> {
    let mut connection = store.writers.take(store).await.map_err(|error| AppendError::Failed(failed(error)))?;
    let appended = append_on(store, &mut connection, draft).await;
    keep_if_sound(store, connection, &appended);
    appended
}

/// Writes the rows while another batch is under way, and commits them behind it.
pub(super) async fn append_in_stages(
    store: &PostgresStore,
    draft: &Draft,
    stages: &mut Stages,
) -> Result<(), AppendError> {
    if store.settings.connections_max < OVERLAP_FROM_CONNECTIONS || draft.events.len() >= store.settings.copy_from_rows
    {
        stages.turn().await?;
        return append(store, draft).await;
    }
    let mut connection = store.writers.take(store).await.map_err(|error| AppendError::Failed(failed(error)))?;
    let appended = append_in_stages_on(store, &mut connection, draft, stages).await;
    keep_if_sound(store, connection, &appended);
    appended
}

/// With fewer connections a second one for the writer could leave none for queries.
const OVERLAP_FROM_CONNECTIONS: u32 = 4;

async fn append_in_stages_on(
    store: &PostgresStore,
    connection: &mut PgConnection,
    draft: &Draft,
    stages: &mut Stages,
) -> Result<(), AppendError> {
    // Encoded at once: the next batch waits for the events, and the database for the postings behind them.
    let events = with_events(sqlx::query(AssertSqlSafe(store.sql.append_events.as_str())), store, draft);
    let postings = sqlx::query(AssertSqlSafe(store.sql.append_postings.as_str())).bind(store.ledger_id);
    let postings = with_postings(postings, &sorted(&draft.postings));
    let mut transaction = connection.begin().await.map_err(classify)?;
    events.execute(&mut *transaction).await.map_err(classify)?;
    stages.placed();
    postings.execute(&mut *transaction).await.map_err(classify)?;
    if let Err(error) = stages.turn().await {
        transaction.rollback().await.map_err(classify)?;
        return Err(error);
    }
    transaction.commit().await.map_err(classify)
}

/// Appends on this connection; within the transaction that is under way on it, if one is.
pub(super) async fn append_on(
    store: &PostgresStore,
    connection: &mut PgConnection,
    draft: &Draft,
) -> Result<(), AppendError> {
    let appended = if draft.events.len() < store.settings.copy_from_rows {
        by_statement(store, connection, draft).await
    } else {
        copy::append(store, connection, draft).await
    };
    appended.map_err(classify)
}

/// A connection that only told of a refusal goes on; any other is given up.
fn keep_if_sound(store: &PostgresStore, connection: PoolConnection<Postgres>, appended: &Result<(), AppendError>) {
    match appended {
        Ok(()) | Err(AppendError::LostRace | AppendError::Duplicate | AppendError::Failed(Error::Database { .. })) => {
            store.writers.keep(connection);
        }
        Err(AppendError::Unknown(_) | AppendError::Failed(_)) => drop(connection.detach()),
    }
}

/// By SQLSTATE and constraint, never by text.
fn classify(error: sqlx::Error) -> AppendError {
    let sqlx::Error::Database(database) = &error else {
        // The connection broke: the commit may have been done before it did.
        return AppendError::Unknown(failed(error));
    };
    let database = database.downcast_ref::<PgDatabaseError>();
    match (database.code(), database.constraint()) {
        ("23505", Some("event_pkey" | "account_pkey" | "account_code_key" | "posting_pkey")) => AppendError::LostRace,
        ("23505", Some("event_id_key" | "event_stream_key")) => AppendError::Duplicate,
        // Connection exceptions, operator intervention, internal trouble: perhaps after the commit.
        (code, _) if ["08", "57P", "58", "XX"].iter().any(|class| code.starts_with(class)) => {
            AppendError::Unknown(failed(error))
        }
        _ => AppendError::Failed(failed(error)),
    }
}

async fn by_statement(store: &PostgresStore, connection: &mut PgConnection, draft: &Draft) -> Result<(), sqlx::Error> {
    let accounts = &draft.accounts;
    let postings = sorted(&draft.postings);
    let sql = if accounts.is_empty() { &store.sql.append } else { &store.sql.append_with_accounts };
    let query = with_events(sqlx::query(AssertSqlSafe(sql.as_str())), store, draft);
    let mut query = with_postings(query, &postings);
    if !accounts.is_empty() {
        query = query
            .bind(accounts.iter().map(|account| account.0.id.get()).collect::<Vec<_>>())
            .bind(accounts.iter().map(|account| &*account.0.code).collect::<Vec<_>>())
            .bind(accounts.iter().map(|account| &*account.0.currency).collect::<Vec<_>>())
            .bind(accounts.iter().map(|account| i16::from(account.0.scale)).collect::<Vec<_>>())
            .bind(accounts.iter().map(|account| account.0.account_type.as_str()).collect::<Vec<_>>())
            .bind(accounts.iter().map(|account| account.0.normal.as_str()).collect::<Vec<_>>());
    }
    query.execute(connection).await.map(|_| ())
}

type Query<'a> = sqlx::query::Query<'a, Postgres, PgArguments>;

/// The ledger, and the columns of the events.
fn with_events<'a>(query: Query<'a>, store: &PostgresStore, draft: &'a Draft) -> Query<'a> {
    let events = &draft.events;
    query
        .bind(store.ledger_id)
        .bind(events.iter().map(|event| event.position.get()).collect::<Vec<_>>())
        .bind(events.iter().map(|event| event.id.as_deref()).collect::<Vec<_>>())
        .bind(events.iter().map(|event| event.stream.as_deref()).collect::<Vec<_>>())
        .bind(events.iter().map(|event| event.version).collect::<Vec<_>>())
        .bind(events.iter().map(|event| event.kind.as_str()).collect::<Vec<_>>())
        .bind(events.iter().map(|event| event.schema).collect::<Vec<_>>())
        .bind(events.iter().map(|event| event.data.get()).collect::<Vec<_>>())
        .bind(events.iter().map(|event| event.meta.get()).collect::<Vec<_>>())
        .bind(events.iter().map(|event| event.effective_at.to_sqlx()).collect::<Vec<_>>())
        .bind(events.iter().map(|event| event.recorded_at.to_sqlx()).collect::<Vec<_>>())
        .bind(events.iter().map(|event| event.hash.as_bytes().as_slice()).collect::<Vec<_>>())
}

fn with_postings<'a>(query: Query<'a>, postings: &[&Posting]) -> Query<'a> {
    let amount = |column: fn(&Posting) -> Minor| -> Vec<Decimal> {
        postings.iter().map(|posting| money::to_decimal(column(posting), posting.scale)).collect()
    };
    query
        .bind(postings.iter().map(|posting| posting.account_id.get()).collect::<Vec<_>>())
        .bind(postings.iter().map(|posting| posting.position.get()).collect::<Vec<_>>())
        .bind(postings.iter().map(|posting| posting.leg).collect::<Vec<_>>())
        .bind(amount(|posting| posting.posted))
        .bind(amount(|posting| posting.pending))
        .bind(amount(|posting| posting.totals.debits_posted))
        .bind(amount(|posting| posting.totals.credits_posted))
        .bind(amount(|posting| posting.totals.debits_pending))
        .bind(amount(|posting| posting.totals.credits_pending))
}

/// By account: neighbours in the index are inserted together.
pub(super) fn sorted(postings: &[Posting]) -> Vec<&Posting> {
    let mut sorted: Vec<&Posting> = postings.iter().collect();
    sorted.sort_unstable_by_key(|posting| (posting.account_id, posting.position, posting.leg));
    sorted
}
