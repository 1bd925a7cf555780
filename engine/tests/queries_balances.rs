//! Answers from the log that are wrong: a balance of another time, a hold that is forgotten, an entry that
//! does not say what became of it.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test ends at the first thing that goes wrong")]

mod support;

use futures::TryStreamExt;
use postfold::{AsOf, Error, HoldFilter, Ledger, Limits, Log, ManualClock, Position, Timestamp};
use serde_json::{Value, json};
use support::{both, contains, given};

/// Two accounts, open in the morning of 1 March.
const SETUP: &[&str] = &[
    r#"{"do":"open_account","account":"cash","currency":"EUR","type":"asset"}"#,
    r#"{"do":"open_account","account":"sales","currency":"EUR","type":"income"}"#,
];

/// Each row: when it is recorded, and the command.
const HISTORY: &[(&str, &str)] = &[
    ("2025-03-01T12:00:00Z", r#"{"do":"transfer","id":"t1","amount":"10","debit":"cash","credit":"sales"}"#),
    // Learnt on 5 March, took effect on 2 March.
    (
        "2025-03-05T12:00:00Z",
        r#"{"do":"transfer","id":"t2","amount":"5","debit":"cash","credit":"sales","at":"2025-03-02T08:00:00Z"}"#,
    ),
    // Learnt on 6 March, takes effect on 20 March.
    (
        "2025-03-06T12:00:00Z",
        r#"{"do":"transfer","id":"t3","amount":"2","debit":"cash","credit":"sales","at":"2025-03-20T00:00:00Z"}"#,
    ),
    ("2025-03-07T12:00:00Z", r#"{"do":"hold","id":"h1","amount":"4","debit":"sales","credit":"cash"}"#),
    // Settled on 9 March, as of a time before the hold.
    (
        "2025-03-09T12:00:00Z",
        r#"{"do":"settle","id":"s1","hold":"h1","amount":"1","keep_rest":true,"at":"2025-03-03T00:00:00Z"}"#,
    ),
    ("2025-03-10T12:00:00Z", r#"{"do":"void","id":"v1","hold":"h1","reason":"changed my mind"}"#),
];

async fn tell(ledger: &Ledger, clock: &ManualClock) {
    given(ledger, SETUP).await;
    for (time, command) in HISTORY {
        clock.set(time.parse().unwrap());
        given(ledger, &[command]).await;
    }
}

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[tokio::test]
async fn a_balance_is_of_what_took_effect_and_of_what_was_known() {
    let rows: &[(AsOf, &str, &str, i64)] = &[
        (AsOf::now(), "16.00", "0.00", 8),
        (AsOf::position(Position::new(3)), "10.00", "0.00", 3),
        (AsOf::position(Position::new(6)), "17.00", "4.00", 6),
        (AsOf::known(time("2025-03-05T11:59:59Z")), "10.00", "0.00", 3),
        (AsOf::known(time("2025-03-05T12:00:00Z")), "15.00", "0.00", 4),
        (AsOf::known(time("2030-01-01T00:00:00Z")), "16.00", "0.00", 8),
        // The earlier of the two.
        (AsOf::known(time("2025-03-05T12:00:00Z")).and_position(Position::new(3)), "10.00", "0.00", 3),
        (AsOf::known(time("2025-03-05T12:00:00Z")).and_position(Position::new(8)), "15.00", "0.00", 4),
        (AsOf::effective(time("2025-03-01T11:59:59Z")), "0.00", "0.00", 8),
        (AsOf::effective(time("2025-03-01T12:00:00Z")), "10.00", "0.00", 8),
        (AsOf::effective(time("2025-03-02T08:00:00Z")), "15.00", "0.00", 8),
        (AsOf::effective(time("2025-03-02T08:00:00Z")).and_known(time("2025-03-04T00:00:00Z")), "10.00", "0.00", 3),
        // What the settle posts took effect before the hold did; what it released did not.
        (AsOf::effective(time("2025-03-04T00:00:00Z")), "14.00", "0.00", 8),
        (AsOf::effective(time("2025-03-07T12:00:00Z")), "14.00", "3.00", 8),
        (AsOf::effective(time("2025-03-10T11:59:59Z")), "14.00", "3.00", 8),
        (AsOf::effective(time("2025-03-10T12:00:00Z")), "14.00", "0.00", 8),
        (AsOf::effective(time("2025-03-08T00:00:00Z")).and_position(Position::new(6)), "15.00", "4.00", 6),
        (AsOf::effective(time("2025-03-20T00:00:00Z")), "16.00", "0.00", 8),
    ];
    for (store, ledger, clock) in both().await {
        tell(&ledger, &clock).await;
        for (as_of, posted, pending_out, position) in rows {
            let cash = ledger.log().balance_as_of("cash", None, *as_of).await.unwrap();
            let found = (cash.posted.to_string(), cash.pending_out.to_string(), cash.position.get());
            assert_eq!(found, (posted.to_string(), pending_out.to_string(), *position), "{store}: {as_of:?}");
            assert_eq!(cash.available, cash.posted - cash.pending_out, "{store}: {as_of:?}");
            // The same, as a row of the list.
            let all: Vec<_> = ledger.log().stream_balances("ca", *as_of).try_collect().await.unwrap();
            assert_eq!(all, [cash], "{store}: {as_of:?}");
            let sales = ledger.log().balance_as_of("sales", Some("EUR"), *as_of).await.unwrap();
            assert_eq!(sales.posted.to_string(), *posted, "{store}: {as_of:?}");
        }
    }
}

#[tokio::test]
async fn an_account_that_was_not_open_then_is_unknown_and_one_never_posted_to_is_zero() {
    for (store, ledger, clock) in both().await {
        clock.set(time("2025-03-01T12:00:00Z"));
        given(&ledger, SETUP).await;
        given(&ledger, &[r#"{"do":"open_account","account":"cash","currency":"USD","type":"asset"}"#]).await;
        let ask = async |currency, as_of| ledger.log().balance_as_of("cash", currency, as_of).await;
        for (as_of, currency) in [
            (AsOf::position(Position::START), None),
            (AsOf::known(time("2025-03-01T11:59:59.999999Z")), None),
            (AsOf::position(Position::new(2)), Some("USD")),
            (AsOf::now(), Some("GBP")),
        ] {
            let error = ask(currency, as_of).await.unwrap_err();
            assert!(matches!(error, Error::UnknownAccount { .. }), "{store}: {as_of:?}: {error}");
        }
        assert!(matches!(ask(None, AsOf::now()).await, Err(Error::SeveralCurrencies { .. })), "{store}");
        // Then, it was open in one.
        let zero = ask(None, AsOf::position(Position::new(2))).await.unwrap();
        assert_eq!((zero.posted.to_string().as_str(), &*zero.currency), ("0.00", "EUR"), "{store}");
        let early = ask(Some("EUR"), AsOf::effective(time("2020-01-01T00:00:00Z"))).await.unwrap();
        assert_eq!(early.posted.to_string(), "0.00", "{store}");
        let error = ask(None, AsOf::position(Position::new(4))).await.unwrap_err();
        assert!(
            matches!(error, Error::Query(_)) && error.to_string().contains("ends at position 3"),
            "{store}: {error}"
        );
        let by_then: Vec<_> =
            ledger.log().stream_balances("", AsOf::position(Position::new(1))).try_collect().await.unwrap();
        assert_eq!(by_then.len(), 1, "{store}");
    }
}

#[tokio::test]
async fn more_accounts_than_a_page_holds_come_in_order_and_once() {
    for (store, ledger, _) in both().await {
        let open = |number: usize| {
            format!(r#"{{"do":"open_account","account":"a:{}","currency":"EUR","type":"asset"}}"#, number * 7919 % 2003)
        };
        let commands: Vec<String> = (1..2003).map(open).collect();
        let batch = format!(r#"{{"do":"batch","id":"b","atomic":true,"commands":[{}]}}"#, commands.join(","));
        given(&ledger, &[&batch]).await;
        let codes = |balances: Vec<postfold::Balance>| -> Vec<String> {
            balances.iter().map(|balance| balance.account.to_string()).collect()
        };
        let all = codes(ledger.log().balances("").await.unwrap());
        let mut sorted = all.clone();
        sorted.sort();
        sorted.dedup();
        assert_eq!((all.len(), &all), (2002, &sorted), "{store}");
        let some = codes(ledger.log().balances("a:19").await.unwrap());
        assert!(some.len() > 100 && some.iter().all(|code| code.starts_with("a:19")), "{store}");
    }
}

#[tokio::test]
async fn an_entry_tells_its_legs_its_hold_and_its_reversals() {
    for (store, ledger, clock) in both().await {
        tell(&ledger, &clock).await;
        given(
            &ledger,
            &[
                r#"{"do":"reverse","id":"r1","entry":"t1","reason":"a mistake","meta":{"by":"ada"},"correlation":"c-1"}"#,
                r#"{"do":"reverse","id":"r2","entry":"r1"}"#,
                r#"{"do":"hold","id":"h2","amount":"4","debit":"sales","credit":"cash","text":"later","expires_at":"2025-03-11T00:00:00Z"}"#,
                r#"{"do":"settle","id":"s2","hold":"h2","amount":"1","text":"part","keep_rest":true}"#,
                r#"{"do":"settle","id":"s3","hold":"h2","amount":"1","keep_rest":true}"#,
            ],
        )
        .await;
        let legs = |amount: &str, debit: &str, credit: &str| json!([{"account": debit, "currency": "EUR", "debit": amount}, {"account": credit, "currency": "EUR", "credit": amount}]);
        let rows = [
            (
                "t1",
                json!({"id": "t1", "kind": "entry", "position": 3, "reversed_by": "r1", "legs": legs("10.00", "cash", "sales"),
                    "effective_at": "2025-03-01T12:00:00Z", "recorded_at": "2025-03-01T12:00:00Z"}),
            ),
            (
                "r1",
                json!({"kind": "reversal", "reverses": "t1", "reversed_by": "r2", "reason": "a mistake",
                    "legs": [{"account": "cash", "credit": "10.00"}, {"account": "sales", "debit": "10.00"}],
                    "meta": {"by": "ada"}, "correlation": "c-1"}),
            ),
            ("r2", json!({"kind": "reversal", "reverses": "r1"})),
            ("t2", json!({"effective_at": "2025-03-02T08:00:00Z", "recorded_at": "2025-03-05T12:00:00Z"})),
            ("h1", json!({"kind": "hold", "state": "voided", "left": [], "settles": ["s1"], "overdue": false})),
            ("s1", json!({"kind": "settle", "hold": "h1", "legs": legs("1.00", "sales", "cash")})),
            (
                "h2",
                json!({"kind": "hold", "state": "open", "text": "later", "settles": ["s2", "s3"], "overdue": false,
                    "legs": legs("4.00", "sales", "cash"), "left": legs("2.00", "sales", "cash"),
                    "expires_at": "2025-03-11T00:00:00Z"}),
            ),
            ("s2", json!({"kind": "settle", "hold": "h2", "text": "part"})),
        ];
        for (id, expected) in &rows {
            let found = serde_json::to_value(ledger.log().entry(id).await.unwrap()).unwrap();
            assert!(contains(&found, expected), "{store}: {id}\n  found {found}\n  expected {expected}");
        }
        let plain = serde_json::to_value(ledger.log().entry("t2").await.unwrap()).unwrap();
        for absent in ["reversed_by", "reverses", "state", "left", "overdue", "hold", "released", "meta"] {
            assert_eq!(plain.get(absent), None, "{store}: {absent}");
        }
        assert!(matches!(ledger.log().entry("none").await, Err(Error::EntryNotFound { .. })), "{store}");
        let error = ledger.log().entry("v1").await.unwrap_err();
        assert!(matches!(&error, Error::NotAnEntry { kind, .. } if kind == "hold.voided"), "{store}: {error}");

        // An expired hold stays open, and overdue, until it is voided.
        clock.set(time("2025-03-11T00:00:00Z"));
        given(&ledger, &[r#"{"do":"transfer","id":"t4","amount":"1","debit":"cash","credit":"sales"}"#]).await;
        let hold = serde_json::to_value(ledger.log().entry("h2").await.unwrap()).unwrap();
        assert!(contains(&hold, &json!({"state": "open", "overdue": true})), "{store}: {hold}");
        given(&ledger, &[r#"{"do":"expire_due"}"#]).await;
        let hold = serde_json::to_value(ledger.log().entry("h2").await.unwrap()).unwrap();
        assert!(contains(&hold, &json!({"state": "expired", "overdue": false, "left": []})), "{store}: {hold}");
    }
}

async fn holds(log: &Log, filter: HoldFilter) -> Vec<Value> {
    let holds: Vec<_> = log.holds(filter).try_collect().await.unwrap();
    holds.iter().map(|hold| json!([hold.id, hold.state.as_ref().unwrap().state])).collect()
}

#[tokio::test]
async fn holds_are_listed_by_account_and_by_state_in_pages() {
    for (store, ledger, clock) in both().await {
        tell(&ledger, &clock).await;
        given(
            &ledger,
            &[
                r#"{"do":"open_account","account":"bank","currency":"EUR","type":"asset"}"#,
                r#"{"do":"hold","id":"h2","amount":"4","debit":"bank","credit":"cash"}"#,
                r#"{"do":"hold","id":"h3","amount":"4","debit":"bank","credit":"sales","expires_at":"2025-03-11T00:00:00Z"}"#,
                r#"{"do":"hold","id":"h4","amount":"4","debit":"sales","credit":"cash"}"#,
                r#"{"do":"settle","id":"s4","hold":"h4"}"#,
                r#"{"do":"settle","id":"s2","hold":"h2","amount":"1","keep_rest":true}"#,
            ],
        )
        .await;
        clock.set(time("2025-03-12T00:00:00Z"));
        let log = ledger.log();
        let all = json!([["h1", "voided"], ["h2", "open"], ["h3", "open"], ["h4", "settled"]]);
        assert_eq!(json!(holds(log, HoldFilter::all()).await), all, "{store}");
        assert_eq!(
            json!(holds(log, HoldFilter::all().open()).await),
            json!([["h2", "open"], ["h3", "open"]]),
            "{store}"
        );
        let cash = HoldFilter::all().account("cash", None);
        let of_cash = json!([["h1", "voided"], ["h2", "open"], ["h4", "settled"]]);
        assert_eq!(json!(holds(log, cash.clone()).await), of_cash, "{store}");
        assert_eq!(json!(holds(log, cash.clone().open()).await), json!([["h2", "open"]]), "{store}");
        let first: Vec<_> = log.holds(cash.clone()).try_collect().await.unwrap();
        assert_eq!(
            json!(holds(log, cash.after(first[0].position)).await),
            json!([["h2", "open"], ["h4", "settled"]]),
            "{store}"
        );
        let unknown: Result<Vec<_>, _> = log.holds(HoldFilter::all().account("none", None)).try_collect().await;
        assert!(matches!(unknown, Err(Error::UnknownAccount { .. })), "{store}");
    }
}

#[tokio::test]
async fn what_accounts_were_opened_as_is_told_for_many_at_once() {
    for (store, ledger, _) in both().await {
        given(&ledger, SETUP).await;
        given(
            &ledger,
            &[
                r#"{"do":"open_account","account":"cash","currency":"JPY","type":"asset","owner":"user/1","name":"Yen"}"#,
                r#"{"do":"set_limits","account":"cash","currency":"JPY","limits":{"floor":"0"}}"#,
            ],
        )
        .await;
        let wanted = [("cash", "JPY"), ("sales", "EUR"), ("sales", "JPY"), ("nobody", "EUR"), ("sales", "EUR")];
        let mut opened = ledger.log().opened(&wanted).await.unwrap();
        opened.sort_by(|one, other| one.account.cmp(&other.account));
        opened.dedup();
        let told: Vec<_> =
            opened.iter().map(|account| (&*account.account, &*account.currency, account.scale)).collect();
        assert_eq!(told, [("cash", "JPY", 0), ("sales", "EUR", 2)], "{store}");
        assert_eq!(opened[0].owner.as_deref(), Some("user/1"), "{store}");
        assert_eq!(opened[0].limits, Limits::default(), "{store}: as it was opened");
        assert_eq!(ledger.log().opened(&[]).await.unwrap(), [], "{store}");
    }
}
