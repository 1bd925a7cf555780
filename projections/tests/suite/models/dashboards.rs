//! `dashboards`, by given / when / then.

use std::collections::BTreeMap;

use postfold::event::{AccountOpened, EntryPosted, PostedLeg, SideAmount};
use postfold::{AccountType, Limits};
use postfold_projections::models::{Dashboard, DashboardKind, Dashboards, Period};
use postfold_projections::testing::{EventLog, Scenario};
use postfold_projections::{MemoryStore, Projector, Settings, Store};
use rust_decimal::{Decimal, dec};
use tokio_util::sync::CancellationToken;

const PLAIN: &str = r#"{"fingerprint":""}"#;

fn open(log: &EventLog, account: &str, account_type: AccountType, owner: Option<&str>) {
    log.open(&AccountOpened {
        account: account.into(),
        currency: "EUR".into(),
        scale: 2,
        account_type,
        normal: account_type.normal(),
        limits: Limits::default(),
        owner: owner.map(str::to_owned),
        name: None,
    });
}

fn bank(log: &EventLog) {
    open(log, "cash", AccountType::Asset, None);
    for number in 0..20 {
        open(log, &format!("wallet:{number}"), AccountType::Liability, Some("user/42"));
    }
}

/// Documents of one kind and period, partials added up, by type.
fn totals(
    all: &BTreeMap<&str, &Dashboard>,
    kind: DashboardKind,
    period: Period,
) -> BTreeMap<&'static str, (i64, i64, Decimal, Decimal, Decimal)> {
    let mut sums = BTreeMap::new();
    for document in all.values().filter(|document| document.kind == kind && document.period == period) {
        let sum: &mut (i64, i64, Decimal, Decimal, Decimal) = sums.entry(document.account_type.as_str()).or_default();
        sum.0 += document.entries;
        sum.1 += document.legs;
        sum.2 += document.inflow;
        sum.3 += document.outflow;
        sum.4 += document.volume;
    }
    sums
}

#[test]
fn what_moved_is_counted_by_day_and_month_by_type_by_owner_and_by_account() {
    Scenario::<Dashboards>::new()
        .given(bank)
        .when(|log| {
            for number in 0..20 {
                log.post("cash", &format!("wallet:{number}"), "EUR", dec!(10));
            }
            log.post("wallet:1", "cash", "EUR", dec!(2.5));
        })
        .then_all(|all| {
            for period in [Period::Day, Period::Month] {
                let sums = totals(all, DashboardKind::Total, period);
                assert_eq!(sums["asset"], (21, 21, dec!(200.00), dec!(2.50), dec!(202.50)));
                assert_eq!(sums["liability"], (21, 21, dec!(200.00), dec!(2.50), dec!(202.50)));
            }
            let owners = totals(all, DashboardKind::Owner, Period::Month);
            assert_eq!(owners.len(), 1, "only wallets have an owner");
            assert_eq!(owners["liability"], (21, 21, dec!(200.00), dec!(2.50), dec!(202.50)));
            let one = all["account|month|2026-01|EUR|liability|wallet:1"];
            assert_eq!((one.entries, one.inflow.to_string(), one.outflow), (2, "10.00".into(), dec!(2.50)));
            assert_eq!((one.owner.as_deref(), one.account.as_deref()), (Some("user/42"), Some("wallet:1")));
            assert_eq!(one.from.to_string(), "2026-01-01T00:00:00Z");
            let partials =
                all.values().filter(|document| document.kind == DashboardKind::Total && document.period == Period::Day);
            assert!(partials.count() > 4, "twenty wallets are dealt among the partials");
        });
}

#[test]
fn an_entry_counts_once_however_many_of_its_legs_are_of_a_type() {
    let leg = |account: &str, amount| PostedLeg { account: account.into(), currency: "EUR".into(), amount };
    let mut legs = vec![leg("cash", SideAmount::Debit(dec!(20)))];
    legs.extend((0..20).map(|number| leg(&format!("wallet:{number}"), SideAmount::Credit(Decimal::ONE))));
    Scenario::<Dashboards>::new().given(bank).when(|log| drop(log.post_entry(&EntryPosted::new(legs)))).then_all(
        |all| {
            let sums = totals(all, DashboardKind::Total, Period::Day);
            assert_eq!(sums["liability"], (1, 20, dec!(20.00), dec!(0.00), dec!(20.00)));
            assert_eq!(totals(all, DashboardKind::Owner, Period::Month)["liability"].0, 1);
        },
    );
}

