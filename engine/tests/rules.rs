//! The contract, row by row, on both stores: what a command is answered, given what was done before.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test ends at the first thing that goes wrong")]

mod support;

use postfold::{Ledger, Position, Settings};
use serde_json::{Value, json};
use support::{assert_verifies, both, contains, given, invalid, posted, rejected, send};

/// Two wallets and a till; wallet 1 has 10.00 and may not go below zero.
const SETUP: &[&str] = &[
    r#"{"do":"open_account","account":"till","currency":"EUR","type":"asset"}"#,
    r#"{"do":"open_account","account":"wallet:1","currency":"EUR","type":"liability","limits":{"floor":"0"}}"#,
    r#"{"do":"open_account","account":"wallet:2","currency":"EUR","type":"liability","limits":{"ceiling":"100"}}"#,
    r#"{"do":"open_account","account":"wallet:2","currency":"USD","type":"liability"}"#,
    r#"{"do":"open_account","account":"sales","currency":"EUR","type":"income"}"#,
    r#"{"do":"register_currency","code":"POINTS","scale":0}"#,
    r#"{"do":"post","id":"fund","legs":[{"account":"till","debit":"10.00"},{"account":"wallet:1","credit":"10.00"}]}"#,
];

async fn check(rows: &[(&str, Value)]) {
    support::check(SETUP, rows).await;
}

