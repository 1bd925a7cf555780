//! Outcomes counted, and compared with what they must be.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::script::Expected;

/// How many differences are kept word for word; the rest are only counted.
const DIFFERENCES_KEPT_MAX: usize = 5;

/// A running count of the outcomes that `postfold apply` prints.
#[derive(Debug, Default)]
pub struct Tally {
    counts: BTreeMap<String, u64>,
    taken: usize,
    last_position: Option<u64>,
    differences: Vec<String>,
    differences_total: u64,
}

impl Tally {
    /// Takes the next line of output, which must be the outcome `expected`.
    pub fn take(&mut self, line: &str, expected: Option<Expected>) {
        let outcome: Value = serde_json::from_str(line).unwrap_or(Value::Null);
        let sort = sort_of(&outcome);
        if let Some(position) = newest_position(&outcome) {
            self.last_position = Some(position);
        }
        self.taken += 1;
        let wanted = expected.map_or_else(|| "nothing more".to_owned(), |wanted| wanted.to_string());
        if wanted != sort {
            self.differ(format!("outcome {}: expected {wanted}, got {sort}: {line}", self.taken));
        }
        *self.counts.entry(sort).or_insert(0) += 1;
    }

    /// Says that the output is over; `expected_total` outcomes must have come.
    pub fn finish(&mut self, expected_total: usize) {
        if self.taken < expected_total {
            self.differ(format!("{expected_total} outcomes expected, only {} came", self.taken));
        }
    }

    /// How many outcomes of each sort came.
    pub const fn counts(&self) -> &BTreeMap<String, u64> {
        &self.counts
    }

    /// How many outcomes came in all.
    pub const fn taken(&self) -> usize {
        self.taken
    }

    /// The position of the last event that the commands wrote.
    pub const fn last_position(&self) -> Option<u64> {
        self.last_position
    }

    /// The first few differences, word for word.
    pub fn differences(&self) -> &[String] {
        &self.differences
    }

    /// How many outcomes were not what they must be.
    pub const fn differences_total(&self) -> u64 {
        self.differences_total
    }

    fn differ(&mut self, difference: String) {
        self.differences_total += 1;
        if self.differences.len() < DIFFERENCES_KEPT_MAX {
            self.differences.push(difference);
        }
    }
}

/// The sort of an outcome, under the name that [`Expected`] prints for it.
fn sort_of(outcome: &Value) -> String {
    if let Some(receipt) = outcome.get("ok") {
        let duplicate = receipt.get("duplicate").and_then(Value::as_bool);
        return if duplicate == Some(true) { "duplicate".to_owned() } else { "ok".to_owned() };
    }
    if let Some(rejection) = outcome.get("rejected") {
        let rule = rejection.get("rule").and_then(Value::as_str);
        return format!("rejected: {}", rule.unwrap_or("?"));
    }
    ["conflict", "invalid"].into_iter().find(|sort| outcome.get(sort).is_some()).unwrap_or("unreadable").to_owned()
}

/// A duplicate repeats an old position, so it says nothing of the newest.
fn newest_position(outcome: &Value) -> Option<u64> {
    let receipt = outcome.get("ok")?;
    if receipt.get("duplicate").and_then(Value::as_bool) == Some(true) {
        return None;
    }
    receipt.get("position").and_then(Value::as_u64)
}

#[cfg(test)]
mod tests {
    use super::Tally;
    use crate::script::Expected;

    #[test]
    fn every_sort_is_recognised() {
        let rows = [
            (r#"{"ok":{"position":7,"duplicate":false}}"#, Expected::Ok),
            (r#"{"ok":{"position":3,"duplicate":true}}"#, Expected::Duplicate),
            (r#"{"rejected":{"rule":"unbalanced"}}"#, Expected::Rejected("unbalanced")),
            (r#"{"conflict":{"entity":"user/42"}}"#, Expected::Conflict),
            (r#"{"invalid":{"field":""}}"#, Expected::Invalid),
        ];
        let mut tally = Tally::default();
        for (line, expected) in rows {
            tally.take(line, Some(expected));
        }
        tally.finish(rows.len());

        assert_eq!(tally.differences(), &[] as &[String]);
        assert_eq!(tally.counts().len(), 5);
        assert_eq!(tally.last_position(), Some(7));
    }

    #[test]
    fn what_differs_is_named() {
        let mut tally = Tally::default();
        tally.take(r#"{"ok":{"position":1}}"#, Some(Expected::Invalid));
        tally.take("no json", Some(Expected::Ok));
        tally.take(r#"{"ok":{"position":2}}"#, None);
        tally.finish(5);

        assert_eq!(tally.differences_total(), 4);
        assert!(tally.differences()[0].starts_with("outcome 1: expected invalid, got ok"));
        assert!(tally.differences()[1].starts_with("outcome 2: expected ok, got unreadable"));
        assert!(tally.differences()[2].contains("expected nothing more"));
        assert!(tally.differences()[3].contains("only 3 came"));
    }

    #[test]
    fn only_the_first_differences_are_kept() {
        let mut tally = Tally::default();
        for _ in 0..100 {
            tally.take("{}", Some(Expected::Ok));
        }
        assert_eq!(tally.differences().len(), super::DIFFERENCES_KEPT_MAX);
        assert_eq!(tally.differences_total(), 100);
    }
}
