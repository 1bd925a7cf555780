//! Read models that come with the ledger, one a file. Their fields, indexes and example queries stand in
//! `docs/models/` of the repository.

mod balances;
mod changelogs;
mod entities;
mod merge;
mod preferences;
mod statements;

use rust_decimal::Decimal;

use crate::projection::FoldError;

pub use balances::{Balance, Balances, Moved};
pub use changelogs::{Changelog, Changelogs};
pub use entities::{Entities, Entity};
pub use preferences::{Preference, Preferences};
pub use statements::{COUNTERPARTIES_MAX, RunningBalance, StatementRow, Statements};

fn add(one: Decimal, other: Decimal) -> Result<Decimal, FoldError> {
    one.checked_add(other).ok_or_else(|| FoldError::new(format!("{one} + {other} is more than a balance can hold")))
}
