//! The law that holds all others: whatever the history, the ledger answers as the reference model does,
//! ends with its balances, and every invariant holds. On both stores.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test ends at the first thing that goes wrong")]

use postfold::{Command, Ledger, Outcome, PostgresSettings};
use postfold_proptests::model::{Expected, Model};
use postfold_proptests::{invariant, strategy};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

async fn postgres() -> Ledger {
    let url = std::env::var("DATABASE_URL")
        .expect("DATABASE_URL is not set; start the servers with `make stack`, then `eval \"$(make -s stack-env)\"`");
    let name = format!("prop-{}", uuid::Uuid::now_v7());
    let settings = PostgresSettings { connections_max: 3, ..PostgresSettings::default() };
    postfold::init(&url, &name, &settings, false).await.expect("init");
    Ledger::builder().postgres(settings).connect(&url, &name).await.expect("connect")
}

fn answered(outcome: &Outcome) -> Expected {
    match outcome {
        Outcome::Ok(receipt) => match &receipt.outcomes {
            Some(outcomes) => Expected::Members(outcomes.iter().map(answered).collect()),
            None if receipt.duplicate => Expected::Duplicate,
            None => Expected::Ok,
        },
        Outcome::Rejected(rejection) => Expected::Rejected(rejection.rule.as_str()),
        Outcome::Conflict(_) => Expected::Conflict,
        Outcome::Invalid(_) => Expected::Invalid,
    }
}

async fn check(ledger: Ledger, history: &[Command]) -> Result<(), TestCaseError> {
    let mut model = Model::default();
    for command in strategy::chart().iter().chain(history) {
        let expected = model.apply(command);
        let outcome = ledger.submit(command.clone()).await.map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!(answered(&outcome), expected, "{}", serde_json::to_string(command).unwrap_or_default());
    }
    for balance in ledger.log().balances("").await.map_err(|error| TestCaseError::fail(error.to_string()))? {
        let cents = i64::try_from(balance.posted.mantissa()).expect("small amounts");
        prop_assert_eq!(Some(cents), model.balances().get(&*balance.account).copied(), "{}", balance.account);
    }
    invariant::check_all(ledger.log()).await.map_err(|broken| TestCaseError::fail(broken.to_string()))
}

#[test]
fn the_ledger_in_memory_answers_as_the_model_does() {
    let runtime = runtime();
    let mut runner = TestRunner::new(Config { cases: 256, ..Config::default() });
    let law = runner
        .run(&strategy::history(60), |history| runtime.block_on(async { check(Ledger::in_memory(), &history).await }));
    law.unwrap_or_else(|broken| panic!("{broken}"));
}

#[test]
fn the_ledger_in_postgresql_answers_as_the_model_does() {
    let runtime = runtime();
    let mut runner = TestRunner::new(Config { cases: 16, max_shrink_iters: 200, ..Config::default() });
    let law = runner
        .run(&strategy::history(40), |history| runtime.block_on(async { check(postgres().await, &history).await }));
    law.unwrap_or_else(|broken| panic!("{broken}"));
}

#[test]
fn a_batch_that_is_not_atomic_does_what_its_members_do() {
    let runtime = runtime();
    let mut runner = TestRunner::new(Config { cases: 128, ..Config::default() });
    let law = runner.run(&proptest::collection::vec(strategy::single(), 1..30), |members| {
        runtime.block_on(async {
            let (one_by_one, at_once) = (Ledger::in_memory(), Ledger::in_memory());
            for command in strategy::chart() {
                one_by_one.submit(command.clone()).await.expect("memory");
                at_once.submit(command).await.expect("memory");
            }
            let mut answers = Vec::new();
            for command in &members {
                answers.push(answered(&one_by_one.submit(command.clone()).await.expect("memory")));
            }
            let batch = postfold::Batch::independent(members.clone());
            let outcome = at_once.submit(batch.into()).await.expect("memory");
            prop_assert_eq!(answered(&outcome), Expected::Members(answers));
            let balances = |ledger: Ledger| async move { ledger.log().balances("").await.expect("memory") };
            prop_assert_eq!(balances(one_by_one).await, balances(at_once).await);
            Ok(())
        })
    });
    law.unwrap_or_else(|broken| panic!("{broken}"));
}
