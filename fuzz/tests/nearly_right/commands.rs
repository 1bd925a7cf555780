use postfold::command::Action;
use postfold::{Command, Invalid};
use postfold_fuzz::{corpus, fuzz, nearly};
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;

use super::{ledger, open, runtime, send};

fn read(text: &[u8]) -> Result<Command, Invalid> {
    Command::from_json(&String::from_utf8_lossy(text))
}

/// Whether it says what JSON has no word for: a member that could not be read.
fn is_in_json(command: &Command) -> bool {
    match &command.action {
        Action::Batch(batch) => batch.commands.iter().all(is_in_json),
        Action::Execute(_) | Action::Unreadable(_) => false,
        _ => true,
    }
}

fn means_the_same_written_and_read_again(text: &[u8]) -> TestCaseResult {
    match read(text) {
        Err(invalid) => prop_assert!(!invalid.message.is_empty(), "{invalid:?}"),
        Ok(command) if is_in_json(&command) => {
            let written = serde_json::to_string(&command).unwrap();
            let again = Command::from_json(&written);
            prop_assert_eq!(again.as_ref(), Ok(&command), "{}", &written);
            let again = again.unwrap();
            prop_assert_eq!(again.fingerprint(), command.fingerprint(), "{}", &written);
            prop_assert_eq!(again.check(), command.check(), "{}", &written);
            prop_assert_eq!(serde_json::to_string(&again).unwrap(), written);
        }
        Ok(command) => drop(command.check()),
    }
    Ok(())
}

#[test]
fn a_command_written_in_json_and_read_again_is_the_same() {
    let seeds = corpus("commands.jsonl");
    for text in &seeds {
        means_the_same_written_and_read_again(text).unwrap();
    }
    fuzz(&nearly(seeds), |text| means_the_same_written_and_read_again(&text));
}

/// One ledger is sent each text as it came, another what was read of it, written as JSON anew.
fn is_answered_alike(history: &[Vec<u8>]) -> TestCaseResult {
    runtime().block_on(async {
        let (said, said_again) = (ledger(), ledger());
        open(&said).await;
        open(&said_again).await;
        for text in history {
            let command = read(text);
            let again = match &command {
                Ok(command) if is_in_json(command) => Command::from_json(&serde_json::to_string(command).unwrap()),
                other => other.clone(),
            };
            let answer = send(&said, command).await;
            prop_assert_eq!(&answer, &send(&said_again, again).await, "{}", String::from_utf8_lossy(text));
            let members = answer.as_object().map(serde_json::Map::len);
            prop_assert_eq!(members, Some(1), "{}", answer);
        }
        let [head, other] = [said.log().head().await.unwrap(), said_again.log().head().await.unwrap()];
        prop_assert_eq!((head.position, head.hash), (other.position, other.hash));
        let report = postfold::verify(said.log(), |_| {}).await.unwrap();
        prop_assert!(report.is_clean(), "{:?}", report.problems);
        Ok(())
    })
}

#[test]
fn a_history_is_answered_alike_from_rust_and_from_json_and_leaves_a_log_that_verifies() {
    let seeds = corpus("commands.jsonl");
    is_answered_alike(&seeds).unwrap();
    let again: Vec<Vec<u8>> = seeds.iter().flat_map(|text| [text.clone(), text.clone()]).collect();
    is_answered_alike(&again).unwrap();
    fuzz(&prop::collection::vec(nearly(seeds), 1..24), |history| is_answered_alike(&history));
}
