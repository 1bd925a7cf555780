//! `register_currency` and `open_account`: the chart of accounts.

use super::{Decision, NewEvent, Stop};
use crate::account::Limits;
use crate::command::{Command, OpenAccount, RegisterCurrency};
use crate::event::{AccountOpened, CurrencyRegistered, Payload, kind};
use crate::money::{self, AmountError};
use crate::outcome::{Invalid, Rejection, Rule};
use crate::position::Position;
use crate::state::State;

pub(super) fn register_currency(
    state: &State,
    command: &Command,
    currency: &RegisterCurrency,
) -> Result<Decision, Stop> {
    let exists =
        |why: &str| Rejection::new(Rule::CurrencyExists, format!("{} {why}", currency.code)).currency(&currency.code);
    if let Some(scale) = money::iso_scale(&currency.code) {
        return Err(exists(&format!("is known by ISO 4217, with {scale} decimals; it needs no registering")).into());
    }
    if let Some((_, position)) = state.registered_currency(&currency.code)? {
        return said_before(state, command, position, exists("is registered already"));
    }
    let registered =
        CurrencyRegistered { code: currency.code.clone(), scale: currency.scale, name: currency.name.clone() };
    let mut event =
        NewEvent::new(kind::CURRENCY_REGISTERED, &registered, Payload::CurrencyRegistered(registered.clone()))?;
    // The engine's own streams hold no `/`, so no entity can be named like this.
    event.stream = Some((format!("currency:{}", currency.code), 1));
    Ok(Decision::Write(event))
}

pub(super) fn open_account(state: &State, command: &Command, open: &OpenAccount) -> Result<Decision, Stop> {
    let scale = scale_of(state, &open.currency)?;
    let others = state.accounts_of(&open.account)?;
    if let Some(account) = others.iter().find(|account| *account.facts.currency == *open.currency) {
        let message = format!("{} is open in {} already", open.account, open.currency);
        let exists = Rejection::new(Rule::AccountExists, message).account(&open.account).currency(&open.currency);
        return said_before(state, command, account.facts.id, exists);
    }
    if let Some(account) = others.iter().find(|account| account.facts.account_type != open.account_type) {
        let message = format!(
            "{} is of type {} in {}; a code has one type in all currencies",
            open.account,
            account.facts.account_type.as_str(),
            account.facts.currency,
        );
        return Err(Rejection::new(Rule::TypeDiffers, message).account(&open.account).currency(&open.currency).into());
    }
    check_limits(&open.limits, &open.currency, scale, AmountError::Scale)?;
    check_limits(&open.limits, &open.currency, scale, AmountError::Overflow)?;
    let opened = AccountOpened {
        account: open.account.clone(),
        currency: open.currency.clone(),
        scale,
        account_type: open.account_type,
        normal: open.normal.unwrap_or(open.account_type.normal()),
        limits: open.limits,
        owner: open.owner.clone(),
        name: open.name.clone(),
    };
    NewEvent::new(kind::ACCOUNT_OPENED, &opened, Payload::AccountOpened(opened.clone())).map(Decision::Write)
}

/// The scale of a currency, by ISO 4217 or registered.
pub(super) fn scale_of(state: &State, currency: &str) -> Result<u8, Stop> {
    if let Some(scale) = money::iso_scale(currency) {
        return Ok(scale);
    }
    if let Some((scale, _)) = state.registered_currency(currency)? {
        return Ok(scale);
    }
    let message = format!("{currency} is neither an ISO 4217 currency with a minor unit nor registered");
    Err(Rejection::new(Rule::UnknownCurrency, message).currency(currency).into())
}

/// Set-up scripts can be run again: without an id, the same words get the first receipt.
fn said_before(state: &State, command: &Command, at: Position, exists: Rejection) -> Result<Decision, Stop> {
    if command.id.is_some() {
        return Err(exists.into());
    }
    let record = state.record(at)?;
    if record.fingerprint == Some(command.fingerprint()) {
        return Ok(Decision::Duplicate(record.duplicate()));
    }
    Err(exists.into())
}

/// Whether a limit is wrong in this way: scale and overflow are stages of their own.
pub(super) fn check_limits(limits: &Limits, currency: &str, scale: u8, wrong: AmountError) -> Result<(), Stop> {
    let fields =
        [("limits.floor", limits.floor), ("limits.ceiling", limits.ceiling), ("limits.daily_out", limits.daily_out)];
    let given = fields.into_iter().filter_map(|(field, limit)| Some((field, limit?)));
    match given.into_iter().find(|(_, limit)| money::to_minor(*limit, scale) == Err(wrong)) {
        None => Ok(()),
        Some((field, limit)) => Err(amount_error(field, limit, currency, scale, wrong).into()),
    }
}

/// Says what is wrong with an amount, by its currency.
pub(super) fn amount_error(
    field: &str,
    amount: rust_decimal::Decimal,
    currency: &str,
    scale: u8,
    error: AmountError,
) -> Invalid {
    let message = match error {
        AmountError::Scale => format!("{currency} has {scale} decimals"),
        AmountError::Overflow => "overflow: no amount and no total reaches 10^28 minor units".to_owned(),
    };
    Invalid::new(field, Some(amount.to_string()), message)
}
