//! `project`: read models, folded from the log into MongoDB.

pub(crate) mod args;
mod health;
mod listen;
mod parked;
mod pause;
mod prune;
mod rebuild;
mod reindex;
mod run;
mod status;
mod verify;
mod watch;

use std::sync::Arc;

use postfold::Log;
use postfold_projections::{
    MongoSettings, MongoStore, OperateError, Projector, Settings, Status, StatusError, StoreErrorKind, database_name,
};

use crate::args::Global;
use crate::connect::CONNECT_TIMEOUT;
use crate::exit::{Exit, Failure};
use crate::models::Models;
use crate::shutdown::Shutdown;
use args::Project;
use watch::Watch;

/// Runs one of the commands.
pub(crate) async fn project(
    global: &Global,
    command: Project,
    models: Models,
    shutdown: &Shutdown,
) -> Result<Exit, Failure> {
    let desk = tokio::select! {
        desk = Desk::open(global, models, &command) => desk?,
        () = shutdown.requested() => {
            return Err(Failure { exit: shutdown.exit(), message: Some("interrupted before it began".to_owned()) });
        }
    };
    let done = match &command {
        Project::Run(options) => run::run(&desk, options, shutdown).await,
        Project::Status => shutdown.or(status::status(&desk)).await,
        Project::Rebuild(options) => rebuild::rebuild(&desk, options, shutdown).await,
        Project::Verify(_) => verify::verify(&desk, shutdown).await,
        Project::Pause(options) => shutdown.or(pause::pause(&desk, &options.reason)).await,
        Project::Resume(_) => shutdown.or(pause::resume(&desk)).await,
        Project::Parked(command) => shutdown.or(parked::parked(global, &desk, command)).await,
        Project::Reindex(options) => shutdown.or(reindex::reindex(&desk, options.dry_run)).await,
        Project::Prune(options) => shutdown.or(prune::prune(&desk, options.dry_run)).await,
    };
    desk.close().await;
    done
}

/// What the commands work with: the projections that were asked for, and whom to tell.
struct Desk {
    projector: Projector,
    settings: Settings,
    log: Log,
    store: MongoStore,
    watch: Arc<Watch>,
    json: bool,
}

impl Desk {
    /// Connects to both servers.
    async fn open(global: &Global, models: Models, command: &Project) -> Result<Self, Failure> {
        let uri = global.mongodb_uri()?;
        let log = global.open_log().await?;
        let store = connect(uri, &database_name(global.ledger()?)).await?;
        let watch = Arc::new(Watch::default());
        let told = Arc::clone(&watch);
        let settings = command.settings();
        let projector = Projector::new(log.clone(), store.clone()).settings(settings.clone());
        let projector = models.give(projector.on_progress(move |progress| told.tell(progress)), command.only());
        Ok(Self { projector, settings, log, store, watch, json: global.json })
    }

    async fn status(&self) -> Result<Vec<Status>, Failure> {
        self.projector.status().await.map_err(|error| match error {
            StatusError::Store(error) => unavailable(error),
            StatusError::Log(error) => Failure::infrastructure(error.to_string()),
        })
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
fn unavailable(error: impl std::fmt::Display) -> Failure {
    Failure::infrastructure(format!("the read models are not available: {error}"))
}

impl From<OperateError> for Failure {
    fn from(error: OperateError) -> Self {
        match error {
            OperateError::Config(error) => Self::usage(error.to_string()),
            OperateError::NoModel(_) => Self::problem(format!("{error}; `postfold project run` creates it")),
            OperateError::Log(error) => Self::infrastructure(error.to_string()),
            OperateError::Store(error) => unavailable(error),
        }
    }
}
