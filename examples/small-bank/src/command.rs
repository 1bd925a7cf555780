//! The commands of a ledger as this bank writes them, one JSON object a line.
//!
//! Written against the published contract and not against the engine's own types, as an application in another
//! language would do it.

use serde::Serialize;
use serde_json::Value;

use crate::book::Kind;

/// One command.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub(crate) enum Command {
    RegisterCurrency(RegisterCurrency),
    OpenAccount(OpenAccount),
    Post(Post),
    Transfer(Transfer),
    Record(Record),
    Batch(Batch),
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct RegisterCurrency {
    pub(crate) code: &'static str,
    pub(crate) scale: u32,
    pub(crate) name: &'static str,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct OpenAccount {
    pub(crate) account: String,
    pub(crate) currency: &'static str,
    #[serde(rename = "type")]
    pub(crate) kind: Kind,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) limits: Option<Limits>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) owner: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct Limits {
    pub(crate) floor: String,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct Post {
    pub(crate) id: String,
    pub(crate) legs: Vec<Leg>,
    pub(crate) text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) at: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct Leg {
    pub(crate) account: String,
    #[serde(flatten)]
    pub(crate) side: Side,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Side {
    Debit(String),
    Credit(String),
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct Transfer {
    pub(crate) id: String,
    pub(crate) amount: String,
    #[serde(flatten)]
    pub(crate) parties: Parties,
    pub(crate) text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) correlation: Option<String>,
}

/// The two ways to say who gives and who receives.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Parties {
    /// Between two accounts of the same normal side.
    FromTo { from: String, to: String },
    /// Between any two.
    Sides { debit: String, credit: String },
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct Record {
    pub(crate) entity: String,
    pub(crate) kind: &'static str,
    pub(crate) data: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) expected_version: Option<u64>,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct Batch {
    pub(crate) id: String,
    pub(crate) atomic: bool,
    pub(crate) commands: Vec<Command>,
}
