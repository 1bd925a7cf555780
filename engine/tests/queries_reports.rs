//! Reports that do not add up, and stores that do not answer alike.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test ends at the first thing that goes wrong")]

mod support;

use std::sync::Arc;

use futures::TryStreamExt;
use postfold::{AsOf, EventFilter, HoldFilter, Ledger, Position, StatementQuery, SystemClock, Timestamp, TrialBalance};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use rust_decimal::{Decimal, dec};
use serde_json::{Value, json};
use support::{both, contains, given, postgres, send};

/// Every type of account, contra accounts, two currencies of different scale.
const CHART: &[&str] = &[
    r#"{"do":"open_account","account":"assets:cash","currency":"EUR","type":"asset"}"#,
    r#"{"do":"open_account","account":"assets:cash:till","currency":"EUR","type":"asset"}"#,
    r#"{"do":"open_account","account":"assets:worn","currency":"EUR","type":"asset","normal":"credit"}"#,
    r#"{"do":"open_account","account":"liabilities:bank","currency":"EUR","type":"liability"}"#,
    r#"{"do":"open_account","account":"equity:capital","currency":"EUR","type":"equity"}"#,
    r#"{"do":"open_account","account":"equity:drawings","currency":"EUR","type":"equity","normal":"debit"}"#,
    r#"{"do":"open_account","account":"income:sales","currency":"EUR","type":"income"}"#,
    r#"{"do":"open_account","account":"income:returns","currency":"EUR","type":"income","normal":"debit"}"#,
    r#"{"do":"open_account","account":"expenses:rent","currency":"EUR","type":"expense"}"#,
    r#"{"do":"open_account","account":"assets:cash","currency":"JPY","type":"asset"}"#,
    r#"{"do":"open_account","account":"assets-abroad","currency":"JPY","type":"asset"}"#,
    r#"{"do":"open_account","account":"income:sales","currency":"JPY","type":"income"}"#,
];

