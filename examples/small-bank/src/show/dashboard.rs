//! The last page: what the books say, in tables.

use std::collections::BTreeMap;

use anyhow::Result;
use mongodb::bson::Document;
use serde_json::Value;
use small_bank::{
    amount::{Currency, grouped},
    bank::Bank,
};

use super::{
    audit::Balance,
    read_models::{ReadModels, plain},
    report::Report,
    table,
};

/// How many customers the list of the richest has.
const RICHEST: usize = 5;
/// How many changes of a customer are shown.
const CHANGES_SHOWN_MAX: usize = 4;

/// Totals by account type; debits and credits must come to the same in every currency.
pub(crate) fn trial_balance(balances: &[Balance], report: &mut Report) {
    let mut totals: BTreeMap<(Currency, bool, &str), i64> = BTreeMap::new();
    let mut differences: BTreeMap<Currency, i64> = BTreeMap::new();
    for balance in balances {
        let (Some(currency), Some(minor)) = (Currency::from_code(&balance.currency), balance.minor()) else {
            continue;
        };
        let is_debit = matches!(balance.kind.as_str(), "asset" | "expense");
        *totals.entry((currency, !is_debit, balance.kind.as_str())).or_default() += minor;
        *differences.entry(currency).or_default() += if is_debit { minor } else { -minor };
    }

    let mut table = table::new(&["type", "currency", "debit", "credit"]);
    for ((currency, is_credit, kind), minor) in totals {
        let total = grouped(&currency.text(minor));
        let (debit, credit) = if is_credit { (String::new(), total) } else { (total, String::new()) };
        table.add_row([kind.to_owned(), currency.to_string(), debit, credit]);
    }
    table::align_numbers(&mut table, 2);
    report.say(table);

    let unbalanced: Vec<String> = differences
        .into_iter()
        .filter(|(_, minor)| *minor != 0)
        .map(|(currency, minor)| format!("debits less credits: {} {currency}", currency.text(minor)))
        .collect();
    let result = if unbalanced.is_empty() { Ok(()) } else { Err(unbalanced.join(", ")) };
    report.check("the trial balance adds up to zero in every currency", result);
}

/// What the bank earned and spent, by account.
pub(crate) fn income(balances: &[Balance], report: &Report) {
    let mut table = table::new(&["income and expenses", "currency", "since the first day"]);
    for balance in balances {
        if matches!(balance.kind.as_str(), "income" | "expense") {
            table.add_row([balance.account.clone(), balance.currency.clone(), grouped(&balance.posted)]);
        }
    }
    table::align_numbers(&mut table, 2);
    report.say(table);
}

/// The customers with the largest balances of current and savings accounts together.
pub(crate) fn richest(balances: &[Balance], report: &Report) {
    let mut wealth: BTreeMap<&str, i64> = BTreeMap::new();
    for balance in balances {
        let customer = balance.account.strip_prefix("liabilities:customers:").and_then(|rest| rest.split_once(':'));
        if let (Some((number, _)), Some(minor), "EUR") = (customer, balance.minor(), balance.currency.as_str()) {
            *wealth.entry(number).or_default() += minor;
        }
    }
    let mut ranking: Vec<(&str, i64)> = wealth.into_iter().collect();
    ranking.sort_by_key(|&(number, minor)| (-minor, number));

    let mut table = table::new(&["customer", "EUR"]);
    for (number, minor) in ranking.into_iter().take(RICHEST) {
        table.add_row([number.to_owned(), grouped(&Currency::Eur.text(minor))]);
    }
    table::align_numbers(&mut table, 1);
    report.say(table);
}

/// The last changes of the customer who changed most, and one user's preferences.
pub(crate) async fn changes(read_models: &ReadModels, bank: &Bank, report: &mut Report) -> Result<()> {
    let Some((entity, count)) = bank.most_changed() else {
        return Ok(());
    };
    let changes = read_models.changes(&entity).await?;
    report.check(
        format_args!("the changelog of {entity} has its {count} changes"),
        (u64::try_from(changes.len()).ok() == Some(count))
            .then_some(())
            .ok_or_else(|| format!("{} found", changes.len())),
    );
    for change in changes.iter().rev().take(CHANGES_SHOWN_MAX).rev() {
        report.say(format_args!("   {}", change_line(change)));
    }

    let user = entity.replace("customer/", "user/");
    if let Some(preferences) = read_models.preferences().await?.get(&user) {
        report.say(format_args!("   preferences of {user}: {preferences}"));
    }
    Ok(())
}

/// One change on one line: when, what, and what it says.
fn change_line(change: &Document) -> String {
    let when = change.get_datetime("recorded_at").map(ToString::to_string).unwrap_or_default();
    let kind = change.get_str("kind").unwrap_or_default();
    let data = change.get("data").map_or(Value::Null, plain);
    format!("{when} {kind}: {data}")
}
