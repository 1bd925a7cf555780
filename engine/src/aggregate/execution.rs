//! A command of an aggregate on its way through the writer, its types erased.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::folded::typed;
use super::{Aggregate, Cached, Context, Decision, Folded, event};
use crate::command::{Command, MAX_BATCH, Record};
use crate::outcome::{Conflict, Invalid, Refusal, Rejection, Rule};

/// What an aggregate is asked: made by [`Ledger::execute_on`](crate::Ledger::execute_on), never read from JSON.
#[derive(Clone)]
pub struct Execution(pub(crate) Arc<dyn Decide>);

/// What was decided.
pub(crate) struct Steps {
    pub(crate) commands: Vec<Command>,
    pub(crate) events: Vec<Record>,
}

/// An aggregate's rules with a command, for the writer.
pub(crate) trait Decide: Send + Sync {
    fn entity(&self) -> &str;

    /// The aggregate's command as JSON.
    fn json(&self) -> &str;

    /// The id that the ids of the decision's commands are made of.
    fn id(&self) -> &str;

    /// Forgets what was found at an earlier try.
    fn forget(&self);

    /// The state of the entity at this version: the writer's, or the one that the caller brought along.
    ///
    /// A state that is ahead of the version is as good: the log has grown behind the writer's back, so what is
    /// written on it will lose the race and be decided again, and a refusal rests on what is in the log.
    fn state(&self, cached: Option<Cached>, version: i64) -> Result<Cached, Refusal>;

    /// The accounts whose balances are needed.
    fn accounts(&self, state: &Cached) -> Result<Vec<String>, Refusal>;

    fn decide(&self, state: &Cached, context: &Context) -> Result<Steps, Refusal>;
}

impl PartialEq for Execution {
    fn eq(&self, other: &Self) -> bool {
        (self.0.entity(), self.0.id(), self.0.json()) == (other.0.entity(), other.0.id(), other.0.json())
    }
}

impl fmt::Debug for Execution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Execution").field("entity", &self.0.entity()).field("command", &self.0.json()).finish()
    }
}

/// What only the caller is told: it does not fit an outcome of the ledger.
pub(super) enum Verdict<R> {
    /// The outcome says it all.
    Outcome,
    /// Neither the writer nor the caller had the state.
    Cold,
    /// By the aggregate.
    Refused(R),
    /// The aggregate panicked; so will the caller.
    Panicked(Box<dyn Any + Send>),
}

/// One call of [`Ledger::execute_on`](crate::Ledger::execute_on).
pub(super) struct Asked<A: Aggregate> {
    pub(super) entity: String,
    pub(super) id: String,
    pub(super) json: String,
    pub(super) command: A::Command,
    /// The state as the caller folded it.
    pub(super) offered: Mutex<Option<Arc<Folded<A>>>>,
    pub(super) verdict: Mutex<Verdict<A::Refusal>>,
}

impl<A: Aggregate> Asked<A> {
    /// Where a refusal of the aggregate's stands until its caller takes it.
    pub(super) fn verdict(&self) -> MutexGuard<'_, Verdict<A::Refusal>> {
        self.verdict.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn offered(&self) -> MutexGuard<'_, Option<Arc<Folded<A>>>> {
        self.offered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs code of the embedder's: its panic goes to the caller, not to the writer.
    fn guard<T>(&self, code: impl FnOnce() -> T) -> Result<T, Refusal> {
        catch_unwind(AssertUnwindSafe(code)).map_err(|panic| {
            *self.verdict() = Verdict::Panicked(panic);
            stop("the aggregate panicked")
        })
    }
}

/// A refusal that stands for a verdict; it never leaves this crate.
fn stop(why: &str) -> Refusal {
    Refusal::Rejected(Box::new(Rejection::new(Rule::BatchFailed, why)))
}

fn of_type<A: Aggregate>(state: &Cached) -> Result<Arc<Folded<A>>, Refusal> {
    typed::<A>(Arc::clone(state)).ok_or_else(|| stop("the state is of another type"))
}

impl<A: Aggregate> Decide for Asked<A> {
    fn entity(&self) -> &str {
        &self.entity
    }

    fn json(&self) -> &str {
        &self.json
    }

    fn id(&self) -> &str {
        &self.id
    }

    fn forget(&self) {
        *self.verdict() = Verdict::Outcome;
    }

    fn state(&self, cached: Option<Cached>, version: i64) -> Result<Cached, Refusal> {
        let current = |folded: &Arc<Folded<A>>| folded.version >= version;
        if let Some(cached) = cached.and_then(typed::<A>).filter(current) {
            return Ok(cached);
        }
        if let Some(offered) = self.offered().clone().filter(current) {
            return Ok(offered);
        }
        if version == 0 {
            return self.guard(|| Arc::new(Folded::<A>::default()) as Cached);
        }
        *self.verdict() = Verdict::Cold;
        let expected = self.offered().as_ref().map_or(0, |offered| offered.version);
        let message = format!("{} has moved on to version {version}", self.entity);
        Err(Refusal::Conflict(Conflict { entity: self.entity.clone(), expected, found: version, message }))
    }

    fn accounts(&self, state: &Cached) -> Result<Vec<String>, Refusal> {
        let state = of_type::<A>(state)?;
        self.guard(|| state.state.accounts(&self.command))
    }

    fn decide(&self, state: &Cached, context: &Context) -> Result<Steps, Refusal> {
        let state = of_type::<A>(state)?;
        let decision = self.guard(|| state.state.decide(&self.command, context))?.map_err(|refusal| {
            *self.verdict() = Verdict::Refused(refusal);
            stop("the aggregate refused")
        })?;
        let Decision { commands, events } = decision;
        if commands.len() + events.len() > MAX_BATCH {
            let count = (commands.len() + events.len()).to_string();
            let why = format!("a decision has at most {MAX_BATCH} commands and events");
            return Err(Refusal::Invalid(Invalid::new("commands", Some(count), why)));
        }
        let write = || events.iter().map(|event| event::write::<A>(&self.entity, event)).collect();
        let events: Result<_, Invalid> = self.guard(write)?;
        Ok(Steps { commands, events: events.map_err(Refusal::Invalid)? })
    }
}
