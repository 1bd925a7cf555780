//! A draft: what a batch of commands would append, decided but not yet written.
//!
//! A single command is the batch of one. Atomic batches are taken apart here: their members are
//! decided in order, each on the state that those before it left, and all are taken back when one
//! fails.

use std::collections::HashSet;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::value::RawValue;

use crate::aggregate::{Context, Execution, Steps};
use crate::clock::to_microseconds;
use crate::command::{Action, Command, CommandBatch};
use crate::decide::{self, Decision, NewEvent, Stop};
use crate::event::{BatchCommitted, Envelope, Event, Payload, kind};
use crate::fold::{self, Posting};
use crate::hash::Fields;
use crate::outcome::{Invalid, Outcome, Receipt, Rejection, Rule};
use crate::position::Position;
use crate::state::{Facts, Mark, Need, State};

/// The rows that a batch of commands appends: one commit.
#[derive(Clone, Debug, Default)]
pub(crate) struct Draft {
    pub(crate) events: Vec<Event>,
    pub(crate) accounts: Vec<AccountRow>,
    pub(crate) postings: Vec<Posting>,
}

/// One row of the `account` table.
#[derive(Clone, Debug)]
pub(crate) struct AccountRow(pub(crate) Arc<Facts>);

/// Where a draft and its state stood, to go back to.
pub(crate) struct Save {
    mark: Mark,
    events: usize,
    accounts: usize,
    postings: usize,
}

impl Draft {
    /// Decides one command and adds what it writes; `stamp` is the clock's time when it was sent.
    ///
    /// What is missing is answered as an error; the draft and the state are then as before.
    pub(crate) fn add(&mut self, state: &mut State, command: &Command, stamp: Timestamp) -> Result<Outcome, Vec<Need>> {
        let save = self.save(state);
        let added = match &command.action {
            Action::Batch(batch) if batch.atomic => self.add_atomic(state, command, batch, stamp),
            Action::Batch(batch) => self.add_members(state, command, batch, stamp),
            Action::ExpireDue(_) => self.add_expiries(state, command, stamp),
            Action::Execute(execution) => self.add_execution(state, command, execution, stamp),
            _ => self.add_single(state, command, stamp),
        };
        added.or_else(|stop| {
            self.restore(state, &save);
            match stop {
                Stop::Refused(refusal) => Ok(refusal.into()),
                Stop::Missing(needs) => Err(needs),
            }
        })
    }

    fn add_single(&mut self, state: &mut State, command: &Command, stamp: Timestamp) -> Result<Outcome, Stop> {
        let recorded_at = recorded_at(state, stamp);
        match decide::decide(state, command, recorded_at)? {
            Decision::Duplicate(receipt) => Ok(Outcome::Ok(receipt)),
            Decision::Nothing => Ok(Outcome::Ok(Receipt::default())),
            Decision::Write(event) => {
                self.write(state, command, command.id.clone(), event, recorded_at).map(Outcome::Ok)
            }
        }
    }

    /// One event a hold that is due, each decided on what those before it left; the last carries the id.
    fn add_expiries(&mut self, state: &mut State, command: &Command, stamp: Timestamp) -> Result<Outcome, Stop> {
        let recorded_at = recorded_at(state, stamp);
        let mut receipt = Receipt::default();
        let mut count = 0;
        loop {
            match decide::decide(state, command, recorded_at)? {
                Decision::Duplicate(receipt) => return Ok(Outcome::Ok(receipt)),
                Decision::Nothing => {
                    decide::verify_id(state, command)?;
                    return Ok(Outcome::Ok(Receipt { count: Some(count), ..receipt }));
                }
                Decision::Write(event) => {
                    let last = decide::due(state, command, recorded_at)? == 1;
                    let id = command.id.clone().filter(|_| last);
                    receipt = Receipt { balances: None, ..self.write(state, command, id, event, recorded_at)? };
                    count += 1;
                    if last {
                        return Ok(Outcome::Ok(Receipt { count: Some(count), ..receipt }));
                    }
                }
            }
        }
    }

    /// A batch that is not atomic is exactly its members, sent one by one.
    fn add_members(
        &mut self,
        state: &mut State,
        command: &Command,
        batch: &CommandBatch,
        stamp: Timestamp,
    ) -> Result<Outcome, Stop> {
        command.check()?;
        self.events.reserve(batch.commands.len());
        let mut outcomes = Vec::with_capacity(batch.commands.len());
        for member in &batch.commands {
            outcomes.push(self.add(state, member, stamp)?);
        }
        Ok(Outcome::Ok(batch_receipt(outcomes)))
    }

