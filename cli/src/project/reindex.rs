//! `project reindex`: the indexes of live models, as they are declared.

use postfold_projections::Drift;
use serde_json::json;

use super::Desk;
use crate::exit::{Exit, Failure};
use crate::output;

/// Brings them in step, or only says what it would do.
pub(super) async fn reindex(desk: &Desk, dry_run: bool) -> Result<Exit, Failure> {
    let mut all = Vec::new();
    for name in desk.projector.names() {
        all.push((name, desk.projector.reindex(name, !dry_run).await?));
    }
    if desk.json {
        let done: Vec<_> = all.iter().map(|(name, drift)| json!({"projection": name, "drift": drift})).collect();
        output::json(&done)?;
        return Ok(Exit::Done);
    }
    let did = |drift: &Drift| match (drift, dry_run) {
        (Drift::Missing(index), true) => format!("would build {index}"),
        (Drift::Missing(index), false) => format!("built {index}"),
        (Drift::Different(index), true) => format!("would build {index} anew"),
        (Drift::Different(index), false) => format!("built {index} anew"),
        (Drift::Extra(index), true) => format!("would drop {index}"),
        (Drift::Extra(index), false) => format!("dropped {index}"),
    };
    for (name, drift) in &all {
        let did: Vec<String> = drift.iter().map(did).collect();
        let did = if did.is_empty() { "all indexes are as declared".to_owned() } else { did.join(", ") };
        output::print(&format!("{name}: {did}\n"))?;
    }
    Ok(Exit::Done)
}
