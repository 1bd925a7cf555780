//! Read models that come with the ledger.

mod balances;
mod changelogs;
mod preferences;

pub use balances::{Balance, Balances};
pub use changelogs::{Changelog, Changelogs};
pub use preferences::{Preference, Preferences};
