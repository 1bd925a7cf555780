//! The models that come with the ledger, by given / when / then.

use bson::doc;
use postfold::event::{AccountOpened, EntryPosted, PostedLeg, SideAmount};
use postfold::{AccountType, Limits, Position, Side};
use postfold_projections::models::{Balances, Changelogs, Preferences};
use postfold_projections::testing::Scenario;
use rust_decimal::Decimal;

fn eur(text: &str) -> Decimal {
    text.parse().unwrap()
}

#[test]
fn a_balance_is_on_the_accounts_normal_side_and_at_its_currencys_scale() {
    Scenario::<Balances>::new()
        .given(|log| {
            log.open_account("assets:cash", "EUR", AccountType::Asset);
            log.open_account("sales", "EUR", AccountType::Income);
        })
        .when(|log| {
            log.post("assets:cash", "sales", "EUR", eur("12.5"));
            log.post("sales", "assets:cash", "EUR", eur("0.01"));
        })
        .then_touches(&["assets:cash|EUR", "sales|EUR"])
        .then("assets:cash|EUR", |cash| {
            assert_eq!((cash.posted.to_string(), cash.available.to_string()), ("12.49".into(), "12.49".into()));
            assert_eq!(cash.normal, Side::Debit);
            let moved = cash.moved.as_ref().unwrap();
            assert_eq!(moved.position, Position::new(4));
        })
        .then("sales|EUR", |sales| assert_eq!(sales.posted.to_string(), "12.49"));
}

#[test]
fn an_account_without_entries_has_a_balance_of_zero() {
    Scenario::<Balances>::new()
        .when(|log| {
            log.open(&AccountOpened {
                account: "wallet".into(),
                currency: "BTC".into(),
                scale: 8,
                account_type: AccountType::Liability,
                normal: Side::Credit,
                limits: Limits::default(),
                owner: Some("user/42".into()),
                name: Some("Savings".into()),
            });
        })
        .then("wallet|BTC", |wallet| {
            assert_eq!(
                (wallet.posted.to_string(), wallet.pending_in.to_string()),
                ("0.00000000".into(), "0.00000000".into())
            );
            assert_eq!((wallet.owner.as_deref(), wallet.name.as_deref()), (Some("user/42"), Some("Savings")));
            assert!(wallet.moved.is_none());
        });
}

#[test]
fn an_account_that_an_entry_names_twice_is_moved_by_both_legs() {
    let leg = |account: &str, amount| PostedLeg { account: account.into(), currency: "EUR".into(), amount };
    let legs = vec![
        leg("a", SideAmount::Debit(eur("5"))),
        leg("a", SideAmount::Credit(eur("2"))),
        leg("b", SideAmount::Credit(eur("3"))),
    ];
    Scenario::<Balances>::new()
        .given(|log| {
            log.open_account("a", "EUR", AccountType::Asset);
            log.open_account("b", "EUR", AccountType::Asset);
            log.open_account("a", "USD", AccountType::Asset);
        })
        .when(|log| drop(log.post_entry(&EntryPosted::new(legs))))
        .then_touches(&["a|EUR", "b|EUR"])
        .then("a|EUR", |a| assert_eq!(a.posted, eur("3.00")))
        .then("b|EUR", |b| assert_eq!(b.posted, eur("-3.00")))
        .then("a|USD", |a| assert_eq!(a.posted, Decimal::ZERO));
}

