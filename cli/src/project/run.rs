//! `project run`: fold what is in the log, and what comes.

use postfold_projections::{RunError, RunReport};

use super::args::Run;
use super::{Desk, listen};
use crate::exit::{Exit, Failure};
use crate::output;
use crate::shutdown::Shutdown;
use crate::terminal;

/// Until Ctrl-C, or until everything is folded that is there now.
pub(super) async fn run(desk: &Desk, options: &Run, shutdown: &Shutdown) -> Result<Exit, Failure> {
    let (mut projector, until_caught_up) = (desk.projector.clone(), options.until_caught_up);
    if let Some(name) = &options.name {
        projector = projector.named(name);
    }
    if let Some(address) = options.listen {
        listen::listen(address, projector.clone(), options.max_lag_seconds).await?;
    }
    let ended = if until_caught_up {
        projector.catch_up(shutdown.token()).await
    } else {
        projector.run(shutdown.token()).await
    };
    desk.watch.clear();
    let (report, trouble) = match ended {
        Ok(report) => (report, None),
        Err(error) => match error {
            RunError::Halted(ref report) => (report.clone(), Some(error.to_string())),
            _ => return Err(Failure::infrastructure(error.to_string())),
        },
    };
    print(desk, &report)?;
    if let Some(trouble) = trouble {
        return Err(Failure::problem(trouble));
    }
    if !shutdown.is_requested() {
        return Ok(Exit::Done);
    }
    terminal::say("stopped between two batches; `postfold project run` goes on from the checkpoints");
    // Following has no other end; catching up had one, and may not have got there.
    Ok(if until_caught_up { shutdown.exit() } else { Exit::Done })
}

fn print(desk: &Desk, report: &RunReport) -> Result<(), Failure> {
    if desk.json {
        return output::json(report);
    }
    let rows = report.projections.iter().map(|model| {
        let halt = model.halt.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
        [model.projection.to_owned(), model.position.to_string(), halt]
    });
    output::text_table(&["read model", "#position", "stopped by itself"], rows)
}
