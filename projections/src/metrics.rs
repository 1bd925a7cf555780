//! The names of all metrics, for the exporter that the host chooses. Every one has the label
//! `projection`; those that tell how far behind a bucket is have the label `bucket` besides, from `0`. A process tells
//! of the buckets that it works on, and zero of one that it gave up.

use std::time::Duration;

use metrics::{counter, gauge, histogram};

/// Gauge, by bucket: events between the head of the log as last seen and the checkpoint.
pub const LAG_EVENTS: &str = "postfold_projection_lag_events";
/// Counter: events folded, also those that touched nothing. Its rate is the rate of the projection.
pub const EVENTS_TOTAL: &str = "postfold_projection_events_total";
/// Counter: documents written.
pub const DOCUMENTS_TOTAL: &str = "postfold_projection_documents_total";
/// Histogram: events in a batch.
pub const BATCH_EVENTS: &str = "postfold_projection_batch_events";
/// Histogram: documents that a batch wrote.
pub const BATCH_DOCUMENTS: &str = "postfold_projection_batch_documents";
/// Histogram: seconds from the events of a batch in hand to its checkpoint moved.
pub const BATCH_SECONDS: &str = "postfold_projection_batch_seconds";
/// Counter: failures that were tried again.
pub const RETRIES_TOTAL: &str = "postfold_projection_retries_total";
/// Gauge, by bucket: seconds between the recorded times of the newest event known and of the checkpoint's.
pub const LAG_SECONDS: &str = "postfold_projection_lag_seconds";
/// Counter: documents that were not as expected when they were written, and were read back.
pub const CONFLICTS_TOTAL: &str = "postfold_projection_conflicts_total";
/// Gauge: keys of the projection that are parked, in whatever bucket, as the process knows of them.
pub const PARKED: &str = "postfold_projection_parked_keys";
/// Gauge: 1 when the projection stopped by itself, 0 when it runs.
pub const HALTED: &str = "postfold_projection_halted";
/// Counter: rebuilds that took over the stable name.
pub const REBUILDS_TOTAL: &str = "postfold_projection_rebuilds_total";

const LABEL: &str = "projection";
const BUCKET: &str = "bucket";

pub(crate) fn written(projection: &'static str, documents: usize) {
    counter!(DOCUMENTS_TOTAL, LABEL => projection).increment(u64::try_from(documents).unwrap_or(u64::MAX));
    histogram!(BATCH_DOCUMENTS, LABEL => projection).record(float(documents));
}

pub(crate) fn batch_done(projection: &'static str, events: usize, took: Duration) {
    counter!(EVENTS_TOTAL, LABEL => projection).increment(u64::try_from(events).unwrap_or(u64::MAX));
    histogram!(BATCH_EVENTS, LABEL => projection).record(float(events));
    histogram!(BATCH_SECONDS, LABEL => projection).record(took.as_secs_f64());
}

pub(crate) fn lag(projection: &'static str, bucket: usize, events: u64, seconds: f64) {
    let labels = [(LABEL, projection.to_owned()), (BUCKET, bucket.to_string())];
    gauge!(LAG_EVENTS, &labels).set(float(usize::try_from(events).unwrap_or(usize::MAX)));
    gauge!(LAG_SECONDS, &labels).set(seconds);
}

pub(crate) fn retried(projection: &'static str) {
    counter!(RETRIES_TOTAL, LABEL => projection).increment(1);
}

pub(crate) fn conflicted(projection: &'static str, documents: usize) {
    counter!(CONFLICTS_TOTAL, LABEL => projection).increment(u64::try_from(documents).unwrap_or(u64::MAX));
}

pub(crate) fn parked(projection: &'static str, keys: usize) {
    gauge!(PARKED, LABEL => projection).set(float(keys));
}

pub(crate) fn halted(projection: &'static str, halted: bool) {
    gauge!(HALTED, LABEL => projection).set(if halted { 1.0 } else { 0.0 });
}

pub(crate) fn rebuilt(projection: &'static str) {
    counter!(REBUILDS_TOTAL, LABEL => projection).increment(1);
}

/// Exact up to 2^32 - 1 and cut off there.
fn float(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}
