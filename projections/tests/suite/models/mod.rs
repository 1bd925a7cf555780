//! The models that come with the ledger.

mod agreement;
mod balances;
mod changelogs;
mod dashboards;
mod entities;
mod pages;
mod preferences;
mod statements;
