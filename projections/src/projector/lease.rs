//! Whether this process may still write.

use tokio::sync::watch;
use tokio::time::Instant;

/// Until when no other process can have taken this one for dead. Clones share it.
///
/// A process that was stopped, or cut off, finds it run out when it goes on, before it sends anything: its
/// work may be somebody else's by then. What had been sent already is stopped by the guards of the
/// documents and of the checkpoint.
#[derive(Clone, Debug)]
pub(crate) struct Lease {
    /// `None`: what is written is nobody else's.
    until: Option<watch::Sender<Instant>>,
}

impl Lease {
    /// For work in a place that no other process writes to.
    pub(crate) const fn endless() -> Self {
        Self { until: None }
    }

    /// One that has to be extended before it holds.
    pub(crate) fn new() -> Self {
        Self { until: Some(watch::Sender::new(Instant::now())) }
    }

    pub(crate) fn extend(&self, to: Instant) {
        if let Some(until) = &self.until {
            until.send_replace(to);
        }
    }

    pub(crate) fn holds(&self) -> bool {
        self.until.as_ref().is_none_or(|until| Instant::now() < *until.borrow())
    }

    /// Returns as soon as it holds.
    pub(crate) async fn held(&self) {
        if let Some(until) = &self.until {
            let mut until = until.subscribe();
            // The sender lives as long as we do: there is always an answer.
            let _ = until.wait_for(|until| Instant::now() < *until).await;
        }
    }
}