const ENTRIES: &[&str] = &[
    r#"{"do":"transfer","id":"1","amount":"1000","debit":"assets:cash","credit":"equity:capital","currency":"EUR","at":"2025-01-01T00:00:00Z"}"#,
    r#"{"do":"transfer","id":"2","amount":"300","debit":"assets:cash:till","credit":"income:sales","currency":"EUR","at":"2025-01-15T00:00:00Z"}"#,
    r#"{"do":"transfer","id":"3","amount":"20","debit":"income:returns","credit":"assets:cash:till","currency":"EUR","at":"2025-02-01T00:00:00Z"}"#,
    r#"{"do":"transfer","id":"4","amount":"80","debit":"expenses:rent","credit":"liabilities:bank","currency":"EUR","at":"2025-02-01T00:00:00Z"}"#,
    r#"{"do":"transfer","id":"5","amount":"50","debit":"expenses:rent","credit":"assets:worn","currency":"EUR","at":"2025-02-28T23:59:59.999999Z"}"#,
    r#"{"do":"transfer","id":"6","amount":"10","debit":"equity:drawings","credit":"assets:cash","currency":"EUR","at":"2025-03-01T00:00:00Z"}"#,
    r#"{"do":"transfer","id":"7","amount":"700","debit":"assets:cash","credit":"income:sales","currency":"JPY","at":"2025-02-10T00:00:00Z"}"#,
    r#"{"do":"hold","id":"8","amount":"7","debit":"expenses:rent","credit":"assets:cash:till"}"#,
];

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[tokio::test]
async fn the_three_reports_say_what_the_books_say() {
    for (store, ledger, _) in both().await {
        given(&ledger, CHART).await;
        given(&ledger, ENTRIES).await;
        let log = ledger.log();
        let is = |found: Value, expected: Value| assert!(contains(&found, &expected), "{store}: {found:#}");

        let trial = serde_json::to_value(log.trial_balance(AsOf::now()).await.unwrap()).unwrap();
        assert_eq!((&trial["position"], trial.get("effective_at")), (&json!(20), None), "{store}");
        is(trial["currencies"][0].clone(), json!({"currency": "EUR", "debit": "1430.00", "credit": "1430.00"}));
        is(
            trial["currencies"][0]["accounts"][2].clone(),
            json!({"account": "assets:worn", "type": "asset", "normal": "credit", "debit": "0.00", "credit": "50.00"}),
        );
        is(trial["currencies"][1].clone(), json!({"currency": "JPY", "debit": "700", "credit": "700"}));

        let sheet = serde_json::to_value(log.balance_sheet(AsOf::now()).await.unwrap()).unwrap();
        is(
            sheet["currencies"][0].clone(),
            json!({"currency": "EUR",
                "assets": {"total": "1220.00", "accounts": [
                    {"account": "assets:cash", "amount": "990.00"}, {"account": "assets:cash:till", "amount": "280.00"},
                    {"account": "assets:worn", "amount": "-50.00"}]},
                "liabilities": {"total": "80.00"},
                "equity": {"total": "990.00", "accounts": [{"amount": "1000.00"}, {"amount": "-10.00"}]},
                "earnings": "150.00", "liabilities_and_equity": "1220.00"}),
        );
        let january = AsOf::effective(time("2025-01-31T23:59:59.999999Z"));
        let sheet = serde_json::to_value(log.balance_sheet(january).await.unwrap()).unwrap();
        is(sheet["currencies"][0].clone(), json!({"assets": {"total": "1300.00"}, "earnings": "300.00"}));
        assert_eq!(sheet["effective_at"], "2025-01-31T23:59:59.999999Z", "{store}");

        let february = (Some(time("2025-02-01T00:00:00Z")), Some(time("2025-03-01T00:00:00Z")));
        let income = log.income_statement(february.0, february.1, AsOf::now()).await.unwrap();
        is(
            serde_json::to_value(&income).unwrap(),
            json!({"from": "2025-02-01T00:00:00Z", "to": "2025-03-01T00:00:00Z", "currencies": [
                {"currency": "EUR", "net": "-150.00", "expenses": {"total": "130.00"},
                    "income": {"total": "-20.00", "accounts": [{"amount": "-20.00"}, {"amount": "0.00"}]}},
                {"currency": "JPY", "net": "700", "expenses": {"total": "0", "accounts": []}}]}),
        );
        assert!(log.income_statement(february.1, february.0, AsOf::now()).await.is_err(), "{store}");
        assert!(log.income_statement(None, None, january).await.is_err(), "{store}");
        // Nothing was there yet.
        let start = AsOf::position(Position::START);
        assert!(log.trial_balance(start).await.unwrap().currencies.is_empty(), "{store}");
    }
}

#[tokio::test]
async fn each_level_of_the_tree_is_the_sum_of_what_is_below_it() {
    for (store, ledger, _) in both().await {
        given(&ledger, CHART).await;
        given(&ledger, ENTRIES).await;
        let row = |row: &postfold::TreeBalance| {
            let posted = format!("{} {}", row.posted, row.currency);
            (row.account.clone(), posted, row.accounts, row.normal.as_str())
        };
        let rows = async |prefix, depth| -> Vec<_> {
            ledger.log().balance_tree(prefix, AsOf::now(), depth).await.unwrap().iter().map(row).collect()
        };
        let line =
            |account: &str, posted: &str, accounts, normal| (account.to_owned(), posted.to_owned(), accounts, normal);
        let below = [
            // Assets and their contra account: debit less credit.
            line("assets", "1220.00 EUR", 3, "debit"),
            line("assets", "700 JPY", 1, "debit"),
            line("assets:cash", "1270.00 EUR", 2, "debit"),
            line("assets:cash", "700 JPY", 1, "debit"),
            line("assets:cash:till", "280.00 EUR", 1, "debit"),
            line("assets:worn", "50.00 EUR", 1, "credit"),
            line("assets-abroad", "0 JPY", 1, "debit"),
        ];
        assert_eq!(rows("assets", None).await, below, "{store}");
        assert_eq!(rows("assets:", None).await, below[2..6], "{store}");
        assert_eq!(rows("assets:c", Some(1)).await, below[2..4], "{store}");
        assert_eq!(rows("assets:c", Some(0)).await, [], "{store}");
        let top = rows("", Some(0)).await;
        assert_eq!(top[..2], below[..2], "{store}");
        assert_eq!(top.iter().map(|row| row.2).sum::<usize>(), CHART.len(), "{store}");
        let till = &ledger.log().balance_tree("assets:cash", AsOf::now(), None).await.unwrap()[0];
        assert_eq!(
            (till.pending_out, till.available, till.account_type.is_some()),
            (dec!(7), dec!(1263), true),
            "{store}"
        );
    }
}

