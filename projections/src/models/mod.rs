//! Read models that come with the ledger, one a file. Their fields, indexes and example queries stand in
//! `docs/models/` of the repository.

mod balances;
mod changelogs;
mod dashboards;
mod entities;
mod merge;
mod preferences;
mod statements;

use rust_decimal::Decimal;

use crate::projection::FoldError;

pub use balances::{Balance, Balances, Moved};
pub use changelogs::{Changelog, Changelogs, ENTITY_BYTES_MAX, EntityState, ExpiringChangelogs};
pub use dashboards::{Dashboard, DashboardKind, Dashboards, PARTIALS, Period};
pub use entities::{Entities, Entity};
pub use preferences::{Preference, Preferences};
pub use statements::{COUNTERPARTIES_MAX, RunningBalance, StatementRow, Statements};

/// The sum, at the first one's scale at least, and never a zero below zero: neither is certain by itself, since
/// adding nothing hands back the other one as it is.
fn add(one: Decimal, other: Decimal) -> Result<Decimal, FoldError> {
    let sum = one.checked_add(other);
    let sum = sum.ok_or_else(|| FoldError::new(format!("{one} + {other} is more than a balance can hold")))?;
    Ok(at_scale(sum, one.scale()))
}

fn at_scale(mut amount: Decimal, scale: u32) -> Decimal {
    if amount.is_zero() {
        return Decimal::new(0, amount.scale().max(scale));
    }
    if amount.scale() < scale {
        amount.rescale(scale);
    }
    amount
}
