//! `project`: read models, folded from the log into MongoDB.

mod rebuild;
mod run;
mod status;
mod verify;
mod watch;

use std::sync::Arc;

use postfold_projections::{MongoSettings, MongoStore, Projector, StoreError, StoreErrorKind, database_name};

use crate::args::{Global, Project};
use crate::connect::CONNECT_TIMEOUT;
use crate::exit::{Exit, Failure};
use crate::models::Models;
use crate::shutdown::Shutdown;
use watch::Watch;

/// Runs one of the commands.
pub(crate) async fn project(
    global: &Global,
    command: Project,
    models: Models,
    shutdown: &Shutdown,
) -> Result<Exit, Failure> {
    let only: &[String] = match &command {
        Project::Run(options) => &options.only.only,
        Project::Rebuild(options) => &options.only,
        Project::Verify(options) => &options.only.only,
        Project::Status => &[],
    };
    let desk = tokio::select! {
        desk = Desk::open(global, models, only) => desk?,
        () = shutdown.requested() => {
            return Err(Failure { exit: shutdown.exit(), message: Some("interrupted before it began".to_owned()) });
        }
    };
    let done = match &command {
        Project::Run(options) => run::run(&desk, options.until_caught_up, shutdown).await,
        Project::Status => shutdown.or(status::status(&desk)).await,
        Project::Rebuild(_) => rebuild::rebuild(&desk, shutdown).await,
        Project::Verify(_) => verify::verify(&desk, shutdown).await,
    };
    desk.close().await;
    done
}

/// What the commands work with: the projections, and whom to tell.
struct Desk {
    projector: Projector,
    store: MongoStore,
    watch: Arc<Watch>,
    json: bool,
}

impl Desk {
    /// Connects to both servers.
    async fn open(global: &Global, models: Models, only: &[String]) -> Result<Self, Failure> {
        let uri = global.mongodb_uri()?;
        let log = global.open_log().await?;
        let store = connect(uri, &database_name(global.ledger()?)).await?;
        let watch = Arc::new(Watch::default());
        let told = Arc::clone(&watch);
        let projector = Projector::new(log, store.clone()).on_progress(move |progress| told.tell(progress));
        let projector = models.give(projector, only);
        Ok(Self { projector, store, watch, json: global.json })
    }

    async fn close(self) {
        self.store.shutdown().await;
    }
}

/// Connects to the database of a ledger's read models.
pub(crate) async fn connect(uri: &str, database: &str) -> Result<MongoStore, Failure> {
    let settings = MongoSettings { connect_timeout: CONNECT_TIMEOUT, ..MongoSettings::default() };
    MongoStore::connect_with(uri, database, settings).await.map_err(|error| match error.kind {
        // The server was not even asked.
        StoreErrorKind::Refused(0) => Failure::usage(format!(
            "the URI of --mongodb-uri or MONGODB_URI cannot be used: {error}; write mongodb://user@host:port"
        )),
        _ => Failure::infrastructure(format!(
            "MongoDB is not available: {error}; start the server, or correct --mongodb-uri or MONGODB_URI"
        )),
    })
}

/// The store does not do its part.
fn unavailable(error: &StoreError) -> Failure {
    Failure::infrastructure(format!("the read models are not available: {error}"))
}
