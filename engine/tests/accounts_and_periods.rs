//! Limits, freezing, closing, reversals, assertions and periods, row by row, on both stores.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test ends at the first thing that goes wrong")]

mod support;

use serde_json::{Value, json};
use support::{invalid, ok, rejected};

const SETUP: &[&str] = &[
    r#"{"do":"open_account","account":"till","currency":"EUR","type":"asset"}"#,
    r#"{"do":"open_account","account":"wallet","currency":"EUR","type":"liability"}"#,
    r#"{"do":"open_account","account":"sales","currency":"EUR","type":"income"}"#,
    r#"{"do":"open_account","account":"twice","currency":"EUR","type":"asset"}"#,
    r#"{"do":"open_account","account":"twice","currency":"USD","type":"asset"}"#,
    r#"{"do":"transfer","id":"fund","amount":"100","debit":"till","credit":"wallet","at":"2025-01-10T00:00:00Z"}"#,
];

async fn check(rows: &[(&str, Value)]) {
    support::check(SETUP, rows).await;
}

#[tokio::test]
async fn limits_are_replaced_and_refused_when_they_are_broken_already() {
    check(&[
        (
            r#"{"do":"set_limits","account":"wallet","limits":{"floor":"100.01"}}"#,
            json!({"rejected": {"rule": "limits_broken", "available": "100.00", "limit": "100.01"}}),
        ),
        (r#"{"do":"set_limits","account":"wallet","limits":{"ceiling":"99"}}"#, rejected("limits_broken")),
        (r#"{"do":"set_limits","account":"wallet","limits":{"ceiling":"99"},"force":true}"#, ok()),
        // An entry that does not move towards the limit is not refused by it.
        (r#"{"do":"transfer","id":"a","amount":"0.50","debit":"wallet","credit":"sales"}"#, ok()),
        (
            r#"{"do":"transfer","id":"b","amount":"0.01","debit":"till","credit":"wallet"}"#,
            rejected("ceiling_exceeded"),
        ),
        (r#"{"do":"set_limits","account":"wallet","limits":{}}"#, ok()),
        (r#"{"do":"transfer","id":"b","amount":"0.01","debit":"till","credit":"wallet"}"#, ok()),
        (r#"{"do":"set_limits","account":"wallet"}"#, invalid("limits")),
        (r#"{"do":"set_limits","account":"wallet","limits":{"floor":"0.001"}}"#, invalid("limits.floor")),
        (r#"{"do":"set_limits","account":"none","limits":{}}"#, rejected("unknown_account")),
        (r#"{"do":"set_limits","account":"twice","limits":{}}"#, invalid("currency")),
        (r#"{"do":"set_limits","account":"twice","currency":"GBP","limits":{}}"#, rejected("unknown_account")),
    ])
    .await;
}

#[tokio::test]
async fn a_frozen_account_takes_no_legs_in_or_out() {
    check(&[
        (r#"{"do":"hold","id":"h","amount":"5","debit":"wallet","credit":"sales"}"#, ok()),
        (r#"{"do":"freeze","account":"wallet"}"#, invalid("reason")),
        (r#"{"do":"freeze","account":"wallet","reason":"court order"}"#, ok()),
        (r#"{"do":"freeze","account":"wallet","reason":"court order"}"#, ok()),
        (r#"{"do":"transfer","id":"a","amount":"1","debit":"wallet","credit":"sales"}"#, rejected("account_frozen")),
        (r#"{"do":"transfer","id":"a","amount":"1","debit":"till","credit":"wallet"}"#, rejected("account_frozen")),
        (r#"{"do":"settle","id":"s","hold":"h"}"#, rejected("account_frozen")),
        (r#"{"do":"reverse","id":"r","entry":"fund"}"#, rejected("account_frozen")),
        (r#"{"do":"void","id":"v","hold":"h"}"#, ok()),
        (r#"{"do":"unfreeze","account":"wallet","reason":"lifted"}"#, ok()),
        (r#"{"do":"transfer","id":"a","amount":"1","debit":"wallet","credit":"sales"}"#, ok()),
    ])
    .await;
}

#[tokio::test]
async fn an_account_is_closed_for_good_and_only_when_it_is_empty() {
    check(&[
        (r#"{"do":"close_account","account":"wallet"}"#, rejected("account_not_empty")),
        (r#"{"do":"close_account","account":"sales"}"#, ok()),
        (r#"{"do":"close_account","account":"sales"}"#, rejected("account_closed")),
        (r#"{"do":"transfer","id":"a","amount":"1","debit":"wallet","credit":"sales"}"#, rejected("account_closed")),
        (r#"{"do":"freeze","account":"sales","reason":"x"}"#, rejected("account_closed")),
        (r#"{"do":"set_limits","account":"sales","limits":{}}"#, rejected("account_closed")),
        (
            r#"{"do":"open_account","account":"sales","currency":"EUR","type":"income"}"#,
            json!({"ok": {"duplicate": true, "position": 3}}),
        ),
        (
            r#"{"do":"open_account","account":"sales","currency":"EUR","type":"income","name":"x"}"#,
            rejected("account_exists"),
        ),
        // A closed account counts as open where a currency is left out.
        (r#"{"do":"close_account","account":"twice","currency":"USD"}"#, ok()),
        (r#"{"do":"transfer","id":"a","amount":"1","debit":"twice","credit":"wallet"}"#, invalid("currency")),
    ])
    .await;
}

#[tokio::test]
async fn an_entry_is_reversed_once_and_so_is_its_reversal() {
    check(&[
        (r#"{"do":"reverse","id":"r","entry":"none"}"#, rejected("entry_not_found")),
        (r#"{"do":"record","id":"note","entity":"a/b","kind":"k","data":{}}"#, ok()),
        (r#"{"do":"reverse","id":"r","entry":"note"}"#, rejected("not_an_entry")),
        (
            r#"{"do":"reverse","id":"r","entry":"fund","reason":"typo"}"#,
            json!({"ok": {"balances": [{"account": "till", "posted": "0.00"}, {"account": "wallet", "posted": "0.00"}]}}),
        ),
        (r#"{"do":"reverse","id":"r","entry":"fund","reason":"typo"}"#, json!({"ok": {"duplicate": true}})),
        (r#"{"do":"reverse","id":"r2","entry":"fund"}"#, rejected("already_reversed")),
        (r#"{"do":"reverse","id":"rr","entry":"r"}"#, ok()),
        (r#"{"do":"reverse","id":"rr2","entry":"r"}"#, rejected("already_reversed")),
        (r#"{"do":"set_limits","account":"wallet","limits":{"floor":"50"}}"#, ok()),
        // A reversal respects limits like any entry.
        (r#"{"do":"reverse","id":"rrr","entry":"rr"}"#, rejected("insufficient_funds")),
    ])
    .await;
}

#[tokio::test]
async fn an_asserted_balance_is_recorded_or_refused_with_what_is_there() {
    check(&[
        (r#"{"do":"assert_balance","account":"wallet","amount":"100.00"}"#, json!({"ok": {"position": 7}})),
        (r#"{"do":"assert_balance","account":"wallet","amount":"-100"}"#, json!({"rejected": {"rule": "balance_differs", "available": "100.00"}})),
        (r#"{"do":"assert_balance","account":"wallet","amount":"100.001"}"#, invalid("amount")),
        (r#"{"do":"assert_balance","account":"wallet","amount":"0","as_of":"2025-01-09T23:59:59.999999Z"}"#, ok()),
        (r#"{"do":"assert_balance","account":"wallet","amount":"100","as_of":"2025-01-10T00:00:00Z"}"#, ok()),
        (r#"{"do":"transfer","id":"past","amount":"7","debit":"till","credit":"wallet","at":"2025-01-05T00:00:00Z"}"#, ok()),
        (r#"{"do":"assert_balance","account":"wallet","amount":"7","as_of":"2025-01-09T00:00:00Z"}"#, ok()),
        (
            r#"{"do":"batch","atomic":true,"commands":[
                {"do":"assert_balance","account":"wallet","amount":"7","as_of":"2025-01-09T00:00:00Z"},
                {"do":"transfer","id":"past2","amount":"3","debit":"till","credit":"wallet","at":"2025-01-06T00:00:00Z"},
                {"do":"assert_balance","account":"wallet","amount":"10","as_of":"2025-01-09T00:00:00Z"},
                {"do":"assert_balance","account":"wallet","amount":"110"}]}"#,
            ok(),
        ),
    ])
    .await;
}

#[tokio::test]
async fn no_entry_takes_effect_in_a_closed_period() {
    check(&[
        (r#"{"do":"reopen_period","reason":"x"}"#, rejected("period_open")),
        (r#"{"do":"close_period","through":"2025-13-01"}"#, invalid("through")),
        (r#"{"do":"close_period","through":"20250131"}"#, invalid("through")),
        (r#"{"do":"close_period","through":"2025-01-31"}"#, ok()),
        (r#"{"do":"close_period","through":"2025-01-31"}"#, rejected("period_closed")),
        (r#"{"do":"transfer","id":"a","amount":"1","debit":"till","credit":"wallet","at":"2025-01-31T23:59:59.999999Z"}"#, rejected("period_closed")),
        (r#"{"do":"transfer","id":"a","amount":"1","debit":"till","credit":"wallet","at":"2025-02-01T00:30:00+01:00"}"#, rejected("period_closed")),
        (r#"{"do":"transfer","id":"a","amount":"1","debit":"till","credit":"wallet","at":"2025-02-01T00:00:00Z"}"#, ok()),
        (r#"{"do":"hold","id":"h","amount":"1","debit":"till","credit":"wallet","at":"2025-01-01T00:00:00Z"}"#, rejected("period_closed")),
        (r#"{"do":"hold","id":"h","amount":"1","debit":"till","credit":"wallet"}"#, ok()),
        (r#"{"do":"settle","id":"s","hold":"h","at":"2025-01-01T00:00:00Z"}"#, rejected("period_closed")),
        // A reversal is judged by its own time, not by its entry's.
        (r#"{"do":"reverse","id":"r","entry":"fund","at":"2025-01-10T00:00:00Z"}"#, rejected("period_closed")),
        (r#"{"do":"reverse","id":"r","entry":"fund"}"#, ok()),
        (r#"{"do":"void","id":"v","hold":"h","at":"2025-01-01T00:00:00Z"}"#, ok()),
        (r#"{"do":"record","entity":"a/b","kind":"k","data":{},"at":"2025-01-01T00:00:00Z"}"#, ok()),
        (r#"{"do":"reopen_period","through":"2025-01-31","reason":"x"}"#, rejected("period_open")),
        (r#"{"do":"reopen_period","through":"2025-01-15","reason":"late invoice"}"#, ok()),
        (r#"{"do":"transfer","id":"b","amount":"1","debit":"till","credit":"wallet","at":"2025-01-16T00:00:00Z"}"#, ok()),
        (r#"{"do":"transfer","id":"c","amount":"1","debit":"till","credit":"wallet","at":"2025-01-15T00:00:00Z"}"#, rejected("period_closed")),
        (r#"{"do":"reopen_period","reason":"all of it"}"#, ok()),
        (r#"{"do":"transfer","id":"c","amount":"1","debit":"till","credit":"wallet","at":"2025-01-15T00:00:00Z"}"#, ok()),
    ])
    .await;
}
