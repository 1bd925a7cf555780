//! Sending a command to an aggregate, and reading its state.

use std::future::IntoFuture;
use std::sync::{Arc, Mutex};

use futures::FutureExt;
use futures::future::BoxFuture;
use jiff::Timestamp;
use uuid::Uuid;

use super::execution::{Asked, Verdict};
use super::{Aggregate, Execution, Folded};
use crate::command::{Action, Command};
use crate::error::Error;
use crate::ledger::Ledger;
use crate::log::Log;
use crate::outcome::{Invalid, Receipt, Refusal};
use crate::store::PgConnection;

/// Why an aggregate did not do what it was asked. Nothing changed, unless the error is
/// [`Error::OutcomeUnknown`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExecuteError<R> {
    /// The aggregate refused.
    #[error("{0}")]
    Refused(R),
    /// The ledger refused: a command of the decision, or the id was used by another command.
    #[error(transparent)]
    Ledger(Refusal),
    /// Others changed the entity again and again while its state was read.
    #[error("{entity} changed {attempts} times while it was read; try again")]
    Contended {
        /// Which entity.
        entity: String,
        /// How often it was read: [`Settings::fold_attempts_max`](crate::Settings::fold_attempts_max).
        attempts: usize,
    },
    /// There is no answer: as [`Ledger::submit`], or an event of the entity cannot be read.
    #[error(transparent)]
    Error(#[from] Error),
}

/// A command to an aggregate that is to be awaited: see [`Ledger::execute_on`].
#[must_use = "nothing is done before it is awaited"]
pub struct Execute<'l, A: Aggregate> {
    ledger: &'l Ledger,
    entity: String,
    command: A::Command,
    /// Id, remarks, correlation and time; what is asked comes later.
    envelope: Command,
    snapshot: Option<Folded<A>>,
}

impl Ledger {
    /// Asks an aggregate: the decision that it takes is written, all of it or nothing.
    ///
    /// Await it as it is, after [`Execute::id`] where the caller may repeat it, or with [`Execute::within`] in
    /// the host's own transaction. See [`aggregate`](crate::aggregate) for what is guaranteed, and an example.
    /// Dropping the future does not take the command back once it was polled; one under an id can be repeated.
    pub fn execute_on<A: Aggregate>(&self, entity: impl Into<String>, command: A::Command) -> Execute<'_, A> {
        let envelope = Command::new(Action::Unreadable(Invalid::new("", None, "not asked yet")));
        Execute { ledger: self, entity: entity.into(), command, envelope, snapshot: None }
    }
}

