//! `project rebuild`: new generations beside the live ones, one read model after the other.

use postfold_projections::{RebuildError, RebuildReport, Settings, Status};

use super::Desk;
use super::args::Rebuild;
use crate::exit::{Exit, Failure};
use crate::output::{self, counted};
use crate::progress::seconds;
use crate::shutdown::Shutdown;
use crate::terminal;

/// Rebuilds every read model that was asked for. One that fails does not hold up the others.
pub(super) async fn rebuild(desk: &Desk, options: &Rebuild, shutdown: &Shutdown) -> Result<Exit, Failure> {
    let (mut reports, mut exit) = (Vec::new(), Exit::Done);
    for Status { name, buckets, .. } in desk.status().await? {
        let buckets = options.buckets.unwrap_or(buckets.len()).max(1);
        let projector = desk.projector.clone().settings(Settings { buckets, ..desk.settings.clone() });
        let done = projector.rebuild(name, shutdown.token()).await;
        desk.watch.done(name);
        match done {
            Ok(report) => reports.push(report),
            Err(RebuildError::Cancelled) if shutdown.is_requested() => {
                terminal::say(format_args!(
                    "interrupted; the live model of {name} stays as it is, and the next rebuild starts afresh"
                ));
                exit = shutdown.exit();
                break;
            }
            Err(error) => {
                terminal::say(format_args!("{name} was not rebuilt, its live model stays: {error}"));
                exit = Exit::Problem;
            }
        }
    }
    if desk.json {
        output::json(&reports)?;
    } else if !reports.is_empty() {
        output::table(&["read model", "#generation", "#position", "took", "loaded"], reports.iter().map(row))?;
    }
    Ok(exit)
}

fn row(report: &RebuildReport) -> [String; 5] {
    [
        report.projection.to_owned(),
        report.generation.to_string(),
        report.position.to_string(),
        seconds(report.elapsed),
        counted(report.loaded, "document"),
    ]
}