    fn add_atomic(
        &mut self,
        state: &mut State,
        command: &Command,
        batch: &CommandBatch,
        stamp: Timestamp,
    ) -> Result<Outcome, Stop> {
        command.check()?;
        if let Some(receipt) = decide::check_id(state, command)? {
            return Ok(Outcome::Ok(receipt));
        }
        let receipt = self.add_all(state, command, &batch.commands, stamp)?;
        self.close_batch(state, command, receipt, stamp)
    }

    /// The decision of an aggregate: its commands, then its events, all or nothing. The last event carries the
    /// id; without any, the row that closes a batch.
    fn add_execution(
        &mut self,
        state: &mut State,
        command: &Command,
        execution: &Execution,
        stamp: Timestamp,
    ) -> Result<Outcome, Stop> {
        execution.0.forget();
        command.check()?;
        if let Some(receipt) = decide::check_id(state, command)? {
            return Ok(Outcome::Ok(receipt));
        }
        let now = recorded_at(state, stamp);
        let steps = execute(state, execution, now).map_err(|stop| decide::verified(state, command, stop))?;
        let mut receipt = self.add_all(state, command, &steps.commands, stamp)?;
        let Some(last) = steps.events.len().checked_sub(1) else {
            return self.close_batch(state, command, receipt, stamp);
        };
        for (index, change) in steps.events.into_iter().enumerate() {
            let id = command.id.clone().filter(|_| index == last);
            Command::new(Action::Record(change.clone())).check()?;
            let event = decide::record::record(state, &change)?;
            let recorded_at = recorded_at(state, stamp);
            let written = self.write(state, command, id, event, recorded_at)?;
            receipt = Receipt { outcomes: receipt.outcomes, ..written };
        }
        Ok(Outcome::Ok(receipt))
    }

    /// Commands in order, all or nothing, each seeing those before it.
    fn add_all(
        &mut self,
        state: &mut State,
        command: &Command,
        members: &[Command],
        stamp: Timestamp,
    ) -> Result<Receipt, Stop> {
        self.events.reserve(members.len());
        let mut outcomes = Vec::with_capacity(members.len());
        for (index, member) in members.iter().enumerate() {
            // The id is the batch's own from here on, though its row comes last.
            let taken = command.id.as_ref().filter(|id| member.id.as_ref() == Some(id) && member.check().is_ok());
            let outcome = match taken {
                Some(id) => Outcome::Rejected(Box::new(decide::id_reused(id))),
                None => self.add(state, member, stamp)?,
            };
            if !outcome.is_ok() {
                return Err(decide::verified(state, command, batch_failed(index, outcome)));
            }
            outcomes.push(outcome);
        }
        Ok(batch_receipt(outcomes))
    }

    /// What is the batch's own needs a row of its own; the id, a place in the index of ids.
    fn close_batch(
        &mut self,
        state: &mut State,
        command: &Command,
        receipt: Receipt,
        stamp: Timestamp,
    ) -> Result<Outcome, Stop> {
        if receipt.position.is_none() {
            // What wrote nothing uses no id, but the id may have been used before.
            decide::verify_id(state, command)?;
            return Ok(Outcome::Ok(receipt));
        }
        let has_own = command.id.is_some() || command.correlation.is_some() || command.at.is_some();
        if !has_own && command.meta.is_empty() {
            return Ok(Outcome::Ok(receipt));
        }
        let committed = BatchCommitted { commands: receipt.outcomes.as_ref().map_or(0, Vec::len) };
        let event = NewEvent::new(kind::BATCH_COMMITTED, &committed, Payload::BatchCommitted(committed.clone()))?;
        let recorded_at = recorded_at(state, stamp);
        let written = self.write(state, command, command.id.clone(), event, recorded_at)?;
        Ok(Outcome::Ok(Receipt { outcomes: receipt.outcomes, balances: None, ..written }))
    }

    fn write(
        &mut self,
        state: &mut State,
        command: &Command,
        id: Option<String>,
        new: NewEvent,
        recorded_at: Timestamp,
    ) -> Result<Receipt, Stop> {
        let (event, payload) = place(state, command, id, new, recorded_at)?;
        let postings = fold::fold(state, &event, &payload).map_err(|error| malformed(&error))?;
        if let Payload::AccountOpened(opened) = &payload
            && let Some(account) = state.account(&opened.account, &opened.currency)
        {
            self.accounts.push(AccountRow(Arc::clone(&account.facts)));
        }
        let amount = match &payload {
            Payload::EntryPosted(entry) => entry.amount,
            _ => None,
        };
        let receipt = Receipt {
            position: Some(event.position),
            id: event.id.clone(),
            hash: Some(event.hash),
            recorded_at: Some(event.recorded_at),
            amount,
            balances: balances(state, &payload, event.position),
            ..Receipt::default()
        };
        self.postings.extend(postings);
        self.events.push(event);
        Ok(receipt)
    }

