//! Projectors under a supervisor: one that ends is started again, as a service manager does.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::process::{Ended, Ledger, Process};

/// Some processes of `postfold project run`.
pub(crate) struct Projectors {
    ledger: Ledger,
    running: Vec<Process>,
}

impl Projectors {
    pub(crate) fn start(ledger: &Ledger, number: usize) -> Result<Self> {
        let mut running = Vec::new();
        for _ in 0..number {
            running.push(start(ledger)?);
        }
        Ok(Self { ledger: ledger.clone(), running })
    }

    /// Starts again whoever has ended; there must have been a reason for it.
    pub(crate) fn tend(&mut self) -> Result<()> {
        for process in &mut self.running {
            if let Some(ended) = process.ended()? {
                ensure_excused(&ended)?;
                *process = start(&self.ledger)?;
            }
        }
        Ok(())
    }

    /// Kills one and starts another in its place. `false` when it had ended by itself.
    pub(crate) fn kill(&mut self, which: usize) -> Result<bool> {
        let process = &mut self.running[which];
        let was_alive = process.kill()?;
        let id = process.child.id();
        self.ledger.journal.note(format_args!("killed the projector {id}, alive: {was_alive}"));
        *process = start(&self.ledger)?;
        Ok(was_alive)
    }

    pub(crate) fn number(&self) -> usize {
        self.running.len()
    }

    /// Asks all to end, which they do well: 143 says that one had hardly begun.
    pub(crate) fn stop(self) -> Result<()> {
        for process in self.running {
            let ended = process.stop()?;
            if !matches!(ended.status.code(), Some(0 | 143)) {
                ensure_excused(&ended)?;
            }
        }
        Ok(())
    }
}

/// A projector ends by itself only when it cannot connect at its start.
fn ensure_excused(ended: &Ended) -> Result<()> {
    let has_no_server = ended.met_outage && ended.status.code() == Some(3);
    ensure!(has_no_server, "a projector ended by itself: {}: {}", ended.status, ended.stderr);
    Ok(())
}

fn start(ledger: &Ledger) -> Result<Process> {
    ledger.start(&["project", "run"])
}

/// How long a supervisor waits between two looks.
pub(crate) const LOOK: Duration = Duration::from_millis(20);
