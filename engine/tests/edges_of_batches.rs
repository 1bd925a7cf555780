//! The contract to the letter, on both stores: what a batch sees of itself, what set-up scripts may say again,
//! and numbers at their bounds.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test ends at the first thing that goes wrong")]

mod support;

use serde_json::{Value, json};
use support::{invalid, ok, rejected};

const SETUP: &[&str] = &[
    r#"{"do":"open_account","account":"cash","currency":"EUR","type":"asset"}"#,
    r#"{"do":"open_account","account":"w:1","currency":"EUR","type":"liability","limits":{"floor":"0"}}"#,
    r#"{"do":"post","id":"fund","legs":[{"account":"cash","debit":"100"},{"account":"w:1","credit":"100"}]}"#,
];

async fn check(rows: &[(&str, Value)]) {
    support::check(SETUP, rows).await;
}

#[tokio::test]
async fn members_of_a_batch_see_all_that_came_before_them() {
    check(&[
        (
            r#"{"do":"batch","id":"b1","atomic":true,"commands":[
                {"do":"register_currency","code":"PTS","scale":0},
                {"do":"register_currency","code":"PTS","scale":0},
                {"do":"open_account","account":"points","currency":"PTS","type":"liability","limits":{"daily_out":"5"}},
                {"do":"open_account","account":"points","currency":"PTS","type":"liability","limits":{"daily_out":"5.0"}},
                {"do":"open_account","account":"issued","currency":"PTS","type":"asset"},
                {"do":"transfer","id":"p1","debit":"issued","credit":"points","amount":"9","at":"2025-01-01T00:00:00Z"},
                {"do":"assert_balance","account":"points","amount":"9"},
                {"do":"assert_balance","account":"points","amount":"0","as_of":"2024-12-31T00:00:00Z"},
                {"do":"assert_balance","account":"points","amount":"9","as_of":"2025-01-01T00:00:00Z"},
                {"do":"hold","id":"h1","debit":"points","credit":"issued","amount":"3"},
                {"do":"settle","id":"s1","hold":"h1","amount":"1"},
                {"do":"reverse","id":"r1","entry":"s1"},
                {"do":"assert_balance","account":"points","amount":"9"},
                {"do":"transfer","id":"p2","debit":"points","credit":"issued","amount":"4"},
                {"do":"record","entity":"a/1","kind":"k","data":{},"expected_version":0},
                {"do":"record","entity":"a/1","kind":"k","data":{},"expected_version":1},
                {"do":"freeze","account":"points","reason":"r"},
                {"do":"unfreeze","account":"points","reason":"r"},
                {"do":"close_period","through":"2025-01-31"},
                {"do":"reopen_period","reason":"r"}
            ]}"#,
            json!({"ok": {"id": "b1", "outcomes": [
                {"ok": {"duplicate": false}}, {"ok": {"duplicate": true, "position": 4}},
                {"ok": {"position": 5}}, {"ok": {"duplicate": true, "position": 5}}, {"ok": {"position": 6}},
                {"ok": {}}, {"ok": {}}, {"ok": {}}, {"ok": {}}, {"ok": {}}, {"ok": {}}, {"ok": {}}, {"ok": {}}, {"ok": {}},
                {"ok": {}}, {"ok": {}}, {"ok": {}}, {"ok": {}}, {"ok": {}}, {"ok": {"position": 21}}], "position": 22}}),
        ),
        (r#"{"do":"transfer","id":"p3","debit":"points","credit":"issued","amount":"1"}"#, rejected("daily_out_exceeded")),
        (r#"{"do":"record","entity":"a/1","kind":"k","data":{},"expected_version":2}"#, ok()),
    ])
    .await;
}