impl<A: Aggregate> Execute<'_, A> {
    /// The idempotency key: the same command on the same entity under it again answers the same receipt.
    /// Default: a new one, so that each call is one of its own.
    ///
    /// Leave room for the parts of [`Context::id_of`](super::Context::id_of): an id has at most 128 characters.
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.envelope.id = Some(id.into());
        self
    }

    /// When the events count; default: the recorded time. The commands of a decision say that themselves.
    pub fn at(mut self, at: Timestamp) -> Self {
        self.envelope.at = Some(at);
        self
    }

    /// Adds a remark of the caller's own to the events.
    pub fn meta(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.envelope.meta.insert(key.into(), value.into());
        self
    }

    /// Ties the events to a business process.
    pub fn correlation(mut self, correlation: impl Into<String>) -> Self {
        self.envelope.correlation = Some(correlation.into());
        self
    }

    /// Where to fold on from, if the writer does not have the state at hand.
    pub fn snapshot(mut self, snapshot: Folded<A>) -> Self {
        self.snapshot = Some(snapshot);
        self
    }

    /// Decides and writes within a transaction of the host's: see [`Ledger::post_in`].
    ///
    /// # Errors
    ///
    /// [`ExecuteError`]; after a refusal the transaction is usable.
    pub async fn within(self, transaction: &mut PgConnection) -> Result<Receipt, ExecuteError<A::Refusal>> {
        self.run(Some(transaction)).await
    }

    async fn run(self, mut within: Option<&mut PgConnection>) -> Result<Receipt, ExecuteError<A::Refusal>> {
        let ledger = self.ledger;
        let attempts = ledger.settings().fold_attempts_max;
        let (asked, command) = self.prepare().map_err(|invalid| ExecuteError::Ledger(Refusal::Invalid(invalid)))?;
        for _ in 0..attempts {
            let outcome = match within.as_deref_mut() {
                Some(transaction) => ledger.post_in(transaction, command.clone()).await?,
                None => ledger.submit(command.clone()).await?,
            };
            let refusal = match outcome.into_result() {
                Ok(receipt) => return Ok(receipt),
                Err(refusal) => refusal,
            };
            match std::mem::replace(&mut *asked.verdict(), Verdict::Outcome) {
                Verdict::Outcome => return Err(ExecuteError::Ledger(reason(refusal))),
                Verdict::Refused(refusal) => return Err(ExecuteError::Refused(refusal)),
                Verdict::Panicked(panic) => std::panic::resume_unwind(panic),
                Verdict::Cold => {}
            }
            let known = asked.offered().take().map(Arc::unwrap_or_clone).unwrap_or_default();
            let folded = fold(ledger.log(), within.as_deref_mut(), &asked.entity, known).await?;
            *asked.offered() = Some(Arc::new(folded));
        }
        Err(ExecuteError::Contended { entity: asked.entity.clone(), attempts })
    }

    fn prepare(self) -> Result<(Arc<Asked<A>>, Command), Invalid> {
        let of_type = self.entity.strip_prefix(A::ENTITY).is_some_and(|rest| rest.starts_with('/'));
        if !of_type {
            let why = format!("this aggregate is that of {}/..", A::ENTITY);
            return Err(Invalid::new("entity", Some(self.entity), why));
        }
        let json =
            serde_json::to_string(&self.command).map_err(|error| Invalid::new("command", None, error.to_string()))?;
        let mut command = self.envelope;
        let id = command.id.get_or_insert_with(|| Uuid::now_v7().to_string()).clone();
        let asked = Arc::new(Asked {
            entity: self.entity,
            id,
            json,
            command: self.command,
            offered: Mutex::new(self.snapshot.map(Arc::new)),
            verdict: Mutex::new(Verdict::Outcome),
        });
        command.action = Action::Execute(Execution(Arc::clone(&asked) as _));
        Ok((asked, command))
    }
}

impl<'l, A: Aggregate> IntoFuture for Execute<'l, A> {
    type Output = Result<Receipt, ExecuteError<A::Refusal>>;
    type IntoFuture = BoxFuture<'l, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        self.run(None).boxed()
    }
}

impl Log {
    /// The state of an entity: the fold of all its events, read a page at a time.
    ///
    /// # Errors
    ///
    /// When the database is not available, or an event cannot be read as one of the aggregate's.
    pub async fn fold<A: Aggregate>(&self, entity: &str) -> Result<Folded<A>, Error> {
        fold(self, None, entity, Folded::default()).await
    }

    /// The same, from a snapshot on.
    ///
    /// # Errors
    ///
    /// As [`Log::fold`].
    pub async fn fold_from<A: Aggregate>(&self, entity: &str, snapshot: Folded<A>) -> Result<Folded<A>, Error> {
        fold(self, None, entity, snapshot).await
    }
}

/// Events of an entity read at a time.
const PAGE_EVENTS: usize = 1_000;

/// Folds on from what is known to the entity's newest event.
async fn fold<A: Aggregate>(
    log: &Log,
    mut within: Option<&mut PgConnection>,
    entity: &str,
    known: Folded<A>,
) -> Result<Folded<A>, Error> {
    let mut folded = Folded::default();
    if known.version > 0 {
        // The last event that is known is read again: it tells whether what is known is of this log.
        let last = log.store().stream(within.as_deref_mut(), entity, known.version - 1, 1).await?;
        if last.first().map(|event| event.hash) == known.hash {
            folded = known;
        }
    }
    loop {
        let page = log.store().stream(within.as_deref_mut(), entity, folded.version, PAGE_EVENTS).await?;
        if page.is_empty() {
            return Ok(folded);
        }
        folded = page.iter().try_fold(folded, Folded::evolve)?;
    }
}

/// Why the ledger refused; of a decision's command that failed, its own reason.
fn reason(refusal: Refusal) -> Refusal {
    match refusal {
        Refusal::Rejected(rejection) if rejection.outcome.is_some() => {
            let member = rejection.outcome.clone().map(|outcome| outcome.into_result());
            member.and_then(Result::err).map_or(Refusal::Rejected(rejection), reason)
        }
        other => other,
    }
}
