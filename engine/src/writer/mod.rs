//! The writer: one task per open ledger, group commit across callers.
//!
//! | phase | what happens |
//! |---|---|
//! | gather | take what is queued, up to `batch_commands_max`; no timer, so a lone post waits for nobody |
//! | decide | every command in order, on the state at the head; what is missing is loaded in one go |
//! | append | all rows in one commit |
//! | answer | every caller, only after the commit is durable |
//!
//! While a batch commits, the next one gathers in the queue. A lost race rolls the state back, reads
//! what was missed and decides again.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};

use crate::command::Command;
use crate::decide;
use crate::draft::Draft;
use crate::error::Error;
use crate::fold;
use crate::outcome::Outcome;
use crate::settings::Settings;
use crate::state::{CacheBounds, Need, State};
use crate::store::{AppendError, Store, hash_at};

/// How often the queue is looked at again before a batch is sent.
///
/// Callers that were just answered need a moment to send their next command; without this they split
/// into two halves that alternate.
const GATHER_YIELDS: usize = 4;

/// So many batches have their ids looked up before they are decided, after one that met a used id.
///
/// Ids are taken as new, which saves the look-up; one that is not costs the whole batch a second
/// attempt. Repeats come in swarms (a file sent again, a caller that lost its answers), so after the
/// first one the look-up is the cheaper way for a while.
const WARY_BATCHES: usize = 32;

/// A command on its way to the writer.
pub(crate) struct Request {
    pub(crate) command: Command,
    /// The clock's time when it was sent.
    pub(crate) stamp: Timestamp,
    pub(crate) reply: oneshot::Sender<Result<Outcome, Error>>,
}

/// Serves requests until every sender is gone; then everybody was answered.
pub(crate) async fn run(store: Arc<dyn Store>, settings: Settings, mut requests: mpsc::Receiver<Request>) {
    let mut writer = Writer { store, settings, state: None, wary: 0 };
    while let Some(first) = requests.recv().await {
        let most = writer.settings.batch_commands_max;
        let mut batch = Batch::of(first);
        for _ in 0..GATHER_YIELDS {
            batch.gather(&mut requests, most);
            tokio::task::yield_now().await;
        }
        batch.gather(&mut requests, most);
        if let Err(error) = writer.serve(batch.requests).await {
            refuse_queued(&mut requests, &error);
        }
    }
}

/// What is queued behind a batch that failed fails with it: a caller that has many commands on their way
/// must not find a later one done and an earlier one not.
fn refuse_queued(requests: &mut mpsc::Receiver<Request>, error: &Error) {
    while let Ok(request) = requests.try_recv() {
        let why = format!("a command before this one failed: {error}");
        let _ = request.reply.send(Err(Error::Unavailable(why)));
    }
}

/// Requests that go into one commit.
struct Batch {
    requests: Vec<Request>,
    /// The commands in them, members of batches included.
    commands: usize,
}

impl Batch {
    fn of(first: Request) -> Self {
        let commands = first.command.count();
        Self { requests: vec![first], commands }
    }

    fn gather(&mut self, queue: &mut mpsc::Receiver<Request>, most: usize) {
        while self.commands < most {
            let Ok(request) = queue.try_recv() else { return };
            self.commands += request.command.count();
            self.requests.push(request);
        }
    }
}

struct Writer {
    store: Arc<dyn Store>,
    settings: Settings,
    /// What is known of the log; `None` before the first batch and after a failure.
    state: Option<State>,
    /// Batches that are still to have their ids looked up first.
    wary: usize,
}

/// A batch that was decided: its rows, and what every caller is to be told once they are durable.
struct Decided {
    draft: Draft,
    outcomes: Vec<Outcome>,
}

impl Writer {
    /// Answers every caller of the batch; the error is that of all of them.
    async fn serve(&mut self, batch: Vec<Request>) -> Result<(), Error> {
        let started = Instant::now();
        metrics::histogram!("postfold_batch_commands").record(u32::try_from(batch.len()).unwrap_or(u32::MAX));
        match self.commit(&batch).await {
            Ok(outcomes) => {
                metrics::histogram!("postfold_commit_seconds").record(started.elapsed());
                for (request, outcome) in batch.into_iter().zip(outcomes) {
                    count(&outcome);
                    // A caller that has gone away is not told.
                    let _ = request.reply.send(Ok(outcome));
                }
                Ok(())
            }
            Err(error) => {
                tracing::warn!(%error, commands = batch.len(), "a batch could not be committed");
                // The log is the truth: what is known of it is read anew.
                self.state = None;
                for request in batch {
                    let _ = request.reply.send(Err(error.for_each_caller()));
                }
                Err(error)
            }
        }
    }

    /// Decides and appends until the log has taken the batch, or an error ends it.
    async fn commit(&mut self, batch: &[Request]) -> Result<Vec<Outcome>, Error> {
        let store = Arc::clone(&self.store);
        let mut state = match self.state.take() {
            Some(state) => state,
            None => State::new(store.head().await?),
        };
        for attempt in 1.. {
            let mark = state.mark();
            let decided = self.decide(&mut state, batch).await?;
            if decided.draft.events.is_empty() {
                state.commit(bounds(&self.settings));
                self.state = Some(state);
                return Ok(decided.outcomes);
            }
            match self.append(&decided.draft).await {
                Ok(()) => {
                    state.commit(bounds(&self.settings));
                    store.announce(state.head.position).await;
                    self.state = Some(state);
                    return Ok(decided.outcomes);
                }
                Err(AppendError::LostRace) => {
                    metrics::counter!("postfold_races_lost_total").increment(1);
                    state.rollback(&mark);
                    self.catch_up(&mut state).await?;
                }
                Err(AppendError::Duplicate) => {
                    metrics::counter!("postfold_ids_met_again_total").increment(1);
                    self.wary = WARY_BATCHES;
                    state.rollback(&mark);
                    self.catch_up(&mut state).await?;
                    self.look_up_ids(&mut state, batch).await?;
                }
                Err(AppendError::Failed(error) | AppendError::Unknown(error)) => return Err(error),
            }
            if attempt >= self.settings.attempts_max {
                return Err(Error::Unavailable(format!("other writers were faster {attempt} times in a row")));
            }
        }
        Err(Error::Closed)
    }

