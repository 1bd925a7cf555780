//! `statements`, by given / when / then.

use postfold::event::{AccountOpened, EntryPosted, PostedLeg, SideAmount};
use postfold::{AccountType, EntryKind, Limits, Position, Side};
use postfold_projections::models::{COUNTERPARTIES_MAX, Statements};
use postfold_projections::testing::{EventLog, RowScenario};
use rust_decimal::{Decimal, dec};

const PLAIN: &str = r#"{"fingerprint":""}"#;

fn leg(account: &str, amount: SideAmount) -> PostedLeg {
    PostedLeg { account: account.into(), currency: "EUR".into(), amount }
}

fn two_accounts(log: &EventLog) {
    log.open_account("till", "EUR", AccountType::Asset);
    log.open_account("sales", "EUR", AccountType::Income);
}

#[test]
fn every_posted_leg_is_a_row_with_the_balance_after_it_on_the_accounts_side() {
    RowScenario::<Statements>::new()
        .given(two_accounts)
        .when(|log| {
            log.post("till", "sales", "EUR", dec!(12.5));
            log.post("sales", "till", "EUR", dec!(0.01));
        })
        .then_touches(&["till|EUR", "sales|EUR"])
        .then_rows(|rows| {
            let seen: Vec<_> = rows
                .iter()
                .map(|(id, row)| {
                    (
                        id.as_str(),
                        &*row.account,
                        row.side,
                        row.amount.to_string(),
                        row.change.to_string(),
                        row.balance.to_string(),
                    )
                })
                .collect();
            let row = |id, account, side, amount: &str, change: &str, balance: &str| {
                (id, account, side, amount.to_owned(), change.to_owned(), balance.to_owned())
            };
            assert_eq!(
                seen,
                [
                    row("0000000000000003:00000", "till", Side::Debit, "12.50", "12.50", "12.50"),
                    row("0000000000000003:00001", "sales", Side::Credit, "12.50", "12.50", "12.50"),
                    row("0000000000000004:00000", "sales", Side::Debit, "0.01", "-0.01", "12.49"),
                    row("0000000000000004:00001", "till", Side::Credit, "0.01", "-0.01", "12.49"),
                ]
            );
        });
}

#[test]
fn a_row_tells_its_entry_and_its_account() {
    RowScenario::<Statements>::new()
        .given(|log| {
            log.open(&AccountOpened {
                account: "wallet".into(),
                currency: "EUR".into(),
                scale: 2,
                account_type: AccountType::Liability,
                normal: Side::Credit,
                limits: Limits::default(),
                owner: Some("user/42".into()),
                name: None,
            });
            log.open_account("till", "EUR", AccountType::Asset);
        })
        .when(|log| {
            let legs = vec![leg("till", SideAmount::Debit(dec!(5))), leg("wallet", SideAmount::Credit(dec!(5)))];
            let entry = EntryPosted { text: Some("Cash in".into()), ..EntryPosted::new(legs) };
            log.post_entry(&entry);
            log.post_entry(&EntryPosted { reverses: Some("in-1".into()), ..entry });
        })
        .then_rows(|rows| {
            let (_, row) = &rows[1];
            assert_eq!(
                (&*row.account, row.owner.as_deref(), row.account_type),
                ("wallet", Some("user/42"), AccountType::Liability)
            );
            assert_eq!((row.position, row.leg, row.kind), (Position::new(3), 1, EntryKind::Entry));
            assert_eq!(
                (row.text.as_deref(), row.counterparties.as_slice()),
                (Some("Cash in"), ["till".to_owned()].as_slice())
            );
            let (_, row) = &rows[3];
            assert_eq!((row.kind, row.reverses.as_deref()), (EntryKind::Reversal, Some("in-1")));
        });
}

