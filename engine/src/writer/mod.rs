//! The writer: one task per open ledger, group commit across callers.
//!
//! | phase | what happens |
//! |---|---|
//! | gather | take what is queued, up to `batch_commands_max`; no timer, so a lone post waits for nobody |
//! | decide | every command in order, on the state at the head; what is missing is loaded in one go |
//! | append | all rows in one commit, in a task of its own |
//! | decide ahead | meanwhile, what comes next is decided on what that commit will leave |
//! | append ahead | a large batch is written while the one before it is, and committed behind it: see [`stages`](crate::store::stages) |
//! | answer | every caller, only after the commit that its outcome rests on is durable |
//!
//! A lost race takes back all batches, reads what was missed and decides again. From the first lost race
//! on, the writer takes turns with the others: see [`turns`].

mod append;
mod batch;
mod flight;
mod inbox;
#[cfg(test)]
mod tests;
mod turns;

use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot, watch};

use crate::command::Command;
use crate::decide;
use crate::error::Error;
use crate::fold;
use crate::hash::Hash;
use crate::observe::name;
use crate::outcome::Outcome;
use crate::position::Position;
use crate::settings::Settings;
use crate::state::{CacheBounds, Head, Need, State};
use crate::store::stages::Turn;
use crate::store::{AppendError, Store};
use batch::Batch;
use flight::Flight;
use inbox::Inbox;
use turns::Turns;

/// So many batches have their ids looked up before they are decided, after one that met a used id.
///
/// Ids are taken as new, which saves the look-up; one that is not costs the whole batch a second
/// attempt. Repeats come in swarms (a file sent again, a caller that lost its answers), so after the
/// first one the look-up is the cheaper way for a while.
const WARY_BATCHES: usize = 32;

/// A batch of so many commands that was decided ahead is sent as soon as the commit before it is durable;
/// a smaller one waits for the callers that are just being answered.
///
/// With the wait, a few callers that post one each share one commit instead of splitting into two halves;
/// more of them keep the database and the writer busy by turns, and would leave either idle if they waited.
const SEND_AT_ONCE: usize = 16;

/// A command on its way to the writer.
pub(crate) struct Request {
    pub(crate) command: Command,
    /// The clock's time when it was sent.
    pub(crate) stamp: Timestamp,
    pub(crate) reply: oneshot::Sender<Result<Outcome, Error>>,
}

/// Decides and appends what callers send.
pub(crate) struct Writer {
    store: Arc<dyn Store>,
    settings: Settings,
    turns: Turns,
    /// What is known of the log, and what the batches on their way will add to it.
    state: State,
    /// The state is to be read anew.
    stale: bool,
    /// Others are known to have written since.
    behind: bool,
    /// What is decided and not sent yet.
    open: Batch,
    /// Races lost in a row, and used ids met.
    setbacks: usize,
    /// Batches that are still to have their ids looked up first.
    wary: usize,
    /// A used id was met: the next ids are looked up, be it only one.
    look_up: bool,
}

/// What may be loaded while commands are decided.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Loads {
    /// Everything: no commit is under way.
    All,
    /// What the commit under way cannot change without the state knowing it.
    Certain,
}

/// Whether all that waited could be decided.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Done,
    /// The commit under way must end first.
    Blocked,
}

impl Writer {
    pub(crate) fn new(store: Arc<dyn Store>, settings: Settings) -> Self {
        let start = Head { position: Position::START, hash: Hash::genesis(store.name()), recorded_at: None };
        Self {
            turns: Turns::new(Arc::clone(&store), settings.lease_hold),
            state: State::new(start),
            stale: true,
            behind: false,
            open: Batch::default(),
            setbacks: 0,
            wary: 0,
            look_up: false,
            store,
            settings,
        }
    }

    /// Serves requests until every sender is gone, or it is asked to close; then everybody was answered.
    pub(crate) async fn run(mut self, requests: mpsc::Receiver<Request>, closing: watch::Receiver<bool>) {
        let mut inbox = Inbox::new(requests, closing, self.settings.batch_commands_max);
        while inbox.wait().await {
            if let Err(error) = self.work(&mut inbox).await {
                tracing::warn!(%error, "a batch could not be committed");
                // The log is the truth: what is known of it is read anew.
                self.stale = true;
                // A caller that has many commands on their way must not find a later one done and an earlier
                // one not.
                std::mem::take(&mut self.open).refuse_behind(&error);
                inbox.refuse_behind(&error);
            }
            self.turns.end().await;
        }
    }

    /// Decides, sends, and decides ahead, until nothing waits and nothing is on its way.
    async fn work(&mut self, inbox: &mut Inbox) -> Result<(), Error> {
        while inbox.gather().await || !self.open.is_empty() {
            let fresh = self.take_turn(inbox).await?;
            self.decide(inbox, Loads::All).await?;
            if !fresh && self.open.draft.events.is_empty() && !self.is_current().await? {
                self.take_back(inbox, []);
                self.behind = true;
                continue;
            }
            let mut flight = self.send(Turn::Commits);
            while let Some(under_way) = flight {
                flight = self.fly(under_way, inbox).await?;
            }
        }
        Ok(())
    }

