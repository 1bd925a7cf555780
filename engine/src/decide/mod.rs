//! The rules of the ledger: `decide(state, command) -> events | refusal`, pure.
//!
//! No I/O, no clock, no randomness: the recorded time is an argument. The order of checks is that of
//! the contract: shape, id, existence, scale and left-out currency, state, period, balance, overflow,
//! limits. The first that fails is the one reported.

mod accounts;
mod entry;
mod limits;
mod record;

use jiff::Timestamp;

use crate::command::{Action, Command};
use crate::event::Payload;
use crate::outcome::{Conflict, Invalid, Receipt, Refusal, Rejection, Rule};
use crate::state::{IdUse, Need, State};

/// What is to be done about a command.
#[derive(Debug)]
pub(crate) enum Decision {
    /// Write this event.
    Write(NewEvent),
    /// It had been done before: answer that receipt.
    Duplicate(Receipt),
}

/// An event that has no place in the log yet.
#[derive(Debug)]
pub(crate) struct NewEvent {
    pub(crate) stream: Option<(String, i64)>,
    pub(crate) kind: String,
    pub(crate) data: String,
    pub(crate) payload: Payload,
}

/// Why there is no decision.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The command is refused, and why.
    Refused(Refusal),
    /// Something must be loaded first.
    Missing(Need),
}

/// Decides one command; batches are taken apart before (see [`crate::draft`]).
pub(crate) fn decide(state: &State, command: &Command, recorded_at: Timestamp) -> Result<Decision, Stop> {
    command.check()?;
    let known = check_id(state, command)?;
    if let Some(receipt) = known {
        return Ok(Decision::Duplicate(receipt));
    }
    let decided = match &command.action {
        Action::RegisterCurrency(currency) => accounts::register_currency(state, command, currency),
        Action::OpenAccount(account) => accounts::open_account(state, command, account),
        Action::Post(post) => entry::post(state, post, recorded_at),
        Action::Transfer(transfer) => entry::transfer(state, transfer, recorded_at),
        Action::Record(change) => record::record(state, change),
        Action::Unreadable(invalid) => Err(invalid.clone().into()),
        Action::Batch(_) => Err(Invalid::new("do", Some("batch".to_owned()), "a batch holds no batch").into()),
    };
    decided.map_err(|stop| verified(state, command, stop))
}

/// What is needed by a command whatever the state: loaded for a whole batch in one query.
pub(crate) fn needs(command: &Command, into: &mut Vec<Need>) {
    let mut code = |code: &str| into.push(Need::Code(code.to_owned()));
    match &command.action {
        Action::OpenAccount(account) => {
            code(&account.account);
            if crate::money::iso_scale(&account.currency).is_none() {
                into.push(Need::Currency(account.currency.clone()));
            }
        }
        Action::Post(post) => post.legs.iter().for_each(|leg| code(&leg.account)),
        Action::Transfer(transfer) => {
            let [first, second] = transfer.route.codes();
            code(first);
            code(second);
        }
        Action::Record(change) => into.push(Need::Stream(change.entity.clone())),
        Action::RegisterCurrency(currency) => into.push(Need::Currency(currency.code.clone())),
        Action::Batch(batch) => batch.commands.iter().for_each(|member| needs(member, into)),
        Action::Unreadable(_) => {}
    }
}

/// The ids of a command and of its members.
pub(crate) fn ids(command: &Command, into: &mut Vec<Need>) {
    into.extend(command.id.clone().map(Need::Id));
    if let Action::Batch(batch) = &command.action {
        batch.commands.iter().for_each(|member| ids(member, into));
    }
}

/// The receipt of an earlier, equal command under the same id.
pub(crate) fn check_id(state: &State, command: &Command) -> Result<Option<Receipt>, Stop> {
    let Some(id) = &command.id else { return Ok(None) };
    let IdUse::Used(record) = state.id(id) else { return Ok(None) };
    if record.fingerprint == Some(command.fingerprint()) {
        return Ok(Some(record.duplicate()));
    }
    let mut rejection = Rejection::new(Rule::IdReused, format!("the id {id:?} was used by another command"));
    rejection.position = Some(record.position);
    Err(rejection.into())
}

/// A refusal stands only once the id is known to be free: a repeat of what was done is not refused
/// because the ledger has moved on.
pub(crate) fn verified(state: &State, command: &Command, stop: Stop) -> Stop {
    match (&stop, &command.id) {
        (Stop::Refused(_), Some(id)) if matches!(state.id(id), IdUse::Unverified) => {
            Stop::Missing(Need::Id(id.clone()))
        }
        _ => stop,
    }
}

impl NewEvent {
    /// An event of the engine's own, whose data is its payload.
    pub(crate) fn new<T: serde::Serialize>(kind: &str, data: &T, payload: Payload) -> Result<Self, Stop> {
        // The payloads are plain structs; this error cannot come up, and is no reason to panic.
        let data = serde_json::to_string(data).map_err(|error| Invalid::new("", None, error.to_string()))?;
        Ok(Self { stream: None, kind: kind.to_owned(), data, payload })
    }
}

impl From<Need> for Stop {
    fn from(need: Need) -> Self {
        Self::Missing(need)
    }
}

impl From<Invalid> for Stop {
    fn from(invalid: Invalid) -> Self {
        Self::Refused(Refusal::Invalid(invalid))
    }
}

impl From<Rejection> for Stop {
    fn from(rejection: Rejection) -> Self {
        Self::Refused(Refusal::Rejected(Box::new(rejection)))
    }
}

impl From<Conflict> for Stop {
    fn from(conflict: Conflict) -> Self {
        Self::Refused(Refusal::Conflict(conflict))
    }
}
