//! The bank's own bookkeeping: what every balance must be, kept without the ledger's help.
//!
//! It is deliberately the dumbest thing that can be right (one signed sum per account, in minor units), so that an
//! agreement with the ledger means something.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::amount::Currency;

/// The type of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// What the bank has.
    Asset,
    /// What the bank owes, such as the balances of its customers.
    Liability,
    /// What belongs to the bank's owners.
    Equity,
    /// What the bank earned.
    Income,
    /// What the bank spent.
    Expense,
}

impl Kind {
    /// Whether a debit makes a balance of this type larger.
    pub const fn is_debit_normal(self) -> bool {
        matches!(self, Self::Asset | Self::Expense)
    }
}

/// An account's place in the [`Book`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct AccountId(usize);

/// An account and its balance.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    pub(crate) code: String,
    pub(crate) kind: Kind,
    pub(crate) currency: Currency,
    /// The lowest balance allowed, on the normal side, in minor units.
    pub(crate) floor: Option<i64>,
    pub(crate) owner: Option<String>,
    /// On the normal side, in minor units.
    balance: i64,
}

/// One side of an entry: positive minor units are a debit, negative ones a credit.
pub(crate) type Movement = (AccountId, i64);

/// All accounts.
#[derive(Debug, Default)]
pub(crate) struct Book {
    accounts: Vec<Account>,
}

impl Book {
    pub(crate) fn open(
        &mut self,
        code: String,
        kind: Kind,
        currency: Currency,
        floor: Option<i64>,
        owner: Option<String>,
    ) -> AccountId {
        self.accounts.push(Account { code, kind, currency, floor, owner, balance: 0 });
        AccountId(self.accounts.len() - 1)
    }

    pub(crate) fn account(&self, id: AccountId) -> &Account {
        &self.accounts[id.0]
    }

    pub(crate) fn balance(&self, id: AccountId) -> i64 {
        self.account(id).balance
    }

    /// What an account may still give; `None` when it has no floor.
    pub(crate) fn spendable(&self, id: AccountId) -> Option<i64> {
        let account = self.account(id);
        account.floor.map(|floor| account.balance - floor)
    }

    /// Whether an entry keeps to every floor. An account that the entry does not lower is never the obstacle.
    ///
    /// The accounts of one entry must be different ones, as they are throughout this bank.
    pub(crate) fn allows(&self, entry: &[Movement]) -> bool {
        entry.iter().all(|&(id, debit)| {
            let change = self.change(id, debit);
            change >= 0 || self.spendable(id).is_none_or(|spendable| spendable + change >= 0)
        })
    }

    pub(crate) fn post(&mut self, entry: &[Movement]) {
        debug_assert_eq!(entry.iter().map(|&(_, debit)| debit).sum::<i64>(), 0);
        for &(id, debit) in entry {
            let change = self.change(id, debit);
            self.accounts[id.0].balance += change;
        }
    }

    /// Every account's balance on its normal side, by code. A code has one currency in this bank.
    pub(crate) fn balances(&self) -> BTreeMap<String, (Currency, i64)> {
        self.accounts.iter().map(|account| (account.code.clone(), (account.currency, account.balance))).collect()
    }

    fn change(&self, id: AccountId, debit: i64) -> i64 {
        if self.account(id).kind.is_debit_normal() { debit } else { -debit }
    }
}

#[cfg(test)]
mod tests {
    use super::{Book, Kind};
    use crate::amount::Currency;

    #[test]
    fn a_floor_stops_what_lowers_the_account_and_nothing_else() {
        let mut book = Book::default();
        let cash = book.open("cash".into(), Kind::Asset, Currency::Eur, None, None);
        let wallet = book.open("wallet".into(), Kind::Liability, Currency::Eur, Some(-500), None);

        assert!(book.allows(&[(wallet, 500), (cash, -500)]));
        assert!(!book.allows(&[(wallet, 501), (cash, -501)]));

        book.post(&[(cash, 300), (wallet, -300)]);
        assert_eq!(book.balance(wallet), 300);
        assert_eq!(book.spendable(wallet), Some(800));
        assert_eq!(book.spendable(cash), None);
        assert!(book.allows(&[(cash, 1), (wallet, -1)]));
    }
}
