//! `doctor`: what is wrong, and how to mend it.

mod mongodb;
mod postgres;

use serde::Serialize;

use crate::args::Global;
use crate::connect::given;
use crate::exit::{Exit, Failure};
use crate::{output, program};

/// What a look at one thing gave.
#[derive(Debug, Serialize)]
struct Check {
    /// What was looked at.
    name: &'static str,
    state: State,
    /// What was found.
    found: String,
    /// How to mend it; `None` where nothing is to be mended.
    #[serde(skip_serializing_if = "Option::is_none")]
    mend: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Ok,
    /// It works, and could be better.
    Warning,
    /// It does not work, or not safely.
    Problem,
    /// There is nobody to ask.
    Unreachable,
}

impl Check {
    fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, state: State::Ok, found: found.into(), mend: None }
    }

    fn warning(name: &'static str, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { name, state: State::Warning, found: found.into(), mend: Some(mend.into()) }
    }

    fn problem(name: &'static str, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { name, state: State::Problem, found: found.into(), mend: Some(mend.into()) }
    }

    fn unreachable(name: &'static str, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { name, state: State::Unreachable, found: found.into(), mend: Some(mend.into()) }
    }

    /// Good if `is_good`, otherwise a problem.
    fn that(name: &'static str, is_good: bool, found: impl Into<String>, mend: impl Into<String>) -> Self {
        if is_good { Self::ok(name, found) } else { Self::problem(name, found, mend) }
    }
}

/// Looks at everything, whatever the first looks find.
pub(crate) async fn doctor(global: &Global) -> Result<Exit, Failure> {
    let url = global.database_url()?;
    let (mut checks, read_models) = tokio::join!(postgres::look(global, url), look_at_read_models(global));
    checks.extend(read_models);
    for check in &mut checks {
        check.found = crate::secret::hide(&check.found).into_owned();
    }
    if global.json {
        output::json(&checks)?;
    } else {
        print(&checks)?;
    }
    Ok(match checks.iter().map(|check| check.state).max() {
        Some(State::Unreachable) => Exit::Infrastructure,
        Some(State::Problem) => Exit::Problem,
        _ => Exit::Done,
    })
}

async fn look_at_read_models(global: &Global) -> Vec<Check> {
    match given(global.mongodb_uri.as_ref()) {
        Some(uri) => mongodb::look(global, uri).await,
        None => vec![Check::warning(
            "MongoDB",
            "not looked at: no URI is given",
            "for read models, give it with --mongodb-uri or in MONGODB_URI",
        )],
    }
}

fn print(checks: &[Check]) -> Result<(), Failure> {
    let rows = checks.iter().map(|check| [check.name.to_owned(), output::word(&check.state), check.found.clone()]);
    output::text_table(&["check", "state", "found"], rows)?;
    for check in checks {
        if let Some(mend) = &check.mend {
            output::print(&format!("{} ({}): {}\n", check.name, output::word(&check.state), program::commands(mend)))?;
        }
    }
    Ok(())
}
