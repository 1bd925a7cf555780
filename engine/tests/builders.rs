//! What is said in Rust and what is said in JSON is the same command.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use postfold::{Command, Entry, Hold, Leg, Limits, Settle, Transfer, Void};
use rust_decimal::dec;

#[test]
fn every_builder_says_what_its_json_says() {
    let date = "2025-01-31".parse().unwrap();
    let expires_at = "2025-02-01T00:00:00Z".parse().unwrap();
    let limits = Limits { floor: Some(dec!(-5)), ..Limits::default() };
    let legs = || [Leg::debit("a", dec!(1)), Leg::credit("b", dec!(1)).currency("EUR")];
    let rows: Vec<(Command, &str)> = vec![
        (
            Entry::new("e").debit("a", dec!(1)).credit_in("EUR", "b", dec!(1)).text("t").into(),
            r#"{"do":"post","id":"e","text":"t","legs":[{"account":"a","debit":"1"},{"account":"b","credit":"1","currency":"EUR"}]}"#,
        ),
        (
            Transfer::between("t", "a", "b", dec!(1.50)).currency("EUR").up_to().into(),
            r#"{"do":"transfer","id":"t","from":"a","to":"b","amount":"1.50","currency":"EUR","up_to":true}"#,
        ),
        (
            Hold::between("h", "a", "b", dec!(3)).currency("EUR").expires_at(expires_at).text("t").into(),
            r#"{"do":"hold","id":"h","from":"a","to":"b","amount":"3","currency":"EUR","expires_at":"2025-02-01T00:00:00Z","text":"t"}"#,
        ),
        (Hold::sides("h", "a", "b", dec!(3)).into(), r#"{"do":"hold","id":"h","debit":"a","credit":"b","amount":"3"}"#),
        (
            Hold::legs("h", legs()).into(),
            r#"{"do":"hold","id":"h","legs":[{"account":"a","debit":"1"},{"account":"b","credit":"1","currency":"EUR"}]}"#,
        ),
        (Settle::all("s", "h").into(), r#"{"do":"settle","id":"s","hold":"h"}"#),
        (
            Settle::all("s", "h").amount(dec!(2)).keep_rest().text("t").into(),
            r#"{"do":"settle","id":"s","hold":"h","amount":"2","keep_rest":true,"text":"t"}"#,
        ),
        (
            Settle::all("s", "h").legs(legs()).into(),
            r#"{"do":"settle","id":"s","hold":"h","legs":[{"account":"a","debit":"1"},{"account":"b","credit":"1","currency":"EUR"}]}"#,
        ),
        (Void::new("v", "h").reason("r").into(), r#"{"do":"void","id":"v","hold":"h","reason":"r"}"#),
        (Command::reverse("r", "e"), r#"{"do":"reverse","id":"r","entry":"e"}"#),
        (Command::expire_due(), r#"{"do":"expire_due"}"#),
        (Command::set_limits("a", limits), r#"{"do":"set_limits","account":"a","limits":{"floor":"-5"}}"#),
        (Command::freeze("a", "r"), r#"{"do":"freeze","account":"a","reason":"r"}"#),
        (Command::unfreeze("a", "r"), r#"{"do":"unfreeze","account":"a","reason":"r"}"#),
        (Command::close_account("a"), r#"{"do":"close_account","account":"a"}"#),
        (Command::assert_balance("a", dec!(-1)), r#"{"do":"assert_balance","account":"a","amount":"-1"}"#),
        (Command::close_period(date), r#"{"do":"close_period","through":"2025-01-31"}"#),
        (Command::reopen_period(None, "r"), r#"{"do":"reopen_period","reason":"r"}"#),
    ];
    for (built, json) in rows {
        assert_eq!(built, Command::from_json(json).unwrap(), "{json}");
    }
}
