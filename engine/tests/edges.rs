//! The contract to the letter, on both stores: what stands in one sentence of it and is easily got wrong.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test ends at the first thing that goes wrong")]

mod support;

use serde_json::{Value, json};
use support::{both, contains, given, invalid, ok, rejected, send};

const SETUP: &[&str] = &[
    r#"{"do":"open_account","account":"cash","currency":"EUR","type":"asset"}"#,
    r#"{"do":"open_account","account":"bank","currency":"EUR","type":"asset"}"#,
    r#"{"do":"open_account","account":"w:1","currency":"EUR","type":"liability","limits":{"floor":"0"}}"#,
    r#"{"do":"open_account","account":"w:2","currency":"EUR","type":"liability"}"#,
    r#"{"do":"open_account","account":"multi","currency":"EUR","type":"asset"}"#,
    r#"{"do":"open_account","account":"multi","currency":"USD","type":"asset"}"#,
    r#"{"do":"open_account","account":"discounts","currency":"EUR","type":"income","normal":"debit"}"#,
    r#"{"do":"post","id":"fund","legs":[{"account":"cash","debit":"100"},{"account":"w:1","credit":"100"}]}"#,
];

/// Rows whose commands are put together.
async fn rows(setup: &[&str], rows: &[(String, Value)]) {
    let rows: Vec<(&str, Value)> = rows.iter().map(|(row, expected)| (row.as_str(), expected.clone())).collect();
    support::check(setup, &rows).await;
}

fn post(id: &str, more: &str) -> String {
    format!(
        r#"{{"do":"post","id":"{id}","legs":[{{"account":"cash","debit":"1"}},{{"account":"w:1","credit":"1"}}]{more}}}"#
    )
}

