//! Commands within a transaction of the host's: they commit with its own rows, or not at all.
//!
//! | phase | statement | round trips |
//! |---|---|---|
//! | look | `post_in.sql`: the end of the log as the transaction sees it | 1 |
//! | savepoint | `SAVEPOINT` | 1 |
//! | load | what the command touches, its ids included | 1 or 2 |
//! | append | `append.sql`, or `COPY` | 1 |
//! | release | `RELEASE SAVEPOINT`, or `ROLLBACK TO` it after a lost race or a failure | 1 |
//!
//! Nothing of the open ledger's writer is used or changed: its cache is of what was committed. When the host
//! commits, the writer loses one race and reads what it missed.
//!
//! Whoever has appended in a transaction cannot lose a race in it again: nobody else can continue a log
//! whose end they do not see. So those who wait for the lease never hold up the one that they wait for.

use jiff::Timestamp;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection, Row};

use super::{PostgresStore, append, failed, head_of, load};
use crate::command::Command;
use crate::decide;
use crate::draft::Draft;
use crate::error::Error;
use crate::observe::name;
use crate::outcome::Outcome;
use crate::state::State;
use crate::store::AppendError;

/// Decides and appends on the host's connection until the log has taken the command; other writers may be
/// faster `attempts_max` times.
pub(super) async fn post_in(
    store: &PostgresStore,
    connection: &mut PgConnection,
    command: &Command,
    stamp: Timestamp,
    attempts_max: usize,
) -> Result<Outcome, Error> {
    if !connection.is_in_transaction() {
        return Err(Error::HostTransaction("none is under way on this connection; begin one first"));
    }
    for _ in 0..attempts_max {
        // Before the savepoint: the driver forgets about a transaction in which it cannot set one, and would
        // answer the host's commit with success.
        let look = look(store, connection).await?;
        let mut savepoint = connection.begin().await.map_err(failed)?;
        match attempt(store, &mut savepoint, look, command, stamp).await {
            Ok(outcome) => {
                savepoint.commit().await.map_err(failed)?;
                return Ok(outcome);
            }
            Err(AppendError::LostRace | AppendError::Duplicate) => savepoint.rollback().await.map_err(failed)?,
            Err(AppendError::Failed(error) | AppendError::Unknown(error)) => {
                // With the connection the transaction is gone as well; otherwise the host may go on with it.
                let _ = savepoint.rollback().await;
                return Err(error);
            }
        }
        metrics::counter!(name::RACES_LOST).increment(1);
        take_lease(store, connection).await?;
    }
    Err(Error::Unavailable(format!("other writers were faster {attempts_max} times in a row")))
}

/// With the lease the next attempt wins. The savepoint passes it on to the transaction.
async fn take_lease(store: &PostgresStore, connection: &mut PgConnection) -> Result<(), Error> {
    let mut savepoint = connection.begin().await.map_err(failed)?;
    store.take_lease_in(&mut savepoint).await.map_err(failed)?;
    savepoint.commit().await.map_err(failed)
}

async fn attempt(
    store: &PostgresStore,
    connection: &mut PgConnection,
    (mut state, moves): (State, bool),
    command: &Command,
    stamp: Timestamp,
) -> Result<Outcome, AppendError> {
    let (draft, outcome) = decide(store, connection, &mut state, command, stamp).await.map_err(AppendError::Failed)?;
    if draft.events.is_empty() {
        return Ok(outcome);
    }
    match append::append_on(store, connection, &draft).await {
        Ok(()) => Ok(outcome),
        Err(AppendError::LostRace) if !moves => Err(AppendError::Failed(Error::Database {
            code: "40001".to_owned(),
            message: "the log has grown since this transaction took its snapshot; run the whole transaction again"
                .to_owned(),
        })),
        Err(error) => Err(error),
    }
}

/// The state at the end of the log as the transaction sees it, and whether that moves on within the transaction.
async fn look(store: &PostgresStore, connection: &mut PgConnection) -> Result<(State, bool), Error> {
    let query = sqlx::query(AssertSqlSafe(store.sql.post_in.as_str())).bind(store.ledger_id);
    let row = query.fetch_optional(connection).await.map_err(failed)?;
    let other = || Error::HostTransaction("it is in another database than the ledger");
    let row = row.ok_or_else(other)?;
    if row.try_get::<&str, _>("name").map_err(failed)? != store.name {
        return Err(other());
    }
    let isolation: &str = row.try_get("isolation").map_err(failed)?;
    Ok((State::new(head_of(&store.name, &row)?), isolation == "read committed"))
}

async fn decide(
    store: &PostgresStore,
    connection: &mut PgConnection,
    state: &mut State,
    command: &Command,
    stamp: Timestamp,
) -> Result<(Draft, Outcome), Error> {
    // Something is loaded anyhow, so ids come along at no cost.
    let mut needs = Vec::new();
    decide::needs(state, command, &mut needs);
    decide::ids(command, &mut needs);
    loop {
        needs = state.lacking(needs);
        if !needs.is_empty() {
            load::load(store, connection, &needs, state.head.position).await?.fill(state, &needs)?;
        }
        let mut draft = Draft::default();
        match draft.add(state, command, stamp) {
            Ok(outcome) => return Ok((draft, outcome)),
            Err(missing) => needs = missing,
        }
    }
}
