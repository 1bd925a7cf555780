//! The writer's own connections, kept from one batch to the next.

use std::sync::{Mutex, MutexGuard, PoisonError};

use sqlx::Executor;
use sqlx::pool::PoolConnection;
use sqlx::postgres::Postgres;

use super::PostgresStore;

/// One, or two while large batches overlap.
///
/// The one that was used last is taken first. So a writer that takes turns with others, and has one batch on its way at a
/// time, has all of them on the connection that holds the lease.
#[derive(Default)]
pub(super) struct Writers(Mutex<Vec<PoolConnection<Postgres>>>);

impl Writers {
    /// One that was kept, or a new one.
    ///
    /// The plan of the writer's statements does not depend on what they are given, but the server would plan them anew
    /// each time for a batch of a few rows, which takes longer than to run them.
    pub(super) async fn take(&self, store: &PostgresStore) -> Result<PoolConnection<Postgres>, sqlx::Error> {
        if let Some(connection) = self.kept() {
            return Ok(connection);
        }
        let mut connection = store.pool.acquire().await?;
        connection.execute("set plan_cache_mode = force_generic_plan; set jit = off").await?;
        Ok(connection)
    }

    pub(super) fn kept(&self) -> Option<PoolConnection<Postgres>> {
        self.lock().pop()
    }

    pub(super) fn keep(&self, connection: PoolConnection<Postgres>) {
        self.lock().push(connection);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<PoolConnection<Postgres>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
