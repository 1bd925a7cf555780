//! Where the log ends, and how much there is.

use serde::Serialize;

use crate::error::Error;
use crate::log::Log;
use crate::state::Head;

/// The end of a log, and what is counted up to there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Position, hash and time of the last event.
    #[serde(flatten)]
    pub head: Head,
    /// How much there is.
    pub counts: Counts,
}

/// How much there is in a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Events: positions are dense, so the last one says it.
    pub events: u64,
    /// Accounts ever opened, one a code and currency. Counting costs a look at each.
    pub accounts: u64,
}

impl Log {
    /// The end of the log with counts of what is in it; [`Log::head`] is cheaper.
    ///
    /// # Errors
    ///
    /// When the database is not available.
    pub async fn summary(&self) -> Result<Summary, Error> {
        let head = self.head().await?;
        let accounts = self.store().queries().count_accounts(head.position).await?;
        let events = head.position.get().unsigned_abs();
        Ok(Summary { head, counts: Counts { events, accounts } })
    }
}