    /// Makes sure that it is this writer's turn; answers whether the log was read up to its head after all that waits
    /// was asked.
    async fn take_turn(&mut self, inbox: &mut Inbox) -> Result<bool, Error> {
        let waited = self.turns.take().await;
        let fresh = self.stale || waited || self.behind;
        if self.stale {
            self.state = State::new(self.store.head().await?);
            self.stale = false;
        } else if waited || self.behind {
            self.take_back(inbox, []);
            let missed = self.catch_up().await?;
            self.turns.missed(missed);
        }
        self.behind = false;
        let before = inbox.len();
        if waited {
            inbox.gather().await;
        }
        // Whoever came after the log was read is not to be refused on what it said then.
        Ok(fresh && inbox.len() == before)
    }

    /// Whether nobody else has written. A batch that writes finds that out at its position; one that only
    /// refuses has to ask, else a caller could be refused what another process was told is there.
    async fn is_current(&mut self) -> Result<bool, Error> {
        match self.store.head().await {
            Ok(head) => Ok(head.position <= self.state.durable().position),
            Err(error) => {
                std::mem::take(&mut self.open).fail(&error);
                Err(error)
            }
        }
    }

    /// Sends what is decided; a batch that writes nothing is answered, for all before it is durable.
    fn send(&mut self, turn: Turn) -> Option<Flight> {
        let batch = std::mem::take(&mut self.open);
        if batch.draft.events.is_empty() {
            self.state.settle(&self.state.mark(), bounds(&self.settings));
            batch.answer();
            return None;
        }
        Some(Flight::send(&self.store, &self.settings, batch, self.state.mark(), turn))
    }

    /// Decides ahead until the commit has an outcome, and acts on it. What was decided is sent meanwhile, if it is large.
    async fn fly(&mut self, mut flight: Flight, inbox: &mut Inbox) -> Result<Option<Flight>, Error> {
        // The rows go out before anything else is decided: the database is not to wait for that.
        tokio::task::yield_now().await;
        let placed = flight.placed();
        tokio::pin!(placed);
        let (mut step, mut behind) = (Step::Done, None);
        let outcome = loop {
            let room = self.open.commands < self.settings.batch_commands_max;
            let ahead = step == Step::Done && room && !self.turns.over();
            let overlaps =
                behind.is_none() && self.turns.alone() && append::may_overlap(&self.open.draft, &self.settings);
            tokio::select! {
                biased;
                outcome = flight.outcome() => break outcome,
                more = inbox.wait(), if ahead => {
                    inbox.take_queued();
                    // What cannot be loaded now is asked for once more when the commit has ended.
                    step = match self.decide(inbox, Loads::Certain).await {
                        Ok(step) if more => step,
                        _ => Step::Blocked,
                    };
                }
                // Now it can be written, and so does not wait for more.
                () = &mut placed, if overlaps => behind = self.send(Turn::Waits),
            }
        };
        match outcome {
            Ok(()) => Ok(self.landed(flight, behind).await),
            Err(error) => {
                let behind = match behind {
                    Some(behind) => Some(behind.give_up().await),
                    None => None,
                };
                self.failed(error, flight.batch, behind, inbox).map(|()| None)
            }
        }
    }

    /// The commit is durable, and who was sent behind it has its turn. What was decided ahead is sent before the callers
    /// are told, if it is large.
    async fn landed(&mut self, flight: Flight, behind: Option<Flight>) -> Option<Flight> {
        self.setbacks = 0;
        metrics::histogram!(name::COMMIT_SECONDS).record(flight.started.elapsed());
        self.state.settle(&flight.end, bounds(&self.settings));
        // One that only refuses is looked at again first: see `is_current`.
        let large = self.open.commands >= SEND_AT_ONCE && !self.open.draft.events.is_empty();
        let next = match behind {
            Some(behind) => {
                behind.commit();
                Some(behind)
            }
            None if large => self.send(Turn::Commits),
            None => None,
        };
        flight.batch.answer();
        self.store.announce(flight.end.position()).await;
        next
    }

    /// The commit failed, and so what was sent behind it. What others were faster with is decided again.
    fn failed(
        &mut self,
        error: AppendError,
        batch: Batch,
        behind: Option<Batch>,
        inbox: &mut Inbox,
    ) -> Result<(), Error> {
        let error = match error {
            AppendError::LostRace => {
                metrics::counter!(name::RACES_LOST).increment(1);
                self.turns.lost();
                self.set_back()
            }
            AppendError::Duplicate => {
                metrics::counter!(name::IDS_MET_AGAIN).increment(1);
                self.wary = WARY_BATCHES;
                self.look_up = true;
                self.set_back()
            }
            AppendError::Failed(error) | AppendError::Unknown(error) => Err(error),
        };
        if let Err(error) = error {
            batch.fail(&error);
            if let Some(behind) = behind {
                behind.refuse_behind(&error);
            }
            return Err(error);
        }
        self.take_back(inbox, [batch].into_iter().chain(behind));
        self.behind = true;
        Ok(())
    }

