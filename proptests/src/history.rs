//! Histories: commands in order, with the time that passes between them.

use std::fmt;

use jiff::SignedDuration;
use postfold::{Command, Error, Ledger, ManualClock, Outcome, Timestamp};
use serde_json::json;

/// When a history begins: noon on 1 March 2025, UTC.
pub fn start() -> Timestamp {
    Timestamp::constant(1_740_830_400, 0)
}

/// One step of a history.
#[derive(Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "nearly all steps are commands")]
pub enum Step {
    /// So many minutes pass; below zero, the clock is set back, which changes nothing.
    Wait(i32),
    /// This is asked.
    Command(Command),
}

/// A history of a ledger.
///
/// Its `Debug` is what `postfold apply --manual-clock` reads, so a history that fails a test can be tried by hand:
/// JSON Lines, a command or a time each.
#[derive(Clone, Default, PartialEq)]
pub struct History(pub Vec<Step>);

/// A command of a history, and what the ledger answered.
#[derive(Clone, Debug)]
pub struct Answered<'a> {
    /// When it was sent.
    pub clock: Timestamp,
    /// What was asked.
    pub command: &'a Command,
    /// What was answered.
    pub outcome: Outcome,
}

impl History {
    /// The commands, each with the time when it is sent.
    pub fn commands(&self) -> impl Iterator<Item = (Timestamp, &Command)> {
        let mut now = start();
        self.0.iter().filter_map(move |step| match step {
            Step::Wait(minutes) => {
                now += SignedDuration::from_mins(i64::from(*minutes));
                None
            }
            Step::Command(command) => Some((now, command)),
        })
    }

    /// Sends the commands one by one: each waits for the answer to the one before it.
    ///
    /// # Errors
    ///
    /// When the ledger has no answer; a refusal is one.
    pub async fn send<'a>(&'a self, ledger: &Ledger, clock: &ManualClock) -> Result<Vec<Answered<'a>>, Error> {
        let mut answers = Vec::with_capacity(self.0.len());
        for (now, command) in self.commands() {
            clock.set(now);
            let outcome = ledger.submit(command.clone()).await?;
            answers.push(Answered { clock: now, command, outcome });
        }
        Ok(answers)
    }

    /// Sends all commands before it waits for the first answer, so that they are decided and committed together.
    ///
    /// # Errors
    ///
    /// When the ledger has no answer.
    pub async fn send_together<'a>(&'a self, ledger: &Ledger, clock: &ManualClock) -> Result<Vec<Answered<'a>>, Error> {
        let mut sent = Vec::with_capacity(self.0.len());
        for (now, command) in self.commands() {
            clock.set(now);
            sent.push((now, command, ledger.enqueue(command.clone()).await?));
        }
        let mut answers = Vec::with_capacity(sent.len());
        for (clock, command, answer) in sent {
            let outcome = answer.await.unwrap_or(Err(Error::Closed))?;
            answers.push(Answered { clock, command, outcome });
        }
        Ok(answers)
    }

    /// This one, then the other, which begins when this one ends.
    pub fn then(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// How many steps it has.
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing happens in it.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<Command> for History {
    fn from_iter<T: IntoIterator<Item = Command>>(commands: T) -> Self {
        Self(commands.into_iter().map(Step::Command).collect())
    }
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wait(minutes) => write!(f, "wait {minutes} minutes"),
            Self::Command(command) => f.write_str(&line(command)),
        }
    }
}

impl fmt::Debug for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut clock = None;
        for (now, command) in self.commands() {
            if clock != Some(now) {
                writeln!(f, "{}", json!({ "clock": now }))?;
                clock = Some(now);
            }
            writeln!(f, "{}", line(command))?;
        }
        Ok(())
    }
}

/// A command as a line of JSON; of one that has no JSON, its Rust.
fn line(command: &Command) -> String {
    serde_json::to_string(command).unwrap_or_else(|_| format!("{command:?}"))
}
