//! Trial balance, balance sheet, income statement: what all accounts come to, by currency.
//!
//! A report holds a row for each account that had been opened by then. As of an effective time it costs a
//! look at every posting, otherwise one at each account.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use rust_decimal::Decimal;
use serde::Serialize;

use super::AsOf;
use super::balances::AccountPages;
use crate::account::{AccountType, Side};
use crate::error::Error;
use crate::log::Log;
use crate::money::Minor;
use crate::position::Position;
use crate::state::Account;
use crate::store::View;

/// The posted balance of every account on its side, and that the sides agree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TrialBalance {
    /// The position that it is as of.
    pub position: Position,
    /// Up to when effects count; absent: all do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effective_at: Option<Timestamp>,
    /// One a currency, in order of code.
    pub currencies: Vec<TrialBalanceIn>,
}

/// A trial balance in one currency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TrialBalanceIn {
    /// The currency.
    pub currency: Arc<str>,
    /// Its accounts, in order of code.
    pub accounts: Vec<TrialLine>,
    /// The sum of the debit balances.
    pub debit: Decimal,
    /// The sum of the credit balances, which is the same.
    pub credit: Decimal,
}

/// An account in a trial balance; one of the two amounts, or both, are zero.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TrialLine {
    /// The account's code.
    pub account: Arc<str>,
    /// Its type.
    #[serde(rename = "type")]
    pub account_type: AccountType,
    /// The side on which it grows.
    pub normal: Side,
    /// By how much debits exceed credits.
    pub debit: Decimal,
    /// By how much credits exceed debits.
    pub credit: Decimal,
}

/// What is owned, what is owed, and what is left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BalanceSheet {
    /// The position that it is as of.
    pub position: Position,
    /// Up to when effects count; absent: all do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effective_at: Option<Timestamp>,
    /// One a currency, in order of code.
    pub currencies: Vec<BalanceSheetIn>,
}

/// A balance sheet in one currency: `assets.total = liabilities.total + equity.total + earnings`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BalanceSheetIn {
    /// The currency.
    pub currency: Arc<str>,
    /// Asset accounts.
    pub assets: Section,
    /// Liability accounts.
    pub liabilities: Section,
    /// Equity accounts.
    pub equity: Section,
    /// All income less all expenses that no entry has moved to equity yet.
    pub earnings: Decimal,
    /// Liabilities, equity and earnings.
    pub liabilities_and_equity: Decimal,
}

/// What was earned and spent within a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct IncomeStatement {
    /// The position that it is as of.
    pub position: Position,
    /// What took effect from then on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
    /// What took effect before that time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<Timestamp>,
    /// One a currency, in order of code.
    pub currencies: Vec<IncomeStatementIn>,
}

/// An income statement in one currency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct IncomeStatementIn {
    /// The currency.
    pub currency: Arc<str>,
    /// Income accounts.
    pub income: Section,
    /// Expense accounts.
    pub expenses: Section,
    /// Income less expenses.
    pub net: Decimal,
}

/// The accounts of one type, on the side of that type: what contra accounts hold is taken off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Section {
    /// In order of code.
    pub accounts: Vec<SectionLine>,
    /// Their sum.
    pub total: Decimal,
}

/// An account in a section.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SectionLine {
    /// The account's code.
    pub account: Arc<str>,
    /// What it adds to the section; below zero for a contra account.
    pub amount: Decimal,
}

impl Log {
    /// The trial balance, as of a position or a time.
    ///
    /// # Errors
    ///
    /// [`Error::Query`] for a position behind the head; [`Error::SumTooLarge`]; otherwise when the database
    /// is not available.
    pub async fn trial_balance(&self, as_of: AsOf) -> Result<TrialBalance, Error> {
        let view = self.view(as_of).await?;
        let books = self.books(view).await?;
        let currencies = books.iter().map(Book::trial_balance).collect::<Result<_, _>>()?;
        Ok(TrialBalance { position: view.at, effective_at: as_of.effective_at(), currencies })
    }

    /// The balance sheet, as of a position or a time.
    ///
    /// # Errors
    ///
    /// As [`Log::trial_balance`].
    pub async fn balance_sheet(&self, as_of: AsOf) -> Result<BalanceSheet, Error> {
        let view = self.view(as_of).await?;
        let books = self.books(view).await?;
        let currencies = books.iter().map(Book::balance_sheet).collect::<Result<_, _>>()?;
        Ok(BalanceSheet { position: view.at, effective_at: as_of.effective_at(), currencies })
    }