/// One command of a random history: which accounts, how much, when it takes effect, and what it is.
fn command() -> impl Strategy<Value = (usize, usize, u32, u8, u8)> {
    (0..9_usize, 0..9_usize, 1..1_000_u32, 0..60_u8, 0..8_u8)
}

fn as_json(number: usize, (debit, credit, cents, day, what): (usize, usize, u32, u8, u8)) -> String {
    let code = |account: usize| serde_json::from_str::<Value>(CHART[account]).unwrap()["account"].clone();
    let at = time("2025-01-01T00:00:00Z") + jiff::SignedDuration::from_hours(24 * i64::from(day));
    let id = format!("{number}");
    let earlier = (number / 2).to_string();
    let amount = Decimal::new(i64::from(cents), 2).to_string();
    let route =
        json!({"id": id, "amount": amount, "debit": code(debit), "credit": code(credit), "currency": "EUR", "at": at});
    let mut command = match what {
        0..=2 => json!({"do": "transfer"}),
        3 | 4 => json!({"do": "hold"}),
        5 => {
            return json!({"do": "settle", "id": id, "hold": earlier, "amount": "0.50", "keep_rest": true, "at": at})
                .to_string();
        }
        6 => return json!({"do": "void", "id": id, "hold": earlier, "at": at}).to_string(),
        _ => return json!({"do": "reverse", "id": id, "entry": earlier, "at": at}).to_string(),
    };
    command.as_object_mut().unwrap().extend(route.as_object().unwrap().clone());
    command.to_string()
}

/// Whatever is asked, as one JSON value.
async fn everything(ledger: &Ledger, as_of: AsOf, day: Timestamp) -> Result<Value, postfold::Error> {
    let log = ledger.log();
    let balances: Vec<_> = log.stream_balances("", as_of).try_collect().await?;
    for balance in &balances {
        assert!(balance.pending_in >= Decimal::ZERO && balance.pending_out >= Decimal::ZERO, "{as_of:?}: {balance:?}");
    }
    let trial = log.trial_balance(as_of).await?;
    check_trial(&trial);
    let sheet = log.balance_sheet(as_of).await?;
    for currency in &sheet.currencies {
        assert_eq!(currency.assets.total, currency.liabilities_and_equity, "{currency:?}");
        let right = currency.liabilities.total + currency.equity.total + currency.earnings;
        assert_eq!(currency.liabilities_and_equity, right);
    }
    let holds: Vec<_> = log.holds(HoldFilter::all()).try_collect().await?;
    let open: Vec<_> = log.holds(HoldFilter::all().open().account("income:sales", Some("EUR"))).try_collect().await?;
    let events: Vec<_> =
        log.events_matching(EventFilter::all().account("assets:cash"), Position::START).try_collect().await?;
    let events: Vec<_> = events.iter().map(|event: &postfold::Event| event.position).collect();
    let (before, after) = (
        log.income_statement(None, Some(day), AsOf::now()).await?,
        log.income_statement(Some(day), None, AsOf::now()).await?,
    );
    let both = log.income_statement(None, None, AsOf::now()).await?;
    for ((before, after), both) in before.currencies.iter().zip(&after.currencies).zip(&both.currencies) {
        assert_eq!(before.net + after.net, both.net);
        assert_eq!(both.net, both.income.total - both.expenses.total);
    }
    let statement = log.statement(&StatementQuery::of("assets:cash").currency("EUR").from(day).limit(1_000)).await?;
    let cash = log.balance("assets:cash", Some("EUR")).await?;
    assert_eq!(statement.closing, cash.posted);
    let tree = log.balance_tree("", as_of, Some(1)).await?;
    let mut answers = json!([balances, trial, sheet, holds, open, events, before, after, statement, tree]);
    without_times(&mut answers);
    Ok(answers)
}

/// Recorded times and hashes are those of each ledger.
fn without_times(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.remove("recorded_at");
            fields.remove("hash");
            fields.values_mut().for_each(without_times);
        }
        Value::Array(items) => items.iter_mut().for_each(without_times),
        _ => {}
    }
}

