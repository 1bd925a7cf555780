//! The generated year: the same from the same seed, well-formed, of the right size, and in agreement with its own
//! books when those are folded a second time from the lines alone.

// The helpers below are parts of tests: what fails in them fails a test.
#![allow(clippy::expect_used)]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use serde_json::Value;
use small_bank::{
    amount::Currency,
    bank::Bank,
    expectation::Expectation,
    preferences,
    script::{Expected, Script},
};

const SEED: u64 = 2025;

/// The bank of `make demo`, generated once for all tests.
static FULL: LazyLock<(Bank, Script)> = LazyLock::new(|| {
    let mut bank = Bank::new(SEED, 2_000);
    let script = bank.year();
    (bank, script)
});

/// Every line that gets an outcome, with the outcome that it must get.
fn commands(script: &Script) -> impl Iterator<Item = (&str, Expected)> {
    script.text.lines().filter(|line| !line.starts_with("{\"clock\"")).zip(script.expected.iter().copied())
}

/// The parsed commands that must be carried out, members of batches one by one.
fn carried_out(script: &Script) -> Vec<Value> {
    let mut all = Vec::new();
    for (line, expected) in commands(script) {
        if expected == Expected::Ok {
            let mut command: Value = serde_json::from_str(line).expect("an accepted line is JSON");
            match command.get_mut("commands").map(Value::take) {
                Some(Value::Array(members)) => all.extend(members),
                _ => all.push(command),
            }
        }
    }
    all
}

fn text<'a>(command: &'a Value, field: &str) -> &'a str {
    command[field].as_str().unwrap_or_default()
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let [first, second, other] = [1, 1, 2].map(|seed| Bank::new(seed, 60).year());
    assert_eq!(first.text, second.text);
    assert_eq!(first.expected, second.expected);
    assert_ne!(first.text, other.text);
}

#[test]
fn the_demo_has_a_hundred_thousand_commands_and_one_in_a_hundred_goes_wrong() {
    let (_, script) = &*FULL;
    let total = script.expected.len();
    let wrong = script.expected.iter().filter(|expected| **expected != Expected::Ok).count();
    assert!((100_000..=150_000).contains(&total), "{total} commands");
    assert!((total / 125..=total / 75).contains(&wrong), "{wrong} of {total} go wrong");
    assert_eq!(commands(script).count(), total);
    assert_eq!(script.text.lines().count() - total, 3 * 365, "three clock lines a day");

    let sorts = script.counts();
    for sort in [
        "ok",
        "duplicate",
        "conflict",
        "invalid",
        "rejected: insufficient_funds",
        "rejected: unknown_account",
        "rejected: unbalanced",
        "rejected: id_reused",
        "rejected: account_exists",
        "rejected: batch_failed",
    ] {
        assert!(sorts.get(sort).is_some_and(|count| *count >= 10), "{sort}: {sorts:?}");
    }
    for (kind, at_least) in [
        ("register_currency", 1),
        ("open_account", 3_000),
        ("post", 5_000),
        ("transfer", 70_000),
        ("record", 6_000),
        ("batch", 100),
        ("malformed", 30),
    ] {
        assert!(script.kinds[kind] >= at_least, "{kind}: {:?}", script.kinds);
    }
}

#[test]
fn every_accepted_line_is_an_object_and_every_amount_has_the_scale_of_its_currency() {
    let (_, script) = &*FULL;
    for command in carried_out(script) {
        assert!(command.is_object());
        let mut amounts = vec![&command["amount"]];
        if let Some(legs) = command["legs"].as_array() {
            amounts.extend(legs.iter().flat_map(|leg| [&leg["debit"], &leg["credit"]]));
        }
        let currency = if text(&command, "id").starts_with("points-") { Currency::Points } else { Currency::Eur };
        for amount in amounts.into_iter().filter(|amount| !amount.is_null()) {
            let amount = amount.as_str().expect("amounts are strings");
            assert!(currency.minor(amount).is_some_and(|minor| minor > 0), "{amount} in {command}");
        }
    }
}

#[test]
fn ids_are_used_once() {
    let (_, script) = &*FULL;
    let mut seen = BTreeSet::new();
    for command in carried_out(script) {
        if let Some(id) = command["id"].as_str() {
            assert!(seen.insert(id.to_owned()), "{id} is used twice");
        }
    }
}

#[test]
fn recorded_time_never_goes_back() {
    let (_, script) = &*FULL;
    let clocks: Vec<&str> = script.text.lines().filter(|line| line.starts_with("{\"clock\"")).collect();
    assert!(clocks.is_sorted());
    assert!(script.text.starts_with(clocks[0]), "a clock line comes first");
}

