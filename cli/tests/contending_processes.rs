//! Eight processes contend for twenty accounts with floors: no floor is broken at any position of the
//! log, no money comes or goes, and what was acknowledged is there once.

#![allow(clippy::expect_used, reason = "a test ends at the first thing that goes wrong")]

mod support;

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;

use serde_json::{Value, json};
use support::{Done, Postfold, file, short};

const PROCESSES: usize = 8;
const WALLETS: usize = 20;
/// Transfers that each process sends.
const TRANSFERS: usize = 400;
/// What each wallet holds at first, in cents.
const FIRST: i64 = 1_000;
/// A credit line for every other wallet.
const FLOORS: [i64; 2] = [0, -500];

#[test]
fn no_floor_is_broken_and_nothing_is_lost_or_doubled_by_eight_processes() {
    let postfold = Postfold::new();
    let opened = postfold.apply(&opening(), &[]);
    assert_eq!(opened.code, Some(0), "{}", opened.stderr);

    let done = at_once(&postfold);
    let outcomes: Vec<Value> = done.iter().flat_map(Done::lines).collect();
    assert_eq!(outcomes.len(), PROCESSES * TRANSFERS);
    let mut acknowledged: BTreeMap<String, i64> = BTreeMap::new();
    for outcome in &outcomes {
        match short(outcome).as_str() {
            "ok" => {
                let id = outcome["ok"]["id"].as_str().expect("an id").to_owned();
                let before = acknowledged.insert(id, outcome["ok"]["position"].as_i64().expect("a position"));
                assert_eq!(before, None, "acknowledged twice: {outcome}");
            }
            rule => assert_eq!(rule, "insufficient_funds", "{outcome}"),
        }
    }
    let refused = outcomes.len() - acknowledged.len();
    assert!(refused > 0, "the floors were never reached");

    let events = postfold.run(["events", "--json"]).lines();
    let positions: Vec<i64> = events.iter().map(|event| event["position"].as_i64().expect("a position")).collect();
    assert_eq!(positions, (1..=i64::try_from(events.len()).expect("a count")).collect::<Vec<_>>());
    let logged = events.iter().filter_map(|event| {
        let id = event["id"].as_str().filter(|id| id.starts_with("move-"))?;
        Some((id.to_owned(), event["position"].as_i64()?))
    });
    assert_eq!(logged.collect::<BTreeMap<_, _>>(), acknowledged, "the log holds what was acknowledged, once each");
    let balances = replay(&events);
    assert_eq!(balances.values().sum::<i64>(), 0, "debits equal credits");
    let posted: HashMap<String, i64> =
        postfold.posted().into_iter().map(|(code, posted)| (code, cents(&posted))).collect();
    for (code, balance) in balances.iter().filter(|(code, _)| code.starts_with("wallet")) {
        assert_eq!(posted[code], -balance, "{code}");
    }
    assert_eq!(postfold.run(["verify"]).code, Some(0));
}

/// All processes side by side, each with a file of its own.
fn at_once(postfold: &Postfold) -> Vec<Done> {
    let files: Vec<_> = (0..PROCESSES).map(|process| file(transfers(process))).collect();
    let running = files.iter().map(|file| {
        let mut command = postfold.command(["apply"]);
        let command =
            command.arg(file.path()).stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        command.spawn().expect("the binary starts")
    });
    let running: Vec<_> = running.collect();
    running.into_iter().map(|child| child.wait_with_output().expect("it ends").into()).collect()
}

fn opening() -> String {
    let mut lines = String::new();
    let mut line = |command: Value| writeln!(lines, "{command}").expect("a string grows");
    line(json!({"do": "open_account", "account": "bank", "currency": "EUR", "type": "asset"}));
    for wallet in 0..WALLETS {
        let floor = decimal(FLOORS[wallet % FLOORS.len()]);
        line(
            json!({"do": "open_account", "account": format!("wallet:{wallet}"), "currency": "EUR", "type": "liability",
            "limits": {"floor": floor}}),
        );
        line(json!({"do": "transfer", "id": format!("first-{wallet}"), "amount": decimal(FIRST), "debit": "bank",
            "credit": format!("wallet:{wallet}")}));
    }
    lines
}

/// Transfers between wallets in no order that repeats, large enough to reach the floors.
fn transfers(process: usize) -> String {
    let mut lines = String::new();
    let mut number = process * 7_919 + 1;
    for transfer in 0..TRANSFERS {
        number = (number * 48_271) % 2_147_483_647;
        let from = number % WALLETS;
        let to = (from + 1 + number / WALLETS % (WALLETS - 1)) % WALLETS;
        let amount = decimal(i64::try_from(number % 900 + 1).expect("small"));
        let line = json!({"do": "transfer", "id": format!("move-{process}-{transfer}"), "amount": amount,
            "from": format!("wallet:{from}"), "to": format!("wallet:{to}")});
        writeln!(lines, "{line}").expect("a string grows");
    }
    lines
}

/// Every account's debits less credits, in cents; on the way, no wallet goes below its floor.
fn replay(events: &[Value]) -> BTreeMap<String, i64> {
    let mut balances: BTreeMap<String, i64> = BTreeMap::new();
    for event in events {
        for leg in event["data"]["legs"].as_array().into_iter().flatten() {
            let code = leg["account"].as_str().expect("a code");
            let debit = leg["debit"].as_str().map_or(0, cents);
            let credit = leg["credit"].as_str().map_or(0, cents);
            let balance = balances.entry(code.to_owned()).or_default();
            *balance += debit - credit;
            if let Some(wallet) = code.strip_prefix("wallet:") {
                let wallet: usize = wallet.parse().expect("a number");
                let floor = FLOORS[wallet % FLOORS.len()];
                assert!(-*balance >= floor, "{code} has {} at {}", -*balance, event["position"]);
            }
        }
    }
    balances
}

fn decimal(cents: i64) -> String {
    let sign = if cents < 0 { "-" } else { "" };
    format!("{sign}{}.{:02}", cents.abs() / 100, cents.abs() % 100)
}

fn cents(decimal: &str) -> i64 {
    decimal.replace('.', "").parse().expect("an amount with two decimals")
}
