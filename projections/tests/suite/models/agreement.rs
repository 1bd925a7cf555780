//! Whatever the history, each model agrees with what the ledger itself answers. On the ledger in memory, by
//! folding alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use bson::Bson;
use futures::TryStreamExt;
use jiff::{Timestamp, ToSpan};
use postfold::{Command, Event, Ledger, Log, ManualClock, Position, StatementQuery};
use postfold_projections::models::{
    Balances, Changelogs, Dashboard, DashboardKind, Dashboards, Entities, Period, Statements,
};
use postfold_projections::testing::{EventLog, RowScenario, Scenario};
use postfold_projections::{RowProjection, json};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use rust_decimal::Decimal;
use serde_json::json;

/// Accounts of a generated ledger, with two owners; every third is a contra account.
const ACCOUNTS: usize = 5;
const CURRENCIES: [(&str, u32); 2] = [("EUR", 2), ("JPY", 0)];

/// One step of a history; what the ledger refuses leaves no trace, and does no harm.
#[derive(Clone, Debug)]
enum Step {
    Post { legs: Vec<(usize, i64)>, against: usize, currency: usize, days: i64 },
    Hold { debit: usize, credit: usize, amount: i64, expires: bool },
    Settle { hold: usize, amount: i64, keep: bool },
    Void(usize),
    ExpireDue,
    Reverse(usize),
    Freeze(usize, bool),
    Close(usize),
    Record { entity: usize, data: String },
}

fn step() -> impl Strategy<Value = Step> {
    let account = || 0..ACCOUNTS;
    let amount = || 1..5_000_i64;
    let data = prop::collection::btree_map("[abc.$]{1,2}", value(), 0..4);
    let data = data.prop_map(|data| serde_json::to_string(&data).unwrap());
    prop_oneof![
        6 => (prop::collection::vec((account(), amount()), 1..4), account(), 0..2_usize, -40..40_i64)
            .prop_map(|(legs, against, currency, days)| Step::Post { legs, against, currency, days }),
        3 => (account(), account(), amount(), any::<bool>())
            .prop_map(|(debit, credit, amount, expires)| Step::Hold { debit, credit, amount, expires }),
        3 => (0..12_usize, amount(), any::<bool>()).prop_map(|(hold, amount, keep)| Step::Settle { hold, amount, keep }),
        1 => (0..12_usize).prop_map(Step::Void),
        1 => Just(Step::ExpireDue),
        1 => (0..30_usize).prop_map(Step::Reverse),
        1 => (account(), any::<bool>()).prop_map(|(account, frozen)| Step::Freeze(account, frozen)),
        1 => account().prop_map(Step::Close),
        4 => (0..3_usize, data).prop_map(|(entity, data)| Step::Record { entity, data }),
    ]
}

fn value() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(|value| json!(value)),
        (-3..3_i64).prop_map(|value| json!(value)),
        "[a-c]{0,2}".prop_map(|value| json!(value)),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(|items| json!(items)),
            prop::collection::btree_map("[ab]", inner, 0..3).prop_map(|fields| json!(fields)),
        ]
    })
}

fn code(account: usize) -> String {
    format!("account:{account}")
}

fn amount(cents: i64, currency: usize) -> String {
    Decimal::new(cents, CURRENCIES[currency].1).to_string()
}

fn chart() -> Vec<serde_json::Value> {
    let types = ["asset", "liability", "income", "expense", "equity"];
    let open = |(account, (currency, _)): (usize, (&str, u32))| {
        let mut command = json!({
            "do": "open_account", "account": code(account), "currency": currency, "type": types[account % types.len()],
            "owner": format!("user/{}", account % 2),
        });
        if account == 3 {
            command["normal"] = json!("credit");
            command.as_object_mut().unwrap().remove("owner");
        }
        command
    };
    (0..ACCOUNTS).flat_map(|account| CURRENCIES.map(|currency| open((account, currency)))).collect()
}

