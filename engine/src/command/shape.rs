//! Whether a command makes sense whatever the state of the ledger: sizes, signs, grammar of names.

use std::collections::HashMap;

use rust_decimal::Decimal;

use super::json::write_text;
use super::{
    Action, Command, CommandBatch, Held, Leg, MAX_BATCH, MAX_CURRENCY_CHARS, MAX_DATA_BYTES, MAX_LEGS, MAX_META_BYTES,
    MAX_NAME_CHARS, MAX_TEXT_CHARS, OpenAccount, Part, PlaceHold, Record, RegisterCurrency, Route, SettleHold,
};
use crate::account::Limits;
use crate::money::MAX_SCALE;
use crate::outcome::Invalid;

type Checked = Result<(), Invalid>;

pub(super) fn check(command: &Command) -> Checked {
    if let Action::Unreadable(invalid) = &command.action {
        return Err(invalid.clone());
    }
    let id_required = matches!(
        command.action,
        Action::Post(_)
            | Action::Transfer(_)
            | Action::Hold(_)
            | Action::Settle(_)
            | Action::Void(_)
            | Action::Reverse(_)
    );
    match &command.id {
        Some(id) => name("id", id)?,
        None if id_required => return Err(Invalid::new("id", None, "this field is required")),
        None => {}
    }
    if let Some(correlation) = &command.correlation {
        name("correlation", correlation)?;
    }
    meta(command)?;
    match &command.action {
        Action::RegisterCurrency(currency) => register_currency(currency),
        Action::OpenAccount(account) => open_account(account),
        Action::SetLimits(set) => {
            account(&set.account, set.currency.as_deref())?;
            limits(&set.limits)
        }
        Action::Freeze(freeze) | Action::Unfreeze(freeze) => {
            account(&freeze.account, freeze.currency.as_deref())?;
            within("reason", &freeze.reason, 0, MAX_TEXT_CHARS)
        }
        Action::CloseAccount(close) => account(&close.account, close.currency.as_deref()),
        Action::Post(entry) => {
            legs(&entry.legs, 2)?;
            optional_text("text", entry.text.as_deref())
        }
        Action::Transfer(money) => {
            between(money.amount, &money.route, money.currency.as_deref())?;
            optional_text("text", money.text.as_deref())
        }
        Action::Hold(hold) => place_hold(hold),
        Action::Settle(settle) => settle_hold(settle),
        Action::Void(void) => {
            name("hold", &void.hold)?;
            optional_text("reason", void.reason.as_deref())
        }
        Action::Reverse(reverse) => {
            name("entry", &reverse.entry)?;
            optional_text("reason", reverse.reason.as_deref())
        }
        Action::AssertBalance(assert) => account(&assert.account, assert.currency.as_deref()),
        Action::ReopenPeriod(reopen) => within("reason", &reopen.reason, 0, MAX_TEXT_CHARS),
        Action::Record(change) => record(change),
        Action::Batch(members) => batch(command, members),
        Action::Execute(execution) => entity(execution.0.entity()),
        Action::ExpireDue(_) | Action::ClosePeriod(_) | Action::Unreadable(_) => Ok(()),
    }
}

fn register_currency(currency: &RegisterCurrency) -> Checked {
    currency_code("code", &currency.code)?;
    if currency.scale > MAX_SCALE {
        return Err(Invalid::new("scale", Some(currency.scale.to_string()), "a scale is 0 to 18"));
    }
    optional_text("name", currency.name.as_deref())
}

fn open_account(account: &OpenAccount) -> Checked {
    account_code("account", &account.account)?;
    currency_code("currency", &account.currency)?;
    limits(&account.limits)?;
    optional_text("owner", account.owner.as_deref())?;
    optional_text("name", account.name.as_deref())
}

fn limits(limits: &Limits) -> Checked {
    if let (Some(floor), Some(ceiling)) = (limits.floor, limits.ceiling)
        && floor > ceiling
    {
        return Err(Invalid::new("limits.floor", Some(floor.to_string()), "the floor is above the ceiling"));
    }
    match limits.daily_out {
        Some(out) if out < Decimal::ZERO => {
            Err(Invalid::new("limits.daily_out", Some(out.to_string()), "what may leave in a day is not negative"))
        }
        _ => Ok(()),
    }
}

fn legs(legs: &[Leg], least: usize) -> Checked {
    if legs.len() < least || legs.len() > MAX_LEGS {
        let count = legs.len().to_string();
        return Err(Invalid::new("legs", Some(count), format!("there are {least} to {MAX_LEGS} legs")));
    }
    legs.iter().enumerate().try_for_each(|(index, leg)| check_leg(index, leg))
}

