//! `project status`: how far each read model is, who works on it, and what is wrong with it.

use std::time::Duration;

use postfold_projections::{Drift, Status};

use super::Desk;
use crate::exit::{Exit, Failure};
use crate::output::{self, count};
use crate::progress::seconds;

/// The columns of the table; `#` marks numbers.
const COLUMNS: [&str; 9] =
    ["read model", "#version", "#generation", "#position", "#lag", "behind", "state", "#parked", "worked on by"];

/// Asks log and checkpoints.
pub(super) async fn status(desk: &Desk) -> Result<Exit, Failure> {
    let all = desk.status().await?;
    if desk.json {
        output::json(&all)?;
        return Ok(Exit::Done);
    }
    output::table(&COLUMNS, all.iter().map(row))?;
    for (name, remark) in all.iter().flat_map(|status| remarks(status).into_iter().map(|remark| (status.name, remark)))
    {
        output::print(&format!("{name} {}\n", output::plain(&remark)))?;
    }
    if let Some(status) = all.first() {
        output::print(&format!("the log ends at {}\n", status.head))?;
    }
    Ok(Exit::Done)
}

fn row(status: &Status) -> [String; 9] {
    let absent = || "-".to_owned();
    [
        status.name.to_owned(),
        status.version.to_string(),
        status.generation.map_or_else(absent, |generation| generation.to_string()),
        status.position.to_string(),
        status.lag.to_string(),
        behind(status.lag_seconds),
        output::word(&status.state),
        count(status.parked),
        owners(status),
    ]
}

/// How long the oldest event has waited that is not in the model yet.
fn behind(lag_seconds: f64) -> String {
    Duration::try_from_secs_f64(lag_seconds).map_or_else(|_| "-".to_owned(), seconds)
}

/// `process 12: 2 of 8 buckets; process 40: 6 of 8 buckets`, or just the name where one has all.
fn owners(status: &Status) -> String {
    let mut shares: Vec<(&str, usize)> = Vec::new();
    for owner in status.buckets.iter().map(|bucket| bucket.owner.as_deref().unwrap_or("nobody")) {
        match shares.iter_mut().find(|(name, _)| *name == owner) {
            Some((_, share)) => *share += 1,
            None => shares.push((owner, 1)),
        }
    }
    match shares.as_slice() {
        [] | [("nobody", _)] => "-".to_owned(),
        [(name, _)] => (*name).to_owned(),
        several => {
            let all = status.buckets.len();
            let share = |(name, share): &(&str, usize)| format!("{name}: {share} of {all} buckets");
            several.iter().map(share).collect::<Vec<_>>().join("; ")
        }
    }
}

/// What an operator has to know, in words.
fn remarks(status: &Status) -> Vec<String> {
    let mut remarks = Vec::new();
    if let Some(reason) = &status.halted {
        remarks.push(format!("stopped by itself: {reason}"));
    }
    if let Some(reason) = &status.paused {
        remarks.push(format!("is paused: {reason}"));
    }
    remarks.extend(status.drift.iter().map(|drift| match drift {
        Drift::Missing(index) => format!("lacks the index {index}"),
        Drift::Different(index) => format!("has the index {index} with other options than declared"),
        Drift::Extra(index) => format!("has the index {index}, which is not declared"),
    }));
    remarks
}