impl Step {
    fn command(&self, number: usize, now: Timestamp) -> serde_json::Value {
        let id = format!("id-{number}");
        let place = |step: usize| format!("id-{step}");
        match self {
            Self::Post { legs, against, currency, days } => {
                let unit = CURRENCIES[*currency].0;
                let sum: i64 = legs.iter().map(|(_, cents)| cents).sum();
                let debit = |(account, cents): &(usize, i64)| json!({"account": code(*account), "currency": unit, "debit": amount(*cents, *currency)});
                let mut all: Vec<_> = legs.iter().map(debit).collect();
                all.push(json!({"account": code(*against), "currency": unit, "credit": amount(sum, *currency)}));
                let at = now.checked_add((days * 24).hours()).unwrap();
                json!({"do": "post", "id": id, "legs": all, "at": at, "text": format!("post {number}")})
            }
            Self::Hold { debit, credit, amount: cents, expires } => {
                let mut hold = json!({"do": "hold", "id": id, "debit": code(*debit), "credit": code(*credit),
                    "currency": "EUR", "amount": amount(*cents, 0)});
                if *expires {
                    hold["expires_at"] = json!(now.checked_add(3.hours()).unwrap());
                }
                hold
            }
            Self::Settle { hold, amount: cents, keep } => json!({"do": "settle", "id": id, "hold": place(*hold),
                "amount": amount(*cents, 0), "keep_rest": keep}),
            Self::Void(hold) => json!({"do": "void", "id": id, "hold": place(*hold)}),
            Self::ExpireDue => json!({"do": "expire_due"}),
            Self::Reverse(entry) => json!({"do": "reverse", "id": id, "entry": place(*entry)}),
            Self::Freeze(account, frozen) => {
                let word = if *frozen { "freeze" } else { "unfreeze" };
                json!({"do": word, "account": code(*account), "currency": "EUR", "reason": "why"})
            }
            Self::Close(account) => json!({"do": "close_account", "account": code(*account), "currency": "JPY"}),
            Self::Record { entity, data } => json!({"do": "record", "entity": format!("thing/{entity}"),
                "kind": "thing.changed", "data": serde_json::from_str::<serde_json::Value>(data).unwrap(),
                "meta": {"by": "admin/1"}}),
        }
    }
}

/// A ledger with this history, and its events.
async fn played(steps: &[Step]) -> (Ledger, Vec<Event>) {
    let mut now: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
    let clock = Arc::new(ManualClock::new(now));
    let ledger = Ledger::builder().clock(clock.clone()).in_memory();
    let submit = async |command: serde_json::Value| {
        let command =
            Command::from_json(&command.to_string()).unwrap_or_else(|invalid| panic!("{invalid:?}: {command}"));
        ledger.submit(command).await.unwrap();
    };
    for command in chart() {
        submit(command).await;
    }
    for (number, step) in steps.iter().enumerate() {
        now = now.checked_add(71.minutes()).unwrap();
        clock.set(now);
        submit(step.command(number, now)).await;
    }
    let events = ledger.log().page(Position::START, usize::MAX).await.unwrap();
    (ledger, events)
}

fn copy(events: Vec<Event>) -> impl FnOnce(&EventLog) {
    move |log| events.into_iter().for_each(|event| log.copy(event))
}

/// Runs a law on random histories.
fn law(cases: u32, check: impl AsyncFn(Ledger, Vec<Event>)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut runner = TestRunner::new(Config { cases, ..Config::default() });
    let law = runner.run(&prop::collection::vec(step(), 0..60), |steps| {
        runtime.block_on(async {
            let (ledger, events) = played(&steps).await;
            check(ledger, events).await;
        });
        Ok(())
    });
    law.unwrap_or_else(|broken| panic!("{broken}"));
}

#[test]
fn balances_are_those_of_the_ledger() {
    law(96, async |ledger, events| {
        let expected = ledger.log().balances("").await.unwrap();
        Scenario::<Balances>::new().when(copy(events)).then_all(|all| {
            assert_eq!(all.len(), expected.len());
            for balance in &expected {
                let found = all[&*Balances::key(&balance.account, &balance.currency)];
                let text = |amounts: [Decimal; 4]| amounts.map(|amount| amount.to_string());
                assert_eq!(
                    text([found.posted, found.pending_in, found.pending_out, found.available]),
                    text([balance.posted, balance.pending_in, balance.pending_out, balance.available]),
                    "{} {}",
                    balance.account,
                    balance.currency
                );
                assert_eq!((found.account_type, found.normal), (balance.account_type, balance.normal));
            }
        });
    });
}

