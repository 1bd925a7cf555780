//! Hazards of concurrency: lost races, floors under contention, group commit, neighbours of a refusal.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test ends at the first thing that goes wrong")]

mod support;

use std::sync::Arc;

use postfold::{Account, Command, Entry, Ledger, Outcome, Position, Transfer};
use rust_decimal::{Decimal, dec};
use support::{assert_verifies, given, open, postgres, send};

/// Opens `count` wallets with 10.00 each, which may not go below zero.
async fn wallets(ledger: &Ledger, count: usize) {
    ledger.open(Account::asset("till", "EUR")).await.unwrap();
    for wallet in 0..count {
        ledger.open(Account::liability(format!("wallet:{wallet}"), "EUR").floor(dec!(0))).await.unwrap();
        let fund =
            Entry::new(format!("fund-{wallet}")).debit("till", dec!(10)).credit(format!("wallet:{wallet}"), dec!(10));
        ledger.post(fund).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn writers_in_competition_break_no_floor_and_lose_no_acknowledged_id() {
    let (ledger, name) = postgres().await;
    wallets(&ledger, 4).await;
    let mut tasks = Vec::new();
    for writer in 0..4_usize {
        let ledger = open(&name).await;
        tasks.push(tokio::spawn(async move {
            let mut acknowledged = Vec::new();
            for round in 0..40_usize {
                let (from, to) = ((writer + round) % 4, (writer + round * 3 + 1) % 4);
                if from == to {
                    continue;
                }
                let id = format!("{writer}-{round}");
                let amount = Decimal::from(u32::try_from(round % 7 + 1).unwrap());
                let transfer = Transfer::between(&id, format!("wallet:{from}"), format!("wallet:{to}"), amount);
                match ledger.submit(transfer.into()).await.unwrap() {
                    Outcome::Ok(receipt) => acknowledged.push((id, receipt)),
                    Outcome::Rejected(rejection) => assert_eq!(rejection.rule.as_str(), "insufficient_funds"),
                    other => panic!("{other:?}"),
                }
            }
            acknowledged
        }));
    }
    let mut acknowledged = Vec::new();
    for task in tasks {
        acknowledged.extend(task.await.unwrap());
    }
    let balances = ledger.log().balances("wallet:").await.unwrap();
    assert!(balances.iter().all(|balance| balance.posted >= Decimal::ZERO), "{balances:?}");
    assert_eq!(balances.iter().map(|balance| balance.posted).sum::<Decimal>(), dec!(40));
    let events = ledger.log().page(Position::START, 10_000).await.unwrap();
    for (id, receipt) in &acknowledged {
        let found: Vec<_> = events.iter().filter(|event| event.id.as_ref() == Some(id)).collect();
        assert_eq!(found.len(), 1, "{id}");
        assert_eq!((Some(found[0].position), Some(found[0].hash)), (receipt.position, receipt.hash), "{id}");
    }
    assert_eq!(events.len(), 9 + acknowledged.len());
    assert_verifies(&ledger).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_same_id_sent_to_several_writers_at_once_is_done_once() {
    let (ledger, name) = postgres().await;
    wallets(&ledger, 2).await;
    for round in 0..10 {
        let mut tasks = Vec::new();
        for _ in 0..4 {
            let ledger = open(&name).await;
            tasks.push(tokio::spawn(async move {
                let transfer = Transfer::between(format!("once-{round}"), "wallet:0", "wallet:1", dec!(0.10));
                ledger.transfer(transfer).await.unwrap()
            }));
        }
        let mut receipts = Vec::new();
        for task in tasks {
            receipts.push(task.await.unwrap());
        }
        assert_eq!(receipts.iter().filter(|receipt| !receipt.duplicate).count(), 1, "round {round}");
        assert!(receipts.iter().all(|receipt| receipt.position == receipts[0].position), "round {round}");
    }
    assert_eq!(ledger.balance("wallet:1").await.unwrap().posted, dec!(11));
}

#[tokio::test]
async fn a_refusal_knows_of_what_another_process_was_told_is_done() {
    let (first, name) = postgres().await;
    wallets(&first, 2).await;
    let second = open(&name).await;
    let empty = |id: &str| Transfer::between(id, "wallet:0", "wallet:1", dec!(10));
    second.transfer(empty("all")).await.unwrap();
    // Both writers know the ledger by now; neither has lost a race since.
    for round in 0..3 {
        let back = Transfer::between(format!("back-{round}"), "wallet:1", "wallet:0", dec!(10));
        first.transfer(back).await.unwrap();
        second.transfer(empty(&format!("out-{round}"))).await.unwrap();
        let account = format!("account-{round}");
        first.open(Account::asset(&account, "EUR")).await.unwrap();
        second.post(Entry::new(format!("e-{round}")).debit(&account, dec!(1)).credit("till", dec!(1))).await.unwrap();
    }
    assert_verifies(&first).await;
}

#[tokio::test]
async fn a_rejected_entry_leaves_its_neighbours_posted() {
    let (ledger, _) = postgres().await;
    wallets(&ledger, 2).await;
    let mut answers = Vec::new();
    for number in 0..30 {
        let amount = if number % 3 == 0 { dec!(1000) } else { dec!(0.10) };
        let command: Command = Transfer::between(format!("n-{number}"), "wallet:0", "wallet:1", amount).into();
        answers.push((number, ledger.enqueue(command).await.unwrap()));
    }
    for (number, answer) in answers {
        let outcome = answer.await.unwrap().unwrap();
        assert_eq!(outcome.is_ok(), number % 3 != 0, "{number}: {outcome:?}");
    }
    assert_eq!(ledger.balance("wallet:1").await.unwrap().posted, dec!(12));
    assert_verifies(&ledger).await;
}

#[tokio::test]
async fn large_and_small_batches_write_the_same_rows() {
    // 250 commands at once go in by COPY, one alone as one statement.
    let (ledger, _) = postgres().await;
    let odd = "wörld:\\back \"quoted\"";
    let open = serde_json::json!({"do": "open_account", "account": odd, "currency": "EUR", "type": "asset", "name": "tab\there\nand a \\N"});
    given(&ledger, &[&open.to_string(), r#"{"do":"open_account","account":"b","currency":"EUR","type":"asset"}"#])
        .await;
    let ledger = Arc::new(ledger);
    let mut answers = Vec::new();
    for number in 0..250 {
        let entry =
            Entry::new(format!("copy\t{number}\\n")).debit(odd, dec!(1)).credit("b", dec!(1)).text("a\tb\\c\nd");
        answers.push(ledger.enqueue(entry.into()).await.unwrap());
    }
    for answer in answers {
        assert!(answer.await.unwrap().unwrap().is_ok());
    }
    let alone = Entry::new("alone\t\\n").debit(odd, dec!(1)).credit("b", dec!(1)).text("a\tb\\c\nd");
    ledger.post(alone).await.unwrap();
    assert_eq!(ledger.balance(odd).await.unwrap().posted, dec!(251));
    assert_verifies(&ledger).await;
}

#[tokio::test]
async fn a_small_cache_changes_nothing_but_the_speed() {
    let name = support::fresh_name();
    postfold::init(support::database_url(), &name, &support::settings(), false).await.unwrap();
    let settings = postfold::Settings { cached_accounts: 2, cached_ids: 1, cached_streams: 1, ..Default::default() };
    let builder = Ledger::builder().postgres(support::settings()).settings(settings);
    let ledger = builder.connect(support::database_url(), &name).await.unwrap();
    wallets(&ledger, 6).await;
    for round in 0..5 {
        for wallet in 0..6 {
            let to = (wallet + round + 1) % 6;
            if to != wallet {
                let id = format!("{round}-{wallet}");
                let transfer = Transfer::between(id, format!("wallet:{wallet}"), format!("wallet:{to}"), dec!(1));
                ledger.transfer(transfer).await.unwrap();
            }
        }
        let again =
            send(&ledger, r#"{"do":"transfer","id":"0-0","amount":"1","from":"wallet:0","to":"wallet:1"}"#).await;
        assert_eq!(again["ok"]["duplicate"], true);
    }
    assert_verifies(&ledger).await;
}
