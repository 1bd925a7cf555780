//! The server of the read models.

use postfold_projections::database_name;

use super::Check;
use crate::args::Global;
use crate::connect::given;
use crate::exit::{Exit, Failure};
use crate::project;

/// The oldest MongoDB that will do.
const VERSION_MIN: u32 = 7;

/// Looks at the server that holds the read models.
pub(super) async fn look(global: &Global, uri: &str) -> Vec<Check> {
    let database = database_name(given(global.ledger.as_ref()).unwrap_or("postfold"));
    let store = match project::connect(uri, &database).await {
        Ok(store) => store,
        Err(failure) if failure.exit == Exit::Usage => return vec![unusable(failure, Check::problem)],
        Err(failure) => return vec![unusable(failure, Check::unreachable)],
    };
    let mut checks = vec![Check::ok("MongoDB", "answers")];
    checks.push(match store.server_version().await {
        Ok(version) => Check::that(
            "MongoDB version",
            major(&version).is_some_and(|major| major >= VERSION_MIN),
            version,
            format!("use MongoDB {VERSION_MIN} or newer"),
        ),
        Err(error) => Check::unreachable("MongoDB version", error.to_string(), "ask for the rights to connect"),
    });
    store.shutdown().await;
    checks
}

fn unusable(failure: Failure, check: impl Fn(&'static str, String, &'static str) -> Check) -> Check {
    let found = failure.message.unwrap_or_default();
    check("MongoDB", found, "until then there are no read models; the log does not need them")
}

fn major(version: &str) -> Option<u32> {
    version.split('.').next()?.parse().ok()
}