#[test]
fn statements_are_those_of_the_ledger() {
    law(48, async |ledger, events| {
        let rows = rows_of::<Statements>(events);
        for balance in ledger.log().balances("").await.unwrap() {
            let query = StatementQuery::of(&*balance.account).currency(&*balance.currency).limit(1_000);
            let statement = ledger.log().statement(&query).await.unwrap();
            let ours = |row: &&<Statements as RowProjection>::Row| {
                row.account == *balance.account && row.currency == *balance.currency
            };
            let mut found: Vec<_> = rows.iter().filter(ours).collect();
            let newest = found.last().map_or(Decimal::ZERO, |row| row.balance);
            assert_eq!(newest, balance.posted, "the last row in the order of the log");
            // The ledger's order: by effective time. There, balances are sums of changes.
            found.sort_by_key(|row| (row.effective_at, row.position, row.leg));
            assert_eq!(found.len(), statement.lines.len());
            let mut running = Decimal::ZERO;
            for (row, line) in found.iter().zip(&statement.lines) {
                running += row.change;
                let (debit, credit) = match row.side {
                    postfold::Side::Debit => (Some(row.amount), None),
                    postfold::Side::Credit => (None, Some(row.amount)),
                };
                assert_eq!(running, line.balance);
                assert_eq!(
                    (row.position, i32::try_from(row.leg).unwrap(), row.kind),
                    (line.position, line.leg, line.kind)
                );
                assert_eq!((debit, credit), (line.debit, line.credit));
                assert_eq!((&row.id, &row.text, &row.reverses), (&line.id, &line.text, &line.reverses));
                assert_eq!((row.effective_at, row.recorded_at), (line.effective_at, line.recorded_at));
            }
        }
    });
}

#[test]
fn each_row_of_a_statement_has_the_balance_as_of_its_position() {
    law(16, async |ledger, events| {
        let rows = rows_of::<Statements>(events);
        for (at, row) in rows.iter().enumerate() {
            let later_leg = |next: &<Statements as RowProjection>::Row| {
                (next.position, &next.account, &next.currency) == (row.position, &row.account, &row.currency)
            };
            if rows[at + 1..].iter().any(later_leg) {
                continue;
            }
            let as_of = postfold::AsOf::position(row.position);
            let balance = ledger.log().balance_as_of(&row.account, Some(&row.currency), as_of).await.unwrap();
            assert_eq!(row.balance.to_string(), balance.posted.to_string());
        }
    });
}

#[test]
fn changelogs_and_entities_are_the_history_of_the_ledger() {
    law(64, async |ledger, events| {
        let rows = rows_of::<Changelogs>(events.clone());
        let history = history(ledger.log()).await;
        assert_eq!(rows.len(), history.values().map(Vec::len).sum::<usize>());
        for row in &rows {
            let revision = &history[&row.entity][usize::try_from(row.version).unwrap() - 1];
            let bson = |raw: &serde_json::value::RawValue| json::to_bson(raw.get()).unwrap();
            let stored = |raw: &bson::raw::RawDocument| Bson::Document(bson::Document::try_from(raw).unwrap());
            assert_eq!(row.before.as_deref().map(stored), revision.before.as_deref().map(bson));
            assert_eq!(row.after.as_deref().map(stored), Some(bson(&revision.after)));
            assert_eq!(stored(&row.data), bson(&revision.data));
            let sorted = |mut names: Vec<String>| {
                names.sort_unstable();
                names
            };
            assert_eq!(sorted(row.changed.clone().unwrap()), sorted(revision.changed.clone()));
            assert_eq!(
                (row.position, &row.kind, row.by.as_deref()),
                (revision.position, &revision.kind, Some("admin/1"))
            );
        }
        Scenario::<Entities>::new().when(copy(events)).then_all(|all| {
            assert_eq!(all.len(), history.len());
            for (entity, revisions) in &history {
                let (first, last) = (revisions.first().unwrap(), revisions.last().unwrap());
                let found = all[&**entity];
                let state = Bson::Document(bson::Document::try_from(&*found.state).unwrap());
                assert_eq!(state, json::to_bson(last.after.get()).unwrap());
                assert_eq!((found.version, &found.kind), (last.version, &last.kind));
                assert_eq!((found.created_at, found.updated_at), (first.recorded_at, last.recorded_at));
            }
        });
    });
}