fn check_leg(index: usize, leg: &Leg) -> Checked {
    // The path is only put together when it is needed: legs are the hot path.
    let path = |field: &str| format!("legs[{index}].{field}");
    account_code("account", &leg.account).map_err(|invalid| invalid.at(path("account")))?;
    if leg.amount.amount() <= Decimal::ZERO {
        let value = leg.amount.amount().to_string();
        return Err(Invalid::new(path(leg.amount.side().as_str()), Some(value), "an amount is above zero"));
    }
    optional_currency(leg.currency.as_deref()).map_err(|invalid| invalid.at(path("currency")))
}

fn between(amount: Decimal, route: &Route, currency: Option<&str>) -> Checked {
    above_zero("amount", amount)?;
    let [first_field, second_field] = match route {
        Route::Sides { .. } => ["debit", "credit"],
        Route::Direction { .. } => ["from", "to"],
    };
    let [first, second] = route.codes();
    account_code(first_field, first)?;
    account_code(second_field, second)?;
    if first == second {
        return Err(Invalid::new(second_field, Some(second.to_owned()), "money moves to another account"));
    }
    optional_currency(currency)
}

fn place_hold(hold: &PlaceHold) -> Checked {
    match &hold.what {
        Held::Amount { amount, route, currency } => between(*amount, route, currency.as_deref())?,
        Held::Legs(pending) => {
            legs(pending, 2)?;
            one_side_an_account(pending)?;
        }
    }
    optional_text("text", hold.text.as_deref())
}

/// An account may appear more than once, but in a hold on one side only.
fn one_side_an_account(legs: &[Leg]) -> Checked {
    let mut sides = HashMap::with_capacity(legs.len());
    for (index, leg) in legs.iter().enumerate() {
        let side = leg.amount.side();
        let first = *sides.entry((&leg.account, &leg.currency)).or_insert(side);
        if first != side {
            let message = "in a hold, an account stands on one side only";
            return Err(Invalid::new(format!("legs[{index}].account"), Some(leg.account.clone()), message));
        }
    }
    Ok(())
}

fn settle_hold(settle: &SettleHold) -> Checked {
    name("hold", &settle.hold)?;
    match &settle.part {
        Part::All => {}
        Part::Amount(amount) => above_zero("amount", *amount)?,
        Part::Legs(named) => legs(named, 1)?,
    }
    optional_text("text", settle.text.as_deref())
}

fn account(code: &str, currency: Option<&str>) -> Checked {
    account_code("account", code)?;
    optional_currency(currency)
}

fn above_zero(field: &str, amount: Decimal) -> Checked {
    if amount > Decimal::ZERO {
        return Ok(());
    }
    Err(Invalid::new(field, Some(amount.to_string()), "an amount is above zero"))
}

fn entity(entity: &str) -> Checked {
    name("entity", entity)?;
    match entity.split_once('/') {
        Some((kind, id)) if !kind.is_empty() && !id.is_empty() => Ok(()),
        _ => Err(Invalid::new("entity", Some(entity.to_owned()), "an entity is named type/id, such as user/42")),
    }
}

fn record(record: &Record) -> Checked {
    entity(&record.entity)?;
    name("kind", &record.kind)?;
    if record.schema < 1 {
        return Err(Invalid::new("schema", Some(record.schema.to_string()), "schemas are counted from 1"));
    }
    if record.data.as_str().len() > MAX_DATA_BYTES {
        let size = record.data.as_str().len().to_string();
        return Err(Invalid::new("data", Some(size), format!("data has at most {MAX_DATA_BYTES} bytes")));
    }
    match record.expected_version {
        Some(version) if version < 0 => {
            Err(Invalid::new("expected_version", Some(version.to_string()), "this is a whole number from 0"))
        }
        _ => Ok(()),
    }
}

pub(super) fn wrong_number_of_members(count: usize) -> Invalid {
    Invalid::new("commands", Some(count.to_string()), format!("a batch has 1 to {MAX_BATCH} commands"))
}

