//! A database of a test's own.

use postfold_projections::{MongoSettings, MongoStore};
use uuid::Uuid;

/// A database of one test's own on the server that `MONGODB_URI` names.
pub(crate) struct Database {
    pub(crate) store: MongoStore,
    pub(crate) name: String,
}

impl Database {
    pub(crate) async fn create() -> Self {
        Self::create_with(MongoSettings::default()).await
    }

    pub(crate) async fn create_with(settings: MongoSettings) -> Self {
        let uri = std::env::var("MONGODB_URI")
            .expect("this test needs a server: eval \"$(make -s stack-env)\" sets MONGODB_URI");
        let name = format!("postfold_test_{}", Uuid::now_v7().simple());
        let store =
            MongoStore::connect_with(&uri, &name, settings).await.expect("MONGODB_URI names a server that answers");
        Self { store, name }
    }

    /// Not in `Drop`: that cannot wait for the server.
    pub(crate) async fn drop(self) {
        self.store.drop_database().await.expect("the database can be dropped");
        self.store.shutdown().await;
    }
}
