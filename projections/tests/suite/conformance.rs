//! Both stores keep what the conformance suite asks for.

use crate::database::Database;

use postfold_projections::{MemoryStore, conformance};

#[tokio::test]
async fn the_store_in_memory_keeps_every_rule() {
    conformance::all(&MemoryStore::new()).await;
}

#[tokio::test]
async fn the_store_in_mongodb_keeps_every_rule() {
    let database = Database::create().await;
    conformance::all(&database.store).await;
    database.drop().await;
}