fn batch(command: &Command, batch: &CommandBatch) -> Checked {
    if batch.commands.is_empty() || batch.commands.len() > MAX_BATCH {
        return Err(wrong_number_of_members(batch.commands.len()));
    }
    let whole = |member: &Command| matches!(member.action, Action::Batch(_) | Action::Execute(_));
    if let Some(index) = batch.commands.iter().position(whole) {
        return Err(Invalid::new(format!("commands[{index}].do"), Some("batch".to_owned()), "a batch holds no batch"));
    }
    if batch.atomic {
        return Ok(());
    }
    let carried = [
        ("id", command.id.is_some()),
        ("meta", !command.meta.is_empty()),
        ("correlation", command.correlation.is_some()),
        ("at", command.at.is_some()),
    ];
    match carried.into_iter().find(|(_, carries)| *carries) {
        Some((field, _)) => {
            Err(Invalid::new(field, None, "a batch that is not atomic is exactly its members; give it to them"))
        }
        None => Ok(()),
    }
}

fn meta(command: &Command) -> Checked {
    if command.meta.is_empty() {
        return Ok(());
    }
    if let Some(key) =
        command.meta.iter().find(|(key, value)| key.contains('\0') || value.contains('\0')).map(|(key, _)| key)
    {
        return Err(Invalid::new(format!("meta.{key}"), None, "the character U+0000 is not allowed"));
    }
    let mut text = String::new();
    for (key, value) in &command.meta {
        text.push(',');
        write_text(&mut text, key);
        text.push(':');
        write_text(&mut text, value);
    }
    // One comma too many stands for the opening brace; the closing one is the + 1.
    let size = text.len() + 1;
    if size > MAX_META_BYTES {
        return Err(Invalid::new("meta", Some(size.to_string()), format!("meta has at most {MAX_META_BYTES} bytes")));
    }
    Ok(())
}

/// An account code: segments parted by `:`, none empty, none with a space at an end.
pub(crate) fn account_code(field: &str, code: &str) -> Checked {
    name(field, code)?;
    let wrong = |message: &str| Err(Invalid::new(field, Some(code.to_owned()), message));
    if code.chars().any(char::is_control) {
        return wrong("an account code has no control characters");
    }
    if code.split(':').any(str::is_empty) {
        return wrong("no segment of an account code is empty");
    }
    if code.split(':').any(|segment| segment.starts_with(' ') || segment.ends_with(' ')) {
        return wrong("no segment of an account code begins or ends with a space");
    }
    Ok(())
}

/// A currency code: a capital, then capitals, digits and `' . _ -`.
pub(crate) fn currency_code(field: &str, code: &str) -> Checked {
    let rest = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || b"'._-".contains(&byte);
    let good = code.len() <= MAX_CURRENCY_CHARS
        && code.starts_with(|first: char| first.is_ascii_uppercase())
        && code.bytes().all(rest);
    if good {
        return Ok(());
    }
    let message = format!("a currency code is 1 to {MAX_CURRENCY_CHARS} of A-Z 0-9 ' . _ -, a capital first");
    Err(Invalid::new(field, Some(code.to_owned()), message))
}

fn optional_currency(code: Option<&str>) -> Checked {
    code.map_or(Ok(()), |code| currency_code("currency", code))
}

fn name(field: &str, text: &str) -> Checked {
    within(field, text, 1, MAX_NAME_CHARS)
}

fn optional_text(field: &str, text: Option<&str>) -> Checked {
    text.map_or(Ok(()), |text| within(field, text, 0, MAX_TEXT_CHARS))
}

fn within(field: &str, text: &str, least: usize, most: usize) -> Checked {
    if text.contains('\0') {
        return Err(Invalid::new(field, None, "the character U+0000 is not allowed"));
    }
    // A text of so few bytes cannot have too many characters: most are not counted at all.
    let too_long = text.len() > most && text.chars().count() > most;
    if too_long || (least > 0 && text.is_empty()) {
        return Err(Invalid::new(field, Some(text.to_owned()), format!("this has {least} to {most} characters")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn account_codes_follow_the_grammar() {
        for good in ["a", "assets:cash:till-1", "Löhne:März 2025", &"x".repeat(128)] {
            assert!(account_code("account", good).is_ok(), "{good}");
        }
        for bad in ["", ":", "a:", ":a", "a::b", " a", "a ", "a: b", "a\tb", "a\u{0}b", &"x".repeat(129)] {
            assert!(account_code("account", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn currency_codes_follow_the_grammar() {
        for good in ["EUR", "X", "GAME-GOLD_2", "A'.", &"X".repeat(24)] {
            assert!(currency_code("code", good).is_ok(), "{good}");
        }
        for bad in ["", "eur", "1A", "E R", "É", "E/R", &"X".repeat(25)] {
            assert!(currency_code("code", bad).is_err(), "{bad}");
        }
    }
}
