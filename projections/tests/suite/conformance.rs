//! Both stores keep what the conformance suite asks for.

use postfold_projections::{MemoryStore, MongoSettings, WriteForm, conformance};

use crate::database::Database;

#[tokio::test]
async fn the_store_in_memory_keeps_every_rule() {
    conformance::all(&MemoryStore::new()).await;
}

#[tokio::test]
async fn the_store_in_mongodb_keeps_every_rule_in_both_forms_of_its_writes() {
    for write_form in [WriteForm::Statements, WriteForm::Table] {
        let database = Database::create_with(MongoSettings { write_form, ..MongoSettings::default() }).await;
        conformance::all(&database.store).await;
        database.drop().await;
    }
}
