//! `set_limits`, `freeze`, `unfreeze`, `close_account` and `assert_balance`: one account at a time.

use super::accounts::check_limits;
use super::legs::{check_open, of_account, one_account};
use super::{Decision, NewEvent, Stop};
use crate::command::{AssertBalance, CloseAccount, Freeze, SetLimits};
use crate::event::{AccountChanged, AccountStatus, BalanceAsserted, Payload, kind};
use crate::money::{self, AmountError};
use crate::outcome::Rule;
use crate::state::{Account, MinorLimits, State};

pub(super) fn set_limits(state: &State, set: &SetLimits) -> Result<Decision, Stop> {
    let account = one_account(state, &set.account, set.currency.as_deref())?;
    let (currency, scale) = (&account.facts.currency, account.facts.scale);
    check_limits(&set.limits, currency, scale, AmountError::Scale)?;
    check_open(account)?;
    check_limits(&set.limits, currency, scale, AmountError::Overflow)?;
    if !set.force {
        check_broken(account, set)?;
    }
    let counting = account.status.counting || set.limits.daily_out.is_some();
    let status = AccountStatus { limits: set.limits, counting, ..status(account) };
    change(account, kind::LIMITS_SET, status, None)
}

pub(super) fn freeze(state: &State, freeze: &Freeze, frozen: bool) -> Result<Decision, Stop> {
    let account = one_account(state, &freeze.account, freeze.currency.as_deref())?;
    check_open(account)?;
    let kind = if frozen { kind::ACCOUNT_FROZEN } else { kind::ACCOUNT_UNFROZEN };
    change(account, kind, AccountStatus { frozen, ..status(account) }, Some(freeze.reason.clone()))
}

pub(super) fn close_account(state: &State, close: &CloseAccount) -> Result<Decision, Stop> {
    let account = one_account(state, &close.account, close.currency.as_deref())?;
    check_open(account)?;
    if account.posted() != 0 || !account.totals.nothing_pending() {
        let message = format!(
            "{} holds {} {}, and {} is pending",
            account.facts.code,
            account.decimal(account.posted()),
            account.facts.currency,
            if account.totals.nothing_pending() { "nothing" } else { "something" },
        );
        let mut rejection = of_account(Rule::AccountNotEmpty, account, message);
        rejection.available = Some(account.decimal(account.posted()));
        return Err(rejection.into());
    }
    change(account, kind::ACCOUNT_CLOSED, AccountStatus { closed: true, ..status(account) }, None)
}

pub(super) fn assert_balance(state: &State, assert: &AssertBalance) -> Result<Decision, Stop> {
    let account = one_account(state, &assert.account, assert.currency.as_deref())?;
    let (currency, scale) = (&account.facts.currency, account.facts.scale);
    let wrong = |error| super::accounts::amount_error("amount", assert.amount, currency, scale, error);
    let wanted = match money::to_minor(assert.amount, scale) {
        Err(AmountError::Scale) => return Err(wrong(AmountError::Scale).into()),
        Err(AmountError::Overflow) => return Err(wrong(AmountError::Overflow).into()),
        Ok(wanted) => wanted,
    };
    let found = match assert.as_of {
        None => account.posted(),
        Some(time) => account.signed(state.as_of(account.facts.id, time)?),
    };
    if found != wanted {
        let message = format!(
            "{} has {} {currency}, not {}",
            account.facts.code,
            account.decimal(found),
            account.decimal(wanted)
        );
        let mut rejection = of_account(Rule::BalanceDiffers, account, message);
        rejection.available = Some(account.decimal(found));
        rejection.requested = Some(account.decimal(wanted));
        return Err(rejection.into());
    }
    let asserted = BalanceAsserted {
        account: account.facts.code.to_string(),
        currency: currency.to_string(),
        amount: account.decimal(found),
        as_of: assert.as_of,
    };
    NewEvent::new(kind::BALANCE_ASSERTED, &asserted, Payload::BalanceAsserted(asserted.clone())).map(Decision::Write)
}

/// What may change of the account, as it is.
fn status(account: &Account) -> AccountStatus {
    AccountStatus {
        limits: account.status.limits.decimals(account.facts.scale),
        frozen: account.status.frozen,
        closed: account.status.closed,
        counting: account.status.counting,
    }
}

fn change(account: &Account, kind: &str, status: AccountStatus, reason: Option<String>) -> Result<Decision, Stop> {
    let changed = AccountChanged {
        account: account.facts.code.to_string(),
        currency: account.facts.currency.to_string(),
        reason,
        status,
    };
    let mut event = NewEvent::new(kind, &changed, Payload::AccountChanged(changed.clone()))?;
    event.stream = Some((Account::stream(account.facts.id), account.status.version + 1));
    Ok(Decision::Write(event))
}

fn check_broken(account: &Account, set: &SetLimits) -> Result<(), Stop> {
    // Scale and size were checked before.
    let limits = MinorLimits::new(&set.limits, account.facts.scale).unwrap_or_default();
    let available = account.available();
    let held = account.posted() + account.pending_in();
    let broken = match (limits.floor, limits.ceiling) {
        (Some(floor), _) if available < floor => Some((floor, available, "floor")),
        (_, Some(ceiling)) if held > ceiling => Some((ceiling, held, "ceiling")),
        _ => None,
    };
    let Some((limit, found, name)) = broken else { return Ok(()) };
    let message = format!(
        "{} has {} {}, which breaks a {name} of {}; say force to set it all the same",
        account.facts.code,
        account.decimal(found),
        account.facts.currency,
        account.decimal(limit),
    );
    let mut rejection = of_account(Rule::LimitsBroken, account, message);
    rejection.available = Some(account.decimal(found));
    rejection.limit = Some(account.decimal(limit));
    Err(rejection.into())
}
