//! Live work on a ledger's projections, shared with every other process that does the same.
//!
//! | task | what it does |
//! |---|---|
//! | heart | says three times a lease that this process lives; what it writes counts only as long as that is known |
//! | look | reads checkpoints and beats, and takes or gives units ([`super::share`]) |
//! | a worker for each unit of ours | claims its bucket, then reads, folds, writes ([`super::worker`]) |

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use postfold::Position;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::lease::Lease;
use super::share::{Holder, Roll, Seat, Unit};
use super::worker::{Ended, Worker};
use super::{Projector, RunError, RunOutcome, RunReport};
use crate::checkpoint::{Attempt, Checkpoint, Owner};
use crate::folder::Folder;
use crate::halt::Halt;
use crate::metrics;
use crate::reader::Feed;
use crate::store::{Member, StoreError, StoreErrorKind};

/// How often a lease is renewed while it lasts.
const BEATS_A_LEASE: u32 = 3;
/// How soon to look again after something changed, or while everything that is left is somebody else's.
const SOON: Duration = Duration::from_millis(50);

/// This process, at work.
pub(crate) struct Group<'a> {
    projector: &'a Projector,
    /// Stop when everything up to here is in the models, whoever put it there.
    until: Option<Position>,
    shutdown: CancellationToken,
    us: Owner,
    lease: Lease,
    feed: Arc<Feed>,
    roll: Roll,
    tasks: JoinSet<(Unit, Ended)>,
    working: BTreeMap<Unit, CancellationToken>,
    /// Units that stopped by themselves here, and the revision of their bucket then.
    given_up: HashMap<Unit, (Halt, i64)>,
    /// Units that had stopped before we came: they get another try.
    retry: Option<HashSet<Unit>>,
    reached: HashMap<Unit, Position>,
    /// Units that a worker of ours has looked at, and left in order.
    visited: HashSet<Unit>,
    /// The switch of each model that its workers were told of last.
    told_of: HashMap<&'static str, Attempt>,
}

/// What one look at the store told.
struct View {
    seats: Vec<Seat>,
    epochs: HashMap<Unit, i64>,
    /// Everything that is asked for is in the models, or will not come.
    done: bool,
    halted_by_others: Vec<(&'static str, String)>,
}

impl<'a> Group<'a> {
    pub(crate) fn new(projector: &'a Projector, until: Option<Position>, shutdown: CancellationToken) -> Self {
        Self {
            projector,
            until,
            shutdown,
            us: projector.new_owner(),
            lease: Lease::new(),
            feed: Arc::new(Feed::new(Arc::clone(&projector.log), &projector.settings)),
            roll: Roll::default(),
            tasks: JoinSet::new(),
            working: BTreeMap::new(),
            given_up: HashMap::new(),
            retry: None,
            reached: HashMap::new(),
            visited: HashSet::new(),
            told_of: HashMap::new(),
        }
    }

    pub(crate) async fn run(mut self) -> Result<RunReport, RunError> {
        for folder in &self.projector.folders {
            metrics::halted(folder.name(), false);
        }
        let mut heart = self.start_heart();
        let stops = async {
            match (&mut heart).await {
                Ok(error) => error,
                Err(_) => std::future::pending().await,
            }
        };
        let ended = tokio::select! {
            ended = self.work() => ended,
            // It beats for ever, unless the store will never take it.
            error = stops => Err(RunError::Store(error)),
        };
        for unit in self.working.values() {
            unit.cancel();
        }
        while let Some(task) = self.tasks.join_next().await {
            self.took_leave(task);
        }
        heart.abort();
        if let Err(error) = self.projector.store.leave(&self.us.id).await {
            tracing::debug!(%error, "could not say that this process leaves; its lease will run out");
        }
        ended?;
        self.report()
    }

    async fn work(&mut self) -> Result<(), RunError> {
        loop {
            tokio::select! {
                biased;
                () = self.shutdown.cancelled() => return Ok(()),
                () = self.lease.held() => {}
            }
            let view = match self.look().await {
                Ok(view) => view,
                Err(error) if matches!(error.kind, StoreErrorKind::Refused(_) | StoreErrorKind::Malformed) => {
                    return Err(RunError::Store(error));
                }
                Err(error) => {
                    tracing::warn!(%error, "could not look at the checkpoints, and will try again");
                    self.rest(self.projector.settings.retry_delay_max).await;
                    continue;
                }
            };
            if self.working.is_empty() && (view.done || self.all_given_up(&view)) {
                for (projection, reason) in view.halted_by_others {
                    let unit = Unit { projection, bucket: 0 };
                    self.given_up.entry(unit).or_insert((Halt::Before { projection, reason }, 0));
                }
                return Ok(());
            }
            let changed = self.act(&view);
            let next =
                if changed || (self.until.is_some() && self.working.is_empty()) { SOON } else { self.beat_interval() };
            let now = Instant::now();
            let death =
                self.roll.next_death(&self.us.id, now).map_or(next, |at| at.saturating_duration_since(now) + SOON);
            self.rest(next.min(death)).await;
        }
    }

