//! `project prune`: what killed rebuilds and dead processes left behind.

use postfold_projections::Leftovers;

use super::Desk;
use crate::exit::{Exit, Failure};
use crate::output::{self, counted};

/// Drops it, or only says what would be dropped.
pub(super) async fn prune(desk: &Desk, dry_run: bool) -> Result<Exit, Failure> {
    let left = desk.projector.prune(!dry_run).await?;
    if desk.json {
        output::json(&left)?;
    } else {
        print(&left, if dry_run { "would drop" } else { "dropped" })?;
    }
    Ok(Exit::Done)
}

fn print(left: &Leftovers, verb: &str) -> Result<(), Failure> {
    let mut lines: Vec<String> =
        left.collections.iter().map(|name| format!("{verb} the collection {name}\n")).collect();
    if left.parked > 0 {
        lines.push(format!("{verb} {} of earlier generations\n", counted(left.parked, "parked key")));
    }
    lines.extend(left.members.iter().map(|name| format!("{verb} the lease of {name}\n")));
    if lines.is_empty() {
        lines.push("there is nothing to drop\n".to_owned());
    }
    output::print(&lines.concat())
}
