//! The rules of the ledger: `decide(state, command) -> events | refusal`, pure.
//!
//! No I/O, no clock, no randomness: the recorded time is an argument. The order of checks is that of
//! the contract: shape, id, existence, scale and left-out currency, state, period, balance, overflow,
//! limits. The first that fails is the one reported.

mod accounts;
mod entry;
mod hold;
mod legs;
mod limits;
mod period;
pub(crate) mod record;
mod status;

use jiff::Timestamp;

use crate::command::{Action, Command, Held};
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
    /// There is nothing to do.
    Nothing,
}

/// A command and when it was asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) command: &'a Command,
    pub(crate) recorded_at: Timestamp,
}

impl Asked<'_> {
    /// When it is to take effect.
    pub(crate) fn effective_at(&self) -> Timestamp {
        self.command.at.map_or(self.recorded_at, crate::clock::to_microseconds)
    }
}

/// An event that has no place in the log yet.
#[derive(Debug)]
pub(crate) struct NewEvent {
    pub(crate) stream: Option<(String, i64)>,
    pub(crate) kind: String,
    pub(crate) schema: i16,
    pub(crate) data: String,
    pub(crate) payload: Payload,
}

/// Why there is no decision.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The command is refused, and why.
    Refused(Refusal),
    /// Something must be loaded first.
    Missing(Vec<Need>),
}

/// Decides one command; batches are taken apart before (see [`crate::draft`]).
pub(crate) fn decide(state: &State, command: &Command, recorded_at: Timestamp) -> Result<Decision, Stop> {
    command.check()?;
    let known = check_id(state, command)?;
    if let Some(receipt) = known {
        return Ok(Decision::Duplicate(receipt));
    }
    let asked = Asked { command, recorded_at };
    let decided = match &command.action {
        Action::RegisterCurrency(currency) => accounts::register_currency(state, command, currency),
        Action::OpenAccount(account) => accounts::open_account(state, command, account),
        Action::SetLimits(set) => status::set_limits(state, set),
        Action::Freeze(freeze) => status::freeze(state, freeze, true),
        Action::Unfreeze(freeze) => status::freeze(state, freeze, false),
        Action::CloseAccount(close) => status::close_account(state, close),
        Action::Post(post) => entry::post(state, post, asked),
        Action::Transfer(transfer) => entry::transfer(state, transfer, asked),
        Action::Hold(place) => hold::hold(state, place, asked),
        Action::Settle(settle) => hold::settle(state, settle, asked),
        Action::Void(void) => hold::void(state, void, asked),
        Action::ExpireDue(expire) => hold::expire_due(state, expire, asked),
        Action::Reverse(reverse) => entry::reverse(state, reverse, asked),
        Action::AssertBalance(assert) => status::assert_balance(state, assert),
        Action::ClosePeriod(close) => period::close(state, close),
        Action::ReopenPeriod(reopen) => period::reopen(state, reopen),
        Action::Record(change) => record::record(state, change).map(Decision::Write),
        Action::Unreadable(invalid) => Err(invalid.clone().into()),
        Action::Batch(_) | Action::Execute(_) => {
            Err(Invalid::new("do", Some(command.name().to_owned()), "a batch holds no batch").into())
        }
    };
    decided.map_err(|stop| verified(state, command, stop))
}

/// What a command needs, whatever the state of what it names, and is not here: loaded for a whole batch in
/// one query.
pub(crate) fn needs(state: &State, command: &Command, into: &mut Vec<Need>) {
    let mut code = |code: &str| {
        if !state.knows_code(code) {
            into.push(Need::Code(code.to_owned()));
        }
    };
    match &command.action {
        Action::OpenAccount(account) => {
            code(&account.account);
            if crate::money::iso_scale(&account.currency).is_none() {
                into.push(Need::Currency(account.currency.clone()));
            }
        }
        Action::SetLimits(set) => code(&set.account),
        Action::Freeze(freeze) | Action::Unfreeze(freeze) => code(&freeze.account),
        Action::CloseAccount(close) => code(&close.account),
        Action::AssertBalance(assert) => code(&assert.account),
        Action::Post(post) => {
            post.legs.iter().for_each(|leg| code(&leg.account));
            into.push(Need::Period);
        }
        Action::Transfer(transfer) => {
            transfer.route.codes().into_iter().for_each(code);
            into.push(Need::Period);
        }
        Action::Hold(hold) => {
            match &hold.what {
                Held::Legs(legs) => legs.iter().for_each(|leg| code(&leg.account)),
                Held::Amount { route, .. } => route.codes().into_iter().for_each(code),
            }
            into.push(Need::Period);
        }
        Action::Settle(settle) => into.extend([Need::Id(settle.hold.clone()), Need::Period]),
        Action::Void(void) => into.push(Need::Id(void.hold.clone())),
        Action::Reverse(reverse) => into.extend([Need::Id(reverse.entry.clone()), Need::Period]),
        Action::Record(change) => into.push(Need::Stream(change.entity.clone())),
        Action::Execute(execution) => into.push(Need::Stream(execution.0.entity().to_owned())),
        Action::RegisterCurrency(currency) => into.push(Need::Currency(currency.code.clone())),
        Action::Batch(batch) => batch.commands.iter().for_each(|member| needs(state, member, into)),
        Action::ClosePeriod(_) | Action::ReopenPeriod(_) => into.push(Need::Period),
        Action::ExpireDue(_) | Action::Unreadable(_) => {}
    }
}

/// How many holds an `expire_due` has still to void.
pub(crate) fn due(state: &State, command: &Command, recorded_at: Timestamp) -> Result<usize, Stop> {
    match &command.action {
        Action::ExpireDue(expire) => Ok(state.due(expire.now.unwrap_or(recorded_at))?.len()),
        _ => Ok(0),
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
    let mut rejection = id_reused(id);
    rejection.position = Some(record.position);
    Err(rejection.into())
}

/// The id is that of another command.
pub(crate) fn id_reused(id: &str) -> Rejection {
    Rejection::new(Rule::IdReused, format!("the id {id:?} was used by another command"))
}

/// Makes sure that the id was looked up.
pub(crate) fn verify_id(state: &State, command: &Command) -> Result<(), Stop> {
    match &command.id {
        Some(id) if matches!(state.id(id), IdUse::Unverified) => Err(Need::Id(id.clone()).into()),
        _ => Ok(()),
    }
}

/// A refusal stands only once the id is known to be free: a repeat of what was done is not refused
/// because the ledger has moved on.
pub(crate) fn verified(state: &State, command: &Command, stop: Stop) -> Stop {
    match (&stop, &command.id) {
        (Stop::Refused(_), Some(id)) if matches!(state.id(id), IdUse::Unverified) => {
            Stop::Missing(vec![Need::Id(id.clone())])
        }
        _ => stop,
    }
}

impl NewEvent {
    /// An event of the engine's own, whose data is its payload.
    pub(crate) fn new<T: serde::Serialize>(kind: &str, data: &T, payload: Payload) -> Result<Self, Stop> {
        // The payloads are plain structs; this error cannot come up, and is no reason to panic.
        let data = serde_json::to_string(data).map_err(|error| Invalid::new("", None, error.to_string()))?;
        Ok(Self { stream: None, kind: kind.to_owned(), schema: 1, data, payload })
    }
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Vec<Need>> for Stop {
    fn from(needs: Vec<Need>) -> Self {
        Self::Missing(needs)
    }
}

impl From<Need> for Stop {
    fn from(need: Need) -> Self {
        Self::Missing(vec![need])
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
