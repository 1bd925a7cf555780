//! Currencies and accounts: opening, limits, freezing, closing, assertions.

use iso_currency::Currency;
use postfold::command::{AssertBalance, CloseAccount, Freeze, OpenAccount, RegisterCurrency, SetLimits};
use postfold::{Command, Limits, Rule};
use rust_decimal::Decimal;

use super::answer::{Refused, Told, same};
use super::legs::{Amount, Side};
use super::totals::{Book, TOO_MUCH, minor};
use super::{Done, Model};

impl Model {
    pub(super) fn register_currency(
        &mut self,
        command: &Command,
        register: &RegisterCurrency,
    ) -> Result<Done, Refused> {
        let known = self.currencies.get(&register.code).map(|(_, command, told)| (command, told));
        if known.is_some() || iso_scale(&register.code).is_some() {
            return said_before(command, known, Rule::CurrencyExists);
        }
        Ok(Done::one_event())
    }

    pub(super) fn open_account(&mut self, command: &Command, open: &OpenAccount) -> Result<Done, Refused> {
        let scale = self.scale_of(&open.currency)?;
        let name = (open.account.clone(), open.currency.clone());
        if let Some(book) = self.accounts.get(&name) {
            let opened = book.opened_by.as_ref().map(|(command, told)| (command, told));
            return said_before(command, opened, Rule::AccountExists);
        }
        let other_type =
            |((code, _), book): (&super::Name, &Book)| *code == open.account && book.account_type != open.account_type;
        if self.accounts.iter().any(other_type) {
            return Err(Rule::TypeDiffers.into());
        }
        limits_fit(&open.limits, scale)?;
        let mut book = Book::new(open.account_type, open.normal.unwrap_or_else(|| open.account_type.normal()), scale);
        book.limit(&open.limits);
        self.accounts.insert(name, book);
        Ok(Done::one_event())
    }

    pub(super) fn set_limits(&mut self, set: &SetLimits) -> Result<Done, Refused> {
        let name = self.find_one(&set.account, set.currency.as_deref())?;
        let book = &self.accounts[&name];
        let scale = book.scale;
        if !limits(&set.limits).all(|limit| minor(limit, scale).is_some()) {
            return Err(Refused::Invalid);
        }
        if book.closed {
            return Err(Rule::AccountClosed.into());
        }
        limits_fit(&set.limits, scale)?;
        let in_minor = |limit| Option::and_then(limit, |limit| minor(limit, scale));
        let below = in_minor(set.limits.floor).is_some_and(|floor| book.available() < floor);
        let above = in_minor(set.limits.ceiling).is_some_and(|ceiling| book.balance() + book.coming() > ceiling);
        if !set.force && (below || above) {
            return Err(Rule::LimitsBroken.into());
        }
        self.change(&name, |book| book.limit(&set.limits));
        Ok(Done::one_event())
    }

    pub(super) fn freeze(&mut self, freeze: &Freeze, frozen: bool) -> Result<Done, Refused> {
        let name = self.find_one(&freeze.account, freeze.currency.as_deref())?;
        if self.accounts[&name].closed {
            return Err(Rule::AccountClosed.into());
        }
        self.change(&name, |book| book.frozen = frozen);
        Ok(Done::one_event())
    }

    pub(super) fn close_account(&mut self, close: &CloseAccount) -> Result<Done, Refused> {
        let name = self.find_one(&close.account, close.currency.as_deref())?;
        let book = &self.accounts[&name];
        if book.closed {
            return Err(Rule::AccountClosed.into());
        }
        if book.balance() != 0 || book.coming() != 0 || book.reserved() != 0 {
            return Err(Rule::AccountNotEmpty.into());
        }
        self.change(&name, |book| book.closed = true);
        Ok(Done::one_event())
    }

    pub(super) fn assert_balance(&mut self, assert: &AssertBalance) -> Result<Done, Refused> {
        let name = self.find_one(&assert.account, assert.currency.as_deref())?;
        let book = &self.accounts[&name];
        let wanted = minor(assert.amount, book.scale).filter(|amount| amount.abs() < TOO_MUCH);
        let wanted = wanted.ok_or(Refused::Invalid)?;
        let counts = book.dated.iter().filter(|(at, _)| assert.as_of.is_none_or(|as_of| *at <= as_of));
        let debit: Amount = counts.map(|(_, amount)| amount).sum();
        let found = if book.normal == Side::Debit { debit } else { -debit };
        if found == wanted { Ok(Done::one_event()) } else { Err(Rule::BalanceDiffers.into()) }
    }

    /// The decimals of a currency.
    pub(super) fn scale_of(&self, currency: &str) -> Result<u8, Refused> {
        let registered = self.currencies.get(currency).map(|(scale, _, _)| *scale);
        iso_scale(currency).or(registered).ok_or_else(|| Rule::UnknownCurrency.into())
    }

    fn change(&mut self, name: &super::Name, change: impl Fn(&mut Book)) {
        if let Some(book) = self.accounts.get_mut(name) {
            change(book);
        }
    }
}

/// Set-up scripts can be run again: the same words without an id answer what the first ones were answered.
fn said_before(command: &Command, before: Option<(&Command, &Told)>, exists: Rule) -> Result<Done, Refused> {
    match before {
        Some((first, told)) if command.id.is_none() && same(first, command) => {
            Ok(Done { again: Some(told.clone()), ..Done::default() })
        }
        _ => Err(exists.into()),
    }
}

fn limits_fit(given: &Limits, scale: u8) -> Result<(), Refused> {
    let fits = |limit| minor(limit, scale).is_some_and(|limit| limit.abs() < TOO_MUCH);
    if limits(given).all(fits) { Ok(()) } else { Err(Refused::Invalid) }
}

fn limits(limits: &Limits) -> impl Iterator<Item = Decimal> {
    [limits.floor, limits.ceiling, limits.daily_out].into_iter().flatten()
}

/// The decimals of an active ISO 4217 currency that has a minor unit.
fn iso_scale(code: &str) -> Option<u8> {
    let currency = Currency::from_code(code).filter(|currency| currency.is_superseded().is_none())?;
    currency.exponent().and_then(|exponent| u8::try_from(exponent).ok())
}
