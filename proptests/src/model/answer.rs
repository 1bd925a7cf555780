//! What a command has to be answered, and when two commands are the same.

use postfold::command::{Action, CommandBatch, OpenAccount};
use postfold::{Command, Outcome, Receipt, Rule, Timestamp};
use rust_decimal::Decimal;
use serde_json::Value;

/// What a command has to be answered; made from an [`Outcome`], what it was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Done, now or before.
    Ok(Told),
    /// Refused by a rule.
    Rejected {
        /// Which one.
        rule: Rule,
        /// Of a batch: which member failed, and its own answer.
        member: Option<(usize, Box<Expected>)>,
    },
    /// The entity is at another version.
    Conflict {
        /// The one that the caller expected.
        expected: i64,
        /// The one that is there.
        found: i64,
    },
    /// It makes no sense.
    Invalid,
}

/// What is told of a command that is done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// The last position that it wrote.
    pub position: Option<i64>,
    /// When it was recorded.
    pub recorded_at: Option<Timestamp>,
    /// Whether it had been done before.
    pub duplicate: bool,
    /// What a transfer with `up_to` moved.
    pub amount: Option<Decimal>,
    /// For `expire_due`: how many holds were voided.
    pub count: Option<usize>,
    /// For a batch: the answer to each member.
    pub outcomes: Option<Vec<Expected>>,
}

impl Expected {
    /// Refused by this rule, and no more to say.
    pub const fn rejected(rule: Rule) -> Self {
        Self::Rejected { rule, member: None }
    }

    /// Whether it was done, now or before.
    pub const fn is_ok(&self) -> bool {
        matches!(self, Self::Ok(_))
    }

    /// The same without places and times, for histories that were written in another order.
    pub fn anywhere(self) -> Self {
        match self {
            Self::Ok(told) => Self::Ok(Told {
                position: None,
                recorded_at: None,
                outcomes: told.outcomes.map(|outcomes| outcomes.into_iter().map(Self::anywhere).collect()),
                ..told
            }),
            other => other,
        }
    }
}

impl Told {
    /// Of a batch: its members' answers, and the last place that they wrote.
    pub(super) fn of_members(outcomes: Vec<Expected>) -> Self {
        let wrote = outcomes.iter().rev().find_map(|outcome| match outcome {
            Expected::Ok(told) if !told.duplicate => told.position.map(|position| (position, told.recorded_at)),
            _ => None,
        });
        let (position, recorded_at) = wrote.map_or((None, None), |(position, time)| (Some(position), time));
        Self { position, recorded_at, outcomes: Some(outcomes), ..Self::default() }
    }

    /// The answer to a repeat: neither count nor members.
    pub(super) fn again(self) -> Self {
        Self { duplicate: true, count: None, outcomes: None, ..self }
    }
}

impl From<&Outcome> for Expected {
    fn from(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Ok(receipt) => Self::Ok(receipt.into()),
            Outcome::Rejected(rejection) => {
                let member = rejection.index.zip(rejection.outcome.as_deref());
                let member = member.map(|(index, outcome)| (index, Box::new(outcome.into())));
                Self::Rejected { rule: rejection.rule, member }
            }
            Outcome::Conflict(conflict) => Self::Conflict { expected: conflict.expected, found: conflict.found },
            Outcome::Invalid(_) => Self::Invalid,
        }
    }
}

impl From<&Receipt> for Told {
    fn from(receipt: &Receipt) -> Self {
        Self {
            position: receipt.position.map(postfold::Position::get),
            recorded_at: receipt.recorded_at,
            duplicate: receipt.duplicate,
            amount: receipt.amount,
            count: receipt.count,
            outcomes: receipt.outcomes.as_ref().map(|outcomes| outcomes.iter().map(Expected::from).collect()),
        }
    }
}

/// Why the model refuses.
pub(super) enum Refused {
    Rule(Rule),
    Conflict { expected: i64, found: i64 },
    Invalid,
}

impl From<Rule> for Refused {
    fn from(rule: Rule) -> Self {
        Self::Rule(rule)
    }
}

impl From<Refused> for Expected {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Rule(rule) => Self::rejected(rule),
            Refused::Conflict { expected, found } => Self::Conflict { expected, found },
            Refused::Invalid => Self::Invalid,
        }
    }
}

/// Whether two commands are the same but for their ids: amounts by value, times by instant, data whatever the
/// order of its keys, a default stated as one left out.
pub(super) fn same(left: &Command, right: &Command) -> bool {
    left.meta == right.meta
        && left.correlation == right.correlation
        && left.at == right.at
        && same_action(&left.action, &right.action)
}

fn same_action(left: &Action, right: &Action) -> bool {
    match (left, right) {
        (Action::OpenAccount(left), Action::OpenAccount(right)) => normal_said(left) == normal_said(right),
        (Action::Record(left), Action::Record(right)) => {
            let data = |text: &str| serde_json::from_str::<Value>(text).ok();
            left.entity == right.entity
                && left.kind == right.kind
                && left.schema == right.schema
                && left.expected_version == right.expected_version
                && data(left.data.as_str()) == data(right.data.as_str())
        }
        (Action::Batch(left), Action::Batch(right)) => same_members(left, right),
        _ => left == right,
    }
}

fn same_members(left: &CommandBatch, right: &CommandBatch) -> bool {
    let members = || left.commands.iter().zip(&right.commands);
    left.atomic == right.atomic
        && left.commands.len() == right.commands.len()
        && members().all(|(left, right)| left.id == right.id && same(left, right))
}

fn normal_said(open: &OpenAccount) -> OpenAccount {
    OpenAccount { normal: Some(open.normal.unwrap_or_else(|| open.account_type.normal())), ..open.clone() }
}