#[test]
fn a_hold_is_pending_until_it_is_settled_or_released() {
    let meta = r#"{"fingerprint":""}"#;
    let leg = |account: &str, side: &str, amount: &str| {
        format!(r#"{{"account":"{account}","currency":"EUR","{side}":"{amount}"}}"#)
    };
    let legs = |amount: &str| format!("[{},{}]", leg("wallet", "debit", amount), leg("shop", "credit", amount));
    Scenario::<Balances>::new()
        .given(|log| {
            log.open_account("wallet", "EUR", AccountType::Liability);
            log.open_account("shop", "EUR", AccountType::Liability);
            log.append_with(None, "hold.placed", &format!(r#"{{"legs":{}}}"#, legs("60.00")), meta);
        })
        .then("wallet|EUR", |wallet| {
            assert_eq!(
                (wallet.posted, wallet.pending_out, wallet.available),
                (eur("0.00"), eur("60.00"), eur("-60.00"))
            );
        })
        .then("shop|EUR", |shop| {
            assert_eq!((shop.posted, shop.pending_in, shop.available), (eur("0.00"), eur("60.00"), eur("0.00")));
        })
        .when(|log| {
            let settled = format!(r#"{{"hold":"h","placed":3,"legs":{},"released":{}}}"#, legs("25.00"), legs("35.00"));
            log.append_with(Some("hold:3"), "hold.settled", &settled, meta);
        })
        .then("wallet|EUR", |wallet| {
            assert_eq!(
                (wallet.posted, wallet.pending_out, wallet.available),
                (eur("-25.00"), eur("0.00"), eur("-25.00"))
            );
        })
        .then("shop|EUR", |shop| {
            assert_eq!((shop.posted, shop.pending_in, shop.available), (eur("25.00"), eur("0.00"), eur("25.00")));
        });
}

#[test]
fn no_two_accounts_share_a_key_however_they_are_named() {
    assert_ne!(Balances::key("a|EUR", "USD"), Balances::key("a", "EUR|USD".trim_start_matches("EUR|")));
    Scenario::<Balances>::new()
        .when(|log| {
            log.open_account("a", "EUR", AccountType::Asset);
            log.open_account("a|EUR", "EUR", AccountType::Asset);
        })
        .then("a|EUR", |a| assert_eq!(&*a.account, "a"))
        .then("a|EUR|EUR", |a| assert_eq!(&*a.account, "a|EUR"));
}

#[test]
fn a_sum_that_no_decimal_holds_is_refused_and_never_bent() {
    let most = Decimal::MAX / Decimal::ONE_HUNDRED;
    Scenario::<Balances>::new()
        .given(|log| {
            log.open_account("a", "EUR", AccountType::Asset);
            log.open_account("b", "EUR", AccountType::Asset);
            log.post("a", "b", "EUR", Decimal::MAX);
        })
        .when(|log| drop(log.post("a", "b", "EUR", most)))
        .then_refuses(|error| assert!(error.to_string().contains("more than a balance can hold")));
}

#[test]
fn an_entry_on_an_account_that_was_never_opened_is_refused() {
    Scenario::<Balances>::new()
        .when(|log| drop(log.post("a", "b", "EUR", Decimal::ONE)))
        .then_refuses(|error| assert_eq!(error.to_string(), "the entry names an account that was never opened"));
}

#[test]
fn every_change_of_an_entity_is_a_document_of_its_own() {
    let meta = r#"{"fingerprint":"","correlation":"import-3","meta":{"by":"admin/7","user":"x"}}"#;
    Scenario::<Changelogs>::new()
        .given(|log| drop(log.change("user/42", "user.added", r#"{"name":"Ada"}"#)))
        .when(|log| {
            let data = r#"{"name":"Ada L.","$odd.name":1.50,"tags":[]}"#;
            log.append_with(Some("user/42"), "user.renamed", data, meta);
        })
        .then_touches(&["user/42|0000000002"])
        .then("user/42|0000000001", |first| {
            assert_eq!((first.version, &*first.kind, &first.by), (1, "user.added", &None));
        })
        .then("user/42|0000000002", |second| {
            assert_eq!((&*second.entity, &*second.entity_type, second.version), ("user/42", "user", 2));
            assert_eq!(second.fields, ["name", "$odd.name", "tags"]);
            let amount: bson::Decimal128 = "1.50".parse().unwrap();
            assert_eq!(second.data, doc! { "name": "Ada L.", "%24odd%2Ename": amount, "tags": [] });
            assert_eq!((second.by.as_deref(), second.correlation.as_deref()), (Some("admin/7"), Some("import-3")));
        });
}

#[test]
fn what_is_no_change_of_an_entity_leaves_the_changelogs_alone() {
    Scenario::<Changelogs>::new()
        .when(|log| drop(log.open_account("a/b", "EUR", AccountType::Asset)))
        .then_touches(&[]);
}

#[test]
fn preferences_are_merged_to_any_depth() {
    let table = [
        (r#"{"a":1}"#, doc! { "a": 1_i64 }),
        (r#"{"b":{"c":{"d":true}}}"#, doc! { "a": 1_i64, "b": { "c": { "d": true } } }),
        (r#"{"b":{"c":{"e":null}}}"#, doc! { "a": 1_i64, "b": { "c": { "d": true, "e": null } } }),
        (r#"{"b":{"c":[1]}}"#, doc! { "a": 1_i64, "b": { "c": [1_i64] } }),
        (r#"{"a":{"x":1}}"#, doc! { "a": { "x": 1_i64 }, "b": { "c": [1_i64] } }),
        (r#"{"a":{}}"#, doc! { "a": { "x": 1_i64 }, "b": { "c": [1_i64] } }),
        (r#"{"a":1e9999}"#, doc! { "a": { "%number": "1e9999" }, "b": { "c": [1_i64] } }),
        (r#"{"a":{"%number":2}}"#, doc! { "a": { "%25number": 2_i64 }, "b": { "c": [1_i64] } }),
        ("{}", doc! { "a": { "%25number": 2_i64 }, "b": { "c": [1_i64] } }),
    ];
    let mut scenario = Scenario::<Preferences>::new();
    for (number, (patch, expected)) in (1..).zip(table) {
        scenario =
            scenario.when(|log| drop(log.change("user/1", "preference.changed", patch))).then("user/1", |found| {
                assert_eq!(found.preferences, expected, "after {patch}");
                assert_eq!(found.version, number);
            });
    }
}

#[test]
fn preferences_are_taken_away_by_path() {
    let given = r#"{"a":{"b":1,"c":2},"x.y":3,"$z":4,"l":[1]}"#;
    let table = [
        (r#"{"paths":["a.b"]}"#, doc! { "a": { "c": 2_i64 }, "x%2Ey": 3_i64, "%24z": 4_i64, "l": [1_i64] }),
        (r#"{"paths":["a","l"]}"#, doc! { "x%2Ey": 3_i64, "%24z": 4_i64 }),
        (r#"{"paths":[["x.y"],"$z"]}"#, doc! { "a": { "b": 1_i64, "c": 2_i64 }, "l": [1_i64] }),
        (
            r#"{"paths":["x.y","a.q.r","l.0",[],""]}"#,
            doc! { "a": { "b": 1_i64, "c": 2_i64 }, "x%2Ey": 3_i64, "%24z": 4_i64, "l": [1_i64] },
        ),
    ];
    for (unset, expected) in table {
        Scenario::<Preferences>::new()
            .given(|log| drop(log.change("user/1", "preference.changed", given)))
            .when(|log| drop(log.change("user/1", "preference.unset", unset)))
            .then("user/1", |found| assert_eq!(found.preferences, expected, "after {unset}"));
    }
}

#[test]
fn preferences_are_those_of_entities_and_of_nothing_else() {
    Scenario::<Preferences>::new()
        .when(|log| {
            log.change("user/1", "user.renamed", r#"{"name":"Ada"}"#);
            log.append_with(None, "currency.registered", r#"{"code":"XAU","scale":3}"#, r#"{"fingerprint":""}"#);
        })
        .then_touches(&[])
        .then_none("user/1");
}

#[test]
fn an_unset_without_paths_is_refused() {
    Scenario::<Preferences>::new()
        .when(|log| drop(log.change("user/1", "preference.unset", r#"{"path":"a"}"#)))
        .then_refuses(|error| assert!(error.to_string().starts_with("preference.unset needs {\"paths\": [..]}")));
}