    /// Decides the whole batch; what is missing is gathered, loaded in one go, and all decided again.
    async fn decide(&mut self, state: &mut State, batch: &[Request]) -> Result<Decided, Error> {
        let mut needs = Vec::new();
        let look_up_ids = self.wary > 0 && batch.len() > 1;
        self.wary = self.wary.saturating_sub(1);
        for request in batch {
            decide::needs(&request.command, &mut needs);
            if look_up_ids {
                decide::ids(&request.command, &mut needs);
            }
        }
        needs.retain(|need| state.lacks(need));
        self.load(state, needs).await?;
        let start = state.mark();
        loop {
            let mut draft = Draft::default();
            let mut outcomes = Vec::with_capacity(batch.len());
            let mut missing = Vec::new();
            for request in batch {
                match draft.add(state, &request.command, request.stamp) {
                    Ok(outcome) => outcomes.push(outcome),
                    Err(needs) => missing.extend(needs),
                }
            }
            if missing.is_empty() {
                return Ok(Decided { draft, outcomes });
            }
            state.rollback(&start);
            if missing.iter().any(|need| matches!(need, Need::Id(_))) {
                self.wary = WARY_BATCHES;
            }
            self.load(state, missing).await?;
        }
    }

    async fn load(&self, state: &mut State, mut needs: Vec<Need>) -> Result<(), Error> {
        if needs.is_empty() {
            return Ok(());
        }
        let mut seen = std::collections::HashSet::new();
        needs.retain(|need| seen.insert(need.clone()));
        self.store.load(&needs, state.head.position).await?.fill(state, &needs)
    }

    async fn look_up_ids(&self, state: &mut State, batch: &[Request]) -> Result<(), Error> {
        let mut needs = Vec::new();
        for request in batch {
            decide::ids(&request.command, &mut needs);
        }
        self.load(state, needs).await
    }

    /// Appends; when the outcome is unknown, the same rows are sent again, and the log tells.
    ///
    /// If the first attempt was committed after all, or still is to be, the second is refused the
    /// position, and the hash there is ours: it covers every row and everything before.
    async fn append(&self, draft: &Draft) -> Result<(), AppendError> {
        let mut appended = self.store.append(draft).await;
        let Some(last) = draft.events.last() else { return appended };
        let deadline = Instant::now() + self.settings.resolve_timeout;
        let mut unknown = false;
        loop {
            match appended {
                Err(AppendError::Unknown(error)) => {
                    let first = !std::mem::replace(&mut unknown, true);
                    metrics::counter!("postfold_outcomes_unknown_total").increment(1);
                    if Instant::now() >= deadline {
                        return Err(AppendError::Unknown(Error::OutcomeUnknown(error.to_string())));
                    }
                    // Once is enough for whoever looks at the log: the next try is a moment away.
                    if first {
                        tracing::warn!(%error, "the outcome of a commit is not known; asking the log");
                    } else {
                        tracing::debug!(%error, "the outcome of a commit is still not known");
                    }
                    tokio::time::sleep(self.settings.resolve_interval).await;
                }
                Err(AppendError::LostRace | AppendError::Duplicate) if unknown => {
                    match hash_at(self.store.as_ref(), last.position).await {
                        Ok(Some(hash)) if hash == last.hash => return Ok(()),
                        Ok(_) => return appended,
                        Err(error) => {
                            appended = Err(AppendError::Unknown(error));
                            continue;
                        }
                    }
                }
                // Nothing can be concluded from a refusal to connect while a first attempt is open.
                Err(AppendError::Failed(Error::Unavailable(why))) if unknown => {
                    appended = Err(AppendError::Unknown(Error::Unavailable(why)));
                    continue;
                }
                other => return other,
            }
            appended = self.store.append(draft).await;
        }
    }

    /// Folds what other writers appended since the head that is known here.
    async fn catch_up(&self, state: &mut State) -> Result<(), Error> {
        loop {
            let page = self.store.page(state.head.position, self.settings.page_events).await?;
            if page.is_empty() {
                state.commit(bounds(&self.settings));
                return Ok(());
            }
            for event in &page {
                fold::fold(state, event, &event.payload()?)?;
            }
        }
    }
}

fn bounds(settings: &Settings) -> CacheBounds {
    CacheBounds { accounts: settings.cached_accounts, ids: settings.cached_ids, streams: settings.cached_streams }
}

fn count(outcome: &Outcome) {
    match outcome {
        Outcome::Ok(_) => metrics::counter!("postfold_commands_total", "outcome" => "ok").increment(1),
        Outcome::Rejected(rejection) => {
            metrics::counter!("postfold_commands_total", "outcome" => "rejected", "rule" => rejection.rule.as_str())
                .increment(1);
        }
        Outcome::Conflict(_) => metrics::counter!("postfold_commands_total", "outcome" => "conflict").increment(1),
        Outcome::Invalid(_) => metrics::counter!("postfold_commands_total", "outcome" => "invalid").increment(1),
    }
}
