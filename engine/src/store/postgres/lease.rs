//! The ledger's lease: an advisory lock by which writers take turns.
//!
//! A session lock on the writer's own connection, so it cannot outlive it; PostgreSQL serves those who
//! wait in the order in which they came. It works through no pooler that hands a session to another
//! client between transactions.

use sqlx::AssertSqlSafe;
use sqlx::pool::PoolConnection;
use sqlx::postgres::Postgres;

use super::{PostgresStore, failed};
use crate::error::Error;

/// The lock's key, from `{schema}` and the ledger's number, which is `$1`.
const KEY: &str = "hashtextextended('postfold lease {schema}/' || $1::bigint, 0)";

/// The statements, with the schema's name filled in once.
pub(super) struct LeaseSql {
    take: String,
    give: String,
}

impl LeaseSql {
    pub(super) fn new(schema: &str) -> Self {
        let key = KEY.replace("{schema}", schema);
        Self { take: format!("select pg_advisory_lock({key})"), give: format!("select pg_advisory_unlock({key})") }
    }
}

impl PostgresStore {
    /// Waits for the lease, at most for `lock_timeout`.
    pub(super) async fn take(&self) -> Result<(), Error> {
        let mut kept = self.writer.lock().await;
        let connection = match kept.take() {
            Some(connection) => connection,
            None => self.pool.acquire().await.map_err(failed)?,
        };
        *kept = Some(self.run(connection, &self.sql.lease.take).await?);
        Ok(())
    }

    pub(super) async fn give(&self) {
        let mut kept = self.writer.lock().await;
        if let Some(connection) = kept.take() {
            // A connection that cannot give it is closed, and that gives it.
            *kept = self.run(connection, &self.sql.lease.give).await.ok();
        }
    }

    /// The connection again, if it is sound: one that failed is closed, with all locks that it may hold.
    async fn run(
        &self,
        mut connection: PoolConnection<Postgres>,
        statement: &str,
    ) -> Result<PoolConnection<Postgres>, Error> {
        let ran = sqlx::query(AssertSqlSafe(statement)).bind(self.ledger_id).execute(&mut *connection).await;
        match ran {
            Ok(_) => Ok(connection),
            Err(error) => {
                drop(connection.detach());
                Err(failed(error))
            }
        }
    }
}
