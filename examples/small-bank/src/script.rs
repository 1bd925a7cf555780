//! Command lines, with the outcome that each must have.

use std::{collections::BTreeMap, fmt};

use crate::command::Command;

/// What the ledger must answer to a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Expected {
    /// Done, now.
    Ok,
    /// Done before: the original receipt.
    Duplicate,
    /// Refused by the rule of this name.
    Rejected(&'static str),
    /// The caller's knowledge of an entity is out of date.
    Conflict,
    /// Makes no sense, whatever the state.
    Invalid,
}

impl fmt::Display for Expected {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ok => formatter.write_str("ok"),
            Self::Duplicate => formatter.write_str("duplicate"),
            Self::Rejected(rule) => write!(formatter, "rejected: {rule}"),
            Self::Conflict => formatter.write_str("conflict"),
            Self::Invalid => formatter.write_str("invalid"),
        }
    }
}

/// Lines for `postfold apply --manual-clock`.
#[derive(Debug, Default)]
pub struct Script {
    /// JSON Lines: commands and clock lines.
    pub text: String,
    /// One for each line that gets an outcome, in order.
    pub expected: Vec<Expected>,
    /// How many commands of each kind there are; what is no command at all counts as `malformed`.
    pub kinds: BTreeMap<&'static str, u64>,
}

impl Script {
    /// How many outcomes of each sort there must be, under the names that [`Expected`] prints.
    pub fn counts(&self) -> BTreeMap<String, u64> {
        let mut counts = BTreeMap::new();
        for expected in &self.expected {
            *counts.entry(expected.to_string()).or_insert(0) += 1;
        }
        counts
    }

    pub(crate) fn clock(&mut self, time: &str) {
        self.text.push_str("{\"clock\":\"");
        self.text.push_str(time);
        self.text.push_str("\"}\n");
    }

    pub(crate) fn say(&mut self, command: &Command, expected: Expected) {
        let kind = kind_of(command);
        // These commands are strings, numbers and string-keyed maps, which always serialise.
        let line = serde_json::to_string(command).unwrap_or_default();
        self.line(&line, kind, expected);
    }

    /// A line as it stands, for what no application should send.
    pub(crate) fn line(&mut self, line: &str, kind: &'static str, expected: Expected) {
        self.text.push_str(line);
        self.text.push('\n');
        self.expected.push(expected);
        *self.kinds.entry(kind).or_insert(0) += 1;
    }
}

const fn kind_of(command: &Command) -> &'static str {
    match command {
        Command::RegisterCurrency(_) => "register_currency",
        Command::OpenAccount(_) => "open_account",
        Command::Post(_) => "post",
        Command::Transfer(_) => "transfer",
        Command::Record(_) => "record",
        Command::Batch(_) => "batch",
    }
}