#[tokio::test]
async fn currencies_are_iso_4217_or_registered_once() {
    check(&[
        (r#"{"do":"register_currency","code":"EUR","scale":2}"#, rejected("currency_exists")),
        (r#"{"do":"register_currency","code":"POINTS","scale":0}"#, json!({"ok": {"duplicate": true, "position": 6}})),
        (r#"{"do":"register_currency","code":"POINTS","scale":1}"#, rejected("currency_exists")),
        (r#"{"do":"register_currency","code":"POINTS","scale":0,"id":"new"}"#, rejected("currency_exists")),
        (r#"{"do":"register_currency","code":"BTC","scale":8,"name":"Bitcoin"}"#, json!({"ok": {"position": 8}})),
        (r#"{"do":"register_currency","code":"XAU","scale":19}"#, invalid("scale")),
        (r#"{"do":"open_account","account":"a","currency":"XAU","type":"asset"}"#, rejected("unknown_currency")),
        (r#"{"do":"open_account","account":"a","currency":"BTC","type":"asset"}"#, json!({"ok": {"position": 9}})),
    ])
    .await;
}

#[tokio::test]
async fn an_account_is_a_code_in_one_currency_with_one_type() {
    check(&[
        (
            r#"{"do":"open_account","account":"till","currency":"EUR","type":"asset","normal":"debit","limits":{}}"#,
            json!({"ok": {"duplicate": true, "position": 1}}),
        ),
        (r#"{"do":"open_account","account":"till","currency":"EUR","type":"asset","id":"n"}"#, rejected("account_exists")),
        (r#"{"do":"open_account","account":"till","currency":"EUR","type":"expense"}"#, rejected("account_exists")),
        (r#"{"do":"open_account","account":"till","currency":"USD","type":"expense"}"#, rejected("type_differs")),
        (r#"{"do":"open_account","account":"till","currency":"USD","type":"asset","normal":"credit"}"#, json!({"ok": {}})),
        (r#"{"do":"open_account","account":"x","currency":"EUR","type":"asset","limits":{"floor":"0.001"}}"#, invalid("limits.floor")),
        (r#"{"do":"open_account","account":"x","currency":"EUR","type":"asset","limits":{"floor":"2","ceiling":"1"}}"#, invalid("limits.floor")),
        (r#"{"do":"open_account","account":"x","currency":"EUR","type":"asset","limits":{"daily_out":"-1"}}"#, invalid("limits.daily_out")),
        (r#"{"do":"open_account","account":"x::y","currency":"EUR","type":"asset"}"#, invalid("account")),
        (r#"{"do":"open_account","account":"x","currency":"eur","type":"asset"}"#, invalid("currency")),
    ])
    .await;
}

#[tokio::test]
async fn an_entry_is_checked_stage_by_stage() {
    let post = |id: &str, legs: &str| format!(r#"{{"do":"post","id":"{id}","legs":[{legs}]}}"#);
    let rows = [
        (post("a", r#"{"account":"till","debit":"1"}"#), invalid("legs")),
        (post("a", r#"{"account":"till","debit":"0"},{"account":"sales","credit":"0"}"#), invalid("legs[0].debit")),
        // Existence comes before scale, scale before balance, balance before limits.
        (
            post("a", r#"{"account":"till","debit":"1.001"},{"account":"none","credit":"1"}"#),
            rejected("unknown_account"),
        ),
        (
            post("a", r#"{"account":"till","debit":"1","currency":"XAU"},{"account":"none","credit":"1"}"#),
            rejected("unknown_currency"),
        ),
        (
            post("a", r#"{"account":"till","debit":"1","currency":"USD"},{"account":"sales","credit":"1"}"#),
            rejected("unknown_account"),
        ),
        (post("a", r#"{"account":"till","debit":"1.001"},{"account":"sales","credit":"2"}"#), invalid("legs[0].debit")),
        (
            post("a", r#"{"account":"till","debit":"1.500"},{"account":"sales","credit":"1.50"}"#),
            invalid("legs[0].debit"),
        ),
        (
            post("a", r#"{"account":"till","debit":"1"},{"account":"wallet:2","credit":"1"}"#),
            invalid("legs[1].currency"),
        ),
        (post("a", r#"{"account":"wallet:1","debit":"50"},{"account":"sales","credit":"51"}"#), rejected("unbalanced")),
        (
            post("a", r#"{"account":"till","debit":"9999999999999999999999999999"},{"account":"sales","credit":"1"}"#),
            rejected("unbalanced"),
        ),
        (
            post(
                "a",
                r#"{"account":"till","debit":"9999999999999999999999999999"},{"account":"sales","credit":"9999999999999999999999999999"}"#,
            ),
            invalid("legs[0].debit"),
        ),
        (
            post("a", r#"{"account":"wallet:1","debit":"10.01"},{"account":"sales","credit":"10.01"}"#),
            json!({"rejected": {"rule": "insufficient_funds", "account": "wallet:1", "currency": "EUR", "available": "10.00", "requested": "10.01"}}),
        ),
        (
            post(
                "a",
                r#"{"account":"till","debit":"100.01"},{"account":"wallet:2","currency":"EUR","credit":"100.01"}"#,
            ),
            json!({"rejected": {"rule": "ceiling_exceeded", "account": "wallet:2", "limit": "100.00"}}),
        ),
        // The net effect counts, once, at the end of the entry.
        (
            post(
                "net",
                r#"{"account":"wallet:1","debit":"500"},{"account":"wallet:1","credit":"495"},{"account":"sales","credit":"5"}"#,
            ),
            json!({"ok": {"position": 8, "balances": [{"account": "wallet:1", "posted": "5.00"}, {"account": "sales", "posted": "5.00"}]}}),
        ),
        // What was refused used up no id.
        (
            post("a", r#"{"account":"till","debit":"1"},{"account":"sales","credit":"1.00"}"#),
            json!({"ok": {"position": 9, "id": "a"}}),
        ),
    ];
    let rows: Vec<(&str, Value)> =
        rows.iter().map(|(command, expected)| (command.as_str(), expected.clone())).collect();
    check(&rows).await;
}

#[tokio::test]
async fn a_transfer_names_two_accounts_by_side_or_by_direction() {
    check(&[
        (r#"{"do":"transfer","id":"1","amount":"1","from":"wallet:1","to":"wallet:2"}"#, invalid("currency")),
        (r#"{"do":"transfer","id":"1","amount":"1","from":"wallet:1","to":"wallet:2","currency":"USD"}"#, rejected("unknown_account")),
        (r#"{"do":"transfer","id":"1","amount":"1","from":"wallet:1","to":"till"}"#, rejected("sides_differ")),
        (r#"{"do":"transfer","id":"1","amount":"1","from":"wallet:1","to":"wallet:1"}"#, invalid("to")),
        (r#"{"do":"transfer","id":"1","amount":"1.001","debit":"wallet:1","credit":"sales"}"#, invalid("amount")),
        (r#"{"do":"transfer","id":"1","amount":"11","debit":"wallet:1","credit":"sales"}"#, rejected("insufficient_funds")),
        (
            r#"{"do":"transfer","id":"1","amount":"4","from":"wallet:1","to":"wallet:2","currency":"EUR"}"#,
            json!({"ok": {"balances": [{"account": "wallet:1", "posted": "6.00"}, {"account": "wallet:2", "posted": "4.00"}]}}),
        ),
        (
            r#"{"do":"transfer","id":"2","amount":"50","debit":"wallet:1","credit":"sales","up_to":true}"#,
            json!({"ok": {"amount": "6.00", "balances": [{"posted": "0.00"}, {"posted": "6.00"}]}}),
        ),
        (
            r#"{"do":"transfer","id":"2","amount":"50.00","debit":"wallet:1","credit":"sales","up_to":true}"#,
            json!({"ok": {"duplicate": true, "amount": "6.00"}}),
        ),
        (
            r#"{"do":"transfer","id":"3","amount":"50","debit":"wallet:1","credit":"sales","up_to":true}"#,
            rejected("nothing_available"),
        ),
        (r#"{"do":"open_account","account":"usd","currency":"USD","type":"liability"}"#, json!({"ok": {}})),
        (r#"{"do":"transfer","id":"4","amount":"1","from":"wallet:1","to":"usd"}"#, rejected("unbalanced")),
    ])
    .await;
}

#[tokio::test]
async fn no_total_overflows_and_up_to_is_judged_by_what_it_moves() {
    let most = "99999999999999999999999999.99";
    let transfer = |id: &str, amount: &str, more: &str| {
        format!(r#"{{"do":"transfer","id":"{id}","amount":"{amount}","debit":"till","credit":"sales"{more}}}"#)
    };
    let rows = [
        (transfer("a", "100000000000000000000000000", ""), invalid("amount")),
        (transfer("a", most, ""), invalid("amount")),
        (transfer("a", "99999999999999999999999989.99", ""), json!({"ok": {}})),
        (transfer("b", "0.01", ""), invalid("amount")),
        (
            r#"{"do":"transfer","id":"c","amount":"99999999999999999999999999.99","debit":"wallet:1","credit":"sales","up_to":true}"#.to_owned(),
            json!({"ok": {"amount": "10.00"}}),
        ),
    ];
    let rows: Vec<(&str, Value)> =
        rows.iter().map(|(command, expected)| (command.as_str(), expected.clone())).collect();
    check(&rows).await;
}

#[tokio::test]
async fn an_entity_changes_at_the_version_that_the_caller_expects() {
    check(&[
        (
            r#"{"do":"record","entity":"user/42","kind":"user.named","data":{"name":"Ann"},"expected_version":1}"#,
            json!({"conflict": {"entity": "user/42", "expected": 1, "found": 0}}),
        ),
        (
            r#"{"do":"record","entity":"user/42","kind":"user.named","data":{"name":"Ann"},"expected_version":0}"#,
            json!({"ok": {"position": 8}}),
        ),
        (
            r#"{"do":"record","entity":"user/42","kind":"user.named","data":{"name":"Eve"},"expected_version":0}"#,
            json!({"conflict": {"expected": 0, "found": 1}}),
        ),
        (
            r#"{"do":"record","entity":"user/42","kind":"user.named","data":{"name":"Eve"}}"#,
            json!({"ok": {"position": 9}}),
        ),
        (r#"{"do":"record","entity":"user","kind":"user.named","data":{}}"#, invalid("entity")),
        (r#"{"do":"record","entity":"user/","kind":"user.named","data":{}}"#, invalid("entity")),
        // An entity cannot be named like one of the engine's own streams, nor collide with an id.
        (r#"{"do":"record","entity":"currency:POINTS","kind":"k","data":{}}"#, invalid("entity")),
        (r#"{"do":"record","entity":"fund/1","kind":"k","data":{},"id":"fund/1"}"#, json!({"ok": {"position": 10}})),
    ])
    .await;
}

#[tokio::test]
async fn an_atomic_batch_is_all_or_nothing_and_sees_what_came_before() {
    check(&[
        (
            r#"{"do":"batch","id":"b1","atomic":true,"commands":[
                {"do":"transfer","id":"m1","amount":"10","debit":"wallet:1","credit":"sales"},
                {"do":"transfer","id":"m2","amount":"0.01","debit":"wallet:1","credit":"sales"}]}"#,
            json!({"rejected": {"rule": "batch_failed", "index": 1, "outcome": {"rejected": {"rule": "insufficient_funds"}}}}),
        ),
        (
            r#"{"do":"batch","id":"b1","atomic":true,"commands":[
                {"do":"transfer","id":"m1","amount":"10","debit":"wallet:1","credit":"sales"},
                {"do":"record","entity":"order/1","kind":"order.paid","data":{}}]}"#,
            json!({"ok": {"id": "b1", "position": 10, "duplicate": false, "outcomes": [{"ok": {"position": 8}}, {"ok": {"position": 9}}]}}),
        ),
        (
            r#"{"do":"batch","id":"b1","atomic":true,"commands":[
                {"do":"transfer","id":"m1","amount":"10.0","debit":"wallet:1","credit":"sales","up_to":false},
                {"kind":"order.paid","do":"record","entity":"order/1","data":{}}]}"#,
            json!({"ok": {"id": "b1", "position": 10, "duplicate": true}}),
        ),
        (r#"{"do":"batch","id":"b1","atomic":true,"commands":[{"do":"fly"}]}"#, rejected("id_reused")),
        (r#"{"do":"batch","id":"b2","atomic":true,"commands":[{"do":"fly"}]}"#,
            json!({"rejected": {"rule": "batch_failed", "index": 0, "outcome": {"invalid": {"field": "do"}}}})),
        // A batch without an id keeps its own remarks, too; without any, it writes nothing of its own.
        (
            r#"{"do":"batch","atomic":true,"meta":{"by":"eve"},"commands":[{"do":"record","entity":"order/2","kind":"k","data":{}}]}"#,
            json!({"ok": {"position": 12, "outcomes": [{"ok": {"position": 11}}]}}),
        ),
        (
            r#"{"do":"batch","atomic":true,"commands":[{"do":"record","entity":"order/3","kind":"k","data":{}}]}"#,
            json!({"ok": {"position": 13}}),
        ),
        // A member's id is of the one space of ids.
        (r#"{"do":"transfer","id":"m1","amount":"10","debit":"wallet:1","credit":"sales"}"#, json!({"ok": {"duplicate": true, "position": 8}})),
        (r#"{"do":"batch","atomic":true,"commands":[]}"#, invalid("commands")),
        (r#"{"do":"batch","atomic":true,"commands":[{"do":"batch","atomic":true,"commands":[]}]}"#, invalid("commands[0].do")),
    ])
    .await;
}

#[tokio::test]
async fn a_batch_that_is_not_atomic_is_exactly_its_members() {
    check(&[
        (
            r#"{"do":"batch","atomic":false,"commands":[
                {"do":"transfer","id":"n1","amount":"99","debit":"wallet:1","credit":"sales"},
                {"do":"transfer","id":"n2","amount":"1","debit":"wallet:1","credit":"sales"},
                {"do":"fly"},
                {"do":"transfer","id":"n2","amount":"2","debit":"wallet:1","credit":"sales"}]}"#,
            json!({"ok": {"position": 8, "outcomes": [
                {"rejected": {"rule": "insufficient_funds"}}, {"ok": {"position": 8}},
                {"invalid": {"field": "do"}}, {"rejected": {"rule": "id_reused"}}]}}),
        ),
        (r#"{"do":"batch","atomic":false,"id":"x","commands":[{"do":"fly"}]}"#, invalid("id")),
        (r#"{"do":"batch","atomic":false,"meta":{"a":"b"},"commands":[{"do":"fly"}]}"#, invalid("meta")),
    ])
    .await;
    for (store, ledger, _) in both().await {
        let nothing = send(&ledger, r#"{"do":"batch","atomic":false,"commands":[{"do":"fly"}]}"#).await;
        assert!(nothing["ok"].get("position").is_none(), "{store}: {nothing}");
    }
}

#[tokio::test]
async fn a_repeat_means_the_same_whatever_its_spelling() {
    check(&[
        (
            r#"{"id":"fund","legs":[{"debit":"10","account":"till"},{"credit":"10.0","account":"wallet:1"}],"do":"post","meta":{},"text":null}"#,
            json!({"ok": {"duplicate": true, "position": 7}}),
        ),
        // Leg order matters, and another form of the same entry is another command.
        (
            r#"{"do":"post","id":"fund","legs":[{"account":"wallet:1","credit":"10.00"},{"account":"till","debit":"10.00"}]}"#,
            json!({"rejected": {"rule": "id_reused", "position": 7}}),
        ),
        (r#"{"do":"transfer","id":"fund","amount":"10","debit":"till","credit":"wallet:1"}"#, rejected("id_reused")),
        (r#"{"do":"record","entity":"a/b","kind":"k","data":{"x":1,"y":[{"b":1,"a":2}]},"id":"r","at":"2025-01-01T00:00:00Z"}"#, json!({"ok": {"duplicate": false}})),
        (r#"{"do":"record","entity":"a/b","kind":"k","data":{"y":[{"a":2,"b":1}],"x":1},"id":"r","at":"2025-01-01T01:00:00.000+01:00"}"#, json!({"ok": {"duplicate": true}})),
        (r#"{"do":"record","entity":"a/b","kind":"k","data":{"y":[{"a":2,"b":1}],"x":1},"id":"r"}"#, rejected("id_reused")),
    ])
    .await;
}

#[tokio::test]
async fn a_repeat_is_a_duplicate_even_when_the_ledger_would_refuse_it_now() {
    for (store, ledger, _) in both().await {
        given(&ledger, SETUP).await;
        let spend = r#"{"do":"transfer","id":"all","amount":"10","debit":"wallet:1","credit":"sales"}"#;
        given(&ledger, &[spend]).await;
        let again = send(&ledger, spend).await;
        assert_eq!(again["ok"]["duplicate"], true, "{store}: {again}");
    }
}

#[tokio::test]
async fn what_leaves_in_a_day_is_counted_by_recorded_time() {
    for (store, ledger, clock) in both().await {
        given(&ledger, &[
            r#"{"do":"open_account","account":"till","currency":"EUR","type":"asset"}"#,
            r#"{"do":"open_account","account":"card","currency":"EUR","type":"liability","limits":{"daily_out":"50"}}"#,
            r#"{"do":"transfer","id":"in","amount":"500","debit":"till","credit":"card"}"#,
            r#"{"do":"transfer","id":"a","amount":"30","debit":"card","credit":"till"}"#,
        ])
        .await;
        let more = r#"{"do":"transfer","id":"b","amount":"20.01","debit":"card","credit":"till"}"#;
        let refused = send(&ledger, more).await;
        assert!(
            contains(&refused, &json!({"rejected": {"rule": "daily_out_exceeded", "available": "20.00"}})),
            "{store}: {refused}"
        );
        // Incoming money gives nothing back.
        given(&ledger, &[r#"{"do":"transfer","id":"in2","amount":"5","debit":"till","credit":"card"}"#]).await;
        assert!(send(&ledger, more).await.get("rejected").is_some(), "{store}");
        clock.set("2025-03-02T00:00:00Z".parse().unwrap());
        given(&ledger, &[more]).await;
        assert_verifies(&ledger).await;
    }
}

#[tokio::test]
async fn recorded_time_never_goes_back() {
    for (store, ledger, clock) in both().await {
        clock.set("2025-03-05T00:00:00Z".parse().unwrap());
        let first = send(&ledger, r#"{"do":"record","entity":"a/1","kind":"k","data":{}}"#).await;
        clock.set("2025-03-01T00:00:00Z".parse().unwrap());
        let second = send(&ledger, r#"{"do":"record","entity":"a/2","kind":"k","data":{}}"#).await;
        assert_eq!(first["ok"]["recorded_at"], second["ok"]["recorded_at"], "{store}");
    }
}

#[tokio::test]
async fn both_stores_end_with_the_same_books_and_the_same_events() {
    let mut ends = Vec::new();
    for (_, ledger, _) in both().await {
        given(&ledger, SETUP).await;
        let mut events = serde_json::to_value(ledger.log().page(Position::START, 100).await.unwrap()).unwrap();
        // The chain begins with the name of the ledger.
        events.as_array_mut().unwrap().iter_mut().for_each(|event| event["hash"] = Value::Null);
        ends.push((posted(&ledger).await, events));
    }
    assert!(ends.windows(2).all(|pair| pair[0] == pair[1]), "{ends:#?}");
}

/// Ids that a writer has forgotten are met at the append. What writes nothing meets nothing there, and looks its id up.
#[tokio::test]
async fn a_forgotten_id_is_looked_up_by_what_writes_and_by_what_would_write_nothing() {
    let ledger = Ledger::builder().settings(Settings { cached_ids: 1, ..Settings::default() }).in_memory();
    given(&ledger, SETUP).await;
    for id in ["first", "second", "third"] {
        given(&ledger, &[&format!(r#"{{"do":"record","entity":"a/1","kind":"k","data":{{}},"id":"{id}"}}"#)]).await;
    }
    let again = send(&ledger, r#"{"do":"record","entity":"a/1","kind":"k","data":{},"id":"first"}"#).await;
    assert!(contains(&again, &json!({"ok": {"duplicate": true, "position": 8}})), "{again}");
    given(&ledger, &[r#"{"do":"record","entity":"a/1","kind":"k","data":{},"id":"fifth"}"#]).await;
    for nothing in [
        r#"{"do":"expire_due","id":"first"}"#,
        r#"{"do":"batch","id":"first","atomic":true,"commands":[{"do":"expire_due"}]}"#,
    ] {
        let answered = send(&ledger, nothing).await;
        assert!(contains(&answered, &rejected("id_reused")), "{nothing}\n  answered {answered}");
    }
    given(&ledger, &[r#"{"do":"expire_due","id":"fourth"}"#]).await;
}
