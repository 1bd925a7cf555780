//! An account as `decide` sees it: what was opened, and its running totals in minor units.

use std::sync::Arc;

use jiff::civil::Date;
use rust_decimal::Decimal;

use crate::account::{AccountType, Limits, Side};
use crate::event::{AccountOpened, AccountStatus};
use crate::money::{self, AmountError, Minor};
use crate::position::Position;
use crate::query::Balance;

/// The account's number within its ledger: the position that opened it.
pub(crate) type AccountId = Position;

#[derive(Clone, Debug)]
pub(crate) struct Account {
    pub(crate) facts: Arc<Facts>,
    pub(crate) status: Status,
    pub(crate) totals: Totals,
    /// What left it on the last day that anything left it; only where a daily limit counts.
    pub(crate) out: Option<Outflow>,
}

/// What does not change while an account lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) id: AccountId,
    pub(crate) code: Arc<str>,
    pub(crate) currency: Arc<str>,
    pub(crate) scale: u8,
    pub(crate) account_type: AccountType,
    pub(crate) normal: Side,
}

/// What may change of an account while it lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Status {
    pub(crate) limits: MinorLimits,
    pub(crate) frozen: bool,
    pub(crate) closed: bool,
    /// Counts its daily outflow: from the first `daily_out` on, for ever.
    pub(crate) counting: bool,
    /// Changes so far: the version of the account's own stream.
    pub(crate) version: i64,
}

/// [`Limits`] in minor units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct MinorLimits {
    pub(crate) floor: Option<Minor>,
    pub(crate) ceiling: Option<Minor>,
    pub(crate) daily_out: Option<Minor>,
}

/// The running totals after an account's newest posting, each side for itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) debits_posted: Minor,
    pub(crate) credits_posted: Minor,
    pub(crate) debits_pending: Minor,
    pub(crate) credits_pending: Minor,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outflow {
    pub(crate) day: Date,
    pub(crate) sum: Minor,
}

impl Account {
    pub(crate) fn opened(id: AccountId, opened: &AccountOpened) -> Result<Self, AmountError> {
        let facts = Facts {
            id,
            code: opened.account.as_str().into(),
            currency: opened.currency.as_str().into(),
            scale: opened.scale,
            account_type: opened.account_type,
            normal: opened.normal,
        };
        let limits = MinorLimits::new(&opened.limits, opened.scale)?;
        let status = Status { limits, counting: limits.daily_out.is_some(), ..Status::default() };
        Ok(Self { facts: Arc::new(facts), status, totals: Totals::default(), out: None })
    }

    /// An account of which nothing is known but what was opened.
    pub(crate) fn bare(facts: Arc<Facts>) -> Self {
        Self { facts, status: Status::default(), totals: Totals::default(), out: None }
    }

    /// Takes over what an event of the account says, whole.
    pub(crate) fn changed(&mut self, version: i64, status: &AccountStatus) -> Result<(), AmountError> {
        let limits = MinorLimits::new(&status.limits, self.facts.scale)?;
        let AccountStatus { frozen, closed, counting, .. } = *status;
        self.status = Status { limits, frozen, closed, counting, version };
        Ok(())
    }

    /// The name of the account's own stream.
    pub(crate) fn stream(id: AccountId) -> String {
        // The engine's own streams hold no `/`, so no entity can be named like this.
        format!("account:{id}")
    }

    /// The posted balance on the normal side.
    pub(crate) fn posted(&self) -> Minor {
        self.signed(self.totals.posted())
    }

    /// What holds will bring, when they settle.
    pub(crate) fn pending_in(&self) -> Minor {
        self.totals.pending(self.facts.normal)
    }

    /// What holds reserve.
    pub(crate) fn pending_out(&self) -> Minor {
        self.totals.pending(self.facts.normal.opposite())
    }

    /// What may still leave the account.
    pub(crate) fn available(&self) -> Minor {
        self.posted() - self.pending_out()
    }

    /// A debit-minus-credit amount, on the account's normal side.
    pub(crate) fn signed(&self, debit_minus_credit: Minor) -> Minor {
        self.facts.normal.signed(debit_minus_credit)
    }

    /// What left on that day.
    pub(crate) fn out_on(&self, day: Date) -> Minor {
        self.out.filter(|out| out.day == day).map_or(0, |out| out.sum)
    }

    pub(crate) fn decimal(&self, minor: Minor) -> Decimal {
        money::to_decimal(minor, self.facts.scale)
    }

    pub(crate) fn balance(&self, position: Position) -> Balance {
        Balance {
            account: Arc::clone(&self.facts.code),
            currency: Arc::clone(&self.facts.currency),
            account_type: self.facts.account_type,
            normal: self.facts.normal,
            posted: self.decimal(self.posted()),
            pending_in: self.decimal(self.pending_in()),
            pending_out: self.decimal(self.pending_out()),
            available: self.decimal(self.available()),
            position,
        }
    }
}

impl MinorLimits {
    pub(crate) fn new(limits: &Limits, scale: u8) -> Result<Self, AmountError> {
        let minor = |limit: Option<Decimal>| limit.map(|limit| money::to_minor(limit, scale)).transpose();
        Ok(Self { floor: minor(limits.floor)?, ceiling: minor(limits.ceiling)?, daily_out: minor(limits.daily_out)? })
    }

    pub(crate) fn decimals(&self, scale: u8) -> Limits {
        let decimal = |limit: Option<Minor>| limit.map(|limit| money::to_decimal(limit, scale));
        Limits { floor: decimal(self.floor), ceiling: decimal(self.ceiling), daily_out: decimal(self.daily_out) }
    }
}

impl Totals {
    /// The totals after a posted leg.
    pub(crate) fn post(mut self, side: Side, amount: Minor) -> Option<Self> {
        let total = match side {
            Side::Debit => &mut self.debits_posted,
            Side::Credit => &mut self.credits_posted,
        };
        *total = money::add(*total, amount)?;
        Some(self)
    }

    /// The totals after a pending leg; a negative amount releases one.
    pub(crate) fn pend(mut self, side: Side, amount: Minor) -> Option<Self> {
        let total = match side {
            Side::Debit => &mut self.debits_pending,
            Side::Credit => &mut self.credits_pending,
        };
        *total = money::add(*total, amount)?;
        Some(self)
    }

    /// What is posted, debit minus credit.
    pub(crate) const fn posted(&self) -> Minor {
        self.debits_posted - self.credits_posted
    }

    /// What is pending on a side.
    pub(crate) const fn pending(&self, side: Side) -> Minor {
        match side {
            Side::Debit => self.debits_pending,
            Side::Credit => self.credits_pending,
        }
    }

    /// Whether nothing is pending.
    pub(crate) const fn nothing_pending(&self) -> bool {
        self.debits_pending == 0 && self.credits_pending == 0
    }
}
