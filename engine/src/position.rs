//! Places in a ledger's log.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The place of an event in its ledger's log: dense, from 1 to the head.
///
/// [`Position::START`] (0) stands before the first event, so "everything after `START`" is the whole
/// log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Position(i64);

impl Position {
    /// Before the first event of a log.
    pub const START: Self = Self(0);

    /// The position with this number; numbers below zero are taken as [`Position::START`].
    pub const fn new(number: i64) -> Self {
        Self(if number < 0 { 0 } else { number })
    }

    /// The number itself.
    pub const fn get(self) -> i64 {
        self.0
    }

    /// The position right behind this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The position `count` behind this one.
    #[must_use]
    pub fn plus(self, count: usize) -> Self {
        Self(self.0.saturating_add(i64::try_from(count).unwrap_or(i64::MAX)))
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