#[test]
fn dashboards_added_up_over_all_times_are_the_balances() {
    law(48, async |ledger, events| {
        let expected = ledger.log().balances("").await.unwrap();
        Scenario::<Dashboards>::new().when(copy(events)).then_all(|all| {
            type Sums = BTreeMap<(String, String), [Decimal; 3]>;
            let sums = |kind: DashboardKind, period: Period, name: fn(&Dashboard) -> String| {
                let mut sums = Sums::new();
                for document in all.values().filter(|document| (document.kind, document.period) == (kind, period)) {
                    let sum = sums.entry((document.currency.to_string(), name(document))).or_default();
                    assert_eq!(document.volume, document.inflow + document.outflow);
                    sum[0] += document.inflow - document.outflow;
                    sum[1] += document.pending_in;
                    sum[2] += document.pending_out;
                }
                sums.retain(|_, sums| sums.iter().any(|sum| !sum.is_zero()));
                sums
            };
            let balances = |name: fn(&postfold::Balance) -> Option<String>| {
                let mut sums = Sums::new();
                for balance in &expected {
                    let Some(name) = name(balance) else { continue };
                    let sum = sums.entry((balance.currency.to_string(), name)).or_default();
                    // Sums are on each account's own side, as balances are.
                    sum[0] += balance.posted;
                    sum[1] += balance.pending_in;
                    sum[2] += balance.pending_out;
                }
                sums.retain(|_, sums| sums.iter().any(|sum| !sum.is_zero()));
                sums
            };
            let by_type = balances(|balance| Some(balance.account_type.as_str().to_owned()));
            let type_of = |document: &Dashboard| document.account_type.as_str().to_owned();
            assert_eq!(sums(DashboardKind::Total, Period::Day, type_of), by_type);
            assert_eq!(sums(DashboardKind::Total, Period::Month, type_of), by_type);
            let by_account = balances(|balance| Some(balance.account.to_string()));
            assert_eq!(
                sums(DashboardKind::Account, Period::Month, |document| document.account.as_deref().unwrap().to_owned()),
                by_account
            );
            let by_owner = balances(|balance| {
                let number: usize = balance.account.rsplit(':').next()?.parse().ok()?;
                (number != 3).then(|| format!("user/{}", number % 2))
            });
            assert_eq!(
                sums(DashboardKind::Owner, Period::Month, |document| document.owner.as_deref().unwrap().to_owned()),
                by_owner
            );
        });
    });
}

#[test]
fn an_entry_is_counted_once_in_each_total() {
    law(32, async |_ledger, events| {
        let mut expected: BTreeMap<(String, String), i64> = BTreeMap::new();
        for event in &events {
            let payload = event.payload().unwrap();
            let mut touched: Vec<_> = payload
                .movements()
                .filter(|moved| !moved.posted.is_zero())
                .map(|moved| (moved.leg.currency.clone(), moved.leg.account.clone()))
                .collect();
            touched.sort_unstable();
            touched.dedup();
            // Each account of the chart has a type of its own.
            for touch in touched {
                *expected.entry(touch).or_default() += 1;
            }
        }
        Scenario::<Dashboards>::new().when(copy(events)).then_all(|all| {
            let mut found: BTreeMap<(String, String), i64> = BTreeMap::new();
            for document in all.values().filter(|document| document.entries > 0) {
                if let Some(account) = &document.account {
                    *found.entry((document.currency.to_string(), account.to_string())).or_default() += document.entries;
                }
            }
            assert_eq!(found, expected);
            let total = |kind, period| -> i64 {
                let of = all.values().filter(|document| (document.kind, document.period) == (kind, period));
                of.map(|document| document.entries).sum()
            };
            let all_types = expected.values().sum::<i64>();
            assert_eq!(total(DashboardKind::Total, Period::Day), all_types);
            assert_eq!(total(DashboardKind::Total, Period::Month), all_types);
        });
    });
}

fn rows_of<P: RowProjection>(events: Vec<Event>) -> Vec<P::Row>
where
    P::Row: Clone,
{
    let mut found = Vec::new();
    let keep = |rows: &[(String, P::Row)]| {
        assert!(rows.is_sorted_by(|one, other| one.0 < other.0));
        found = rows.iter().map(|(_, row)| row.clone()).collect();
    };
    drop(RowScenario::<P>::new().when(copy(events)).then_rows(keep));
    found
}

async fn history(log: &Log) -> BTreeMap<String, Vec<postfold::Revision>> {
    let mut all = BTreeMap::new();
    for entity in (0..3).map(|number| format!("thing/{number}")) {
        let revisions: Vec<_> = log.history(&entity, 0).try_collect().await.unwrap();
        if !revisions.is_empty() {
            all.insert(entity, revisions);
        }
    }
    all
}