#[test]
fn the_lines_alone_lead_to_the_expected_balances() {
    let (bank, script) = &*FULL;
    let mut debit_normal = BTreeMap::new();
    let mut debits: BTreeMap<String, i64> = BTreeMap::new();
    for command in carried_out(script) {
        if text(&command, "do") == "open_account" {
            let code = text(&command, "account").to_owned();
            let kind = text(&command, "type");
            debits.insert(code.clone(), 0);
            debit_normal.insert(code, matches!(kind, "asset" | "expense"));
        }
        for (account, debit) in movements(&command) {
            *debits.get_mut(&account).expect("opened before it is used") += debit;
        }
    }

    let expected = bank.balances();
    assert_eq!(debits.len(), expected.len());
    for (code, (_, balance)) in expected {
        let sign = if debit_normal[&code] { 1 } else { -1 };
        assert_eq!(sign * debits[&code], balance, "{code}");
    }
}

/// The signed debits of a command, in minor units.
fn movements(command: &Value) -> Vec<(String, i64)> {
    let minor = |amount: &Value| {
        let digits = amount.as_str().expect("a string").replace('.', "");
        digits.parse::<i64>().expect("digits")
    };
    match text(command, "do") {
        "transfer" => {
            // `from` and `to` are used between liabilities only, where `from` is the debit.
            let debit = command.get("debit").or(command.get("from")).and_then(Value::as_str);
            let credit = command.get("credit").or(command.get("to")).and_then(Value::as_str);
            let amount = minor(&command["amount"]);
            vec![(debit.expect("a giver").to_owned(), amount), (credit.expect("a receiver").to_owned(), -amount)]
        }
        "post" => command["legs"]
            .as_array()
            .expect("legs")
            .iter()
            .map(|leg| {
                let debit = leg.get("debit").map_or_else(|| -minor(&leg["credit"]), minor);
                (text(leg, "account").to_owned(), debit)
            })
            .collect(),
        _ => Vec::new(),
    }
}

#[test]
fn the_lines_alone_lead_to_the_expected_preferences() {
    let (bank, script) = &*FULL;
    let mut documents: BTreeMap<String, Value> = BTreeMap::new();
    for command in carried_out(script) {
        let document = documents.entry(text(&command, "entity").to_owned()).or_default();
        match text(&command, "kind") {
            "preference.changed" => preferences::merge(document, &command["data"]),
            "preference.unset" => {
                for path in command["data"]["paths"].as_array().expect("paths") {
                    preferences::unset(document, path.as_str().expect("a path"));
                }
            }
            _ => {}
        }
    }
    let expected = bank.preferences();
    assert_eq!(expected.len(), 2_000);
    for (user, document) in expected {
        assert_eq!(&documents[&user], document, "{user}");
    }
}

#[test]
fn a_version_that_is_expected_is_the_number_of_changes_so_far() {
    let (_, script) = &*FULL;
    let mut versions: BTreeMap<String, u64> = BTreeMap::new();
    for (line, expected) in commands(script).filter(|(line, _)| line.contains("\"do\":\"record\"")) {
        let command: Value = serde_json::from_str(line).expect("JSON");
        let version = versions.entry(text(&command, "entity").to_owned()).or_default();
        let wanted = command["expected_version"].as_u64();
        match expected {
            Expected::Conflict => assert_ne!(wanted, Some(*version), "{line}"),
            _ => assert!(wanted.is_none_or(|wanted| wanted == *version), "{line}"),
        }
        if expected == Expected::Ok {
            *version += 1;
        }
    }
}

#[test]
fn the_books_balance() {
    let (bank, _) = &*FULL;
    let mut sums: BTreeMap<&str, i64> = BTreeMap::new();
    for (code, (currency, balance)) in bank.balances() {
        let is_debit = code.starts_with("assets:") || code.starts_with("expense:");
        *sums.entry(currency.code()).or_default() += if is_debit { balance } else { -balance };
    }
    assert_eq!(sums, BTreeMap::from([("EUR", 0), ("POINTS", 0)]));
}

#[test]
fn days_after_the_year_go_on_from_it() {
    let mut bank = Bank::new(SEED, 60);
    let year = bank.year();
    let day = bank.day(jiff::civil::date(2026, 1, 1));
    assert!(day.text.starts_with("{\"clock\":\"2026-01-01T06:00:00Z\"}"));
    assert!(!day.expected.is_empty());
    let ids: BTreeSet<&str> = year.text.lines().collect();
    let repeated = day.text.lines().filter(|line| ids.contains(line)).count();
    assert!(repeated < 5, "only what is sent twice on purpose");
}

#[test]
fn what_is_expected_can_be_written_down() {
    let mut bank = Bank::new(SEED, 60);
    let script = bank.year();
    let expectation = serde_json::to_value(Expectation::of(&bank, &script)).expect("serialises");
    let not_ok = script.expected.iter().filter(|expected| **expected != Expected::Ok).count();
    assert_eq!(expectation["not_ok"].as_array().map(Vec::len), Some(not_ok));
    assert_eq!(expectation["balances"]["equity:capital"]["posted"], "5000000.00");
    assert!(expectation["preferences"]["user/0001"]["theme"].is_string());
}