    /// Waits so long, or until a unit ends, or until the caller wants to stop.
    async fn rest(&mut self, time: Duration) {
        tokio::select! {
            biased;
            () = self.shutdown.cancelled() => {}
            Some(task) = self.tasks.join_next() => self.took_leave(task),
            () = tokio::time::sleep(time) => {}
        }
    }

    fn took_leave(&mut self, task: Result<(Unit, Ended), tokio::task::JoinError>) {
        match task {
            Ok((unit, Ended { position, halt, revision })) => {
                self.working.remove(&unit);
                self.reached.insert(unit, position);
                match halt {
                    Some(halt) => drop(self.given_up.insert(unit, (halt, revision))),
                    None => drop(self.visited.insert(unit)),
                }
            }
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => {}
        }
    }

    /// Reads checkpoints, then beats: whoever owns a bucket has beaten before.
    async fn look(&mut self) -> Result<View, StoreError> {
        let store = &self.projector.store;
        let mut checkpoints: HashMap<String, Checkpoint> =
            store.checkpoints().await?.into_iter().map(|found| (found.name.clone(), found)).collect();
        for folder in &self.projector.folders {
            if !checkpoints.contains_key(folder.name()) {
                // A bucket that nobody has yet: whoever claims it creates the checkpoint.
                checkpoints.insert(folder.name().to_owned(), self.first_checkpoint(&**folder));
            }
        }
        self.roll.observe(store.members().await?, Instant::now());
        let now = Instant::now();
        let first_look = self.retry.is_none();
        let mut retry = self.retry.take().unwrap_or_default();
        let mut view = View {
            seats: Vec::new(),
            epochs: HashMap::new(),
            done: self.until.is_some(),
            halted_by_others: Vec::new(),
        };
        for folder in &self.projector.folders {
            let Some(checkpoint) = checkpoints.get(folder.name()) else { continue };
            if checkpoint.paused.is_some() {
                self.stop_all(folder.name(), "paused");
                continue;
            }
            // A worker that has nothing to write does not meet the switch: it is to put its pen down, and to begin anew,
            // and so to end one that was left half-way.
            if let Some(mark) = &checkpoint.switching
                && self.told_of.insert(folder.name(), mark.to.clone()).is_none_or(|told| told != mark.to)
            {
                self.stop_all(folder.name(), "begins anew: the model is switched");
            }
            for (bucket, found) in checkpoint.buckets.iter().enumerate() {
                let unit = Unit { projection: folder.name(), bucket };
                self.reached.entry(unit).and_modify(|at| *at = found.position.max(*at)).or_insert(found.position);
                if first_look && found.halted.is_some() {
                    retry.insert(unit);
                }
                let gone = self.given_up.get(&unit).is_some_and(|(_, revision)| *revision >= found.revision);
                let halted = found.halted.as_ref().filter(|_| !retry.contains(&unit) && !found.is_of(&self.us.id));
                if let Some(halted) = halted.filter(|_| !self.given_up.contains_key(&unit)) {
                    view.halted_by_others.push((folder.name(), halted.reason.clone()));
                }
                if gone || halted.is_some() {
                    continue;
                }
                let holder = self.roll.holder(found.owner.as_ref(), &self.us.id, now);
                // Catching up, each is looked at once, by us or by whoever works on it.
                let seen = self.visited.contains(&unit) || matches!(holder, Holder::Other(_));
                if self.until.is_some_and(|until| seen && found.position >= until) {
                    continue;
                }
                view.done = false;
                view.epochs.insert(unit, found.epoch);
                let holder = if self.working.contains_key(&unit) { Holder::Us } else { holder };
                view.seats.push(Seat { unit, holder, switching: checkpoint.switching.is_some() });
            }
        }
        self.retry = Some(retry);
        Ok(view)
    }

    fn all_given_up(&self, view: &View) -> bool {
        view.seats.is_empty() && (!self.given_up.is_empty() || !view.halted_by_others.is_empty())
    }

