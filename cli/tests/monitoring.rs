//! The dashboard and the alerts speak of metrics that exist, and of all that an operator should watch.

#![allow(clippy::expect_used, reason = "a test ends at the first thing that goes wrong")]

use std::collections::BTreeSet;

use serde_json::Value;

const ALERTS: &str = include_str!("../../deploy/monitoring/alerts.yaml");
const DASHBOARD: &str = include_str!("../../deploy/monitoring/dashboard.json");
/// Where the metrics get their names.
const SOURCE: &str = include_str!("../../projections/src/metrics.rs");
/// What the names begin with.
const PREFIX: &str = "postfold_projection_";

/// The names of metrics in a text; what Prometheus adds to those of histograms is taken off.
fn names(text: &str) -> BTreeSet<String> {
    let name = |rest: &str| {
        let end = rest.find(|character: char| !character.is_ascii_lowercase() && character != '_');
        let name = &rest[..end.unwrap_or(rest.len())];
        format!("{PREFIX}{}", name.strip_suffix("_bucket").unwrap_or(name))
    };
    text.split(PREFIX).skip(1).map(name).collect()
}

#[test]
fn every_metric_is_on_the_dashboard_and_no_other() {
    let dashboard: Value = serde_json::from_str(DASHBOARD).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().expect("targets"));
    let shown: String = targets.map(|target| target["expr"].as_str().expect("an expression")).collect();
    let mut there = names(SOURCE);
    // As quantiles of events, the same picture.
    assert!(there.remove("postfold_projection_batch_documents"));
    assert_eq!(names(&shown), there);
}

#[test]
fn lag_halts_parked_keys_and_retries_have_an_alert_on_a_metric_that_exists() {
    let (watched, there) = (names(ALERTS), names(SOURCE));
    assert!(watched.is_subset(&there), "{watched:?} {there:?}");
    for name in ["lag_seconds", "lag_events", "halted", "parked_keys", "retries_total"] {
        assert!(watched.contains(&format!("{PREFIX}{name}")), "{name}");
    }
    let alerts = ALERTS.matches("- alert: ").count();
    for part in ["expr: ", "severity: ", "summary: ", "description: "] {
        assert_eq!(ALERTS.matches(part).count(), alerts, "{part}");
    }
}
