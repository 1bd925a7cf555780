//! Two-phase entries, row by row, on both stores.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test ends at the first thing that goes wrong")]

mod support;

use serde_json::{Value, json};
use support::{invalid, ok, rejected};

/// A wallet with 100.00 and a floor of zero, a merchant, a fee account.
const SETUP: &[&str] = &[
    r#"{"do":"open_account","account":"till","currency":"EUR","type":"asset"}"#,
    r#"{"do":"open_account","account":"wallet","currency":"EUR","type":"liability","limits":{"floor":"0"}}"#,
    r#"{"do":"open_account","account":"merchant","currency":"EUR","type":"liability","limits":{"ceiling":"150"}}"#,
    r#"{"do":"open_account","account":"fees","currency":"EUR","type":"income"}"#,
    r#"{"do":"transfer","id":"fund","amount":"100","debit":"till","credit":"wallet"}"#,
];

async fn check(rows: &[(&str, Value)]) {
    support::check(SETUP, rows).await;
}

#[tokio::test]
async fn a_hold_takes_from_the_available_balance_and_not_from_the_posted() {
    check(&[
        (
            r#"{"do":"hold","id":"h1","amount":"60","from":"wallet","to":"merchant"}"#,
            json!({"ok": {"position": 6, "balances": [
                {"account": "wallet", "posted": "100.00", "pending_out": "60.00", "available": "40.00"},
                {"account": "merchant", "posted": "0.00", "pending_in": "60.00", "available": "0.00"}]}}),
        ),
        (r#"{"do":"transfer","id":"t","amount":"40.01","from":"wallet","to":"merchant"}"#, rejected("insufficient_funds")),
        (r#"{"do":"hold","id":"h2","amount":"40.01","from":"wallet","to":"merchant"}"#, rejected("insufficient_funds")),
        // The ceiling counts what holds will bring.
        (r#"{"do":"transfer","id":"t","amount":"90.01","debit":"till","credit":"merchant"}"#, rejected("ceiling_exceeded")),
        (r#"{"do":"close_account","account":"merchant"}"#, rejected("account_not_empty")),
        (r#"{"do":"hold","id":"h1","amount":"60.00","from":"wallet","to":"merchant"}"#, json!({"ok": {"duplicate": true, "position": 6}})),
        (r#"{"do":"hold","id":"h3","amount":"1","legs":[],"from":"wallet","to":"merchant"}"#, invalid("amount")),
        (
            r#"{"do":"hold","id":"h3","legs":[{"account":"wallet","debit":"1"},{"account":"wallet","credit":"1"}]}"#,
            invalid("legs[1].account"),
        ),
        (
            r#"{"do":"hold","id":"h3","legs":[{"account":"wallet","debit":"1"},{"account":"wallet","currency":"EUR","credit":"1"}]}"#,
            invalid("legs[1].account"),
        ),
        (r#"{"do":"reverse","id":"r","entry":"h1"}"#, rejected("not_an_entry")),
    ])
    .await;
}

#[tokio::test]
async fn settling_posts_all_or_part_and_the_rest_is_released_or_kept() {
    check(&[
        (r#"{"do":"hold","id":"h1","amount":"60","from":"wallet","to":"merchant"}"#, ok()),
        (r#"{"do":"settle","id":"s0","hold":"none"}"#, rejected("hold_not_found")),
        (r#"{"do":"settle","id":"s0","hold":"fund"}"#, rejected("hold_not_found")),
        (r#"{"do":"settle","id":"s0","hold":"h1","amount":"0"}"#, invalid("amount")),
        (r#"{"do":"settle","id":"s0","hold":"h1","amount":"1.001"}"#, invalid("amount")),
        (r#"{"do":"settle","id":"s0","hold":"h1","amount":"60.01"}"#, rejected("settle_exceeds_hold")),
        (
            r#"{"do":"settle","id":"s1","hold":"h1","amount":"25","keep_rest":true}"#,
            json!({"ok": {"balances": [
                {"account": "wallet", "posted": "75.00", "pending_out": "35.00", "available": "40.00"},
                {"account": "merchant", "posted": "25.00", "pending_in": "35.00"}]}}),
        ),
        (r#"{"do":"settle","id":"s2","hold":"h1","amount":"35.01"}"#, rejected("settle_exceeds_hold")),
        (
            r#"{"do":"settle","id":"s2","hold":"h1","amount":"5"}"#,
            json!({"ok": {"balances": [
                {"account": "wallet", "posted": "70.00", "pending_out": "0.00", "available": "70.00"},
                {"account": "merchant", "posted": "30.00", "pending_in": "0.00"}]}}),
        ),
        (r#"{"do":"settle","id":"s3","hold":"h1"}"#, rejected("hold_settled")),
        (r#"{"do":"void","id":"v1","hold":"h1"}"#, rejected("hold_settled")),
        // A settle that leaves nothing ends the hold even with keep_rest.
        (r#"{"do":"hold","id":"h2","amount":"10","from":"wallet","to":"merchant"}"#, ok()),
        (r#"{"do":"settle","id":"s4","hold":"h2","keep_rest":true}"#, ok()),
        (r#"{"do":"settle","id":"s5","hold":"h2"}"#, rejected("hold_settled")),
        // A settle is an entry and can be reversed once; the hold stays settled.
        (r#"{"do":"reverse","id":"r1","entry":"s4"}"#, json!({"ok": {"balances": [{"account": "wallet", "posted": "70.00"}, {"account": "merchant", "posted": "30.00"}]}})),
        (r#"{"do":"reverse","id":"r2","entry":"s4"}"#, rejected("already_reversed")),
        (r#"{"do":"settle","id":"s5","hold":"h2"}"#, rejected("hold_settled")),
    ])
    .await;
}

#[tokio::test]
async fn a_hold_of_many_legs_is_settled_by_naming_them() {
    let hold = r#"{"do":"hold","id":"h","legs":[{"account":"wallet","debit":"50"},{"account":"merchant","credit":"45"},{"account":"fees","credit":"5"}]}"#;
    check(&[
        (hold, ok()),
        (r#"{"do":"settle","id":"s","hold":"h","amount":"10"}"#, invalid("amount")),
        (r#"{"do":"settle","id":"s","hold":"h","amount":"10","legs":[]}"#, invalid("amount")),
        (
            r#"{"do":"settle","id":"s","hold":"h","legs":[{"account":"wallet","debit":"10"},{"account":"merchant","credit":"9"}]}"#,
            rejected("unbalanced"),
        ),
        (
            r#"{"do":"settle","id":"s","hold":"h","legs":[{"account":"wallet","credit":"10"},{"account":"merchant","debit":"10"}]}"#,
            rejected("settle_exceeds_hold"),
        ),
        (
            r#"{"do":"settle","id":"s","hold":"h","legs":[{"account":"none","debit":"10"},{"account":"merchant","credit":"10"}]}"#,
            rejected("unknown_account"),
        ),
        (
            r#"{"do":"settle","id":"s","hold":"h","legs":[{"account":"wallet","debit":"20"},{"account":"merchant","credit":"18"},{"account":"fees","credit":"2"}],"keep_rest":true}"#,
            json!({"ok": {"balances": [{"posted": "80.00", "pending_out": "30.00"}, {"posted": "18.00", "pending_in": "27.00"}, {"posted": "2.00", "pending_in": "3.00"}]}}),
        ),
        (
            r#"{"do":"void","id":"v","hold":"h","reason":"changed my mind"}"#,
            json!({"ok": {"balances": [{"posted": "80.00", "available": "80.00"}, {"posted": "18.00", "pending_in": "0.00"}, {"posted": "2.00"}]}}),
        ),
        (r#"{"do":"settle","id":"s2","hold":"h"}"#, rejected("hold_voided")),
        (r#"{"do":"void","id":"v2","hold":"h"}"#, rejected("hold_voided")),
    ])
    .await;
}

#[tokio::test]
async fn a_hold_at_exactly_its_expiry_is_expired_then_and_ever_after() {
    check(&[
        ("clock 2025-03-01T12:00:00Z", Value::Null),
        (r#"{"do":"hold","id":"late","amount":"1","from":"wallet","to":"merchant","expires_at":"2025-03-01T12:00:00Z"}"#, rejected("hold_expired")),
        (r#"{"do":"hold","id":"a","amount":"10","from":"wallet","to":"merchant","expires_at":"2025-03-01T13:00:00Z"}"#, ok()),
        (r#"{"do":"hold","id":"b","amount":"20","from":"wallet","to":"merchant","expires_at":"2025-03-01T13:00:00.5Z"}"#, ok()),
        (r#"{"do":"hold","id":"c","amount":"30","from":"wallet","to":"merchant"}"#, ok()),
        (r#"{"do":"expire_due"}"#, json!({"ok": {"count": 0}})),
        (r#"{"do":"expire_due","now":"2025-03-01T12:00:00.000001Z"}"#, invalid("now")),
        ("clock 2025-03-01T13:00:00Z", Value::Null),
        (r#"{"do":"settle","id":"s","hold":"a"}"#, rejected("hold_expired")),
        (r#"{"do":"void","id":"v","hold":"a"}"#, rejected("hold_expired")),
        // Until it is voided, it keeps its reservation.
        (r#"{"do":"transfer","id":"t","amount":"40.01","from":"wallet","to":"merchant"}"#, rejected("insufficient_funds")),
        (r#"{"do":"expire_due","id":"e1"}"#, json!({"ok": {"count": 1, "id": "e1"}})),
        (r#"{"do":"expire_due","id":"e1"}"#, json!({"ok": {"duplicate": true, "id": "e1"}})),
        (r#"{"do":"transfer","id":"t","amount":"50.01","from":"wallet","to":"merchant"}"#, rejected("insufficient_funds")),
        ("clock 2025-03-01T14:00:00Z", Value::Null),
        (r#"{"do":"expire_due","now":"2025-03-01T13:30:00Z"}"#, json!({"ok": {"count": 1}})),
        (r#"{"do":"settle","id":"s","hold":"b"}"#, rejected("hold_expired")),
        (r#"{"do":"settle","id":"s","hold":"c"}"#, ok()),
        (r#"{"do":"expire_due","id":"e2"}"#, json!({"ok": {"count": 0}})),
        // What wrote nothing used up no id; an id that was used is still known.
        (r#"{"do":"expire_due","id":"s"}"#, rejected("id_reused")),
        (r#"{"do":"void","id":"e2","hold":"none"}"#, rejected("hold_not_found")),
    ])
    .await;
}

#[tokio::test]
async fn several_holds_expire_at_once_also_within_a_batch() {
    check(&[
        ("clock 2025-03-01T12:00:00Z", Value::Null),
        (
            r#"{"do":"batch","id":"b","atomic":true,"commands":[
                {"do":"hold","id":"x","amount":"10","from":"wallet","to":"merchant","expires_at":"2025-03-01T12:30:00Z"},
                {"do":"hold","id":"y","amount":"10","from":"wallet","to":"merchant","expires_at":"2025-03-01T12:31:00Z"},
                {"do":"settle","id":"sx","hold":"x","amount":"4","keep_rest":true},
                {"do":"reverse","id":"rx","entry":"sx"}]}"#,
            ok(),
        ),
        ("clock 2025-03-01T13:00:00Z", Value::Null),
        (r#"{"do":"expire_due","id":"e"}"#, json!({"ok": {"count": 2, "position": 12}})),
        (r#"{"do":"assert_balance","account":"wallet","amount":"100"}"#, ok()),
        (r#"{"do":"transfer","id":"all","amount":"100","from":"wallet","to":"merchant"}"#, ok()),
    ])
    .await;
}

#[tokio::test]
async fn a_hold_counts_on_its_day_and_what_is_released_that_day_is_given_back() {
    check(&[
        ("clock 2025-03-01T12:00:00Z", Value::Null),
        (r#"{"do":"hold","id":"before","amount":"10","from":"wallet","to":"merchant"}"#, ok()),
        (r#"{"do":"set_limits","account":"wallet","limits":{"daily_out":"50"}}"#, ok()),
        (r#"{"do":"hold","id":"h","amount":"40","from":"wallet","to":"merchant"}"#, ok()),
        (
            r#"{"do":"transfer","id":"t","amount":"10.01","from":"wallet","to":"merchant"}"#,
            rejected("daily_out_exceeded"),
        ),
        // A hold from before the limit gives nothing back.
        (r#"{"do":"void","id":"v0","hold":"before"}"#, ok()),
        (
            r#"{"do":"transfer","id":"t","amount":"10.01","from":"wallet","to":"merchant"}"#,
            rejected("daily_out_exceeded"),
        ),
        (r#"{"do":"settle","id":"s","hold":"h","amount":"15"}"#, ok()),
        (
            r#"{"do":"transfer","id":"t","amount":"35.01","from":"wallet","to":"merchant"}"#,
            rejected("daily_out_exceeded"),
        ),
        (r#"{"do":"hold","id":"h2","amount":"35","from":"wallet","to":"merchant"}"#, ok()),
        ("clock 2025-03-02T12:00:00Z", Value::Null),
        (r#"{"do":"hold","id":"h3","amount":"20","from":"wallet","to":"merchant"}"#, ok()),
        // What was held yesterday is given back to no day.
        (r#"{"do":"void","id":"v2","hold":"h2"}"#, ok()),
        (
            r#"{"do":"transfer","id":"t","amount":"30.01","from":"wallet","to":"merchant"}"#,
            rejected("daily_out_exceeded"),
        ),
        // Counting never stops, with or without the limit.
        (r#"{"do":"set_limits","account":"wallet","limits":{}}"#, ok()),
        (r#"{"do":"transfer","id":"t2","amount":"25","from":"wallet","to":"merchant"}"#, ok()),
        (r#"{"do":"set_limits","account":"wallet","limits":{"daily_out":"50"}}"#, ok()),
        (
            r#"{"do":"transfer","id":"t3","amount":"5.01","from":"wallet","to":"merchant"}"#,
            rejected("daily_out_exceeded"),
        ),
        (r#"{"do":"transfer","id":"t3","amount":"5","from":"wallet","to":"merchant"}"#, ok()),
    ])
    .await;
}
