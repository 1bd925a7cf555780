//! Taking turns with the writers of other processes.
//!
//! The position in the log is the lock: of two writers that saw the same head, one is refused. With many
//! writers most attempts are refused, and the luckiest write most. So from its first lost race on, a
//! writer takes the ledger's lease before it decides, keeps it for a moment while there is work, and
//! hands it to the one that has waited longest. The lease only saves work: whoever writes without it is
//! met at the position, as ever. A writer that finds nobody else at its ledger stops taking it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::observe::name;
use crate::store::Store;

/// After so many turns in which nobody else wrote, a writer takes no more turns.
const QUIET_TURNS: usize = 16;

pub(super) struct Turns {
    store: Arc<dyn Store>,
    /// How long a turn lasts.
    hold: Duration,
    /// Turns to be taken before others count as gone; 0 = alone.
    contended: usize,
    /// Since when this writer has its turn.
    since: Option<Instant>,
}

impl Turns {
    pub(super) fn new(store: Arc<dyn Store>, hold: Duration) -> Self {
        Self { store, hold, contended: 0, since: None }
    }

    /// Waits for this writer's turn, where there are others; answers whether others may have written.
    pub(super) async fn take(&mut self) -> bool {
        if self.contended == 0 {
            self.end().await;
            return false;
        }
        if !self.over() && self.since.is_some() {
            return false;
        }
        self.end().await;
        let asked = Instant::now();
        match self.store.take_lease().await {
            Ok(()) => {
                metrics::histogram!(name::LEASE_WAIT_SECONDS).record(asked.elapsed());
                self.since = Some(Instant::now());
            }
            // Without the lease there is still the position.
            Err(error) => tracing::debug!(%error, "the ledger's lease could not be taken"),
        }
        true
    }

    /// Whether no other writer is known of.
    pub(super) const fn alone(&self) -> bool {
        self.contended == 0
    }

    /// Whether the turn has lasted long enough for others to wait.
    pub(super) fn over(&self) -> bool {
        self.since.is_some_and(|since| since.elapsed() >= self.hold)
    }

    /// Hands on.
    pub(super) async fn end(&mut self) {
        if self.since.take().is_some() {
            self.store.give_lease().await;
        }
    }

    /// Another writer was faster.
    pub(super) fn lost(&mut self) {
        self.contended = QUIET_TURNS;
    }

    /// So many events of others were found at the beginning of a turn.
    pub(super) fn missed(&mut self, events: usize) {
        self.contended = if events > 0 { QUIET_TURNS } else { self.contended.saturating_sub(1) };
    }
}