    /// What rested on the commit is decided again, but not for ever.
    fn set_back(&mut self) -> Result<(), Error> {
        self.setbacks += 1;
        if self.setbacks < self.settings.attempts_max {
            return Ok(());
        }
        let setbacks = std::mem::take(&mut self.setbacks);
        Err(Error::Unavailable(format!("other writers were faster {setbacks} times in a row")))
    }

    /// Takes back what is not durable; its commands wait again, in order.
    fn take_back(&mut self, inbox: &mut Inbox, flown: impl IntoIterator<Item = Batch>) {
        self.state.take_back();
        let open = std::mem::take(&mut self.open);
        let requests = flown.into_iter().chain([open]).flat_map(|batch| batch.requests);
        inbox.put_back(requests.collect());
    }

    /// Folds what others appended since the head that is known here; answers how many events that were.
    async fn catch_up(&mut self) -> Result<usize, Error> {
        let head = self.store.head().await?;
        let missed = head.position.get() - self.state.head.position.get();
        let missed = usize::try_from(missed).unwrap_or_default();
        if missed > self.settings.catch_up_events_max {
            self.state.restart(head);
            return Ok(missed);
        }
        while self.state.head.position < head.position {
            let page = self.store.page(self.state.head.position, self.settings.page_events).await?;
            if page.is_empty() {
                break;
            }
            for event in &page {
                fold::fold(&mut self.state, event, &event.payload()?)?;
            }
            self.state.settle(&self.state.mark(), bounds(&self.settings));
        }
        Ok(missed)
    }

    /// Decides what waits, in order, as far as the batch has room.
    async fn decide(&mut self, inbox: &mut Inbox, loads: Loads) -> Result<Step, Error> {
        let mut chunk = inbox.take(self.settings.batch_commands_max.saturating_sub(self.open.commands));
        let mut needs = self.ids_to_look_up(&chunk);
        while !chunk.is_empty() {
            if loads == Loads::All && self.lacks_uncertain(&needs) {
                // What is decided and not in the log yet would be missing from what is loaded: it is taken back,
                // and decided once more on what was loaded before it.
                self.state.take_back();
                chunk.splice(..0, std::mem::take(&mut self.open).requests);
            }
            match self.load(needs, loads).await {
                Ok(Step::Done) => {}
                Err(error) if loads == Loads::All => {
                    self.open.requests.extend(chunk);
                    std::mem::take(&mut self.open).fail(&error);
                    return Err(error);
                }
                _ => {
                    inbox.put_back(chunk);
                    return Ok(Step::Blocked);
                }
            }
            (chunk, needs) = self.open.add(&mut self.state, chunk);
            if needs.iter().any(|need| matches!(need, Need::Id(_))) {
                self.wary = WARY_BATCHES;
            }
        }
        Ok(Step::Done)
    }

    /// The ids of these commands, where they may well have been used.
    fn ids_to_look_up(&mut self, requests: &[Request]) -> Vec<Need> {
        let mut needs = Vec::new();
        let commands: usize = requests.iter().map(|request| request.command.count()).sum();
        if std::mem::take(&mut self.look_up) || (self.wary > 0 && commands > 1) {
            for request in requests {
                decide::ids(&request.command, &mut needs);
            }
        }
        self.wary = self.wary.saturating_sub(1);
        needs
    }

    /// Whether an answer is missing that any event may change, whatever else it touches.
    fn lacks_uncertain(&self, needs: &[Need]) -> bool {
        let uncertain = |need: &&Need| matches!(need, Need::Due(_) | Need::AsOf(..));
        needs.iter().filter(uncertain).any(|need| self.state.lacks(need))
    }

    async fn load(&mut self, needs: Vec<Need>, loads: Loads) -> Result<Step, Error> {
        let needs = self.state.lacking(needs);
        if needs.is_empty() {
            return Ok(Step::Done);
        }
        if loads == Loads::Certain && self.lacks_uncertain(&needs) {
            return Ok(Step::Blocked);
        }
        // What is on its way is not in the log yet. What it touched is in the state, and so is not needed.
        let at = self.state.durable().position;
        self.store.load(&needs, at).await?.fill(&mut self.state, &needs)?;
        Ok(Step::Done)
    }
}

fn bounds(settings: &Settings) -> CacheBounds {
    CacheBounds {
        accounts: settings.cached_accounts,
        ids: settings.cached_ids,
        streams: settings.cached_streams,
        aggregates: settings.cached_aggregates,
    }
}
