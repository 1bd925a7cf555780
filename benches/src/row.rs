//! The rows of the table: what is done, what it is compared with, and what is hoped for.

use std::fmt;

use serde::{Serialize, Serializer};

/// A row of the table.
///
/// A figure is a rate, its limit another rate of the same run, the ratio the first by the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Row {
    /// The rows of 1,000 transfers a commit by `COPY` into tables of the same shape, without triggers, on one
    /// connection, durable.
    Limit,
    /// Batches of 1,000 transfers, uniform over the accounts; compared with [`Row::Limit`].
    BatchUniform,
    /// The same with one account on one side of every transfer; compared with [`Row::BatchUniform`].
    BatchHot,
}

/// What is run for a row: its work, or the work it is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Work {
    Copy,
    BatchUniform,
    BatchHot,
}

impl Row {
    /// Every row, in the order of the table.
    pub const ALL: [Self; 3] = [Self::Limit, Self::BatchUniform, Self::BatchHot];

    /// Its name, such as `batch_uniform`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Limit => "limit",
            Self::BatchUniform => "batch_uniform",
            Self::BatchHot => "batch_hot",
        }
    }

    /// The row of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|row| row.name() == name)
    }

    /// The least ratio that is hoped for.
    pub const fn goal(self) -> Option<f64> {
        match self {
            Self::Limit => None,
            Self::BatchUniform => Some(0.65),
            Self::BatchHot => Some(0.9),
        }
    }

    pub(crate) const fn work(self) -> Work {
        match self {
            Self::Limit => Work::Copy,
            Self::BatchUniform => Work::BatchUniform,
            Self::BatchHot => Work::BatchHot,
        }
    }

    /// What the rate is compared with.
    pub(crate) const fn limit(self) -> Option<Work> {
        match self {
            Self::Limit => None,
            Self::BatchUniform => Some(Work::Copy),
            Self::BatchHot => Some(Work::BatchUniform),
        }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Row {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}
