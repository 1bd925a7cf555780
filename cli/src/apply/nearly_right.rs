//! Input that is nearly right: no line is lost or taken for another.

use postfold::Command;
use postfold_fuzz::{corpus, fuzz, nearly};
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;
use tokio::sync::mpsc;

use super::input::{Input, Line, read};
use super::lines::Lines;

/// Inputs of a few lines each.
fn inputs() -> Vec<Vec<u8>> {
    let mut lines = corpus("commands.jsonl");
    lines.insert(0, br#"{"clock":"2025-03-01T12:00:00Z"}"#.to_vec());
    lines.insert(9, br#"{"clock":"2025-03-01T11:00:00+02:00"}"#.to_vec());
    lines.insert(10, br#"{"clock":"yesterday"}"#.to_vec());
    lines.insert(11, b" \t".to_vec());
    lines.chunks(5).flat_map(|lines| [lines.join(&b"\n"[..]), lines.join(&b"\r\n\n"[..])]).collect()
}

fn lines_of(text: &[u8], manual_clock: bool) -> Vec<Line> {
    let (sender, mut pieces) = mpsc::channel(text.len() + 1);
    read(Lines::new(text), manual_clock, &sender);
    drop(sender);
    std::iter::from_fn(|| pieces.try_recv().ok()).flatten().collect()
}

fn each_line_is_answered_for_what_it_is(text: &[u8]) -> TestCaseResult {
    let lines = lines_of(text, false);
    let is_blank = |line: &[u8]| line.iter().all(|byte| b" \t\r".contains(byte));
    let expected = (1..).zip(text.split(|byte| *byte == b'\n')).filter(|(_, line)| !is_blank(line));
    let expected: Vec<(u64, &[u8])> = expected.collect();
    prop_assert_eq!(lines.len(), expected.len());
    for (line, (number, bytes)) in lines.iter().zip(expected) {
        prop_assert_eq!((line.place.number, line.place.bytes), (number, bytes.len()));
        let Input::Asked(asked) = &line.input else { return Err(TestCaseError::fail("no command was asked")) };
        match std::str::from_utf8(bytes) {
            Ok(text) => prop_assert_eq!(asked.clone().map(|command| *command), Command::from_json(text)),
            Err(_) => prop_assert!(asked.is_err()),
        }
    }
    // With a clock in the lines no more is answered, and the time never goes back.
    let clocked = lines_of(text, true);
    prop_assert!(clocked.len() <= lines.len());
    let times: Vec<_> = clocked
        .iter()
        .filter_map(|line| if let Input::Clock(time) = &line.input { Some(*time) } else { None })
        .collect();
    prop_assert!(times.is_sorted(), "{:?}", times);
    Ok(())
}

#[test]
fn every_line_that_is_nearly_right_is_answered_for_what_it_is() {
    for text in inputs() {
        each_line_is_answered_for_what_it_is(&text).unwrap();
    }
    fuzz(&nearly(inputs()), |text| each_line_is_answered_for_what_it_is(&text));
}
