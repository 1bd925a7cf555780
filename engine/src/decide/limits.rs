//! Floors, ceilings and daily outflow: looked at once, at the end of an entry, on its net effect.

use jiff::Timestamp;

use super::Stop;
use super::legs::{Effect, of_account};
use crate::event::DailyOut;
use crate::money::{self, Minor};
use crate::outcome::{Rejection, Rule};
use crate::state::Account;

/// Refuses an entry that moves an account towards a limit and past it; answers the day's outflow of
/// the accounts that count it.
pub(super) fn check(effects: &[Effect<'_>], recorded_at: Timestamp) -> Result<Vec<DailyOut>, Stop> {
    let mut outflow = Vec::new();
    for Effect { account, net } in effects {
        check_floor(account, *net)?;
        check_ceiling(account, *net)?;
        outflow.extend(check_daily_out(account, *net, recorded_at)?);
    }
    Ok(outflow)
}

/// What a transfer `up_to` this amount may move.
pub(super) fn up_to(effects: &[Effect<'_>], amount: Minor) -> Result<Minor, Stop> {
    let lowered: Vec<&Account> = effects.iter().filter(|effect| effect.net < 0).map(|effect| effect.account).collect();
    let with_floor = lowered.iter().filter_map(|account| account.status.limits.floor.map(|floor| (account, floor)));
    let by_floor =
        with_floor.map(|(account, floor)| (*account, account.available() - floor)).min_by_key(|(_, gives)| *gives);
    let by_first = lowered.first().map(|account| (*account, account.available()));
    let Some((account, gives)) = by_floor.or(by_first) else { return Ok(amount) };
    if gives > 0 {
        return Ok(gives.min(amount));
    }
    let message = format!("{} has nothing to give", account.facts.code);
    Err(rejection(Rule::NothingAvailable, account, account.available(), amount, message).into())
}

fn check_floor(account: &Account, net: Minor) -> Result<(), Stop> {
    let Some(floor) = account.status.limits.floor else { return Ok(()) };
    if net >= 0 || account.available() + net >= floor {
        return Ok(());
    }
    let message = format!(
        "{} has {} {} available, with a floor of {}",
        account.facts.code,
        account.decimal(account.available()),
        account.facts.currency,
        account.decimal(floor),
    );
    let mut rejection = rejection(Rule::InsufficientFunds, account, account.available(), -net, message);
    rejection.limit = Some(account.decimal(floor));
    Err(rejection.into())
}

fn check_ceiling(account: &Account, net: Minor) -> Result<(), Stop> {
    let Some(ceiling) = account.status.limits.ceiling else { return Ok(()) };
    let held = account.posted() + account.pending_in();
    if net <= 0 || held + net <= ceiling {
        return Ok(());
    }
    let message = format!(
        "{} holds {} {}, with a ceiling of {}",
        account.facts.code,
        account.decimal(held),
        account.facts.currency,
        account.decimal(ceiling),
    );
    let mut rejection = rejection(Rule::CeilingExceeded, account, ceiling - held, net, message);
    rejection.limit = Some(account.decimal(ceiling));
    Err(rejection.into())
}

fn check_daily_out(account: &Account, net: Minor, recorded_at: Timestamp) -> Result<Option<DailyOut>, Stop> {
    if net >= 0 || !account.status.counting {
        return Ok(None);
    }
    let before = account.out_on(money::day(recorded_at));
    let sum = before - net;
    if let Some(limit) = account.status.limits.daily_out.filter(|limit| sum > *limit) {
        let message = format!(
            "{} has let out {} {} today, of at most {}",
            account.facts.code,
            account.decimal(before),
            account.facts.currency,
            account.decimal(limit),
        );
        let mut rejection = rejection(Rule::DailyOutExceeded, account, limit - before, -net, message);
        rejection.limit = Some(account.decimal(limit));
        return Err(rejection.into());
    }
    Ok(Some(daily_out(account, sum)))
}

/// The day's outflow of the accounts to which these legs of a hold are released.
pub(super) fn give_back(released: &[Effect<'_>], recorded_at: Timestamp) -> Vec<DailyOut> {
    let day = money::day(recorded_at);
    let lowered = released.iter().filter(|effect| effect.net < 0);
    lowered.map(|effect| daily_out(effect.account, (effect.account.out_on(day) + effect.net).max(0))).collect()
}

fn daily_out(account: &Account, sum: Minor) -> DailyOut {
    DailyOut {
        account: account.facts.code.as_ref().to_owned(),
        currency: account.facts.currency.as_ref().to_owned(),
        sum: account.decimal(sum),
    }
}

fn rejection(rule: Rule, account: &Account, available: Minor, requested: Minor, message: String) -> Rejection {
    let mut rejection = of_account(rule, account, message);
    rejection.available = Some(account.decimal(available));
    rejection.requested = Some(account.decimal(requested));
    rejection
}
