//! What makes no sense whatever the state: sizes, signs, the grammar of names.

use std::collections::HashMap;

use postfold::command::{Action, CommandBatch, Held, Leg, Meta, Part, Route, SettleHold};
use postfold::{Command, Limits, Side};
use rust_decimal::Decimal;

pub(super) fn makes_no_sense(command: &Command) -> bool {
    let needs_id = matches!(
        command.action,
        Action::Post(_)
            | Action::Transfer(_)
            | Action::Hold(_)
            | Action::Settle(_)
            | Action::Void(_)
            | Action::Reverse(_)
    );
    let envelope = command.id.as_deref().map_or(!needs_id, is_name)
        && command.correlation.as_deref().is_none_or(is_name)
        && is_meta(&command.meta);
    !(envelope && makes_sense(&command.action) && carries_its_own(command))
}

fn makes_sense(action: &Action) -> bool {
    match action {
        Action::RegisterCurrency(register) => {
            is_currency(&register.code) && register.scale <= 18 && is_text(register.name.as_deref())
        }
        Action::OpenAccount(open) => {
            is_code(&open.account)
                && is_currency(&open.currency)
                && are_limits(&open.limits)
                && is_text(open.owner.as_deref())
                && is_text(open.name.as_deref())
        }
        Action::SetLimits(set) => is_account(&set.account, set.currency.as_deref()) && are_limits(&set.limits),
        Action::Freeze(freeze) | Action::Unfreeze(freeze) => {
            is_account(&freeze.account, freeze.currency.as_deref()) && is_text(Some(&freeze.reason))
        }
        Action::CloseAccount(close) => is_account(&close.account, close.currency.as_deref()),
        Action::AssertBalance(assert) => is_account(&assert.account, assert.currency.as_deref()),
        Action::Post(post) => are_legs(&post.legs, 2) && is_text(post.text.as_deref()),
        Action::Transfer(transfer) => {
            is_move(transfer.amount, &transfer.route, transfer.currency.as_deref()) && is_text(transfer.text.as_deref())
        }
        Action::Hold(hold) => {
            let what = match &hold.what {
                Held::Legs(legs) => are_legs(legs, 2) && one_side_each(legs),
                Held::Amount { amount, route, currency } => is_move(*amount, route, currency.as_deref()),
            };
            what && is_text(hold.text.as_deref())
        }
        Action::Settle(settle) => is_settle(settle),
        Action::Void(void) => is_name(&void.hold) && is_text(void.reason.as_deref()),
        Action::Reverse(reverse) => is_name(&reverse.entry) && is_text(reverse.reason.as_deref()),
        Action::ReopenPeriod(reopen) => is_text(Some(&reopen.reason)),
        Action::Record(record) => {
            let parts = record.entity.split_once('/');
            is_name(&record.entity)
                && parts.is_some_and(|(kind, id)| !kind.is_empty() && !id.is_empty())
                && is_name(&record.kind)
                && record.schema >= 1
                && record.data.as_str().len() <= 1 << 20
                && record.expected_version.is_none_or(|version| version >= 0)
        }
        Action::Batch(batch) => is_batch(batch),
        Action::ExpireDue(_) | Action::ClosePeriod(_) => true,
        Action::Execute(_) | Action::Unreadable(_) => false,
    }
}

/// A batch that is not atomic is exactly its members.
fn carries_its_own(command: &Command) -> bool {
    let bare = command.id.is_none() && command.meta.is_empty() && command.correlation.is_none() && command.at.is_none();
    !matches!(&command.action, Action::Batch(batch) if !batch.atomic) || bare
}

fn is_batch(batch: &CommandBatch) -> bool {
    let nested = |member: &Command| matches!(member.action, Action::Batch(_) | Action::Execute(_));
    (1..=10_000).contains(&batch.commands.len()) && !batch.commands.iter().any(nested)
}

fn is_settle(settle: &SettleHold) -> bool {
    let part = match &settle.part {
        Part::All => true,
        Part::Amount(amount) => *amount > Decimal::ZERO,
        Part::Legs(legs) => are_legs(legs, 1),
    };
    is_name(&settle.hold) && part && is_text(settle.text.as_deref())
}

fn is_move(amount: Decimal, route: &Route, currency: Option<&str>) -> bool {
    let [one, other] = route.codes();
    amount > Decimal::ZERO && is_code(one) && is_code(other) && one != other && currency.is_none_or(is_currency)
}

fn are_legs(legs: &[Leg], least: usize) -> bool {
    let good = |leg: &Leg| is_account(&leg.account, leg.currency.as_deref()) && leg.amount.amount() > Decimal::ZERO;
    (least..=10_000).contains(&legs.len()) && legs.iter().all(good)
}

fn one_side_each(legs: &[Leg]) -> bool {
    let mut sides: HashMap<_, Side> = HashMap::new();
    legs.iter().all(|leg| {
        let side = leg.amount.side();
        *sides.entry((&leg.account, &leg.currency)).or_insert(side) == side
    })
}

fn are_limits(limits: &Limits) -> bool {
    let crossed = limits.floor.zip(limits.ceiling).is_some_and(|(floor, ceiling)| floor > ceiling);
    !crossed && limits.daily_out.is_none_or(|out| out >= Decimal::ZERO)
}

fn is_account(code: &str, currency: Option<&str>) -> bool {
    is_code(code) && currency.is_none_or(is_currency)
}

fn is_code(code: &str) -> bool {
    let segment = |segment: &str| !segment.is_empty() && !segment.starts_with(' ') && !segment.ends_with(' ');
    is_name(code) && !code.chars().any(char::is_control) && code.split(':').all(segment)
}

fn is_currency(code: &str) -> bool {
    let rest = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || "'._-".contains(c);
    code.len() <= 24 && code.starts_with(|first: char| first.is_ascii_uppercase()) && code.chars().all(rest)
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().count() <= 128 && !text.contains('\0')
}

fn is_text(text: Option<&str>) -> bool {
    text.is_none_or(|text| text.chars().count() <= 1_024 && !text.contains('\0'))
}

fn is_meta(meta: &Meta) -> bool {
    let size = serde_json::to_string(meta).map_or(usize::MAX, |text| text.len());
    size <= 4 * 1_024 && !meta.iter().any(|(key, value)| key.contains('\0') || value.contains('\0'))
}
