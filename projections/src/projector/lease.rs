//! Whether this process may still write.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;
use tokio::time::Instant;

/// Until when no other process can have taken this one for dead. Clones share it.
///
/// A process that was stopped, or cut off, finds it run out when it goes on, before it sends anything: its
/// work may be somebody else's by then. What had been sent already is stopped by the guards of the
/// documents and of the checkpoint.
#[derive(Clone, Debug)]
pub(crate) struct Lease {
    /// `None`: what is written is nobody else's.
    term: Option<Arc<Term>>,
}

#[derive(Debug)]
struct Term {
    until: Mutex<Instant>,
    /// Wakes in the order in which they began to wait.
    extended: Notify,
}

impl Term {
    fn holds(&self) -> bool {
        Instant::now() < *self.until.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lease {
    /// For work in a place that no other process writes to.
    pub(crate) const fn endless() -> Self {
        Self { term: None }
    }

    /// One that has to be extended before it holds.
    pub(crate) fn new() -> Self {
        let term = Term { until: Mutex::new(Instant::now()), extended: Notify::new() };
        Self { term: Some(Arc::new(term)) }
    }

    pub(crate) fn extend(&self, to: Instant) {
        if let Some(term) = &self.term {
            *term.until.lock().unwrap_or_else(PoisonError::into_inner) = to;
            term.extended.notify_waiters();
        }
    }

    pub(crate) fn holds(&self) -> bool {
        self.term.as_ref().is_none_or(|term| term.holds())
    }

    /// Returns as soon as it holds.
    pub(crate) async fn held(&self) {
        let Some(term) = &self.term else { return };
        loop {
            // Asked for before the look, so that nothing is missed between the two.
            let extended = term.extended.notified();
            if term.holds() {
                return;
            }
            extended.await;
        }
    }
}