#[test]
fn an_account_that_an_entry_names_twice_has_two_rows_one_after_the_other() {
    let legs = vec![
        leg("till", SideAmount::Debit(dec!(5))),
        leg("sales", SideAmount::Credit(dec!(3))),
        leg("till", SideAmount::Credit(dec!(2))),
    ];
    RowScenario::<Statements>::new()
        .given(two_accounts)
        .when(|log| drop(log.post_entry(&EntryPosted::new(legs))))
        .then_rows(|rows| {
            let till: Vec<_> =
                rows.iter().filter(|(_, row)| row.account == "till").map(|(_, row)| (row.leg, row.balance)).collect();
            assert_eq!(till, [(0, dec!(5.00)), (2, dec!(3.00))]);
            assert_eq!(rows[0].1.counterparties, ["sales"], "never the account itself");
        })
        .then_carries("till|EUR", |carried| assert_eq!(carried.posted, dec!(3.00)));
}

#[test]
fn a_hold_is_no_row_and_what_settles_it_is() {
    let legs = |amount: &str| {
        format!(
            r#"[{{"account":"till","currency":"EUR","debit":"{amount}"}},{{"account":"sales","currency":"EUR","credit":"{amount}"}}]"#
        )
    };
    RowScenario::<Statements>::new()
        .given(two_accounts)
        .when(|log| drop(log.append_with(None, "hold.placed", &format!(r#"{{"legs":{}}}"#, legs("60.00")), PLAIN)))
        .then_touches(&[])
        .then_rows(|rows| assert!(rows.is_empty()))
        .when(|log| {
            let settled = format!(r#"{{"hold":"h","placed":3,"legs":{},"released":{}}}"#, legs("25.00"), legs("35.00"));
            log.append_with(Some("hold:3"), "hold.settled", &settled, PLAIN);
        })
        .then_rows(|rows| {
            let seen: Vec<_> =
                rows.iter().map(|(_, row)| (row.leg, row.kind, row.hold.as_deref(), row.balance)).collect();
            assert_eq!(
                seen,
                [(0, EntryKind::Settle, Some("h"), dec!(25.00)), (1, EntryKind::Settle, Some("h"), dec!(25.00))]
            );
        })
        .when(|log| {
            let voided = format!(r#"{{"hold":"h","placed":3,"released":{}}}"#, legs("1.00"));
            log.append_with(Some("hold:3"), "hold.voided", &voided, PLAIN);
        })
        .then_touches(&[]);
}

#[test]
fn a_row_of_an_entry_with_many_others_names_none_of_them() {
    let others = |count: usize| (0..count).map(|number| format!("other-{number}")).collect::<Vec<_>>();
    for (count, named) in [(COUNTERPARTIES_MAX, COUNTERPARTIES_MAX), (COUNTERPARTIES_MAX + 1, 0)] {
        let mut legs = vec![leg("till", SideAmount::Debit(Decimal::from(count)))];
        legs.extend(others(count).iter().map(|other| leg(other, SideAmount::Credit(Decimal::ONE))));
        RowScenario::<Statements>::new()
            .given(|log| {
                log.open_account("till", "EUR", AccountType::Asset);
                for other in others(count) {
                    log.open_account(&other, "EUR", AccountType::Income);
                }
            })
            .when(|log| drop(log.post_entry(&EntryPosted::new(legs))))
            .then_rows(|rows| {
                assert_eq!(rows[0].1.counterparties.len(), named);
                assert_eq!(rows[1].1.counterparties, ["till"]);
            });
    }
}

#[test]
fn the_same_code_in_two_currencies_has_two_balances() {
    RowScenario::<Statements>::new()
        .given(|log| {
            for (currency, account_type) in [("EUR", AccountType::Asset), ("USD", AccountType::Asset)] {
                log.open_account("till", currency, account_type);
                log.open_account("sales", currency, AccountType::Income);
            }
        })
        .when(|log| {
            log.post("till", "sales", "EUR", dec!(1));
            log.post("till", "sales", "USD", dec!(2));
        })
        .then_carries("till|EUR", |carried| assert_eq!(carried.posted, dec!(1.00)))
        .then_carries("till|USD", |carried| assert_eq!(carried.posted, dec!(2.00)));
}

#[test]
fn a_leg_on_an_account_that_was_never_opened_is_refused() {
    RowScenario::<Statements>::new()
        .when(|log| drop(log.post("a", "b", "EUR", Decimal::ONE)))
        .then_refuses(|error| assert_eq!(error.to_string(), "the entry names an account that was never opened"));
}
