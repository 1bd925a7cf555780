//! What can end a run before it has figures.

use tokio_postgres::error::SqlState;

/// Why there are no figures.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The engine failed.
    #[error(transparent)]
    Ledger(#[from] postfold::Error),
    /// A command of the workload was refused: its figures would mean nothing.
    #[error("the ledger refused a command of the workload: {0}")]
    Refused(String),
    /// The URL is not one that this driver can use.
    #[error(
        "the URL of PostgreSQL cannot be used here: {0}; bench takes postgres://user:password@host:port/database, \
         and speaks to the server without TLS"
    )]
    Url(String),
    /// The schema is in use.
    #[error("{0}")]
    Schema(String),
    /// A process or a file of the bench's own failed.
    #[error("{0}")]
    Process(String),
    /// The read models, or the server that holds them, failed.
    #[error("read models: {0}")]
    Models(String),
    /// PostgreSQL failed a statement of the bench's own.
    #[error("PostgreSQL: {0}")]
    Database(String),
}

impl From<tokio_postgres::Error> for BenchError {
    fn from(error: tokio_postgres::Error) -> Self {
        match error.as_db_error() {
            Some(refused) if *refused.code() == SqlState::INSUFFICIENT_PRIVILEGE => Self::Schema(format!(
                "bench makes a schema of its own, and the role may not: {}; \
                 grant it with `GRANT CREATE ON DATABASE .. TO ..`, or name another database",
                refused.message()
            )),
            Some(refused) => Self::Database(format!("{} (SQLSTATE {})", refused.message(), refused.code().code())),
            None => Self::Database(error.to_string()),
        }
    }
}
