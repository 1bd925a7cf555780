//! From names and URLs to an open ledger.

use std::sync::Arc;
use std::time::Duration;

use postfold::{Error, Ledger, Log, ManualClock, PostgresSettings};

use crate::args::Global;
use crate::exit::Failure;

/// How long a person is left waiting for a server that does not answer.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// What to do about a PostgreSQL that does not answer.
pub(crate) const WAY_OUT: &str = "start the server, or correct --database-url or DATABASE_URL";

/// What stands before a PostgreSQL URL.
const SCHEMES: [&str; 2] = ["postgres://", "postgresql://"];

impl Global {
    /// The ledger's name.
    pub(crate) fn ledger(&self) -> Result<&str, Failure> {
        given(self.ledger.as_ref())
            .ok_or_else(|| Failure::usage("which ledger? Name it with --ledger NAME or in POSTFOLD_LEDGER"))
    }

    /// Where the log is.
    pub(crate) fn database_url(&self) -> Result<&str, Failure> {
        let url = given(self.database_url.as_ref()).ok_or_else(|| {
            Failure::usage(
                "which PostgreSQL? Give its URL with --database-url or in DATABASE_URL: \
                 postgres://user@host:port/database",
            )
        })?;
        if SCHEMES.iter().any(|scheme| url.starts_with(scheme)) {
            return Ok(url);
        }
        // Not repeated: it may hold a password in a form that cannot be told apart.
        Err(Failure::usage(
            "the URL of --database-url or DATABASE_URL is not one of PostgreSQL: \
             postgres://user@host:port/database",
        ))
    }

    /// Where the read models are.
    pub(crate) fn mongodb_uri(&self) -> Result<&str, Failure> {
        given(self.mongodb_uri.as_ref()).ok_or_else(|| {
            Failure::usage("which MongoDB? Give its URI with --mongodb-uri or in MONGODB_URI: mongodb://user@host:port")
        })
    }

    /// How PostgreSQL is spoken to.
    pub(crate) fn postgres(&self) -> PostgresSettings {
        PostgresSettings {
            schema: self.schema.clone(),
            connect_timeout: CONNECT_TIMEOUT,
            ..PostgresSettings::default()
        }
    }

    /// Opens the ledger for reading.
    pub(crate) async fn open_log(&self) -> Result<Log, Failure> {
        let (url, ledger) = (self.reach().await?, self.ledger()?);
        Ok(Log::connect_with(url, ledger, self.postgres()).await?)
    }

    /// Opens the ledger for commands.
    pub(crate) async fn open_ledger(&self, clock: Option<Arc<ManualClock>>) -> Result<Ledger, Failure> {
        let (url, ledger) = (self.reach().await?, self.ledger()?);
        let mut builder = Ledger::builder().postgres(self.postgres());
        if let Some(clock) = clock {
            builder = builder.clock(clock);
        }
        Ok(builder.connect(url, ledger).await?)
    }

    /// The URL, once somebody answers there; a pool would try a refused connection again for long.
    pub(crate) async fn reach(&self) -> Result<&str, Failure> {
        self.ledger()?;
        let url = self.database_url()?;
        match postfold::reach(url, &self.postgres()).await {
            Ok(()) => Ok(url),
            Err(error @ Error::Unavailable(_)) => Err(Failure::infrastructure(format!("{error}; {WAY_OUT}"))),
            Err(error) => Err(error.into()),
        }
    }
}

/// A variable that is set to nothing is as good as not set.
pub(crate) fn given(value: Option<&String>) -> Option<&str> {
    value.map(String::as_str).filter(|value| !value.is_empty())
}