fn transfer(id: &str, debit: &str, credit: &str, amount: &str, more: &str) -> String {
    format!(r#"{{"do":"transfer","id":"{id}","debit":"{debit}","credit":"{credit}","amount":"{amount}"{more}}}"#)
}

#[tokio::test]
async fn a_shape_that_is_wrong_is_invalid_at_its_field() {
    let mut cases: Vec<(String, Value)> = Vec::new();
    for amount in [
        "\"1e2\"",
        "\"+1\"",
        "\"01\"",
        "\"1.\"",
        "\".5\"",
        "\"-1\"",
        "1",
        "\"\"",
        "\" 1\"",
        "\"0\"",
        "\"0.00\"",
        "true",
        "\"12345678901234567890123456789\"",
        "\"0.0000000000000000000000000001\"",
    ] {
        let command = format!(r#"{{"do":"transfer","id":"x","debit":"nowhere","credit":"cash","amount":{amount}}}"#);
        cases.push((command, invalid("amount")));
    }
    for at in [
        "2025-03-01T12:00:00",
        "2025-03-01",
        "2025-03-01T12:00:00.1234567Z",
        "2025-03-01T24:00:00Z",
        "2025-03-01T12:60:00Z",
        "2025-03-01T12:00:00+24:00",
        "2025-03-01T12:00:00+01:60",
        "2025-02-29T00:00:00Z",
        "2025-03-01T12:00:00 Z",
        "",
    ] {
        cases.push((post("x", &format!(r#","at":"{at}""#)), invalid("at")));
    }
    for through in ["2025-02-29", "2025-1-1", "20250101", "2025-01-01T00:00:00Z", "+002025-01-01", ""] {
        cases.push((format!(r#"{{"do":"close_period","through":"{through}"}}"#), invalid("through")));
    }
    for code in ["", ":", "a:", ":a", "a::b", " a", "a ", "a: b", "a :b", "a\\tb", "a\\u0085b", "a\\u0000b"] {
        let command = format!(r#"{{"do":"open_account","account":"{code}","currency":"EUR","type":"asset"}}"#);
        cases.push((command, invalid("account")));
    }
    for code in ["", "eur", "1A", "E R", "É", "E/R", &"X".repeat(25)] {
        cases.push((format!(r#"{{"do":"register_currency","code":"{code}","scale":0}}"#), invalid("code")));
    }
    for scale in ["-1", "19", "2.0", "\"2\"", "null"] {
        cases.push((format!(r#"{{"do":"register_currency","code":"PTS","scale":{scale}}}"#), invalid("scale")));
    }
    for entity in ["user", "user/", "/42", ""] {
        cases.push((format!(r#"{{"do":"record","entity":"{entity}","kind":"k","data":{{}}}}"#), invalid("entity")));
    }
    let limits = |limits: &str| format!(r#"{{"do":"set_limits","account":"nowhere","limits":{limits}}}"#);
    cases.extend([
        (limits(r#"{"daily_out":"-1"}"#), invalid("limits.daily_out")),
        (limits(r#"{"daily_out":"-0"}"#), invalid("limits.daily_out")),
        (limits(r#"{"floor":"--1"}"#), invalid("limits.floor")),
        (limits(r#"{"floor":"1","ceiling":"0.99"}"#), json!({"invalid": {}})),
        (limits(r#"{"height":"1"}"#), invalid("limits.height")),
        (limits("null"), invalid("limits")),
        (
            r#"{"do":"post","legs":[{"account":"cash","debit":"1"},{"account":"w:1","credit":"1"}]}"#.to_owned(),
            invalid("id"),
        ),
        (r#"{"do":"void","id":null,"hold":"h"}"#.to_owned(), invalid("id")),
        (r#"{"do":null}"#.to_owned(), invalid("do")),
        (r#"{"do":"freeze","account":"cash"}"#.to_owned(), invalid("reason")),
        (r#"{"do":"unfreeze","account":"cash"}"#.to_owned(), invalid("reason")),
        (r#"{"do":"reopen_period","through":"2025-01-01"}"#.to_owned(), invalid("reason")),
        (r#"{"do":"batch","commands":[{"do":"expire_due"}]}"#.to_owned(), invalid("atomic")),
        (post("x", r#","colour":"red""#), invalid("colour")),
        (post("x", r#","meta":{"a":{}}"#), invalid("meta.a")),
        (post("x", r#","meta":[]"#), invalid("meta")),
        (post("x", r#","meta":{"a":"\u0000"}"#), json!({"invalid": {}})),
        (post("x", r#","text":"\u0000""#), invalid("text")),
        (post("x", r#","id":"x""#), invalid("")),
        (transfer("x", "cash", "cash", "1", ""), json!({"invalid": {}})),
        (transfer("x", "cash", "bank", "1", r#","from":"cash""#), json!({"invalid": {}})),
        (r#"{"do":"settle","id":"x","hold":"none","amount":"0"}"#.to_owned(), invalid("amount")),
        (r#"{"do":"settle","id":"x","hold":"none","legs":[]}"#.to_owned(), invalid("legs")),
        (
            r#"{"do":"settle","id":"x","hold":"none","amount":"1","legs":[{"account":"cash","debit":"1"}]}"#.to_owned(),
            json!({"invalid": {}}),
        ),
    ]);
    rows(SETUP, &cases).await;
}

#[tokio::test]
async fn what_is_just_within_the_grammar_is_taken() {
    let wide = "😀".repeat(128);
    let mut cases = vec![
        (post(&wide, ""), ok()),
        (post(&format!("{wide}x"), ""), invalid("id")),
        (post("a", &format!(r#","text":"{}""#, "ü".repeat(1_024))), ok()),
        (post("b", &format!(r#","text":"{}""#, "ü".repeat(1_025))), invalid("text")),
        (post("c", r#","text":"","meta":{},"correlation":null,"at":null"#), ok()),
        (post("d", r#","at":"2025-03-01T12:00:00.123456-00:00""#), ok()),
        (post("e", r#","at":"9999-12-30T00:00:00Z""#), ok()),
        (post("f", r#","at":"0001-01-01T00:00:00+23:59""#), ok()),
        (format!(r#"{{"do":"open_account","account":"{wide}","currency":"EUR","type":"asset"}}"#), ok()),
        (format!(r#"{{"do":"register_currency","code":"{}","scale":18}}"#, "X".repeat(24)), ok()),
        (r#"{"do":"register_currency","code":"A0'._-","scale":0,"name":null}"#.to_owned(), ok()),
        (r#"{"do":"register_currency","code":"XAU","scale":4}"#.to_owned(), ok()),
        (r#"{"do":"register_currency","code":"DEM","scale":2}"#.to_owned(), ok()),
        (r#"{"do":"register_currency","code":"JPY","scale":0}"#.to_owned(), rejected("currency_exists")),
        (r#"{"do":"open_account","account":"low","currency":"EUR","type":"asset","limits":{"floor":"5","ceiling":null}}"#.to_owned(), ok()),
        (r#"{"do":"open_account","account":"deep","currency":"EUR","type":"asset","limits":{"floor":"-9","ceiling":"-5"}}"#.to_owned(), ok()),
        (r#"{"do":"record","entity":"a/b/c","kind":"k","data":{"x":null}}"#.to_owned(), ok()),
        (r#"{"do":"freeze","account":"bank","reason":""}"#.to_owned(), ok()),
    ];
    // Measured as compact UTF-8 JSON: {"k":"..."} is 8 bytes more than its text.
    for (length, expected) in [(4_096 - 8, ok()), (4_096 - 7, invalid("meta"))] {
        cases.push((
            post(&format!("meta-{length}"), &format!(r#","meta": {{ "k" : "{}" }}"#, "x".repeat(length))),
            expected,
        ));
    }
    for (length, expected) in [(1_048_576 - 8, ok()), (1_048_576 - 7, invalid("data"))] {
        let data = format!(r#"{{ "k" : "{}" }}"#, "x".repeat(length));
        cases.push((format!(r#"{{"do":"record","entity":"doc/{length}","kind":"k","data":{data}}}"#), expected));
    }
    // Two bytes each in compact JSON, however they were written.
    let escaped = format!(r#","meta":{{"k":"{}"}}"#, "\\u0008\\u000c\\u000a\\u0022".repeat(511));
    cases.push((post("escaped", &escaped), ok()));
    rows(SETUP, &cases).await;
}

#[tokio::test]
async fn checks_come_in_the_order_of_the_contract() {
    let setup = [
        SETUP,
        &[
            r#"{"do":"open_account","account":"closed","currency":"EUR","type":"asset"}"#,
            r#"{"do":"close_account","account":"closed"}"#,
            r#"{"do":"freeze","account":"bank","reason":"r"}"#,
            r#"{"do":"close_period","through":"2025-02-28"}"#,
            r#"{"do":"set_limits","account":"cash","limits":{"ceiling":"200"}}"#,
        ],
    ]
    .concat();
    let at = r#","at":"2025-02-28T23:59:59.999999Z""#;
    let cases = [
        // Shape, then id, then existence.
        (transfer("fund", "nowhere", "cash", "0", ""), invalid("amount")),
        (transfer("fund", "nowhere", "cash", "1", ""), rejected("id_reused")),
        // Existence of all legs before the scale of the first.
        (transfer("x", "cash", "nowhere", "1.001", ""), rejected("unknown_account")),
        (transfer("x", "cash", "nowhere", "1.001", r#","currency":"BTC""#), rejected("unknown_currency")),
        (transfer("x", "cash", "w:1", "1.001", r#","currency":"USD""#), rejected("unknown_account")),
        (r#"{"do":"transfer","id":"x","from":"cash","to":"w:1","amount":"1.001"}"#.to_owned(), rejected("sides_differ")),
        // Scale and left-out currency, leg by leg, before the state.
        (transfer("x", "closed", "multi", "1.001", ""), invalid("amount")),
        (transfer("x", "closed", "multi", "1", ""), invalid("currency")),
        (transfer("x", "multi", "closed", "1.001", ""), invalid("currency")),
        // Closed, then frozen, leg by leg.
        (transfer("x", "closed", "bank", "1", at), json!({"rejected": {"rule": "account_closed", "account": "closed", "currency": "EUR"}})),
        (transfer("x", "bank", "closed", "1", at), json!({"rejected": {"rule": "account_frozen", "account": "bank"}})),
        // State, period, balance, overflow, limits.
        (transfer("x", "w:1", "bank", "1000", at), rejected("account_frozen")),
        (transfer("x", "w:1", "cash", "1000", at), rejected("period_closed")),
        (post("x", at).replace(r#""credit":"1""#, r#""credit":"2""#), rejected("period_closed")),
        (
            r#"{"do":"post","id":"x","legs":[{"account":"w:1","debit":"99999999999999999999999999.99"},{"account":"cash","credit":"1"}]}"#.to_owned(),
            rejected("unbalanced"),
        ),
        (transfer("x", "cash", "w:2", "99999999999999999999999999.99", ""), invalid("amount")),
        // Also where no legs are: scale, state, overflow.
        (r#"{"do":"set_limits","account":"closed","limits":{"floor":"0.001"}}"#.to_owned(), invalid("limits.floor")),
        (r#"{"do":"set_limits","account":"closed","limits":{"floor":"100000000000000000000000000"}}"#.to_owned(), rejected("account_closed")),
        (r#"{"do":"set_limits","account":"cash","limits":{"floor":"100000000000000000000000000"}}"#.to_owned(), invalid("limits.floor")),
        (r#"{"do":"set_limits","account":"multi","limits":{"floor":"0.001"}}"#.to_owned(), invalid("currency")),
        (r#"{"do":"freeze","account":"multi","reason":"r"}"#.to_owned(), invalid("currency")),
        (r#"{"do":"freeze","account":"cash","currency":"USD","reason":"r"}"#.to_owned(), rejected("unknown_account")),
        (r#"{"do":"freeze","account":"cash","currency":"ZZZ","reason":"r"}"#.to_owned(), rejected("unknown_currency")),
        (r#"{"do":"close_account","account":"closed"}"#.to_owned(), rejected("account_closed")),
        (r#"{"do":"freeze","account":"closed","reason":"r"}"#.to_owned(), rejected("account_closed")),
        // The period stops entries by their own time, and nothing else.
        (format!(r#"{{"do":"open_account","account":"early","currency":"EUR","type":"asset"{at}}}"#), ok()),
        (format!(r#"{{"do":"record","entity":"user/1","kind":"k","data":{{}}{at}}}"#), ok()),
        (transfer("x", "cash", "w:1", "1", r#","at":"2025-03-01T00:59:59+01:00""#), rejected("period_closed")),
        (transfer("x", "cash", "w:1", "1", r#","at":"2025-03-01T00:00:00Z""#), ok()),
    ];
    rows(&setup, &cases).await;
}

#[tokio::test]
async fn a_closed_account_still_counts_where_a_currency_is_left_out() {
    rows(
        SETUP,
        &[
            (r#"{"do":"close_account","account":"multi","currency":"USD"}"#.to_owned(), ok()),
            (transfer("x", "multi", "cash", "1", ""), invalid("currency")),
            (transfer("x", "multi", "cash", "1", r#","currency":"EUR""#), ok()),
            // A set-up script may be run again, even after an account was closed and limits were set.
            (SETUP[5].to_owned(), json!({"ok": {"duplicate": true, "position": 6}})),
            (r#"{"do":"set_limits","account":"w:1","limits":{}}"#.to_owned(), ok()),
            (SETUP[2].to_owned(), json!({"ok": {"duplicate": true, "position": 3}})),
            (SETUP[5].replace('}', r#","name":"n"}"#), rejected("account_exists")),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_direction_follows_the_normal_side_of_both() {
    rows(
        SETUP,
        &[
            (
                r#"{"do":"transfer","id":"1","from":"cash","to":"bank","amount":"10"}"#.to_owned(),
                json!({"ok": {"balances": [{"account": "cash", "posted": "90.00"}, {"account": "bank", "posted": "10.00"}]}}),
            ),
            (
                r#"{"do":"transfer","id":"2","from":"w:1","to":"w:2","amount":"10"}"#.to_owned(),
                json!({"ok": {"balances": [{"account": "w:1", "posted": "90.00"}, {"account": "w:2", "posted": "10.00"}]}}),
            ),
            // A contra account has the other side.
            (r#"{"do":"transfer","id":"3","from":"cash","to":"discounts","amount":"1"}"#.to_owned(), ok()),
            (r#"{"do":"transfer","id":"4","from":"w:1","to":"discounts","amount":"1"}"#.to_owned(), rejected("sides_differ")),
            (r#"{"do":"hold","id":"5","from":"w:1","to":"cash","amount":"1"}"#.to_owned(), rejected("sides_differ")),
            (
                r#"{"do":"hold","id":"6","from":"w:1","to":"w:2","amount":"90"}"#.to_owned(),
                json!({"ok": {"balances": [{"account": "w:1", "available": "0.00"}, {"account": "w:2", "pending_in": "90.00"}]}}),
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn up_to_moves_what_may_be_given_and_other_limits_refuse_as_ever() {
    let up_to =
        |id: &str, debit: &str, credit: &str, amount: &str| transfer(id, debit, credit, amount, r#","up_to":true"#);
    let amount = |amount: &str| json!({"ok": {"amount": amount, "duplicate": false}});
    rows(
        SETUP,
        &[
            // Lowers none: the amount.
            (up_to("1", "cash", "w:2", "5"), amount("5.00")),
            // No floor: what the first one lowered has.
            (up_to("2", "w:2", "bank", "7"), amount("5.00")),
            (up_to("3", "w:2", "bank", "7"), rejected("nothing_available")),
            // Both are lowered, both have a floor: the smaller.
            (r#"{"do":"set_limits","account":"cash","limits":{"floor":"45"}}"#.to_owned(), ok()),
            (up_to("4", "w:1", "cash", "500"), amount("60.00")),
            (up_to("5", "w:1", "cash", "1"), rejected("nothing_available")),
            // One has a floor: that one, though the first has less.
            (r#"{"do":"set_limits","account":"w:1","limits":{}}"#.to_owned(), ok()),
            (r#"{"do":"set_limits","account":"cash","limits":{"floor":"-500"}}"#.to_owned(), ok()),
            (up_to("6", "w:1", "cash", "100"), amount("100.00")),
            // A ceiling refuses.
            (r#"{"do":"set_limits","account":"bank","limits":{"ceiling":"0"}}"#.to_owned(), ok()),
            (
                r#"{"do":"transfer","id":"7","from":"cash","to":"bank","amount":"9999","up_to":true}"#.to_owned(),
                rejected("ceiling_exceeded"),
            ),
            // Said or left out, false is the same, and carries no amount.
            (transfer("8", "cash", "w:2", "1", r#","up_to":false"#), ok()),
            (transfer("8", "cash", "w:2", "1.0", ""), json!({"ok": {"duplicate": true}})),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_hold_ends_once_and_says_how_it_ended() {
    let hold = |id: &str, more: &str| {
        format!(r#"{{"do":"hold","id":"{id}","debit":"w:1","credit":"cash","amount":"10"{more}}}"#)
    };
    let settle = |id: &str, hold: &str, more: &str| format!(r#"{{"do":"settle","id":"{id}","hold":"{hold}"{more}}}"#);
    let void = |id: &str, hold: &str| format!(r#"{{"do":"void","id":"{id}","hold":"{hold}"}}"#);
    rows(
        SETUP,
        &[
            (hold("h1", ""), ok()),
            (settle("s1", "h1", r#","amount":"4","keep_rest":true"#), ok()),
            (settle("s2", "h1", r#","amount":"7""#), rejected("settle_exceeds_hold")),
            (settle("s2", "h1", r#","legs":[{"account":"w:1","debit":"1"}]"#), rejected("unbalanced")),
            (
                settle("s2", "h1", r#","legs":[{"account":"w:1","debit":"1"},{"account":"bank","credit":"1"}]"#),
                rejected("settle_exceeds_hold"),
            ),
            (
                settle("s2", "h1", r#","legs":[{"account":"w:1","credit":"1"},{"account":"cash","debit":"1"}]"#),
                rejected("settle_exceeds_hold"),
            ),
            (
                settle("s2", "h1", r#","legs":[{"account":"w:1","debit":"1"},{"account":"nowhere","credit":"1"}]"#),
                rejected("unknown_account"),
            ),
            (settle("s2", "h1", r#","amount":"0.001""#), invalid("amount")),
            (
                void("v1", "h1"),
                json!({"ok": {"balances": [{"posted": "96.00", "pending_out": "0.00"}, {"posted": "96.00"}]}}),
            ),
            (void("v2", "h1"), rejected("hold_voided")),
            (settle("s2", "h1", ""), rejected("hold_voided")),
            (hold("h2", ""), ok()),
            // What leaves nothing ends it, also where the rest was to be kept.
            (settle("s3", "h2", r#","amount":"10","keep_rest":true"#), ok()),
            (settle("s4", "h2", ""), rejected("hold_settled")),
            (void("v3", "h2"), rejected("hold_settled")),
            (r#"{"do":"reverse","id":"r1","entry":"s3"}"#.to_owned(), ok()),
            (settle("s4", "h2", ""), rejected("hold_settled")),
            (settle("s4", "none", ""), rejected("hold_not_found")),
            (settle("s4", "fund", ""), rejected("hold_not_found")),
            (void("v3", "none"), rejected("hold_not_found")),
            // A frozen account takes no settle, but its holds are released.
            (hold("h3", r#","expires_at":"2025-03-01T12:00:00.000001Z""#), ok()),
            (hold("h4", r#","expires_at":"2025-03-01T12:00:00Z""#), rejected("hold_expired")),
            (hold("h4", ""), ok()),
            (r#"{"do":"freeze","account":"w:1","reason":"r"}"#.to_owned(), ok()),
            (settle("s5", "h2", ""), rejected("account_frozen")),
            (settle("s5", "h4", ""), rejected("account_frozen")),
            (void("v4", "h4"), ok()),
            ("clock 2025-03-01T12:00:00.000001Z".to_owned(), Value::Null),
            (void("v5", "h3"), rejected("hold_expired")),
            (r#"{"do":"expire_due","now":"2025-03-01T12:00:00.000002Z"}"#.to_owned(), invalid("now")),
            (r#"{"do":"expire_due","now":"2025-03-01T12:00:00Z","id":"e0"}"#.to_owned(), json!({"ok": {"count": 0}})),
            (r#"{"do":"expire_due","id":"e0"}"#.to_owned(), json!({"ok": {"count": 1}})),
            (r#"{"do":"expire_due","id":"e0"}"#.to_owned(), json!({"ok": {"duplicate": true}})),
            (void("v5", "h3"), rejected("hold_expired")),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_hold_names_an_account_on_one_side_and_its_amount_is_of_two_legs() {
    rows(
        SETUP,
        &[
            (
                r#"{"do":"hold","id":"x","legs":[{"account":"w:1","debit":"2"},{"account":"w:1","credit":"1"},{"account":"cash","credit":"1"}]}"#.to_owned(),
                json!({"invalid": {}}),
            ),
            (
                r#"{"do":"hold","id":"x","legs":[{"account":"w:1","debit":"2"},{"account":"w:1","credit":"1","currency":"EUR"},{"account":"cash","credit":"1"}]}"#.to_owned(),
                json!({"invalid": {}}),
            ),
            (
                r#"{"do":"hold","id":"three","legs":[{"account":"w:1","debit":"2"},{"account":"w:1","debit":"1"},{"account":"cash","credit":"3"}]}"#.to_owned(),
                json!({"ok": {"balances": [{"pending_out": "3.00"}, {"pending_out": "3.00"}]}}),
            ),
            (r#"{"do":"settle","id":"s","hold":"three","amount":"1"}"#.to_owned(), invalid("amount")),
            // Per account, currency and side: over the legs of the hold together.
            (
                r#"{"do":"settle","id":"s","hold":"three","legs":[{"account":"w:1","debit":"2.50"},{"account":"cash","credit":"2.50"}],"keep_rest":true}"#.to_owned(),
                ok(),
            ),
            (
                r#"{"do":"settle","id":"s2","hold":"three","legs":[{"account":"w:1","debit":"0.30"},{"account":"w:1","debit":"0.30"},{"account":"cash","credit":"0.60"}]}"#.to_owned(),
                rejected("settle_exceeds_hold"),
            ),
            (r#"{"do":"settle","id":"s2","hold":"three"}"#.to_owned(), json!({"ok": {"balances": [{"posted": "97.00", "pending_out": "0.00"}, {}]}})),
        ],
    )
    .await;
}

#[tokio::test]
async fn only_entries_are_reversed_and_each_once() {
    let reverse = |id: &str, entry: &str| format!(r#"{{"do":"reverse","id":"{id}","entry":"{entry}"}}"#);
    rows(
        SETUP,
        &[
            (r#"{"do":"hold","id":"h","debit":"w:1","credit":"cash","amount":"10"}"#.to_owned(), ok()),
            (r#"{"do":"settle","id":"s","hold":"h","amount":"10"}"#.to_owned(), ok()),
            (r#"{"do":"record","id":"rec","entity":"a/b","kind":"k","data":{}}"#.to_owned(), ok()),
            (r#"{"do":"batch","id":"b","atomic":true,"commands":[{"do":"record","entity":"a/b","kind":"k","data":{}}]}"#.to_owned(), ok()),
            (reverse("r", "nothing"), rejected("entry_not_found")),
            (reverse("r", "h"), rejected("not_an_entry")),
            (reverse("r", "rec"), rejected("not_an_entry")),
            (reverse("r", "b"), rejected("not_an_entry")),
            (reverse("r", "s"), json!({"ok": {"balances": [{"account": "w:1", "posted": "100.00"}, {"account": "cash", "posted": "100.00"}]}})),
            (reverse("r2", "s"), rejected("already_reversed")),
            (reverse("r2", "r"), ok()),
            // Limits hold for a reversal as for any entry: 90 are there, 100 were paid in.
            (reverse("r3", "fund"), rejected("insufficient_funds")),
            (r#"{"do":"freeze","account":"cash","reason":"r"}"#.to_owned(), ok()),
            (reverse("r4", "s"), rejected("account_frozen")),
        ],
    )
    .await;
}

#[tokio::test]
async fn ids_are_one_space_also_of_a_batch_and_its_members() {
    let member = |id: &str| transfer(id, "w:1", "cash", "1", "");
    let batch = |id: &str, members: &[String]| {
        format!(r#"{{"do":"batch","id":"{id}","atomic":true,"commands":[{}]}}"#, members.join(","))
    };
    rows(
        SETUP,
        &[
            // A member under the id of its own batch.
            (batch("b", &[member("b")]), json!({"rejected": {"rule": "batch_failed", "index": 0, "outcome": {"rejected": {"rule": "id_reused"}}}})),
            // That used up no id.
            (batch("b", &[member("m"), member("m")]), json!({"ok": {"outcomes": [{"ok": {"duplicate": false}}, {"ok": {"duplicate": true}}], "position": 10}})),
            (batch("m", &[member("n")]), rejected("id_reused")),
            (member("b"), rejected("id_reused")),
            (batch("c", &[member("n"), transfer("n", "w:1", "cash", "2", "")]), json!({"rejected": {"rule": "batch_failed", "index": 1, "outcome": {"rejected": {"rule": "id_reused"}}}})),
            // All of it was done before: it writes nothing, and uses up no id.
            (batch("d", &[member("m")]), json!({"ok": {"outcomes": [{"ok": {"duplicate": true}}]}})),
            (member("d"), ok()),
            // The last position that it wrote, though its last member wrote nothing.
            (batch("f", &[member("g"), "{\"do\":\"expire_due\"}".to_owned()]), json!({"ok": {"position": 13, "id": "f"}})),
            (batch("f", &[member("g"), "{\"do\":\"expire_due\"}".to_owned()]), json!({"ok": {"position": 13, "duplicate": true}})),
            (
                format!(r#"{{"do":"batch","atomic":false,"commands":[{},{{"do":"expire_due"}}]}}"#, member("k")),
                json!({"ok": {"position": 14}}),
            ),
            (batch("e", &["{\"do\":\"void\"}".to_owned()]), json!({"rejected": {"rule": "batch_failed", "index": 0, "outcome": {"invalid": {}}}})),
            (r#"{"do":"register_currency","id":"cur","code":"PTS","scale":0}"#.to_owned(), ok()),
            (r#"{"do":"register_currency","id":"cur","code":"PTS","scale":0}"#.to_owned(), json!({"ok": {"duplicate": true, "id": "cur"}})),
            (r#"{"do":"register_currency","code":"PTS","scale":0}"#.to_owned(), json!({"ok": {"duplicate": true}})),
            (r#"{"do":"batch","atomic":false,"at":"2025-01-01T00:00:00Z","commands":[{"do":"expire_due"}]}"#.to_owned(), invalid("at")),
            (r#"{"do":"batch","atomic":false,"correlation":"c","commands":[{"do":"expire_due"}]}"#.to_owned(), invalid("correlation")),
        ],
    )
    .await;
}

#[tokio::test]
async fn the_same_is_what_means_the_same() {
    let first = r#"{"do":"transfer","id":"t","debit":"w:1","credit":"cash","amount":"1.50","at":"2025-03-01T12:00:00Z","meta":{"a":"1","b":"2"},"text":"x"}"#;
    let same = [
        first.replace("1.50", "1.5"),
        first.replace("1.50", "1.500"),
        first.replace("12:00:00Z", "13:00:00.000000+01:00"),
        first.replace(r#"{"a":"1","b":"2"}"#, r#"{ "b": "2", "a": "1" }"#),
        first.replace(r#""text":"x""#, r#""text":"\u0078","up_to":false,"currency":null,"correlation":null"#),
        first.replace(r#""b":"2""#, r#""b":"2","c":null"#),
    ];
    let other = [
        first.replace("1.50", "1.51"),
        first.replace("12:00:00Z", "12:00:00.000001Z"),
        first.replace(r#","at":"2025-03-01T12:00:00Z""#, ""),
        first.replace(r#""a":"1""#, r#""a":"2""#),
        first.replace(r#","text":"x""#, ""),
        first.replace(r#""text":"x""#, r#""text":"x","correlation":"c""#),
        first.replace(r#""text":"x""#, r#""text":"x","up_to":true"#),
        first.replace(r#""debit":"w:1","credit":"cash""#, r#""credit":"w:1","debit":"cash""#),
        r#"{"do":"post","id":"t","legs":[{"account":"w:1","debit":"1.50"},{"account":"cash","credit":"1.50"}],"at":"2025-03-01T12:00:00Z","meta":{"a":"1","b":"2"},"text":"x"}"#.to_owned(),
    ];
    let mut cases = vec![(first.to_owned(), json!({"ok": {"duplicate": false, "position": 9}}))];
    cases.extend(same.map(|line| (line, json!({"ok": {"duplicate": true, "position": 9, "id": "t"}}))));
    cases.extend(other.map(|line| (line, rejected("id_reused"))));
    let legs = r#"{"do":"post","id":"p","legs":[{"account":"w:1","debit":"1"},{"account":"cash","credit":"1"}]}"#;
    let swapped = r#"{"do":"post","id":"p","legs":[{"account":"cash","credit":"1"},{"account":"w:1","debit":"1"}]}"#;
    let change = r#"{"do":"record","id":"r","entity":"a/b","kind":"k","data":{"x":{"p":1,"q":[1,2]},"y":null}}"#;
    cases.extend([
        (legs.to_owned(), ok()),
        (swapped.to_owned(), rejected("id_reused")),
        (change.to_owned(), ok()),
        (change.replace(r#"{"p":1,"q":[1,2]}"#, r#"{ "q":[1, 2],"p":1 }"#), json!({"ok": {"duplicate": true}})),
        (change.replace("[1,2]", "[2,1]"), rejected("id_reused")),
        (change.replace(r#""y":null"#, r#""y":0"#), rejected("id_reused")),
    ]);
    rows(SETUP, &cases).await;
}

/// A duplicate repeats position, hash, recorded time and amount, and nothing else of the receipt.
#[tokio::test]
async fn a_duplicate_has_neither_count_nor_outcomes_nor_balances() {
    for (store, ledger, clock) in both().await {
        given(&ledger, SETUP).await;
        given(&ledger, &[r#"{"do":"hold","id":"h","debit":"w:1","credit":"cash","amount":"1","expires_at":"2025-03-01T12:00:01Z"}"#]).await;
        clock.set("2025-03-01T12:00:01Z".parse().expect("a time"));
        for command in [
            r#"{"do":"expire_due","id":"e"}"#.to_owned(),
            transfer("t", "w:1", "cash", "500", r#","up_to":true"#),
            format!(r#"{{"do":"batch","id":"b","atomic":true,"commands":[{}]}}"#, post("m", "")),
        ] {
            let first = send(&ledger, &command).await["ok"].clone();
            clock.set("2025-03-02T12:00:00Z".parse().expect("a time"));
            let again = send(&ledger, &command).await["ok"].clone();
            let mut expected = json!({"duplicate": true});
            for field in ["position", "hash", "recorded_at", "id", "amount"] {
                if let Some(value) = first.get(field) {
                    expected[field] = value.clone();
                }
            }
            assert_eq!(again, expected, "{store}: {command}");
            assert!(contains(&first, &json!({"duplicate": false})), "{store}: {command}");
        }
    }
}

#[tokio::test]
async fn a_limit_refuses_only_what_moves_towards_it() {
    rows(
        SETUP,
        &[
            (transfer("1", "w:2", "cash", "50", ""), ok()),
            (r#"{"do":"set_limits","account":"w:2","limits":{"floor":"0"}}"#.to_owned(), rejected("limits_broken")),
            (r#"{"do":"set_limits","account":"w:2","limits":{"ceiling":"-60"}}"#.to_owned(), rejected("limits_broken")),
            (r#"{"do":"set_limits","account":"w:2","limits":{"floor":"0","daily_out":"5"},"force":true}"#.to_owned(), ok()),
            // A debt can always be paid down, in part.
            (transfer("2", "cash", "w:2", "20", ""), ok()),
            (transfer("3", "w:2", "cash", "1", ""), rejected("insufficient_funds")),
            (transfer("4", "cash", "w:2", "100", ""), ok()),
            // Floor, ceiling, daily_out of each account in order of first appearance.
            (transfer("5", "w:2", "cash", "71", ""), rejected("insufficient_funds")),
            (transfer("5", "w:2", "cash", "6", ""), json!({"rejected": {"rule": "daily_out_exceeded", "account": "w:2", "available": "5.00", "requested": "6.00"}})),
            (transfer("5", "w:2", "cash", "5", ""), ok()),
            // In and out in one entry: the net effect counts.
            (
                r#"{"do":"post","id":"6","legs":[{"account":"w:2","debit":"60"},{"account":"w:2","credit":"60"},{"account":"w:1","debit":"1"},{"account":"cash","credit":"1"}]}"#.to_owned(),
                ok(),
            ),
            // A ceiling counts what holds will bring.
            (r#"{"do":"set_limits","account":"w:1","limits":{"ceiling":"105"}}"#.to_owned(), ok()),
            (r#"{"do":"hold","id":"7","debit":"cash","credit":"w:1","amount":"5"}"#.to_owned(), ok()),
            (transfer("8", "cash", "w:1", "2", ""), json!({"rejected": {"rule": "ceiling_exceeded", "available": "1.00", "requested": "2.00"}})),
            (transfer("8", "cash", "w:1", "1", ""), ok()),
            (r#"{"do":"settle","id":"9","hold":"7"}"#.to_owned(), ok()),
            // Nothing may leave on a day.
            (r#"{"do":"set_limits","account":"w:1","limits":{"daily_out":"0"}}"#.to_owned(), ok()),
            (transfer("10", "w:1", "cash", "0.01", ""), rejected("daily_out_exceeded")),
        ],
    )
    .await;
}

#[tokio::test]
async fn outflow_is_counted_from_the_first_limit_on_by_the_day_of_recording() {
    let out = |id: &str, amount: &str, more: &str| transfer(id, "w:1", "cash", amount, more);
    let limit = |limits: &str| format!(r#"{{"do":"set_limits","account":"w:1","limits":{limits}}}"#);
    let hold = |id: &str, amount: &str| {
        format!(r#"{{"do":"hold","id":"{id}","debit":"w:1","credit":"cash","amount":"{amount}"}}"#)
    };
    rows(
        SETUP,
        &[
            (out("1", "20", ""), ok()),
            (hold("before", "5"), ok()),
            // What left before the limit does not count, and what was held before it gives nothing back.
            (limit(r#"{"daily_out":"10"}"#), ok()),
            (out("2", "4", r#","at":"2024-01-01T00:00:00Z""#), ok()),
            (r#"{"do":"void","id":"v0","hold":"before"}"#.to_owned(), ok()),
            (out("3", "7", ""), rejected("daily_out_exceeded")),
            // Counting goes on without the limit.
            (limit("{}"), ok()),
            (out("4", "5", ""), ok()),
            (limit(r#"{"daily_out":"10"}"#), ok()),
            (out("5", "1.01", ""), rejected("daily_out_exceeded")),
            // Incoming money gives nothing back.
            (transfer("6", "cash", "w:1", "50", ""), ok()),
            (out("7", "1.01", ""), rejected("daily_out_exceeded")),
            // A hold counts when it is recorded, a settle no further, what is released that day is given back.
            (hold("h1", "1"), ok()),
            (out("8", "0.01", ""), rejected("daily_out_exceeded")),
            (r#"{"do":"settle","id":"s1","hold":"h1","amount":"0.40"}"#.to_owned(), ok()),
            (out("9", "0.61", ""), rejected("daily_out_exceeded")),
            (hold("h2", "0.60"), ok()),
            ("clock 2025-03-02T00:00:00Z".to_owned(), Value::Null),
            (out("10", "9", ""), ok()),
            // Released on a later day: not given back.
            (r#"{"do":"void","id":"v2","hold":"h2"}"#.to_owned(), ok()),
            (out("11", "1.01", ""), rejected("daily_out_exceeded")),
            (out("12", "1", ""), ok()),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_period_moves_forwards_by_closing_and_back_by_reopening() {
    let close = |through: &str| format!(r#"{{"do":"close_period","through":"{through}"}}"#);
    let reopen = |through: &str| format!(r#"{{"do":"reopen_period","reason":"r"{through}}}"#);
    let at = |id: &str, at: &str| transfer(id, "w:1", "cash", "1", &format!(r#","at":"{at}""#));
    rows(
        SETUP,
        &[
            (reopen(""), rejected("period_open")),
            (close("2025-01-31"), ok()),
            (close("2025-01-31"), rejected("period_closed")),
            (close("2025-01-30"), rejected("period_closed")),
            (at("a", "2025-01-31T23:59:59.999999Z"), rejected("period_closed")),
            (at("a", "2025-02-01T00:00:00Z"), ok()),
            (reopen(r#","through":"2025-01-31""#), rejected("period_open")),
            (reopen(r#","through":"2025-02-01""#), rejected("period_open")),
            (reopen(r#","through":"2025-01-15""#), ok()),
            (at("b", "2025-01-15T12:00:00Z"), rejected("period_closed")),
            (at("b", "2025-01-16T00:00:00Z"), ok()),
            (reopen(""), ok()),
            (at("c", "2024-01-01T00:00:00Z"), ok()),
            (reopen(""), rejected("period_open")),
            // The present may be closed, too: then an entry must say a later time.
            (close("2025-03-01"), ok()),
            (transfer("d", "w:1", "cash", "1", ""), rejected("period_closed")),
            (at("d", "2025-03-02T00:00:00Z"), ok()),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_balance_is_asserted_on_the_normal_side_as_of_an_effective_time() {
    let assert = |more: &str| format!(r#"{{"do":"assert_balance",{more}}}"#);
    rows(
        SETUP,
        &[
            (transfer("1", "w:2", "cash", "7", r#","at":"2025-01-01T00:00:00Z""#), ok()),
            (assert(r#""account":"w:2","amount":"-7""#), ok()),
            (
                assert(r#""account":"w:2","amount":"7""#),
                json!({"rejected": {"rule": "balance_differs", "account": "w:2", "currency": "EUR"}}),
            ),
            (assert(r#""account":"w:2","amount":"-7","as_of":"2025-01-01T00:00:00Z""#), ok()),
            (
                assert(r#""account":"w:2","amount":"-7","as_of":"2024-12-31T23:59:59.999999Z""#),
                rejected("balance_differs"),
            ),
            (assert(r#""account":"w:2","amount":"0","as_of":"2024-12-31T23:59:59.999999Z""#), ok()),
            (assert(r#""account":"w:2","amount":"-7.000""#), invalid("amount")),
            (assert(r#""account":"multi","amount":"0""#), invalid("currency")),
            (assert(r#""account":"multi","amount":"0","currency":"USD""#), ok()),
            (assert(r#""account":"nowhere","amount":"0""#), rejected("unknown_account")),
            // One account, not those below it.
            (assert(r#""account":"w","amount":"0""#), rejected("unknown_account")),
        ],
    )
    .await;
}

#[tokio::test]
async fn entries_have_ten_thousand_legs_and_batches_ten_thousand_commands_at_most() {
    let legs = |count: usize| {
        let pair = r#"{"account":"cash","debit":"0.01"},{"account":"w:2","credit":"0.01"}"#;
        format!(r#"{{"do":"post","id":"legs-{count}","legs":[{}]}}"#, vec![pair; count / 2].join(","))
    };
    let batch = |count: usize| {
        let member = r#"{"do":"freeze","account":"nowhere","reason":"r"}"#;
        format!(r#"{{"do":"batch","atomic":false,"commands":[{}]}}"#, vec![member; count].join(","))
    };
    rows(
        SETUP,
        &[
            (legs(10_000), json!({"ok": {"balances": [{"posted": "150.00"}, {"posted": "50.00"}]}})),
            (legs(10_002), invalid("legs")),
            (batch(10_000), json!({"ok": {"duplicate": false}})),
            (batch(10_001), invalid("commands")),
        ],
    )
    .await;
}
