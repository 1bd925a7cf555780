//! The server of the read models.

use postfold_projections::database_name;

use super::Check;
use crate::args::Global;
use crate::connect::given;
use crate::exit::Exit;
use crate::project;

/// The oldest MongoDB that will do.
const VERSION_MIN: u32 = 7;

/// Looks at the server that holds the read models.
pub(super) async fn look(global: &Global, uri: &str) -> Vec<Check> {
    let database = database_name(given(global.ledger.as_ref()).unwrap_or("postfold"));
    let store = match project::connect(uri, &database).await {
        Ok(store) => store,
        Err(failure) => {
            let found = failure.message.unwrap_or_default();
            let check = match failure.exit {
                Exit::Usage => Check::problem("MongoDB", found, "correct --mongodb-uri or MONGODB_URI"),
                _ => Check::unreachable(
                    "MongoDB",
                    found,
                    "start the server, or correct --mongodb-uri or MONGODB_URI; the log does not need it",
                ),
            };
            return vec![check];
        }
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

fn major(version: &str) -> Option<u32> {
    version.split('.').next()?.parse().ok()
}
