//! A bucket that is ours, in one generation: batches from the log to the store, several on their way.
//!
//! One batch is written at a time and the next is folded meanwhile; the checkpoint moves batch by batch,
//! while the next is written. Nothing is ever skipped: a session that meets trouble ends, and the next one
//! starts from the checkpoint.

use std::collections::VecDeque;
use std::sync::Arc;

use jiff::Timestamp;
use postfold::{Hash, Position};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::apply::{Applier, Batch, Target};
use super::graves::Graves;
use super::parking::is_decision;
use super::worker::Worker;
use crate::checkpoint::{Bucket, Checkpoint};
use crate::event::ReadEvent;
use crate::halt::{Halt, Stop};
use crate::metrics;
use crate::progress::{Phase, Stage, count};
use crate::reader::{Slice, continues, read_page};
use crate::store::Parked;

/// Events of a page that is folded again, at most; a batch's own bound holds besides.
const REFOLD_PAGE_EVENTS: usize = 2_000;

/// See the module.
pub(crate) struct Session<'a> {
    worker: &'a Worker,
    checkpoint: Checkpoint,
    target: Target,
    applier: Applier,
    graves: Graves,
    /// The entity whose changes are decisions about this projection.
    entity: String,
    flights: VecDeque<Flight>,
    /// Held by the batch that is being written: whether all batches before it are stored.
    writing: Arc<Mutex<bool>>,
    /// Everything up to here is in a batch; with the hash there.
    ahead: (Position, Hash),
    /// Events behind it that are at hand.
    waiting: Option<Slice>,
    /// The newest decision that was carried out.
    decided: Position,
    /// A batch did not land: those behind it must not.
    broken: bool,
}

/// A batch on its way.
struct Flight {
    landing: JoinHandle<Result<Batch, Stop>>,
    began: Instant,
}

/// What happened next.
enum Next {
    Landed(Flight, Result<Batch, Stop>),
    Events(Option<Slice>),
}

impl<'a> Session<'a> {
    pub(crate) fn new(
        worker: &'a Worker,
        checkpoint: Checkpoint,
        target: Target,
        applier: Applier,
        graves: Graves,
        entity: String,
    ) -> Self {
        Self {
            worker,
            ahead: (Position::START, Hash::genesis(&checkpoint.ledger)),
            checkpoint,
            target,
            applier,
            graves,
            entity,
            flights: VecDeque::new(),
            writing: Arc::new(Mutex::new(true)),
            waiting: None,
            decided: Position::START,
            broken: false,
        }
    }

    pub(crate) fn into_checkpoint(self) -> Checkpoint {
        self.checkpoint
    }

    /// Ends when everything that is asked for is in the checkpoint, or with the reason why not.
    pub(crate) async fn run(&mut self, reached: &mut Position) -> Result<(), Stop> {
        // Until all of it is folded again, what is in memory is less than what is carried: nothing may be stored.
        self.warm_up().await?;
        let ended = self.follow(reached).await;
        // No command of ours is in flight when this returns. What was sent before the trouble still counts, as
        // long as nothing before it is missing.
        let mut whole = !matches!(ended, Err(Stop::Displaced | Stop::Suspended | Stop::Poison(_)));
        while let Some(flight) = self.flights.pop_front() {
            let done = landed(flight.landing).await;
            whole = match done {
                Ok(batch) if whole && !self.broken => self.land(batch, flight.began).await.is_ok(),
                _ => false,
            };
        }
        *reached = self.own()?.position;
        // A batch that halted half-way may have left states that no row is stored for.
        whole &= matches!(ended, Ok(()) | Err(Stop::Cancelled)) && !self.broken;
        let flushed = if whole { self.flush().await } else { Ok(()) };
        ended.and(flushed)
    }

