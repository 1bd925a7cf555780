//! What is compared: transfers, the peers that post them, and what a peer must tell of itself.

use async_trait::async_trait;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Accounts that transfers are spread over.
pub(crate) const ACCOUNTS: u32 = 10_000;
/// What each transfer moves, in cents of a euro.
pub(crate) const CENTS: i64 = 12_34;
/// No balance may be below this many cents, where a peer can be told so: looked at, never met.
pub(crate) const FLOOR_CENTS: i64 = -100_000_000_000;

/// One transfer between two accounts, which are numbers below [`ACCOUNTS`].
#[derive(Clone, Debug)]
pub(crate) struct Transfer {
    /// Sets it apart from all others in its database; for peers that take text as id.
    pub(crate) key: String,
    /// The same for peers that take a UUID.
    pub(crate) id: Uuid,
    pub(crate) from: u32,
    pub(crate) to: u32,
}

/// Who takes part in a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Load {
    /// Two of all accounts.
    Uniform,
    /// The first account pays every transfer.
    Hot,
}

impl Load {
    pub(crate) const ALL: [Self; 2] = [Self::Uniform, Self::Hot];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Uniform => "uniform",
            Self::Hot => "hot",
        }
    }
}

/// Where a peer works.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// A database that is its own.
    pub(crate) url: String,
    /// The size of its pool.
    pub(crate) connections: u32,
    /// What it is going to post: its settings may be made for it.
    pub(crate) load: Load,
    /// Whether the database is empty: tables and accounts are to be made.
    pub(crate) fresh: bool,
}

/// What the tables of a peer hold, read by SQL of our own where they can be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Held {
    /// Transfers.
    pub(crate) transfers: i64,
    /// Debits and credits; events where there are none.
    pub(crate) entries: i64,
    /// The sum of all balances, credit less debit, in cents: zero, where balances are kept.
    pub(crate) sum_cents: i64,
    /// Accounts whose kept balance is not the sum of its entries; of an event store, events that were
    /// decided without the last one of their account.
    pub(crate) wrong: i64,
}

/// A ledger or event store that transfers are posted to.
#[async_trait]
pub(crate) trait Peer: Send + Sync {
    /// Posts one transfer, or several by the call that the peer has for that; durable when it returns.
    async fn post(&self, transfers: &[Transfer]) -> anyhow::Result<()>;

    /// What its tables hold now.
    async fn held(&self) -> anyhow::Result<Held>;
}

/// How callers post.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Way {
    /// Tasks, each of which sends its next call when the last one was answered.
    pub(crate) workers: u32,
    /// Transfers in a call.
    pub(crate) batch: u32,
}

impl Way {
    pub(crate) const fn single(workers: u32) -> Self {
        Self { workers, batch: 1 }
    }

    pub(crate) const fn batches(workers: u32, batch: u32) -> Self {
        Self { workers, batch }
    }

    pub(crate) const fn is_batch(self) -> bool {
        self.batch > 1
    }
}