    /// Income and expenses of what took effect from `from` on, itself included, and before `to`, itself
    /// excluded: so the statements of successive months join. Left out, a side is open.
    ///
    /// # Errors
    ///
    /// As [`Log::trial_balance`]; [`Error::Query`] also when it ends before it begins, or for an `as_of`
    /// with an effective time, which `to` says here.
    pub async fn income_statement(
        &self,
        from: Option<Timestamp>,
        to: Option<Timestamp>,
        as_of: AsOf,
    ) -> Result<IncomeStatement, Error> {
        super::check_span(from, to, as_of)?;
        // Times in a log are whole microseconds.
        let until = to.map(|to| to.saturating_sub(SignedDuration::from_micros(1)).unwrap_or(to));
        let view = View { at: self.resolve(as_of).await?, from, until };
        let books = self.books(view).await?;
        let currencies = books.iter().map(Book::income_statement).collect::<Result<_, _>>()?;
        Ok(IncomeStatement { position: view.at, from, to, currencies })
    }

    /// All accounts by currency.
    async fn books(&self, view: View) -> Result<Vec<Book>, Error> {
        let mut books: BTreeMap<Arc<str>, Book> = BTreeMap::new();
        let mut pages = AccountPages::new("", view);
        while let Some(page) = pages.next(self).await? {
            for account in page {
                let currency = &account.facts.currency;
                let book = books.entry(currency.clone()).or_insert_with(|| Book::new(&account));
                book.accounts.push(Row::of(&account));
            }
        }
        Ok(books.into_values().collect())
    }
}

/// The accounts in one currency, in order of code.
struct Book {
    currency: Arc<str>,
    scale: u8,
    accounts: Vec<Row>,
}

/// What a report needs of an account.
struct Row {
    code: Arc<str>,
    account_type: AccountType,
    normal: Side,
    /// Posted, debit minus credit.
    debit: Minor,
}

impl Row {
    fn of(account: &Account) -> Self {
        let facts = &account.facts;
        let debit = account.totals.posted();
        Self { code: Arc::clone(&facts.code), account_type: facts.account_type, normal: facts.normal, debit }
    }
}

impl Book {
    fn new(account: &Account) -> Self {
        Self { currency: Arc::clone(&account.facts.currency), scale: account.facts.scale, accounts: Vec::new() }
    }

    fn trial_balance(&self) -> Result<TrialBalanceIn, Error> {
        let (mut debits, mut credits) = (0, 0);
        let mut accounts = Vec::with_capacity(self.accounts.len());
        for row in &self.accounts {
            let (debit, credit) = (row.debit.max(0), (-row.debit).max(0));
            debits += debit;
            credits += credit;
            accounts.push(TrialLine {
                account: Arc::clone(&row.code),
                account_type: row.account_type,
                normal: row.normal,
                debit: self.decimal(debit)?,
                credit: self.decimal(credit)?,
            });
        }
        let (debit, credit) = (self.decimal(debits)?, self.decimal(credits)?);
        Ok(TrialBalanceIn { currency: Arc::clone(&self.currency), accounts, debit, credit })
    }

    fn balance_sheet(&self) -> Result<BalanceSheetIn, Error> {
        let earnings = self.sum(AccountType::Income) - self.sum(AccountType::Expense);
        let right = self.sum(AccountType::Liability) + self.sum(AccountType::Equity) + earnings;
        Ok(BalanceSheetIn {
            currency: Arc::clone(&self.currency),
            assets: self.section(AccountType::Asset)?,
            liabilities: self.section(AccountType::Liability)?,
            equity: self.section(AccountType::Equity)?,
            earnings: self.decimal(earnings)?,
            liabilities_and_equity: self.decimal(right)?,
        })
    }

    fn income_statement(&self) -> Result<IncomeStatementIn, Error> {
        let net = self.sum(AccountType::Income) - self.sum(AccountType::Expense);
        Ok(IncomeStatementIn {
            currency: Arc::clone(&self.currency),
            income: self.section(AccountType::Income)?,
            expenses: self.section(AccountType::Expense)?,
            net: self.decimal(net)?,
        })
    }

    fn section(&self, account_type: AccountType) -> Result<Section, Error> {
        let line = |(row, amount): (&Row, Minor)| {
            Ok(SectionLine { account: Arc::clone(&row.code), amount: self.decimal(amount)? })
        };
        let accounts = self.amounts(account_type).map(line).collect::<Result<_, Error>>()?;
        Ok(Section { accounts, total: self.decimal(self.sum(account_type))? })
    }

    fn sum(&self, account_type: AccountType) -> Minor {
        self.amounts(account_type).map(|(_, amount)| amount).sum()
    }

    /// The accounts of a type, on the side of that type.
    fn amounts(&self, account_type: AccountType) -> impl Iterator<Item = (&Row, Minor)> {
        let of_type = self.accounts.iter().filter(move |row| row.account_type == account_type);
        of_type.map(move |row| (row, account_type.normal().signed(row.debit)))
    }

    fn decimal(&self, minor: Minor) -> Result<Decimal, Error> {
        sum(minor, self.scale, &self.currency)
    }
}

/// A sum over many accounts as a decimal, if it has so many digits at most.
pub(super) fn sum(minor: Minor, scale: u8, currency: &str) -> Result<Decimal, Error> {
    Decimal::try_from_i128_with_scale(minor, u32::from(scale))
        .map_err(|_| Error::SumTooLarge { currency: currency.to_owned() })
}
