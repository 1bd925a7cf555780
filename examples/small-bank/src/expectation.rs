//! The file that says what must come of the commands, for whoever wants to check by other means.

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::{
    bank::Bank,
    script::{Expected, Script},
};

/// What a script must lead to.
#[derive(Debug, Serialize)]
pub struct Expectation {
    /// How many commands of each kind the script has.
    commands: Value,
    /// How many outcomes of each sort it must get.
    outcomes: Value,
    /// The outcomes that are not plainly `ok`, each with its place among the outcomes, from 1.
    not_ok: Vec<Value>,
    /// Every account's balance at the end, on its normal side.
    balances: Map<String, Value>,
    /// Every user's preferences at the end.
    preferences: Map<String, Value>,
}

impl Expectation {
    /// What the bank expects of a script it has just written.
    pub fn of(bank: &Bank, script: &Script) -> Self {
        let not_ok = script
            .expected
            .iter()
            .enumerate()
            .filter(|(_, expected)| **expected != Expected::Ok)
            .map(|(index, expected)| json!({"outcome": index + 1, "expected": expected.to_string()}))
            .collect();
        let balances = bank
            .balances()
            .into_iter()
            .map(|(code, (currency, minor))| {
                let balance = json!({"currency": currency.code(), "posted": currency.text(minor)});
                (code, balance)
            })
            .collect();
        let preferences = bank.preferences().into_iter().map(|(entity, document)| (entity, document.clone())).collect();
        Self { commands: json!(script.kinds), outcomes: json!(script.counts()), not_ok, balances, preferences }
    }
}