fn check_trial(trial: &TrialBalance) {
    for currency in &trial.currencies {
        assert_eq!(currency.debit, currency.credit, "{currency:?}");
        assert_eq!(currency.debit, currency.accounts.iter().map(|line| line.debit).sum::<Decimal>());
    }
}

async fn tell(ledger: &Ledger, history: &[(usize, usize, u32, u8, u8)]) {
    given(ledger, CHART).await;
    for (number, command) in history.iter().enumerate() {
        // Some are refused; the two stores refuse the same.
        send(ledger, &as_json(number, *command)).await;
    }
}

#[test]
fn reports_add_up_and_both_stores_answer_alike_whatever_the_history() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut runner = TestRunner::new(Config { cases: 24, max_shrink_iters: 100, ..Config::default() });
    let histories = (prop::collection::vec(command(), 0..40), 0..60_i64, 0..60_i64);
    let law = runner.run(&histories, |(history, day, position)| {
        runtime.block_on(async {
            let day = time("2025-01-01T00:00:00Z") + jiff::SignedDuration::from_hours(24 * day);
            let (postgres, _) = postgres().await;
            let memory = Ledger::builder().clock(Arc::new(SystemClock)).in_memory();
            tell(&postgres, &history).await;
            tell(&memory, &history).await;
            let head = memory.log().head().await.unwrap().position;
            let position = Position::new(position).min(head);
            for as_of in [
                AsOf::now(),
                AsOf::effective(day),
                AsOf::position(position),
                AsOf::effective(day).and_position(position),
            ] {
                let answers = [everything(&postgres, as_of, day).await, everything(&memory, as_of, day).await];
                let [postgres, memory] = answers.map(Result::unwrap);
                prop_assert_eq!(postgres, memory, "{:?}", as_of);
            }
            Ok(())
        })
    });
    law.unwrap_or_else(|broken| panic!("{broken}"));
}

#[tokio::test]
async fn reports_add_up_while_others_write() {
    let (ledger, _) = postgres().await;
    given(&ledger, CHART).await;
    let writer = ledger.clone();
    let writing = tokio::spawn(async move {
        for number in 0..300 {
            let line = format!(
                r#"{{"do":"transfer","id":"w{number}","amount":"1","debit":"assets:cash","credit":"income:sales","currency":"EUR"}}"#
            );
            given(&writer, &[&line]).await;
        }
    });
    let mut asked = 0;
    while !writing.is_finished() || asked < 5 {
        check_trial(&ledger.log().trial_balance(AsOf::now()).await.unwrap());
        let known = AsOf::known(ledger.log().head().await.unwrap().recorded_at.unwrap());
        check_trial(&ledger.log().trial_balance(known.and_effective(Timestamp::now())).await.unwrap());
        let sheet = ledger.log().balance_sheet(AsOf::now()).await.unwrap();
        assert!(sheet.currencies.iter().all(|sheet| sheet.assets.total == sheet.liabilities_and_equity));
        asked += 1;
    }
    writing.await.unwrap();
}

#[tokio::test]
async fn what_was_known_at_each_time_is_found_again() {
    for (store, ledger, clock) in both().await {
        given(&ledger, &[r#"{"do":"record","entity":"a/1","kind":"k","data":{}}"#]).await;
        let log = ledger.log();
        let start = time("2025-03-01T12:00:00Z");
        let second = |seconds: i64| start + jiff::SignedDuration::from_secs(seconds);
        let chart: &[&str] = &CHART[..2];
        given(&ledger, chart).await;
        // Several events at one time, then a gap.
        for number in 0..40 {
            clock.set(second(10 + number / 4 * 2));
            let line = format!(
                r#"{{"do":"transfer","id":"{number}","amount":"1","debit":"assets:cash","credit":"assets:cash:till"}}"#
            );
            given(&ledger, &[&line]).await;
        }
        for seconds in 0..40_i64 {
            let expected = if seconds < 10 { 0 } else { ((seconds - 10) / 2 * 4 + 4).min(40) };
            let cash = log.balance_as_of("assets:cash", None, AsOf::known(second(seconds))).await.unwrap();
            assert_eq!(
                (cash.posted, cash.position.get()),
                (Decimal::from(expected), 3 + expected),
                "{store}: {seconds}"
            );
        }
    }
}
