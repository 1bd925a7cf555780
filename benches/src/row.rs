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
    /// 64 tasks that post one transfer each at a time; compared with [`Row::Limit`].
    Callers64,
    /// 1,024 of them; compared with [`Row::Limit`].
    Callers1024,
    /// `postfold apply` of a file; compared with [`Row::BatchUniform`].
    ApplyFile,
    /// One task that posts one transfer at a time, at its median; compared with a hand-written, prepared
    /// `INSERT .. SELECT` of the same rows without triggers.
    SinglePost,
    /// 4 processes with 64 such tasks each on one ledger; compared with one such process.
    Processes4,
    /// 8 of them; compared with one.
    Processes8,
    /// Batches on a log that has grown; compared with a log of 100,000 events.
    Growth,
    /// `postfold verify`; compared with reading the same rows, events and postings, page by page.
    Verify,
    /// Balances kept up with a log from nothing, in events; compared with as many guarded replaces of the documents
    /// touched, sent by the bare driver.
    CatchUpBalances,
    /// Statements kept up with a log from nothing, in events; compared with the same rows inserted into the same
    /// indexes by the bare driver.
    CatchUpStatements,
    /// Balances rebuilt; compared with reading and decoding the log alone.
    RebuildBalances,
    /// `postfold project rebuild --all`; compared with the final documents inserted by the bare driver, and their
    /// indexes built.
    RebuildAll,
    /// The same under a ceiling of 256 MiB; compared with it without.
    RebuildMemory,
    /// Balances and statements folded anew and compared; compared with reading the log alone, as often.
    VerifyModels,
    /// From commit to visible at 1,000 entries a second: the latencies count.
    Lag1000,
}

/// What is run for a row: its work, or the work it is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Work {
    Copy,
    BatchUniform,
    BatchHot,
    Callers(u64),
    ApplyFile,
    Statement,
    SinglePost,
    Processes(u64),
    SmallLog,
    GrownLog,
    ReadPages,
    Verify,
    RawReplaces,
    CatchUpBalances,
    RawRows,
    CatchUpStatements,
    ReadLog,
    RebuildBalances,
    RawAll,
    RebuildAll,
    RebuildMemory,
    VerifyModels,
    Lag(u32),
}

/// One line of the table of rows.
struct Facts {
    name: &'static str,
    work: Work,
    limit: Option<Work>,
    goal: Option<f64>,
}

impl Row {
    /// Every row, in the order of the table.
    pub const ALL: [Self; 18] = [
        Self::Limit,
        Self::BatchUniform,
        Self::BatchHot,
        Self::Callers64,
        Self::Callers1024,
        Self::ApplyFile,
        Self::SinglePost,
        Self::Processes4,
        Self::Processes8,
        Self::Growth,
        Self::Verify,
        Self::CatchUpBalances,
        Self::CatchUpStatements,
        Self::RebuildBalances,
        Self::RebuildAll,
        Self::RebuildMemory,
        Self::VerifyModels,
        Self::Lag1000,
    ];

    fn facts(self) -> Facts {
        let compared = |name, work, limit, goal| Facts { name, work, limit: Some(limit), goal: Some(goal) };
        match self {
            Self::Limit => Facts { name: "limit", work: Work::Copy, limit: None, goal: None },
            Self::BatchUniform => compared("batch_uniform", Work::BatchUniform, Work::Copy, 0.65),
            Self::BatchHot => compared("batch_hot", Work::BatchHot, Work::BatchUniform, 0.9),
            Self::Callers64 => compared("callers_64", Work::Callers(64), Work::Copy, 0.35),
            Self::Callers1024 => compared("callers_1024", Work::Callers(1_024), Work::Copy, 0.55),
            Self::ApplyFile => compared("apply_file", Work::ApplyFile, Work::BatchUniform, 0.6),
            // At most 1.1 times as long.
            Self::SinglePost => compared("single_post", Work::SinglePost, Work::Statement, 0.909),
            Self::Processes4 => compared("processes_4", Work::Processes(4), Work::Processes(1), 0.6),
            Self::Processes8 => compared("processes_8", Work::Processes(8), Work::Processes(1), 0.5),
            // At most 1.3 times as long.
            Self::Growth => compared("growth", Work::GrownLog, Work::SmallLog, 0.769),
            Self::Verify => compared("verify", Work::Verify, Work::ReadPages, 0.3),
            Self::CatchUpBalances => compared("catch_up_balances", Work::CatchUpBalances, Work::RawReplaces, 0.9),
            Self::CatchUpStatements => compared("catch_up_statements", Work::CatchUpStatements, Work::RawRows, 0.7),
            Self::RebuildBalances => compared("rebuild_balances", Work::RebuildBalances, Work::ReadLog, 0.8),
            Self::RebuildAll => compared("rebuild_all", Work::RebuildAll, Work::RawAll, 0.7),
            Self::RebuildMemory => {
                Facts { name: "rebuild_memory", work: Work::RebuildMemory, limit: Some(Work::RebuildAll), goal: None }
            }
            Self::VerifyModels => compared("verify_models", Work::VerifyModels, Work::ReadLog, 0.6),
            Self::Lag1000 => Facts { name: "lag_1000", work: Work::Lag(1_000), limit: None, goal: None },
        }
    }

    /// Its name, such as `batch_uniform`.
    pub fn name(self) -> &'static str {
        self.facts().name
    }

    /// The row of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|row| row.name() == name)
    }

    /// The least ratio that is hoped for.
    pub fn goal(self) -> Option<f64> {
        self.facts().goal
    }

    pub(crate) fn work(self) -> Work {
        self.facts().work
    }

    /// What the rate is compared with.
    pub(crate) fn limit(self) -> Option<Work> {
        self.facts().limit
    }

    /// Rows of one group are run in turns; one group follows another.
    pub(crate) const fn group(self) -> Group {
        match self {
            Self::Limit
            | Self::BatchUniform
            | Self::BatchHot
            | Self::Callers64
            | Self::Callers1024
            | Self::ApplyFile => Group::Posting,
            Self::SinglePost => Group::Single,
            Self::Processes4 | Self::Processes8 => Group::Processes,
            Self::Growth => Group::Growth,
            Self::Verify => Group::Verify,
            _ => Group::Models,
        }
    }

    /// Whether it needs MongoDB.
    pub fn is_of_models(self) -> bool {
        self.group() == Group::Models
    }
}

/// Rows that are compared with each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Group {
    Posting,
    Single,
    Processes,
    Growth,
    Verify,
    Models,
}

impl Group {
    pub(crate) const ALL: [Self; 6] =
        [Self::Posting, Self::Single, Self::Processes, Self::Growth, Self::Verify, Self::Models];
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