#[test]
fn an_entry_is_counted_when_it_takes_effect() {
    let back_dated = |log: &EventLog| {
        let ledger_says = log.post("cash", "wallet:1", "EUR", dec!(1));
        assert_eq!(ledger_says.effective_at, ledger_says.recorded_at);
        log.append_effective(
            "entry.posted",
            r#"{"legs":[{"account":"cash","currency":"EUR","debit":"1"},{"account":"wallet:1","currency":"EUR","credit":"1"}]}"#,
            "2025-12-31T23:59:59.999999Z".parse().unwrap(),
        );
    };
    Scenario::<Dashboards>::new()
        .given(bank)
        .when(back_dated)
        .then("account|month|2025-12|EUR|asset|cash", |cash| {
            assert_eq!((cash.entries, cash.from.to_string()), (1, "2025-12-01T00:00:00Z".into()));
        })
        .then("account|month|2026-01|EUR|asset|cash", |cash| assert_eq!(cash.entries, 1));
}

#[test]
fn what_is_held_is_pending_until_it_ends_and_is_no_volume() {
    let legs = |amount: &str| {
        format!(
            r#"[{{"account":"wallet:1","currency":"EUR","debit":"{amount}"}},{{"account":"cash","currency":"EUR","credit":"{amount}"}}]"#
        )
    };
    let wallet = "account|month|2026-01|EUR|liability|wallet:1";
    Scenario::<Dashboards>::new()
        .given(bank)
        .when(|log| drop(log.append_with(None, "hold.placed", &format!(r#"{{"legs":{}}}"#, legs("60")), PLAIN)))
        .then(wallet, |wallet| {
            assert_eq!((wallet.entries, wallet.legs, wallet.volume), (0, 0, Decimal::ZERO));
            assert_eq!((wallet.pending_in, wallet.pending_out), (dec!(0.00), dec!(60.00)));
        })
        .when(|log| {
            let settled = format!(r#"{{"hold":"h","placed":22,"legs":{},"released":{}}}"#, legs("25"), legs("35"));
            log.append_with(Some("hold:22"), "hold.settled", &settled, PLAIN);
        })
        .then(wallet, |wallet| {
            assert_eq!((wallet.entries, wallet.legs, wallet.outflow), (1, 1, dec!(25.00)));
            assert_eq!((wallet.pending_in, wallet.pending_out), (dec!(0.00), dec!(0.00)));
        });
}

#[test]
fn a_simple_entry_touches_eight_documents_at_most() {
    Scenario::<Dashboards>::new()
        .given(|log| {
            open(log, "a", AccountType::Liability, Some("user/1"));
            open(log, "b", AccountType::Asset, Some("user/2"));
        })
        .when(|log| drop(log.post("a", "b", "EUR", dec!(1))))
        .then_all(|all| assert_eq!(all.len(), 8));
}

#[test]
fn an_entry_on_an_account_that_was_never_opened_is_refused() {
    Scenario::<Dashboards>::new()
        .when(|log| drop(log.post("a", "b", "EUR", Decimal::ONE)))
        .then_refuses(|error| assert!(error.to_string().starts_with("the account of leg 0 was never opened")));
}

#[tokio::test]
async fn a_projector_that_was_started_anew_looks_up_accounts_that_were_opened_long_ago() {
    let (log, store) = (EventLog::new("test"), MemoryStore::new());
    let settings = Settings { batch_events_max: 7, ..Settings::default() };
    let fresh = || Projector::new(log.clone(), store.clone()).with(Dashboards).settings(settings.clone());
    bank(&log);
    fresh().catch_up(CancellationToken::new()).await.unwrap();
    for number in 0..20 {
        log.post("cash", &format!("wallet:{number}"), "EUR", dec!(1));
        log.open_account(&format!("new:{number}"), "EUR", AccountType::Expense);
        log.post(&format!("new:{number}"), "cash", "EUR", dec!(1));
    }
    fresh().catch_up(CancellationToken::new()).await.unwrap();
    let documents: Vec<Dashboard> = store
        .scan("dashboards", None, None, 1_000)
        .await
        .unwrap()
        .into_iter()
        .map(|row| bson::deserialize_from_slice(row.state.unwrap().as_bytes()).unwrap())
        .collect();
    let all: BTreeMap<&str, &Dashboard> =
        documents.iter().map(|document| (document.account.as_deref().unwrap_or_default(), document)).collect();
    assert_eq!(all["wallet:7"].owner.as_deref(), Some("user/42"));
    assert_eq!((all["cash"].entries, all["cash"].inflow, all["cash"].outflow), (40, dec!(20.00), dec!(20.00)));
    let verified = fresh().verify("dashboards", CancellationToken::new()).await.unwrap();
    assert!(verified.is_clean(), "{:?}", verified.differences);
    fresh().rebuild("dashboards", CancellationToken::new()).await.unwrap();
    assert_eq!(store.count("dashboards").await.unwrap(), u64::try_from(documents.len()).unwrap());
}
