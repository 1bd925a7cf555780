//! `project verify`: is every document what the log says?

use postfold_projections::{Verification, VerifyError, Wrong};

use super::Desk;
use crate::exit::{Exit, Failure};
use crate::output::{self, count, counted};
use crate::program;
use crate::progress::seconds;
use crate::shutdown::Shutdown;
use crate::terminal;

/// Verifies every read model that was asked for.
pub(super) async fn verify(desk: &Desk, shutdown: &Shutdown) -> Result<Exit, Failure> {
    let (mut reports, mut exit) = (Vec::new(), Exit::Done);
    for name in desk.projector.names() {
        let done = desk.projector.verify(name, shutdown.token()).await;
        desk.watch.done(name);
        match done {
            Ok(report) => {
                if !report.is_clean() {
                    exit = Exit::Problem;
                }
                reports.push(report);
            }
            Err(VerifyError::Cancelled) if shutdown.is_requested() => {
                terminal::say("interrupted; run `postfold project verify` again");
                exit = shutdown.exit();
                break;
            }
            Err(error @ VerifyError::NoModel(_)) => {
                terminal::say(format_args!("{error}; run `postfold project run` first"));
                exit = Exit::Problem;
            }
            Err(error) => {
                terminal::say(format_args!("{name} could not be verified: {error}"));
                exit = Exit::Problem;
            }
        }
    }
    if desk.json {
        output::json(&reports)?;
    } else {
        reports.iter().try_for_each(print)?;
    }
    Ok(exit)
}

fn print(report: &Verification) -> Result<(), Failure> {
    let what = format!(
        "{}, generation {}: {} compared with the log up to position {} in {}",
        report.projection,
        report.generation,
        counted(report.documents, "document"),
        report.position,
        seconds(report.elapsed)
    );
    if report.is_clean() {
        return output::print(&format!("{what}: all as they must be\n"));
    }
    let rows = report.differences.iter().map(|difference| [difference.key.clone(), wrong(&difference.what)]);
    output::text_table(&["document", "what is wrong"], rows)?;
    let way_out = format!("`{} project rebuild --only {}` builds it anew", program::name(), report.projection);
    output::print(&format!("{what}: {} differ; {way_out}\n", count(report.different)))
}

fn wrong(what: &Wrong) -> String {
    let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "nothing".to_owned());
    match what {
        Wrong::Missing => "it is missing".to_owned(),
        Wrong::Extra => "the log knows nothing of it".to_owned(),
        Wrong::Generation { found } => format!("it is of generation {found}"),
        Wrong::Position { expected, found } => format!("changed last at {expected}, it says at {found}"),
        Wrong::Field { name, expected, found } => {
            format!("{name} is {}, and must be {}", value(found), value(expected))
        }
    }
}