    async fn follow(&mut self, reached: &mut Position) -> Result<(), Stop> {
        let worker = self.worker;
        for parked in self.applier.parking().released() {
            if self.target.has(&parked.key) {
                self.refold(&parked).await?;
            }
        }
        let Bucket { position, hash, .. } = *self.own()?;
        self.ahead = (position, hash);
        let end = worker.until.map_or(0, count);
        let stage = worker.reporter.phase_from(worker.context.projection, Phase::Follow, count(position), end);
        loop {
            self.keep_house().await?;
            if self.flights.is_empty() && self.flush_is_due() {
                self.flush().await?;
            }
            while self.has_room() && self.waiting.is_some() {
                self.depart(&stage, reached).await?;
            }
            if worker.context.cancel.is_cancelled() {
                return Err(Stop::Cancelled);
            }
            if worker.until.is_some_and(|until| self.ahead.0 >= until) && self.flights.is_empty() {
                return Ok(());
            }
            match self.next().await? {
                Next::Landed(flight, done) => self.arrive(done, flight.began, &stage, reached).await?,
                Next::Events(Some(events)) => {
                    if !continues(self.ahead.1, &events) {
                        let (projection, position) = (worker.context.projection, self.ahead.0);
                        return Err(Halt::LogDiffers { projection, position }.into());
                    }
                    self.waiting = Some(events);
                }
                Next::Events(None) if self.flights.is_empty() => self.flush().await?,
                Next::Events(None) => {}
            }
        }
    }

    fn has_room(&self) -> bool {
        self.flights.len() < self.worker.context.settings.batches_ahead_max && !self.flush_is_due()
    }

    /// Whether so much is carried and not stored that no batch is to depart before it is.
    fn flush_is_due(&self) -> bool {
        let most = i64::try_from(self.worker.context.settings.carry_events_max).unwrap_or(i64::MAX);
        let since = |own: &Bucket| own.position.get().saturating_sub(own.carried.get());
        self.target.carry.is_some() && self.own().is_ok_and(|own| since(own) >= most)
    }

