//! Hazard: a property test that never meets what it tests. The default mix brings up every rule of the ledger, and two
//! of five commands can be done.

#![allow(clippy::expect_used, reason = "a test ends at the first thing that goes wrong")]

use std::collections::BTreeMap;

use postfold_proptests::model::{Expected, Model};
use postfold_proptests::strategy::{Mix, history};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

/// Histories of the count.
const HISTORIES: usize = 400;

/// Every rule of the contract.
const RULES: [&str; 28] = [
    "unknown_account",
    "unknown_currency",
    "currency_exists",
    "account_exists",
    "type_differs",
    "sides_differ",
    "account_frozen",
    "account_closed",
    "account_not_empty",
    "unbalanced",
    "insufficient_funds",
    "ceiling_exceeded",
    "daily_out_exceeded",
    "limits_broken",
    "nothing_available",
    "hold_not_found",
    "hold_settled",
    "hold_voided",
    "hold_expired",
    "settle_exceeds_hold",
    "entry_not_found",
    "not_an_entry",
    "already_reversed",
    "period_closed",
    "period_open",
    "balance_differs",
    "id_reused",
    "batch_failed",
];

#[test]
fn the_default_mix_meets_every_rule_and_two_commands_of_five_can_be_done() {
    let mut runner = TestRunner::deterministic();
    let histories = history(&Mix::default(), 0..50);
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for _ in 0..HISTORIES {
        let history = histories.new_tree(&mut runner).expect("a history").current();
        let mut model = Model::new();
        for (now, command) in history.commands() {
            model.set_clock(now);
            count(&model.apply(command), &mut counts);
        }
    }
    for rule in RULES {
        assert!(counts.contains_key(rule), "{rule} never came up: {counts:#?}");
    }
    let all: usize = counts.values().sum();
    let done = counts.get("ok").copied().unwrap_or_default();
    assert!(done * 5 > all * 2, "too few commands can be done: {counts:#?}");
    for other in ["duplicate", "conflict", "invalid"] {
        assert!(counts.contains_key(other), "nothing was {other}: {counts:#?}");
    }
}

fn count(expected: &Expected, counts: &mut BTreeMap<String, usize>) {
    let word = match expected {
        Expected::Ok(told) => {
            told.outcomes.iter().flatten().for_each(|member| count(member, counts));
            if told.duplicate { "duplicate" } else { "ok" }
        }
        Expected::Rejected { rule, member } => {
            if let Some((_, member)) = member {
                count(member, counts);
            }
            rule.as_str()
        }
        Expected::Conflict { .. } => "conflict",
        Expected::Invalid => "invalid",
    };
    *counts.entry(word.to_owned()).or_default() += 1;
}
