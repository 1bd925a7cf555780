//! `project status`: how far each read model is.

use postfold_projections::{Status, StatusError};

use super::{Desk, unavailable};
use crate::exit::{Exit, Failure};
use crate::output;

/// The columns of the table; `#` marks numbers.
const COLUMNS: [&str; 8] =
    ["read model", "#version", "#generation", "#position", "#head", "#lag", "state", "checkpoint of"];

/// Asks log and checkpoints.
pub(super) async fn status(desk: &Desk) -> Result<Exit, Failure> {
    let all = desk.projector.status().await.map_err(|error| match error {
        StatusError::Store(error) => unavailable(&error),
        StatusError::Log(error) => Failure::infrastructure(error.to_string()),
    })?;
    if desk.json {
        output::json(&all)?;
        return Ok(Exit::Done);
    }
    output::table(&COLUMNS, all.iter().map(row))?;
    for (name, reason) in all.iter().filter_map(|status| Some((status.name, status.halted.as_ref()?))) {
        output::print(&format!("{name} stopped: {}\n", output::plain(reason)))?;
    }
    Ok(Exit::Done)
}

fn row(status: &Status) -> [String; 8] {
    let absent = || "-".to_owned();
    [
        status.name.to_owned(),
        status.version.to_string(),
        status.generation.map_or_else(absent, |generation| generation.to_string()),
        status.position.to_string(),
        status.head.to_string(),
        status.lag.to_string(),
        output::word(&status.state),
        status.updated_at.map_or_else(absent, |time| format!("{time:.0}")),
    ]
}