    /// The oldest batch has landed, or there are events to fold: what comes first.
    async fn next(&mut self) -> Result<Next, Stop> {
        let has_room = self.has_room();
        let Self { worker, flights, ahead, waiting, .. } = self;
        let context = &worker.context;
        let reads = waiting.is_none() && has_room && worker.until.is_none_or(|until| ahead.0 < until);
        let oldest = async {
            match flights.front_mut() {
                Some(flight) => landed(&mut flight.landing).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            done = oldest => {
                let flight = flights.pop_front().ok_or(Stop::Cancelled)?;
                Ok(Next::Landed(flight, done))
            }
            events = worker.feed.next(ahead.0, context), if reads => Ok(Next::Events(events?)),
        }
    }

    /// Folds what is at hand into one more batch, and sends it off.
    async fn depart(&mut self, stage: &Stage<'_>, reached: &mut Position) -> Result<(), Stop> {
        let Some(mut events) = self.waiting.take() else { return Ok(()) };
        let is_new = |event: &ReadEvent| event.position > self.decided && is_decision(event, &self.entity);
        let decision = events.iter().position(is_new);
        if let (Some(0), Some(event)) = (decision, events.first()) {
            // What was decided is about the model as it is up to here.
            while let Some(flight) = self.flights.pop_front() {
                let done = landed(flight.landing).await;
                self.arrive(done, flight.began, stage, reached).await?;
            }
            self.decided = event.position;
            self.decide(event).await?;
        }
        let upto = decision.filter(|at| *at > 0).unwrap_or(events.len());
        let batch = self.applier.prepare(events.get(..upto).unwrap_or_default(), None).await?;
        self.ahead = (batch.position, batch.hash);
        events.skip(batch.events);
        self.waiting = (!events.is_empty()).then_some(events);
        self.flights.push_back(self.send(batch));
        Ok(())
    }

    fn send(&self, mut batch: Batch) -> Flight {
        let (context, target, writing) = (self.worker.context.clone(), self.target.clone(), Arc::clone(&self.writing));
        let landing = tokio::spawn(async move {
            // In the order in which they were sent, and none behind one that was not stored: what its keys carry would
            // be ahead of rows that are nowhere, and those would be passed over for good.
            let mut whole = writing.lock().await;
            if !*whole {
                return Err(Stop::Cancelled);
            }
            *whole = false;
            metrics::written(context.projection, batch.writes());
            Applier::deliver(&context, &target, &mut batch).await?;
            *whole = true;
            Ok(batch)
        });
        Flight { landing, began: Instant::now() }
    }

    async fn arrive(
        &mut self,
        done: Result<Batch, Stop>,
        began: Instant,
        stage: &Stage<'_>,
        reached: &mut Position,
    ) -> Result<(), Stop> {
        let landed = match done {
            Ok(batch) => self.land(batch, began).await,
            Err(stop) => Err(stop),
        };
        self.broken |= landed.is_err();
        *reached = self.own()?.position;
        stage.at(count(*reached));
        landed
    }

    /// The batch's documents are stored: moves the checkpoint.
    async fn land(&mut self, batch: Batch, began: Instant) -> Result<(), Stop> {
        self.applier.landed(batch.number);
        self.graves.dig(batch.dead);
        self.advance(batch.position, batch.hash, Some(batch.recorded_at), None).await?;
        let projection = self.worker.context.projection;
        metrics::batch_done(projection, batch.events, began.elapsed());
        let lag = self.worker.feed.lag(batch.position, &self.worker.context).await?;
        let seconds = if lag == 0 { 0.0 } else { self.worker.feed.seconds_behind(batch.recorded_at) };
        metrics::lag(projection, self.worker.bucket, lag, seconds);
        tracing::debug!(
            projection,
            bucket = self.worker.bucket,
            events = batch.events,
            position = batch.position.get(),
            "batch done"
        );
        Ok(())
    }

    /// Folds again what was carried and not stored.
    async fn warm_up(&mut self) -> Result<(), Stop> {
        let Bucket { carried, position, .. } = *self.own()?;
        if self.target.carry.is_none() {
            return Ok(());
        }
        let context = &self.worker.context;
        let mut at = carried;
        while at < position {
            let mut events = self.page_again(at).await?;
            events.retain(|event| event.position <= position);
            if events.is_empty() {
                return Err(Halt::LogDiffers { projection: context.projection, position }.into());
            }
            let mut rest = &*events;
            while !rest.is_empty() {
                let batch = self.applier.warm_up(rest).await?;
                (at, rest) = (batch.position, rest.get(batch.events..).unwrap_or_default());
            }
        }
        Ok(())
    }

    /// Stores what is carried, and says so in the checkpoint. Only when no batch is on its way.
    async fn flush(&mut self) -> Result<(), Stop> {
        let Bucket { carried, position, hash, recorded_at, .. } = *self.own()?;
        if self.target.carry.is_none() || carried == position {
            return Ok(());
        }
        self.applier.flush().await?;
        self.advance(position, hash, recorded_at, Some(position)).await
    }

    /// Carries out what an operator decided.
    async fn decide(&mut self, event: &ReadEvent) -> Result<(), Stop> {
        let projection = self.worker.context.projection;
        let decided = self
            .applier
            .parking()
            .decide(event)
            .map_err(|error| Halt::Log { projection, message: error.to_string() })?;
        if let Some(parked) = decided.filter(|parked| self.target.has(&parked.key)) {
            self.refold(&parked).await?;
        }
        metrics::parked(projection, self.applier.parking().len());
        Ok(())
    }

    /// Folds a key that was parked up to the checkpoint, from the log; it may be parked again on the way.
    async fn refold(&mut self, parked: &Parked) -> Result<(), Stop> {
        let context = &self.worker.context;
        let (projection, generation, key) = (context.projection, parked.generation, parked.key.as_str());
        let mut at = Position::new(parked.position.get() - 1);
        while at < self.own()?.position {
            let end = self.own()?.position;
            let mut events = self.page_again(at).await?;
            events.retain(|event| event.position <= end);
            let mut rest = &*events;
            if rest.is_empty() {
                return Err(Halt::LogDiffers { projection, position: end }.into());
            }
            while !rest.is_empty() {
                let batch = self.applier.apply(rest, Some(key)).await?;
                if !batch.parked.is_empty() {
                    tracing::warn!(projection, key, "tried a parked key again, and parked it again");
                    return Ok(());
                }
                (at, rest) = (batch.position, rest.get(batch.events..).unwrap_or_default());
            }
        }
        context.store("unpark a key", || context.store.unpark(projection, generation, key)).await?;
        tracing::info!(projection, key, "a parked key has caught up");
        Ok(())
    }

    async fn page_again(&self, after: Position) -> Result<Vec<ReadEvent>, Stop> {
        let context = &self.worker.context;
        let limit = context.settings.batch_events_max.min(REFOLD_PAGE_EVENTS);
        read_page(self.worker.feed.log(), after, limit, context).await
    }

    fn own(&self) -> Result<&Bucket, Stop> {
        self.worker.own(&self.checkpoint)
    }

    /// Moves the checkpoint, if it is still ours to move.
    async fn advance(
        &mut self,
        position: Position,
        hash: Hash,
        recorded_at: Option<Timestamp>,
        carried: Option<Position>,
    ) -> Result<(), Stop> {
        loop {
            let own = self.own()?;
            let mut next = own.next();
            (next.position, next.hash, next.recorded_at) = (position, hash, recorded_at);
            next.carried = if self.target.carry.is_some() { carried.unwrap_or(own.carried) } else { position };
            next.sweep_due = self.graves.any();
            next.halted = None;
            if self.worker.swap(&self.checkpoint, &next).await? {
                self.worker.put(&mut self.checkpoint, next);
                return Ok(());
            }
            let found = self.worker.context.checkpoint().await?.ok_or(Stop::Displaced)?;
            let bucket = self.worker.own(&found)?;
            let ours = bucket.owner == own.owner
                && bucket.epoch == own.epoch
                && found.generation == self.checkpoint.generation
                && found.switching.is_none();
            if !ours {
                return Err(if found.generation == self.checkpoint.generation {
                    Stop::Suspended
                } else {
                    Stop::Displaced
                });
            }
            // The answer to our own write was lost.
            self.checkpoint = found;
        }
    }

    /// Removes tombstones, and what late writers left, once nobody can be surprised by it.
    async fn keep_house(&mut self) -> Result<(), Stop> {
        let context = &self.worker.context;
        let Bucket { position: through, hash, recorded_at, sweep_due, .. } = *self.own()?;
        let (collection, generation) = (context.projection, self.checkpoint.generation);
        let due = self.graves.due(through);
        let ids: Vec<&str> = due.ids.iter().map(String::as_str).collect();
        if !ids.is_empty() {
            context.store("remove tombstones", || context.store.bury(collection, &ids, generation, through)).await?;
        }
        if let Some(through) = due.sweep {
            // Another bucket may be behind us, and still need the tombstones of its keys.
            let through = through.min(self.checkpoint.position());
            context.store("sweep", || context.store.sweep(collection, generation, through)).await?;
        }
        if sweep_due && !self.graves.any() && self.flights.is_empty() {
            self.advance(through, hash, recorded_at, None).await?;
        }
        Ok(())
    }
}

/// What became of a batch. A batch that panicked is a bug, and told as one.
async fn landed(
    landing: impl Future<Output = Result<Result<Batch, Stop>, tokio::task::JoinError>>,
) -> Result<Batch, Stop> {
    match landing.await {
        Ok(done) => done,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => Err(Stop::Cancelled),
    }
}
