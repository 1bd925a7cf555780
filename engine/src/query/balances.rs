//! Balances: of one account, and of many.

use std::sync::Arc;

use async_stream::try_stream;
use futures::{Stream, TryStreamExt};
use rust_decimal::Decimal;
use serde::Serialize;

use super::AsOf;
use crate::account::{AccountType, Side};
use crate::error::Error;
use crate::event::AccountOpened;
use crate::log::Log;
use crate::position::Position;
use crate::state::{Account, AccountId};
use crate::store::{AccountPage, Codes, View};

/// Accounts read at a time; also what a stream of them buffers.
const PAGE_ACCOUNTS: usize = 1_000;

/// Currencies of one code that are looked at; a code in more of them cannot be asked without a currency.
const CURRENCIES_MAX: usize = 1_000;

/// What an account holds, on its normal side, at its currency's scale.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Balance {
    /// The account's code.
    pub account: Arc<str>,
    /// Its currency.
    pub currency: Arc<str>,
    /// Its type.
    #[serde(rename = "type")]
    pub account_type: AccountType,
    /// The side on which it grows.
    pub normal: Side,
    /// What is posted.
    pub posted: Decimal,
    /// What holds will bring.
    pub pending_in: Decimal,
    /// What holds reserve.
    pub pending_out: Decimal,
    /// What may still leave: posted less `pending_out`.
    pub available: Decimal,
    /// The position of the log that this is as of.
    pub position: Position,
}

impl Log {
    /// The balance of one account, as of the head.
    ///
    /// # Errors
    ///
    /// As [`Log::balance_as_of`].
    pub async fn balance(&self, account: &str, currency: Option<&str>) -> Result<Balance, Error> {
        self.balance_as_of(account, currency, AsOf::now()).await
    }

    /// The balance of one account, as of a position or a time.
    ///
    /// As of an effective time, a hold counts from its own time on, and until the later of its own time
    /// and that of its settle, void or expiry: so nothing pending is ever below zero. Such a balance costs
    /// a look at every posting of the account; one as of a position or a recorded time costs what the
    /// current one costs.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownAccount`] when it was not open at that position; [`Error::SeveralCurrencies`] when no
    /// currency is named and the code was open in several; [`Error::Query`] for a position behind the head;
    /// otherwise when the database is not available.
    pub async fn balance_as_of(&self, account: &str, currency: Option<&str>, as_of: AsOf) -> Result<Balance, Error> {
        let view = self.view(as_of).await?;
        Ok(self.one_account(account, currency, view).await?.balance(view.at))
    }

    /// The balances of all accounts whose code begins with `prefix` (empty: all), as of the head, in order
    /// of code and currency. For very many accounts, read [`Log::stream_balances`].
    ///
    /// # Errors
    ///
    /// When the database is not available.
    pub async fn balances(&self, prefix: &str) -> Result<Vec<Balance>, Error> {
        self.stream_balances(prefix, AsOf::now()).try_collect().await
    }

    /// The balances of all accounts ever opened whose code begins with `prefix` (empty: all), as of one
    /// position, in order of code and currency. Holds at most 1,000 at a time.
    ///
    /// What `as_of` costs is said at [`Log::balance_as_of`].
    pub fn stream_balances(
        &self,
        prefix: &str,
        as_of: AsOf,
    ) -> impl Stream<Item = Result<Balance, Error>> + Send + use<> {
        let (log, prefix) = (self.clone(), prefix.to_owned());
        try_stream! {
            let view = log.view(as_of).await?;
            let mut pages = AccountPages::new(&prefix, view);
            while let Some(page) = pages.next(&log).await? {
                for account in page {
                    yield account.balance(view.at);
                }
            }
        }
    }

    /// What the accounts of these codes and currencies were opened as, in any order: type, side, scale, owner and
    /// name, which never change, and the limits that they had then. Those that were never opened are left out.
    ///
    /// # Errors
    ///
    /// When the database is not available.
    pub async fn opened(&self, accounts: &[(&str, &str)]) -> Result<Vec<AccountOpened>, Error> {
        self.store().queries().opened(accounts).await
    }

    /// The account of this code in this currency, or in the only one that it is open in.
    pub(crate) async fn one_account(&self, code: &str, currency: Option<&str>, view: View) -> Result<Account, Error> {
        let mut found = self.accounts_of(code, currency, view).await?;
        match (found.pop(), found.is_empty()) {
            (Some(account), true) => Ok(account),
            (Some(last), false) => Err(Error::SeveralCurrencies {
                account: code.to_owned(),
                currencies: found.iter().chain([&last]).map(|account| account.facts.currency.to_string()).collect(),
            }),
            (None, _) => Err(unknown(code, currency, view.at)),
        }
    }

    /// The numbers of the accounts of this code, in all its currencies or in one.
    pub(crate) async fn account_ids(
        &self,
        code: &str,
        currency: Option<&str>,
        at: Position,
    ) -> Result<Vec<AccountId>, Error> {
        let found = self.accounts_of(code, currency, View::at(at)).await?;
        if found.is_empty() {
            return Err(unknown(code, currency, at));
        }
        Ok(found.iter().map(|account| account.facts.id).collect())
    }

    async fn accounts_of(&self, code: &str, currency: Option<&str>, view: View) -> Result<Vec<Account>, Error> {
        let page = AccountPage { codes: Codes::One(code), after: ("", ""), limit: CURRENCIES_MAX };
        let mut found = self.store().queries().account_page(&page, view).await?;
        found.retain(|account| currency.is_none_or(|currency| &*account.facts.currency == currency));
        Ok(found)
    }
}

fn unknown(code: &str, currency: Option<&str>, position: Position) -> Error {
    Error::UnknownAccount { account: code.to_owned(), currency: currency.map(str::to_owned), position }
}

/// Accounts by page, in order of code and currency.
pub(crate) struct AccountPages<'a> {
    prefix: &'a str,
    view: View,
    after: Option<(Arc<str>, Arc<str>)>,
    ended: bool,
}

impl<'a> AccountPages<'a> {
    pub(crate) fn new(prefix: &'a str, view: View) -> Self {
        Self { prefix, view, after: None, ended: false }
    }

    /// The next page; `None` behind the last one.
    pub(crate) async fn next(&mut self, log: &Log) -> Result<Option<Vec<Account>>, Error> {
        if self.ended {
            return Ok(None);
        }
        let after = self.after.as_ref().map_or(("", ""), |(code, currency)| (code, currency));
        let page = AccountPage { codes: Codes::Prefixed(self.prefix), after, limit: PAGE_ACCOUNTS };
        let accounts = log.store().queries().account_page(&page, self.view).await?;
        self.ended = accounts.len() < PAGE_ACCOUNTS;
        self.after = accounts.last().map(|last| (last.facts.code.clone(), last.facts.currency.clone()));
        Ok(Some(accounts))
    }
}
