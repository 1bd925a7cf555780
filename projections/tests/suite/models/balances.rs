//! `balances`, by given / when / then.

use postfold::event::{AccountOpened, EntryPosted, PostedLeg, SideAmount};
use postfold::{AccountType, Limits, Position, Side};
use postfold_projections::models::Balances;
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
fn an_entry_of_very_many_legs_is_folded_account_by_account() {
    let leg = |account: String, amount| PostedLeg { account, currency: "EUR".into(), amount };
    let accounts = || (0..2_000).map(|number| format!("wallet:{number}"));
    let mut legs: Vec<_> = accounts().map(|account| leg(account, SideAmount::Credit(eur("1")))).collect();
    legs.push(leg("bank".into(), SideAmount::Debit(eur("2000"))));
    legs.insert(7, leg("wallet:3".into(), SideAmount::Credit(eur("5"))));
    legs.insert(8, leg("bank".into(), SideAmount::Debit(eur("5"))));
    Scenario::<Balances>::new()
        .given(|log| {
            log.open_account("bank", "EUR", AccountType::Asset);
            for account in accounts() {
                log.open_account(&account, "EUR", AccountType::Liability);
            }
        })
        .when(|log| drop(log.post_entry(&EntryPosted::new(legs))))
        .then("bank|EUR", |bank| assert_eq!(bank.posted, eur("2005.00")))
        .then("wallet:3|EUR", |wallet| assert_eq!(wallet.posted, eur("6.00")))
        .then("wallet:1999|EUR", |wallet| assert_eq!(wallet.posted, eur("1.00")));
}
