//! The bounds of an open ledger.

use std::time::Duration;

/// Bounds of an open ledger. Memory stays within them, whatever the load.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Commands that wait for the writer; callers beyond wait to be let in. Default 8,192.
    pub queue_commands: usize,
    /// So many commands, members of batches counted, are gathered into one commit; the last one may be a
    /// batch that goes beyond. Default 500.
    pub batch_commands_max: usize,
    /// A batch of so many events is sent, on a connection of its own, while the one before it is still being written;
    /// it is committed behind it. Default 250; `usize::MAX`: never.
    pub overlap_from_events: usize,
    /// Accounts kept in memory between batches, with their balances. Default 100,000.
    pub cached_accounts: usize,
    /// Ids kept in memory between batches. Default 20,000.
    pub cached_ids: usize,
    /// Versions of entities kept in memory between batches. Default 100,000.
    pub cached_streams: usize,
    /// States of aggregates kept in memory between batches. Default 10,000.
    pub cached_aggregates: usize,
    /// Events read at a time while catching up. Default 1,000.
    pub page_events: usize,
    /// A writer that is behind by more events than this drops what it knows and reads what it needs, which is
    /// cheaper than to fold them all. Default 200.
    pub catch_up_events_max: usize,
    /// How long a writer keeps the ledger's lease while it has work and others may wait. Default 10 ms.
    pub lease_hold: Duration,
    /// How often a batch is decided again because other writers were faster. Default 1,000.
    pub attempts_max: usize,
    /// How often the state of an aggregate is read because it changed while it was read. Default 100.
    pub fold_attempts_max: usize,
    /// How long to ask the log for the outcome of a commit whose connection was lost. Default 30 s.
    pub resolve_timeout: Duration,
    /// How long to wait between two such questions. Default 50 ms.
    pub resolve_interval: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            queue_commands: 8_192,
            batch_commands_max: 500,
            overlap_from_events: 250,
            cached_accounts: 100_000,
            cached_ids: 20_000,
            cached_streams: 100_000,
            cached_aggregates: 10_000,
            page_events: 1_000,
            catch_up_events_max: 200,
            lease_hold: Duration::from_millis(10),
            attempts_max: 1_000,
            fold_attempts_max: 100,
            resolve_timeout: Duration::from_secs(30),
            resolve_interval: Duration::from_millis(50),
        }
    }
}
