//! The models that come with the ledger.

mod balances;
mod changelogs;
mod entities;
mod preferences;
