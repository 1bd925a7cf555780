//! The queries: what the log answers, as JSON or as tables for people.

pub(crate) mod args;
mod balances;
mod entries;
mod history;
mod reports;
mod statement;

pub(crate) use balances::{balance, balances};
pub(crate) use entries::{entry, holds};
pub(crate) use history::history;
pub(crate) use reports::{balance_sheet, income_statement, trial_balance};
pub(crate) use statement::statement;

use jiff::Timestamp;
use postfold::Position;
use postfold::event::{PostedLeg, SideAmount};

/// `cash 12.50 EUR debit, sales 12.50 EUR credit`
fn legs(legs: &[PostedLeg]) -> String {
    let leg = |leg: &PostedLeg| {
        let (side, amount) = match leg.amount {
            SideAmount::Debit(amount) => ("debit", amount),
            SideAmount::Credit(amount) => ("credit", amount),
        };
        format!("{side} {} {amount} {}", leg.account, leg.currency)
    };
    legs.iter().map(leg).collect::<Vec<_>>().join(", ")
}

/// `as of position 812, effective by 2025-03-31T23:59:59.999999Z`
fn as_of(position: Position, effective_at: Option<Timestamp>) -> String {
    let effective = effective_at.map(|time| format!(", effective by {time}")).unwrap_or_default();
    format!("as of position {position}{effective}")
}