    /// Starts and stops workers. Returns whether it did.
    fn act(&mut self, view: &View) -> bool {
        let now = Instant::now();
        let decision = self.roll.decide(&self.us.id, &view.seats, self.projector.settings.lease, now);
        let left: Vec<Unit> = view
            .seats
            .iter()
            .filter(|seat| seat.holder == Holder::Us && !self.working.contains_key(&seat.unit))
            .map(|seat| seat.unit)
            .collect();
        if let Some(unit) = decision.give
            && let Some(working) = self.working.get(&unit)
        {
            tracing::info!(projection = unit.projection, bucket = unit.bucket, "gives a bucket up to another process");
            working.cancel();
        }
        let taken: Vec<Unit> = decision.take.into_iter().chain(left).collect();
        for unit in &taken {
            self.start(*unit, view.epochs.get(unit).copied().unwrap_or_default());
        }
        decision.give.is_some() || !taken.is_empty()
    }

    fn start(&mut self, unit: Unit, seen_epoch: i64) {
        let projector = self.projector;
        let Some(folder) = projector.folders.iter().find(|folder| folder.name() == unit.projection) else { return };
        if let Some(retry) = &mut self.retry {
            retry.remove(&unit);
        }
        let stop = self.shutdown.child_token();
        let worker = Worker {
            context: projector.context(&**folder, stop.clone(), self.lease.clone()),
            folder: Arc::clone(folder),
            feed: Arc::clone(&self.feed),
            bucket: unit.bucket,
            us: self.us.clone(),
            seen_epoch,
            first: self.first_checkpoint(&**folder),
            until: self.until,
            reporter: projector.reporter.clone(),
        };
        self.working.insert(unit, stop);
        self.tasks.spawn(async move { (unit, worker.run().await) });
    }

    fn first_checkpoint(&self, folder: &dyn Folder) -> Checkpoint {
        let Projector { log, settings, .. } = self.projector;
        folder.first_checkpoint(log.ledger_name(), 1, settings.buckets)
    }

    fn stop_all(&self, projection: &str, why: &str) {
        for (unit, working) in &self.working {
            if unit.projection == projection && !working.is_cancelled() {
                tracing::info!(projection, bucket = unit.bucket, "{why}");
                working.cancel();
            }
        }
    }

    fn beat_interval(&self) -> Duration {
        self.projector.settings.lease / BEATS_A_LEASE
    }

    fn start_heart(&self) -> JoinHandle<StoreError> {
        let (store, lease, us) = (Arc::clone(&self.projector.store), self.lease.clone(), self.us.clone());
        let (length, interval) = (self.projector.settings.lease, self.beat_interval());
        let retry = self.projector.settings.retry_delay_min.min(interval);
        let projections = self.projector.names().into_iter().map(str::to_owned).collect();
        let mut member = Member {
            id: us.id,
            name: us.name,
            beat: 0,
            lease_ms: i64::try_from(length.as_millis()).unwrap_or(i64::MAX),
            projections,
            at: jiff::Timestamp::now(),
        };
        let beat = async move {
            loop {
                (member.beat, member.at) = (member.beat.saturating_add(1), jiff::Timestamp::now());
                // Counted from before it was sent: nobody can have seen it earlier.
                let sent = Instant::now();
                match store.beat(&member).await {
                    Ok(()) => {
                        lease.extend(sent + length);
                        tokio::time::sleep(interval).await;
                    }
                    Err(error) if matches!(error.kind, StoreErrorKind::Refused(_) | StoreErrorKind::Malformed) => {
                        return error;
                    }
                    Err(error) => {
                        tracing::warn!(%error, "could not say that this process lives, and will try again");
                        tokio::time::sleep(retry).await;
                    }
                }
            }
        };
        tokio::spawn(beat)
    }

    fn report(mut self) -> Result<RunReport, RunError> {
        let outcome = |folder: &Arc<dyn Folder>| {
            let projection = folder.name();
            let reached = self.reached.iter().filter(|(unit, _)| unit.projection == projection);
            let position = reached.map(|(_, position)| *position).min().unwrap_or_default();
            let halted = self.given_up.keys().filter(|unit| unit.projection == projection).min().copied();
            let halt = halted.and_then(|unit| self.given_up.remove(&unit)).map(|(halt, _)| halt);
            RunOutcome { projection, position, halt }
        };
        let report = RunReport { projections: self.projector.folders.iter().map(outcome).collect() };
        if report.projections.iter().any(|outcome| outcome.halt.is_some()) {
            Err(RunError::Halted(report))
        } else {
            Ok(report)
        }
    }
}
