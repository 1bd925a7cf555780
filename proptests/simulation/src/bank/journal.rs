//! What clients asked, and what they were told.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use postfold::{Balance, Outcome};

use super::ask::Ask;

/// What all clients of a run know. Clones are the same one.
#[derive(Clone, Default)]
pub(crate) struct Journal(Arc<Mutex<Notes>>);

#[derive(Default)]
pub(crate) struct Notes {
    pub(crate) operations: Vec<Operation>,
    pub(crate) reads: Vec<Read>,
}

/// A command under its id, and every time it was sent.
pub(crate) struct Operation {
    pub(crate) id: String,
    pub(crate) ask: Ask,
    pub(crate) attempts: Vec<Attempt>,
}

/// A command was sent once.
pub(crate) struct Attempt {
    /// How long the log was when it was sent.
    pub(crate) from: i64,
    /// What the clock of the ledger's process showed then.
    pub(crate) stamp: Timestamp,
    /// How long the log was when the answer came, and the answer; none ever came of a process that died.
    pub(crate) told: Option<(i64, Told)>,
}

#[derive(Clone, Debug)]
pub(crate) enum Told {
    Outcome(Box<Outcome>),
    /// It was not done.
    Undone,
    /// It was done once or not at all.
    Unknown,
}

/// A balance was asked for.
pub(crate) struct Read {
    pub(crate) from: i64,
    pub(crate) until: i64,
    pub(crate) account: usize,
    pub(crate) found: Balance,
}

impl Journal {
    /// Notes a new operation; answers its place.
    pub(crate) fn begin(&self, id: String, ask: Ask) -> usize {
        let mut notes = self.notes();
        notes.operations.push(Operation { id, ask, attempts: Vec::new() });
        notes.operations.len() - 1
    }

    pub(crate) fn send(&self, operation: usize, from: i64, stamp: Timestamp) -> usize {
        let attempts = &mut self.notes().operations[operation].attempts;
        attempts.push(Attempt { from, stamp, told: None });
        attempts.len() - 1
    }

    pub(crate) fn told(&self, operation: usize, attempt: usize, until: i64, told: Told) {
        self.notes().operations[operation].attempts[attempt].told = Some((until, told));
    }

    pub(crate) fn read(&self, read: Read) {
        self.notes().reads.push(read);
    }

    /// The ids used so far.
    pub(crate) fn ids(&self) -> Vec<String> {
        self.notes().operations.iter().map(|operation| operation.id.clone()).collect()
    }

    pub(crate) fn operation(&self, place: usize) -> (String, Ask) {
        let notes = self.notes();
        (notes.operations[place].id.clone(), notes.operations[place].ask.clone())
    }

    pub(crate) fn notes(&self) -> MutexGuard<'_, Notes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
