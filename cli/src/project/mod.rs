//! `project`: read models, folded from the log into MongoDB.

mod rebuild;
mod run;
mod status;
mod verify;
mod watch;

use std::sync::Arc;

use postfold_projections::models::{Balances, Changelogs, Preferences};
use postfold_projections::{
    MongoSettings, MongoStore, Projection, Projector, StoreError, StoreErrorKind, database_name,
};

use crate::args::{Global, Project};
use crate::connect::CONNECT_TIMEOUT;
use crate::exit::{Exit, Failure};
use crate::shutdown::Shutdown;
use watch::Watch;

/// The read models that this program knows.
pub(crate) const MODELS: [&str; 3] =
    [<Balances as Projection>::NAME, <Changelogs as Projection>::NAME, <Preferences as Projection>::NAME];

/// Runs one of the commands.
pub(crate) async fn project(global: &Global, command: Project, shutdown: &Shutdown) -> Result<Exit, Failure> {
    let only: &[String] = match &command {
        Project::Run(options) => &options.only.only,
        Project::Rebuild(options) => &options.only,
        Project::Verify(options) => &options.only.only,
        Project::Status => &[],
    };
    let models = tokio::select! {
        models = Models::open(global, only) => models?,
        () = shutdown.requested() => {
            return Err(Failure { exit: shutdown.exit(), message: Some("interrupted before it began".to_owned()) });
        }
    };
    let done = match &command {
        Project::Run(options) => run::run(&models, options.until_caught_up, shutdown).await,
        Project::Status => shutdown.or(status::status(&models)).await,
        Project::Rebuild(_) => rebuild::rebuild(&models, shutdown).await,
        Project::Verify(_) => verify::verify(&models, shutdown).await,
    };
    models.close().await;
    done
}

/// The read models of a ledger, within reach.
struct Models {
    projector: Projector,
    store: MongoStore,
    watch: Arc<Watch>,
    json: bool,
}

impl Models {
    /// Connects to both servers.
    async fn open(global: &Global, only: &[String]) -> Result<Self, Failure> {
        let uri = global.mongodb_uri()?;
        let log = global.open_log().await?;
        let store = connect(uri, &database_name(global.ledger()?)).await?;
        let watch = Arc::new(Watch::default());
        let told = Arc::clone(&watch);
        let mut projector = Projector::new(log, store.clone()).on_progress(move |progress| told.tell(progress));
        let wanted = |name: &str| only.is_empty() || only.iter().any(|only| only == name);
        if wanted(<Balances as Projection>::NAME) {
            projector = projector.with(Balances);
        }
        if wanted(<Changelogs as Projection>::NAME) {
            projector = projector.with(Changelogs);
        }
        if wanted(<Preferences as Projection>::NAME) {
            projector = projector.with(Preferences);
        }
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