#[tokio::test]
async fn a_failed_batch_leaves_nothing_of_what_its_members_did() {
    check(&[
        (
            r#"{"do":"batch","id":"b1","atomic":true,"commands":[
                {"do":"open_account","id":"o","account":"new","currency":"EUR","type":"asset"},
                {"do":"register_currency","code":"PTS","scale":0},
                {"do":"set_limits","account":"w:1","limits":{"ceiling":"100"}},
                {"do":"freeze","account":"cash","reason":"r"},
                {"do":"close_period","through":"2025-02-28"},
                {"do":"record","entity":"a/1","kind":"k","data":{}},
                {"do":"transfer","id":"t","debit":"nowhere","credit":"new","amount":"1"}]}"#,
            json!({"rejected": {"rule": "batch_failed", "index": 6, "outcome": {"rejected": {"rule": "unknown_account"}}}}),
        ),
        (r#"{"do":"transfer","id":"t","debit":"cash","credit":"new","amount":"1"}"#, rejected("unknown_account")),
        (r#"{"do":"open_account","account":"p","currency":"PTS","type":"asset"}"#, rejected("unknown_currency")),
        (r#"{"do":"transfer","id":"t","debit":"cash","credit":"w:1","amount":"1","at":"2025-01-01T00:00:00Z"}"#, ok()),
        (r#"{"do":"record","entity":"a/1","kind":"k","data":{},"expected_version":0}"#, ok()),
        (r#"{"do":"open_account","id":"o","account":"new","currency":"EUR","type":"expense"}"#, ok()),
        (r#"{"do":"record","id":"b1","entity":"a/1","kind":"k","data":{}}"#, ok()),
    ])
    .await;
}

#[tokio::test]
async fn a_failed_batch_leaves_holds_and_entries_as_they_were() {
    check(&[
        (r#"{"do":"hold","id":"h","debit":"w:1","credit":"cash","amount":"40"}"#, ok()),
        (r#"{"do":"hold","id":"g","debit":"w:1","credit":"cash","amount":"20","expires_at":"2025-03-01T13:00:00Z"}"#, ok()),
        ("clock 2025-03-01T14:00:00Z", Value::Null),
        (
            r#"{"do":"batch","id":"b1","atomic":true,"commands":[
                {"do":"settle","id":"s","hold":"h","amount":"30","keep_rest":true},
                {"do":"void","id":"v","hold":"h"},
                {"do":"expire_due","id":"e"},
                {"do":"reverse","id":"sr","entry":"s"},
                {"do":"reverse","id":"r","entry":"fund"},
                {"do":"assert_balance","account":"w:1","amount":"0"},
                {"do":"assert_balance","account":"w:1","amount":"0","as_of":"2025-03-01T14:00:00Z"},
                {"do":"reverse","id":"again","entry":"fund"}]}"#,
            json!({"rejected": {"rule": "batch_failed", "index": 7, "outcome": {"rejected": {"rule": "already_reversed"}}}}),
        ),
        (r#"{"do":"assert_balance","account":"w:1","amount":"100","as_of":"2025-03-01T14:00:00Z"}"#, ok()),
        (r#"{"do":"settle","id":"s","hold":"h","amount":"30","keep_rest":true}"#, json!({"ok": {"position": 7, "balances": [
            {"account": "w:1", "posted": "70.00", "pending_out": "30.00"},
            {"account": "cash", "posted": "70.00", "pending_out": "30.00"}]}})),
        (r#"{"do":"void","id":"v","hold":"h"}"#, json!({"ok": {"balances": [
            {"account": "w:1", "posted": "70.00", "pending_out": "20.00"}, {"account": "cash", "pending_out": "20.00"}]}})),
        (r#"{"do":"expire_due","id":"e"}"#, json!({"ok": {"count": 1, "position": 9}})),
        (r#"{"do":"reverse","id":"sr","entry":"s"}"#, ok()),
        (r#"{"do":"reverse","id":"r","entry":"fund"}"#, json!({"ok": {"balances": [
            {"account": "cash", "posted": "0.00"}, {"account": "w:1", "posted": "0.00", "pending_out": "0.00"}]}})),
    ])
    .await;
}

