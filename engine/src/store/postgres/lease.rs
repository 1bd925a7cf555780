//! The ledger's lease: an advisory lock by which writers take turns.
//!
//! A session lock on a connection of the writer's, so it cannot outlive it; PostgreSQL serves those who
//! wait in the order in which they came. Every append shares it for as long as its transaction lasts, which
//! costs next to nothing: so whoever has taken it finds the end of the log where it read it, even beside
//! a writer that knows of no others yet. It works through no pooler that hands a session to another
//! client between transactions.

use sqlx::AssertSqlSafe;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnection, Postgres};

use super::{PostgresStore, failed};
use crate::error::Error;

/// The lock's key, from `{schema}` and the ledger's number, which is `$1`.
pub(super) const KEY: &str = "hashtextextended('postfold lease {schema}/' || $1::bigint, 0)";

/// The statements, with the schema's name filled in once.
pub(super) struct LeaseSql {
    take: String,
    give: String,
    share: String,
    take_in: String,
}

impl LeaseSql {
    pub(super) fn new(schema: &str) -> Self {
        let key = KEY.replace("{schema}", schema);
        Self {
            take: format!("select pg_advisory_lock({key})"),
            give: format!("select pg_advisory_unlock({key})"),
            share: format!("select pg_advisory_xact_lock_shared({key})"),
            take_in: format!("select pg_advisory_xact_lock({key})"),
        }
    }
}

impl PostgresStore {
    /// Waits for the lease, at most for `lock_timeout`.
    pub(super) async fn take(&self) -> Result<(), Error> {
        let connection = self.writers.take(self).await.map_err(failed)?;
        let connection = self.run(connection, &self.sql.lease.take).await?;
        self.writers.keep(connection);
        Ok(())
    }

    pub(super) async fn give(&self) {
        if let Some(connection) = self.writers.kept() {
            // A connection that cannot give it is closed, and that gives it.
            if let Ok(connection) = self.run(connection, &self.sql.lease.give).await {
                self.writers.keep(connection);
            }
        }
    }

    /// Shares the lease until the transaction on this connection ends; `append.sql` does it by itself.
    pub(super) async fn share_lease(&self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        let share = sqlx::query(AssertSqlSafe(self.sql.lease.share.as_str()));
        share.bind(self.ledger_id).execute(connection).await.map(|_| ())
    }

    /// Takes the lease until the transaction on this connection ends.
    pub(super) async fn take_lease_in(&self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        let take = sqlx::query(AssertSqlSafe(self.sql.lease.take_in.as_str()));
        take.bind(self.ledger_id).execute(connection).await.map(|_| ())
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
