//! What the engine counts and measures, by the facade of the `metrics` crate: the host chooses the exporter.
//!
//! Spans of `tracing`: `postfold.append` (debug; fields `ledger`, `commands`, `events`) around each commit.

use crate::outcome::Outcome;

/// The names of the engine's metrics.
pub mod name {
    /// Counter, by `outcome` (`ok`, `duplicate`, `rejected`, `conflict`, `invalid`) and, where rejected, `rule`: commands
    /// answered. A batch counts once, and so does each of its members.
    pub const COMMANDS: &str = "postfold_commands_total";
    /// Histogram: commands in one commit, members of batches counted.
    pub const BATCH_COMMANDS: &str = "postfold_batch_commands";
    /// Histogram, seconds: from the sending of a batch until its commit was durable.
    pub const COMMIT_SECONDS: &str = "postfold_commit_seconds";
    /// Gauge: requests in the queue when a batch begins.
    pub const QUEUE_COMMANDS: &str = "postfold_queue_requests";
    /// Counter: appends refused because another writer had taken the position; each is a retry.
    pub const RACES_LOST: &str = "postfold_races_lost_total";
    /// Counter: appends refused because an id or a version was in the log; each is a retry.
    pub const IDS_MET_AGAIN: &str = "postfold_ids_met_again_total";
    /// Counter: commits whose outcome was not known, each time the log was asked.
    pub const OUTCOMES_UNKNOWN: &str = "postfold_outcomes_unknown_total";
    /// Histogram, seconds: waits for the turn among several writers.
    pub const LEASE_WAIT_SECONDS: &str = "postfold_lease_wait_seconds";
}

/// Describes every metric to the recorder that the host installed, for exporters that print descriptions.
pub fn describe_metrics() {
    use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
    describe_counter!(name::COMMANDS, "Commands answered, by outcome and rule");
    describe_histogram!(name::BATCH_COMMANDS, "Commands in one commit");
    describe_histogram!(name::COMMIT_SECONDS, Unit::Seconds, "From sending a batch until it is durable");
    describe_gauge!(name::QUEUE_COMMANDS, "Requests in the queue when a batch begins");
    describe_counter!(name::RACES_LOST, "Appends refused because another writer was faster");
    describe_counter!(name::IDS_MET_AGAIN, "Appends refused because an id or version was in the log");
    describe_counter!(name::OUTCOMES_UNKNOWN, "Commits whose outcome had to be asked of the log");
    describe_histogram!(name::LEASE_WAIT_SECONDS, Unit::Seconds, "Waits for the turn among several writers");
}

/// Counts an outcome and those of the members of a batch.
pub(crate) fn count(outcome: &Outcome) {
    match outcome {
        Outcome::Ok(receipt) => {
            let word = if receipt.duplicate { "duplicate" } else { "ok" };
            metrics::counter!(name::COMMANDS, "outcome" => word).increment(1);
            receipt.outcomes.iter().flatten().for_each(count);
        }
        Outcome::Rejected(rejection) => {
            let rule = rejection.rule.as_str();
            metrics::counter!(name::COMMANDS, "outcome" => "rejected", "rule" => rule).increment(1);
        }
        Outcome::Conflict(_) => metrics::counter!(name::COMMANDS, "outcome" => "conflict").increment(1),
        Outcome::Invalid(_) => metrics::counter!(name::COMMANDS, "outcome" => "invalid").increment(1),
    }
}

/// A whole number as the recorder takes it.
pub(crate) fn number(value: usize) -> f64 {
    u32::try_from(value).unwrap_or(u32::MAX).into()
}