    pub(crate) fn save(&self, state: &State) -> Save {
        Save {
            mark: state.mark(),
            events: self.events.len(),
            accounts: self.accounts.len(),
            postings: self.postings.len(),
        }
    }

    pub(crate) fn restore(&mut self, state: &mut State, save: &Save) {
        state.rollback(&save.mark);
        self.events.truncate(save.events);
        self.accounts.truncate(save.accounts);
        self.postings.truncate(save.postings);
    }
}

/// Takes an aggregate's decision on the state and the balances at the head.
fn execute(state: &mut State, execution: &Execution, now: Timestamp) -> Result<Steps, Stop> {
    let entity = execution.0.entity();
    let folded = execution.0.state(state.aggregate(entity), state.version(entity)?)?;
    state.load_aggregate(entity, Arc::clone(&folded));
    let mut balances = Vec::new();
    let mut missing = Vec::new();
    for code in execution.0.accounts(&folded)? {
        match state.accounts_of(&code) {
            Ok(accounts) => balances.extend(accounts.iter().map(|account| account.balance(state.head.position))),
            Err(need) => missing.push(need),
        }
    }
    if !missing.is_empty() {
        return Err(missing.into());
    }
    let context = Context { entity: entity.to_owned(), id: execution.0.id().to_owned(), now, balances };
    let steps = execution.0.decide(&folded, &context)?;
    let whole = |member: &Command| matches!(member.action, Action::Batch(_) | Action::Execute(_));
    match steps.commands.iter().position(whole) {
        None => Ok(steps),
        Some(index) => {
            let name = steps.commands[index].name().to_owned();
            let why = "a decision holds no batch, as it is one";
            Err(Invalid::new(format!("commands[{index}]"), Some(name), why).into())
        }
    }
}

/// Recorded time never goes back along positions.
fn recorded_at(state: &State, stamp: Timestamp) -> Timestamp {
    let stamp = to_microseconds(stamp);
    state.head.recorded_at.map_or(stamp, |last| last.max(stamp))
}

/// Gives the event its place behind the state's head, and its hash.
fn place(
    state: &State,
    command: &Command,
    id: Option<String>,
    new: NewEvent,
    recorded_at: Timestamp,
) -> Result<(Event, Payload), Stop> {
    let envelope = Envelope {
        fingerprint: command.fingerprint().to_string(),
        correlation: command.correlation.clone(),
        meta: command.meta.clone(),
    };
    let text = serde_json::to_string(&envelope);
    let json = |text: Result<String, serde_json::Error>| {
        text.and_then(RawValue::from_string).map_err(|error| Stop::from(Invalid::new("", None, error.to_string())))
    };
    let (stream, version) = new.stream.unzip();
    let mut event = Event {
        position: state.head.position.next(),
        id,
        stream,
        version,
        kind: new.kind,
        schema: new.schema,
        data: json(Ok(new.data))?,
        meta: json(text)?,
        effective_at: command.at.map_or(recorded_at, to_microseconds),
        recorded_at,
        hash: state.head.hash,
    };
    event.hash = state.head.hash.chain(&Fields::from(&event));
    Ok((event, new.payload))
}

/// The balances of the touched accounts, in order of first appearance.
fn balances(state: &State, payload: &Payload, position: Position) -> Option<Vec<crate::Balance>> {
    let mut seen = HashSet::new();
    let named = payload.movements().map(|moved| (moved.leg.account.as_str(), moved.leg.currency.as_str()));
    let first = named.filter(|account| seen.insert(*account));
    let accounts = first.filter_map(|(code, currency)| state.account(code, currency));
    let balances: Vec<_> = accounts.map(|account| account.balance(position)).collect();
    (!balances.is_empty()).then_some(balances)
}

/// The receipt of a batch: its members' outcomes, and the last place that it wrote.
fn batch_receipt(outcomes: Vec<Outcome>) -> Receipt {
    let written = outcomes.iter().rev().find_map(|outcome| match outcome {
        Outcome::Ok(receipt) if !receipt.duplicate && receipt.position.is_some() => {
            Some((receipt.position, receipt.hash, receipt.recorded_at))
        }
        _ => None,
    });
    let (position, hash, recorded_at) = written.unwrap_or_default();
    Receipt { position, hash, recorded_at, outcomes: Some(outcomes), ..Receipt::default() }
}

fn batch_failed(index: usize, outcome: Outcome) -> Stop {
    let mut rejection =
        Rejection::new(Rule::BatchFailed, format!("command {index} of the batch failed; none was done"));
    rejection.index = Some(index);
    rejection.outcome = Some(Box::new(outcome));
    rejection.into()
}

fn malformed(error: &crate::event::PayloadError) -> Stop {
    Stop::from(Invalid::new("", None, error.to_string()))
}
