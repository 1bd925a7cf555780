//! `project pause` and `project resume`.

use serde_json::json;

use super::Desk;
use crate::exit::{Exit, Failure};
use crate::output;

/// Pauses what was asked for.
pub(super) async fn pause(desk: &Desk, reason: &str) -> Result<Exit, Failure> {
    let names = desk.projector.names();
    for name in &names {
        desk.projector.pause(name, reason).await?;
    }
    if desk.json {
        output::json(&json!({"paused": names, "reason": reason}))?;
    } else {
        let told = "processes stop within a third of their lease, and none begins before `project resume`";
        output::print(&format!("paused {}; {told}\n", names.join(", ")))?;
    }
    Ok(Exit::Done)
}

/// Resumes what was asked for.
pub(super) async fn resume(desk: &Desk) -> Result<Exit, Failure> {
    let names = desk.projector.names();
    for name in &names {
        desk.projector.resume(name).await?;
    }
    if desk.json {
        output::json(&json!({"resumed": names}))?;
    } else {
        output::print(&format!("resumed {}; processes that run take it up by themselves\n", names.join(", ")))?;
    }
    Ok(Exit::Done)
}
