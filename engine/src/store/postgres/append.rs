//! Appending a draft: one statement for few rows, `COPY` for many. One commit, all or nothing.

use jiff_sqlx::ToSqlx;
use rust_decimal::Decimal;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnection, PgDatabaseError, Postgres};
use sqlx::{AssertSqlSafe, Executor};

use super::{PostgresStore, copy, failed};
use crate::draft::Draft;
use crate::error::Error;
use crate::fold::Posting;
use crate::money::{self, Minor};
use crate::store::AppendError;

pub(super) async fn append(store: &PostgresStore, draft: &Draft) -> Result<(), AppendError> {
    let mut kept = store.writer.lock().await;
    let mut connection = match kept.take() {
        Some(connection) => connection,
        None => writer(store).await.map_err(|error| AppendError::Failed(failed(error)))?,
    };
    match append_on(store, &mut connection, draft).await {
        Ok(()) => {
            *kept = Some(connection);
            Ok(())
        }
        Err(error) => {
            keep_if_sound(&mut kept, connection, &error);
            Err(error)
        }
    }
}

/// A connection for the writer.
///
/// The plan of the one statement does not depend on what it is given, but the server would plan it anew
/// each time for a batch of a few rows, which takes longer than to run it.
pub(super) async fn writer(store: &PostgresStore) -> Result<PoolConnection<Postgres>, sqlx::Error> {
    let mut connection = store.pool.acquire().await?;
    connection.execute("set plan_cache_mode = force_generic_plan; set jit = off").await?;
    Ok(connection)
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
fn keep_if_sound(
    kept: &mut Option<PoolConnection<Postgres>>,
    connection: PoolConnection<Postgres>,
    error: &AppendError,
) {
    match error {
        AppendError::LostRace | AppendError::Duplicate | AppendError::Failed(Error::Database { .. }) => {
            *kept = Some(connection);
        }
        AppendError::Unknown(_) | AppendError::Failed(_) => drop(connection.detach()),
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
    let events = &draft.events;
    let accounts = &draft.accounts;
    let postings = sorted(&draft.postings);
    let amount = |column: fn(&Posting) -> Minor| -> Vec<Decimal> {
        postings.iter().map(|posting| money::to_decimal(column(posting), posting.scale)).collect()
    };
    let sql = if accounts.is_empty() { &store.sql.append } else { &store.sql.append_with_accounts };
    let mut query = sqlx::query(AssertSqlSafe(sql.as_str()))
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
        .bind(postings.iter().map(|posting| posting.account_id.get()).collect::<Vec<_>>())
        .bind(postings.iter().map(|posting| posting.position.get()).collect::<Vec<_>>())
        .bind(postings.iter().map(|posting| posting.leg).collect::<Vec<_>>())
        .bind(amount(|posting| posting.posted))
        .bind(amount(|posting| posting.pending))
        .bind(amount(|posting| posting.totals.debits_posted))
        .bind(amount(|posting| posting.totals.credits_posted))
        .bind(amount(|posting| posting.totals.debits_pending))
        .bind(amount(|posting| posting.totals.credits_pending));
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

/// By account: neighbours in the index are inserted together.
pub(super) fn sorted(postings: &[Posting]) -> Vec<&Posting> {
    let mut sorted: Vec<&Posting> = postings.iter().collect();
    sorted.sort_unstable_by_key(|posting| (posting.account_id, posting.position, posting.leg));
    sorted
}
