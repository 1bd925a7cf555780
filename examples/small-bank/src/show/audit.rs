//! The log and the read models are verified, and the balances compared with the generator's own books.

use std::collections::BTreeMap;

use anyhow::Result;
use serde::Deserialize;
use small_bank::{amount::Currency, bank::Bank};

use super::{
    postfold::Postfold,
    read_models::ReadModels,
    report::{Report, number, rate, seconds, waiting},
};

/// How many differences are shown.
const DIFFERENCES_SHOWN_MAX: usize = 5;

/// An account and its balance, as `postfold balances --json` lists them.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Balance {
    pub(crate) account: String,
    pub(crate) currency: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) posted: String,
}

impl Balance {
    /// The posted balance in minor units, if it is written as it should be.
    pub(crate) fn minor(&self) -> Option<i64> {
        Currency::from_code(&self.currency)?.minor(&self.posted)
    }
}

/// Lets the engine verify its log, and the projector its read models.
pub(crate) async fn verify(postfold: &Postfold, report: &mut Report) -> Result<()> {
    let head = postfold.head().await?.position;
    let bar = waiting("verifying the log");
    let log = postfold.run(&["verify"]).await?;
    drop(bar);
    report.say(format_args!("   the log: {} events in {}, {}", number(head), seconds(log.took), rate(head, log.took)));
    report.check("every hash and every balance of the log is right", log.clean());
    report.figure("events of the log verified", rate(head, log.took));

    let bar = waiting("verifying the read models");
    let models = postfold.run(&["project", "verify"]).await?;
    drop(bar);
    report.say(format_args!("   the read models: {}", seconds(models.took)));
    report.check("every read model equals the fold of the log", models.clean());
    report.figure("all read models verified", seconds(models.took));
    Ok(())
}

/// Compares every balance to the cent. Gives back the balances of the ledger.
pub(crate) async fn compare_balances(postfold: &Postfold, bank: &Bank, report: &mut Report) -> Result<Vec<Balance>> {
    let balances: Vec<Balance> = postfold.query(&["balances", "--json"]).await?;
    let expected = bank.balances();
    let differences = balance_differences(&balances, &expected);
    report.check(
        format_args!("all {} balances are what the generator's own books say, to the cent", number(expected.len())),
        none_of(&differences),
    );
    Ok(balances)
}

/// Compares every user's preferences document.
pub(crate) async fn compare_preferences(read_models: &ReadModels, bank: &Bank, report: &mut Report) -> Result<()> {
    let found = read_models.preferences().await?;
    let expected = bank.preferences();
    let mut differences: Vec<String> = expected
        .iter()
        .filter(|(user, document)| found.get(*user) != Some(**document))
        .map(|(user, document)| match found.get(user) {
            Some(found) => format!("{user}: {found} instead of {document}"),
            None => format!("{user} has none"),
        })
        .collect();
    let strangers = found.keys().filter(|user| !expected.contains_key(*user));
    differences.extend(strangers.map(|user| format!("{user} should not be there")));
    report.check(
        format_args!("the preferences of all {} users are as the generator left them", number(expected.len())),
        none_of(&differences),
    );
    Ok(())
}

fn none_of(differences: &[String]) -> Result<(), String> {
    if differences.is_empty() {
        return Ok(());
    }
    let shown: Vec<&str> = differences.iter().take(DIFFERENCES_SHOWN_MAX).map(String::as_str).collect();
    Err(format!("{} differ: {}", differences.len(), shown.join("; ")))
}

fn balance_differences(found: &[Balance], expected: &BTreeMap<String, (Currency, i64)>) -> Vec<String> {
    let by_code: BTreeMap<&str, &Balance> = found.iter().map(|balance| (balance.account.as_str(), balance)).collect();
    let mut differences = Vec::new();
    for (code, (currency, minor)) in expected {
        let wanted = format!("{} {currency}", currency.text(*minor));
        match by_code.get(code.as_str()) {
            None => differences.push(format!("{code} is missing")),
            Some(found) if found.currency != currency.code() || found.minor() != Some(*minor) => {
                differences.push(format!("{code} has {} {}, not {wanted}", found.posted, found.currency));
            }
            Some(_) => {}
        }
    }
    if found.len() != expected.len() {
        differences.push(format!("{} accounts listed, {} opened", found.len(), expected.len()));
    }
    differences
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use small_bank::amount::Currency;

    use super::{Balance, balance_differences};

    fn balance(account: &str, currency: &str, posted: &str) -> Balance {
        Balance {
            account: account.to_owned(),
            currency: currency.to_owned(),
            kind: "asset".to_owned(),
            posted: posted.to_owned(),
        }
    }

    #[test]
    fn a_cent_a_currency_or_an_account_too_many_is_a_difference() {
        let expected =
            BTreeMap::from([("a".to_owned(), (Currency::Eur, 1_250)), ("b".to_owned(), (Currency::Points, 7))]);
        let right = [balance("a", "EUR", "12.50"), balance("b", "POINTS", "7")];
        assert!(balance_differences(&right, &expected).is_empty());

        for (wrong, count) in [
            (vec![balance("a", "EUR", "12.51"), balance("b", "POINTS", "7")], 1),
            (vec![balance("a", "EUR", "12.5"), balance("b", "POINTS", "7")], 1),
            (vec![balance("a", "USD", "12.50"), balance("b", "EUR", "7.00")], 2),
            (vec![balance("a", "EUR", "12.50")], 2),
            (vec![balance("a", "EUR", "12.50"), balance("b", "POINTS", "7"), balance("c", "EUR", "0.00")], 1),
        ] {
            assert_eq!(balance_differences(&wrong, &expected).len(), count, "{wrong:?}");
        }
    }
}
