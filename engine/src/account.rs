//! The words of the chart of accounts: types, sides, limits.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::money::Minor;

/// The five types of account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AccountType {
    /// What is owned: cash, receivables. Debit-normal.
    Asset,
    /// What was consumed. Debit-normal.
    Expense,
    /// What is owed: customers' deposits, payables. Credit-normal.
    Liability,
    /// The owners' share. Credit-normal.
    Equity,
    /// What was earned. Credit-normal.
    Income,
}

impl AccountType {
    /// The side on which a balance of this type grows, unless the account is a contra account.
    pub const fn normal(self) -> Side {
        match self {
            Self::Asset | Self::Expense => Side::Debit,
            Self::Liability | Self::Equity | Self::Income => Side::Credit,
        }
    }

    /// The word that JSON and the database use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Asset => "asset",
            Self::Expense => "expense",
            Self::Liability => "liability",
            Self::Equity => "equity",
            Self::Income => "income",
        }
    }
}

/// The side of a leg, and of an account's normal balance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// The left-hand side.
    Debit,
    /// The right-hand side.
    Credit,
}

impl Side {
    /// The other side.
    #[must_use]
    pub const fn opposite(self) -> Self {
        match self {
            Self::Debit => Self::Credit,
            Self::Credit => Self::Debit,
        }
    }

    /// An amount that is debit minus credit, as one on this side; and the other way round.
    pub(crate) const fn signed(self, amount: Minor) -> Minor {
        match self {
            Self::Debit => amount,
            Self::Credit => -amount,
        }
    }

    /// The word that JSON and the database use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Debit => "debit",
            Self::Credit => "credit",
        }
    }
}

/// Bounds on an account's current balance, on its normal side; an absent one is no bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// The available balance stays at or above this; `-500` is a credit line of 500.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub floor: Option<Decimal>,
    /// What is posted, and what holds will bring, stays at or below this.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ceiling: Option<Decimal>,
    /// At most this leaves the account within one UTC day of the recorded time.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub daily_out: Option<Decimal>,
}

impl Limits {
    /// Whether nothing is bounded.
    pub const fn is_empty(&self) -> bool {
        self.floor.is_none() && self.ceiling.is_none() && self.daily_out.is_none()
    }
}
