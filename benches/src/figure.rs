//! Results: of one run, and of one row.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::row::Row;

/// The longest call that is told apart, in microseconds: one minute.
const LATENCY_MAX_US: u64 = 60_000_000;
/// Significant digits of a latency.
const LATENCY_DIGITS: u8 = 3;

/// One row's result: the run whose ratio is the median of all.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    /// Which row.
    pub name: Row,
    /// How many a second.
    pub rate: f64,
    /// How many a second of what it is compared with, in the same run.
    pub limit: Option<f64>,
    /// `rate / limit`.
    pub ratio: Option<f64>,
    /// Half of all calls took at most so long, in microseconds, in all runs.
    pub p50_us: Option<u64>,
    /// 99 of 100 calls took at most so long, in microseconds, in all runs.
    pub p99_us: Option<u64>,
    /// The least ratio that is hoped for.
    pub goal: Option<f64>,
    /// Runs of it.
    pub runs: usize,
    /// Least and greatest ratio of all runs (rates where there is no ratio).
    pub spread: [f64; 2],
    /// What else was seen in the run that is shown.
    #[serde(flatten)]
    pub more: More,
}

/// What only some rows have.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct More {
    /// The rate of the slowest process by the mean of all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slowest_share: Option<f64>,
    /// Events in the log, or commands in the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// The most memory that the process had resident in the first 10 %, 50 % and 100 % of its time, in KiB;
    /// only on Linux.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_kib: Option<[u64; 3]>,
}

/// What one run of a work gave.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    pub(crate) rate: f64,
    pub(crate) latencies: Latencies,
    pub(crate) more: More,
}

impl Measured {
    pub(crate) fn new(count: u64, elapsed: Duration, latencies: Latencies) -> Self {
        Self { rate: rate(count, elapsed), latencies, more: More::default() }
    }

    /// As often as it can be done one after the other at the median.
    pub(crate) fn at_median(self) -> Self {
        let median = self.latencies.quantile(0.5).map(Duration::from_micros);
        Self { rate: median.map_or(self.rate, |median| rate(1, median)), ..self }
    }
}

/// How long calls took.
#[derive(Clone, Debug)]
pub(crate) struct Latencies(Option<Histogram<u32>>);

impl Latencies {
    pub(crate) fn new() -> Self {
        Self(Histogram::new_with_bounds(1, LATENCY_MAX_US, LATENCY_DIGITS).ok())
    }

    pub(crate) fn record(&mut self, took: Duration) {
        if let Some(histogram) = &mut self.0 {
            histogram.saturating_record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        if let (Some(all), Some(other)) = (&mut self.0, &other.0) {
            // Both have the same bounds.
            let _ = all.add(other);
        }
    }

    /// Each latency in microseconds, and how often it was.
    pub(crate) fn counts(&self) -> Vec<(u64, u32)> {
        let counts = self.0.iter().flat_map(Histogram::iter_recorded);
        counts.map(|step| (step.value_iterated_to(), step.count_at_value())).collect()
    }

    /// The opposite of [`Latencies::counts`].
    pub(crate) fn from_counts(counts: &[(u64, u32)]) -> Self {
        let mut all = Self::new();
        for &(value, count) in counts {
            if let Some(histogram) = &mut all.0 {
                histogram.saturating_record_n(value, count);
            }
        }
        all
    }

    pub(crate) fn quantile(&self, quantile: f64) -> Option<u64> {
        self.0.as_ref().filter(|histogram| !histogram.is_empty()).map(|all| all.value_at_quantile(quantile))
    }
}

/// A run, and the rate of its limit in the same turn.
type Pair<'a> = (&'a Measured, Option<f64>);

impl Figure {
    /// Puts the runs of a row together with those of its limit, run by run. There is at least one.
    pub(crate) fn of(row: Row, runs: &[Measured], limits: Option<&[Measured]>) -> Option<Self> {
        let limit = |index: usize| limits.and_then(|limits| limits.get(index)).map(|limit: &Measured| limit.rate);
        let mut pairs: Vec<Pair<'_>> = runs.iter().enumerate().map(|(index, run)| (run, limit(index))).collect();
        let value = |(run, limit): &Pair<'_>| limit.map_or(run.rate, |limit| run.rate / limit);
        pairs.sort_by(|one, other| value(one).total_cmp(&value(other)));
        let (least, greatest) = (pairs.first()?, pairs.last()?);
        let (shown, limit) = *pairs.get(pairs.len() / 2)?;
        let mut latencies = Latencies::new();
        for run in runs {
            latencies.add(&run.latencies);
        }
        Some(Self {
            name: row,
            rate: rounded(shown.rate, 1.0),
            limit: limit.map(|limit| rounded(limit, 1.0)),
            ratio: limit.map(|limit| rounded(shown.rate / limit, 1_000.0)),
            p50_us: latencies.quantile(0.5),
            p99_us: latencies.quantile(0.99),
            goal: row.goal(),
            runs: runs.len(),
            spread: [least, greatest].map(|pair| rounded(value(pair), if limit.is_some() { 1_000.0 } else { 1.0 })),
            more: shown.more,
        })
    }
}

pub(crate) fn rounded(value: f64, parts: f64) -> f64 {
    (value * parts).round() / parts
}

/// How many a second.
pub(crate) fn rate(count: u64, elapsed: Duration) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX)) / elapsed.as_secs_f64().max(f64::EPSILON)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(rate: f64, micros: u64) -> Measured {
        let mut latencies = Latencies::new();
        latencies.record(Duration::from_micros(micros));
        Measured { rate, latencies, more: More::default() }
    }

    #[test]
    fn the_run_with_the_median_ratio_is_shown_whole() {
        let runs = [measured(40.0, 10), measured(90.0, 20), measured(30.0, 30)];
        let limits = [measured(50.0, 1), measured(100.0, 1), measured(100.0, 1)];
        let figure = Figure::of(Row::BatchUniform, &runs, Some(&limits)).expect("runs");
        let shown = format!("{} {:?} {:?} {:?}", figure.rate, figure.limit, figure.ratio, figure.spread);
        assert_eq!(shown, "40 Some(50.0) Some(0.8) [0.3, 0.9]");
        assert_eq!((figure.p50_us, figure.p99_us), (Some(20), Some(30)));
    }

    #[test]
    fn a_row_without_a_limit_has_no_ratio() {
        let figure = Figure::of(Row::Limit, &[measured(7.0, 1)], None).expect("a run");
        assert_eq!(format!("{:?} {:?} {:?}", figure.limit, figure.ratio, figure.spread), "None None [7.0, 7.0]");
        assert!(Figure::of(Row::Limit, &[], None).is_none());
    }
}
