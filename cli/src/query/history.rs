//! `history`: the changes of an entity.

use futures::{StreamExt, TryStreamExt};
use postfold::Revision;

use super::args;
use crate::args::Global;
use crate::exit::{Exit, Failure};
use crate::output;

/// Each change, with what was there before and after it.
pub(crate) async fn history(global: &Global, options: &args::History) -> Result<Exit, Failure> {
    let log = global.open_log().await?;
    let revisions = log.history(&options.entity, options.after).take(options.limit.unwrap_or(usize::MAX));
    if global.json {
        output::json_array(revisions).await?;
        return Ok(Exit::Done);
    }
    let revisions: Vec<Revision> = revisions.try_collect().await?;
    if revisions.is_empty() {
        output::print(&format!("no changes of {}\n", output::plain(&options.entity)))?;
        return Ok(Exit::Done);
    }
    let rows = revisions.iter().map(|revision| {
        [
            revision.version.to_string(),
            revision.recorded_at.to_string(),
            revision.kind.clone(),
            revision.changed.join(", "),
            revision.after.get().to_owned(),
        ]
    });
    output::text_table(&["#version", "recorded at", "kind", "changed", "after"], rows)?;
    Ok(Exit::Done)
}