#[tokio::test]
async fn a_set_up_script_says_the_same_again_or_something_else() {
    check(&[
        (r#"{"do":"open_account","id":"o1","account":"a","currency":"EUR","type":"asset","limits":{"floor":"0"},"meta":{"x":"1"}}"#, ok()),
        (
            r#"{"do":"open_account","account":"a","currency":"EUR","type":"asset","normal":"debit","limits":{"floor":"0.00","ceiling":null},"meta":{"x":"1"}}"#,
            json!({"ok": {"duplicate": true, "position": 4, "id": "o1"}}),
        ),
        (r#"{"do":"open_account","id":"o1","account":"a","currency":"EUR","type":"asset","limits":{"floor":"0"},"meta":{"x":"1"}}"#, json!({"ok": {"duplicate": true}})),
        (r#"{"do":"open_account","id":"o2","account":"a","currency":"EUR","type":"asset","limits":{"floor":"0"},"meta":{"x":"1"}}"#, rejected("account_exists")),
        (r#"{"do":"open_account","account":"a","currency":"EUR","type":"asset","limits":{"floor":"0"}}"#, rejected("account_exists")),
        (r#"{"do":"open_account","account":"a","currency":"EUR","type":"asset","limits":{"floor":"1"},"meta":{"x":"1"}}"#, rejected("account_exists")),
        (r#"{"do":"open_account","account":"a","currency":"USD","type":"income"}"#, rejected("type_differs")),
        (r#"{"do":"close_account","account":"a"}"#, ok()),
        (r#"{"do":"open_account","account":"a","currency":"EUR","type":"asset","limits":{"floor":"0"},"meta":{"x":"1"}}"#, json!({"ok": {"duplicate": true, "position": 4}})),
        (r#"{"do":"open_account","account":"a","currency":"EUR","type":"asset"}"#, rejected("account_exists")),
        // Also in a further currency a closed account keeps its code and type.
        (r#"{"do":"open_account","account":"a","currency":"USD","type":"income"}"#, rejected("type_differs")),
        (r#"{"do":"open_account","account":"a","currency":"USD","type":"asset"}"#, ok()),
        // Other commands without an id are done again.
        (r#"{"do":"freeze","account":"cash","reason":"r"}"#, json!({"ok": {"position": 7, "duplicate": false}})),
        (r#"{"do":"freeze","account":"cash","reason":"r"}"#, json!({"ok": {"position": 8, "duplicate": false}})),
        (r#"{"do":"unfreeze","account":"cash","reason":"r"}"#, json!({"ok": {"position": 9, "duplicate": false}})),
        (r#"{"do":"unfreeze","account":"cash","reason":"r"}"#, json!({"ok": {"position": 10, "duplicate": false}})),
    ])
    .await;
}

#[tokio::test]
async fn amounts_and_totals_stay_below_ten_to_the_28_minor_units() {
    check(&[
        (r#"{"do":"register_currency","code":"WEI","scale":18}"#, ok()),
        (r#"{"do":"register_currency","code":"PTS","scale":0}"#, ok()),
        (r#"{"do":"open_account","account":"a","currency":"WEI","type":"asset"}"#, ok()),
        (r#"{"do":"open_account","account":"b","currency":"WEI","type":"income"}"#, ok()),
        (r#"{"do":"open_account","account":"p","currency":"PTS","type":"asset"}"#, ok()),
        (r#"{"do":"open_account","account":"q","currency":"PTS","type":"income"}"#, ok()),
        (r#"{"do":"transfer","id":"1","debit":"a","credit":"b","amount":"10000000000"}"#, invalid("amount")),
        (r#"{"do":"transfer","id":"1","debit":"a","credit":"b","amount":"9999999999.999999999999999998"}"#, json!({"ok": {"balances": [{"posted": "9999999999.999999999999999998"}, {}]}})),
        (r#"{"do":"transfer","id":"2","debit":"a","credit":"b","amount":"0.000000000000000001"}"#, ok()),
        (r#"{"do":"transfer","id":"3","debit":"a","credit":"b","amount":"0.000000000000000001"}"#, invalid("amount")),
        // Each side of an account counts by itself: what was debited and credited does not cancel.
        (r#"{"do":"transfer","id":"4","debit":"b","credit":"a","amount":"1"}"#, ok()),
        (r#"{"do":"transfer","id":"3","debit":"a","credit":"b","amount":"0.000000000000000001"}"#, invalid("amount")),
        (
            r#"{"do":"post","id":"5","legs":[{"account":"p","debit":"6000000000000000000000000000"},{"account":"p","debit":"4000000000000000000000000000"},
                {"account":"q","credit":"6000000000000000000000000000"},{"account":"q","credit":"4000000000000000000000000000"}]}"#,
            invalid("legs[1].debit"),
        ),
        (r#"{"do":"hold","id":"6","debit":"q","credit":"p","amount":"9999999999999999999999999999"}"#, ok()),
        (r#"{"do":"hold","id":"7","debit":"q","credit":"p","amount":"1"}"#, invalid("amount")),
        (r#"{"do":"assert_balance","account":"cash","amount":"100000000000000000000000000"}"#, invalid("amount")),
        (r#"{"do":"assert_balance","account":"p","amount":"-0"}"#, ok()),
        (r#"{"do":"record","entity":"n/1","kind":"k","data":{"n":1e400,"m":-0,"d":0.1000000000000000000000000000000000001}}"#, ok()),
        (r#"{"do":"record","entity":"n/1","kind":"k","data":{},"expected_version":99999999999999999999}"#, invalid("expected_version")),
        (r#"{"do":"record","entity":"n/1","kind":"","data":{}}"#, invalid("kind")),
        (r#"{"do":"record","entity":"n/1","kind":"k","data":{},"at":"0000-01-01T00:00:00Z"}"#, ok()),
        (r#"{"do":"close_period","through":"0000-01-01"}"#, ok()),
        (r#"{"do":"close_period","through":"9999-12-31"}"#, ok()),
    ])
    .await;
}

#[tokio::test]
async fn what_stays_held_keeps_its_expiry_and_a_batch_may_expire_it() {
    check(&[
        (r#"{"do":"hold","id":"h1","debit":"w:1","credit":"cash","amount":"10","expires_at":"2025-03-01T13:00:00+00:00"}"#, ok()),
        (r#"{"do":"hold","id":"h2","debit":"w:1","credit":"cash","amount":"5","expires_at":"2025-03-01T13:30:00Z"}"#, ok()),
        (r#"{"do":"settle","id":"s1","hold":"h1","amount":"4","keep_rest":true,"at":"2024-01-01T00:00:00Z"}"#, ok()),
        (r#"{"do":"transfer","id":"h1","debit":"w:1","credit":"cash","amount":"10"}"#, rejected("id_reused")),
        ("clock 2025-03-01T13:00:00Z", Value::Null),
        (r#"{"do":"settle","id":"s2","hold":"h1"}"#, rejected("hold_expired")),
        // Until it is voided, it keeps its reservation: 96 are posted, 11 are held.
        (r#"{"do":"transfer","id":"t1","debit":"w:1","credit":"cash","amount":"86"}"#, json!({"rejected": {"rule": "insufficient_funds", "available": "85.00", "requested": "86.00"}})),
        (
            r#"{"do":"batch","id":"b","atomic":true,"commands":[{"do":"expire_due"},{"do":"transfer","id":"t1","debit":"w:1","credit":"cash","amount":"86"}]}"#,
            json!({"ok": {"outcomes": [{"ok": {"count": 1}}, {"ok": {}}]}}),
        ),
        (r#"{"do":"settle","id":"s2","hold":"h1"}"#, rejected("hold_expired")),
        (r#"{"do":"close_account","account":"w:1"}"#, rejected("account_not_empty")),
        (r#"{"do":"settle","id":"s2","hold":"h2"}"#, ok()),
        (r#"{"do":"transfer","id":"t2","debit":"w:1","credit":"cash","amount":"999","up_to":true}"#, json!({"ok": {"amount": "5.00"}})),
        (r#"{"do":"close_account","account":"w:1"}"#, ok()),
        (r#"{"do":"reverse","id":"r","entry":"t2"}"#, rejected("account_closed")),
        (r#"{"do":"hold","id":"h3","debit":"w:1","credit":"cash","amount":"1","expires_at":"2020-01-01T00:00:00Z"}"#, rejected("account_closed")),
        (r#"{"do":"set_limits","account":"w:1","limits":{"floor":"5"}}"#, rejected("account_closed")),
    ])
    .await;
}

#[tokio::test]
async fn parts_add_up_to_wholes_and_an_account_is_the_same_wherever_its_legs_stand() {
    let legs = (0..10).chain([9, 8]).map(|n| format!(r#"{{"account":"a:{n}","debit":"0.50"}}"#)).collect::<Vec<_>>();
    let many = format!(r#"{{"do":"post","id":"m","legs":[{},{{"account":"cash","credit":"6"}}]}}"#, legs.join(","));
    let opened: Vec<String> = (0..10)
        .map(|n| format!(r#"{{"do":"open_account","account":"a:{n}","currency":"EUR","type":"asset"}}"#))
        .collect();
    let mut rows: Vec<(&str, Value)> = opened.iter().map(|open| (open.as_str(), ok())).collect();
    rows.push((&many, ok()));
    rows.push((r#"{"do":"assert_balance","account":"a:9","amount":"1"}"#, ok()));
    rows.push((r#"{"do":"assert_balance","account":"a:8","amount":"1"}"#, ok()));
    rows.push((r#"{"do":"assert_balance","account":"a:7","amount":"0.5"}"#, ok()));
    check(&rows).await;
}

#[tokio::test]
async fn the_text_of_an_entry_stands_in_its_event() {
    for (store, ledger, _) in support::both().await {
        support::given(&ledger, SETUP).await;
        let post = r#"{"do":"post","id":"p","text":"rent","legs":[{"account":"cash","debit":"1"},{"account":"w:1","credit":"1"}]}"#;
        let transfer = r#"{"do":"transfer","id":"t","text":"rent","debit":"cash","credit":"w:1","amount":"1"}"#;
        support::given(&ledger, &[post, transfer]).await;
        let head = ledger.log().head().await.unwrap().position;
        for event in ledger.log().page(postfold::Position::new(head.get() - 2), 2).await.unwrap() {
            let data: Value = serde_json::from_str(event.data.get()).unwrap();
            assert_eq!(data["text"], "rent", "{store}: {:?}", event.id);
        }
    }
}
