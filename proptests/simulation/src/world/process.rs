//! A process: what it sends passes here, and so does everything that can go wrong with it.
//!
//! A process that is dead is not stopped: nothing that it sends arrives any more, and no call of it returns. To
//! everybody else that is the same.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use postfold::Clock;
use postfold::simulation::{Change, Delivery, Lost, Wire};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Fault, World};
use crate::bug::Bug;

/// How long a writer waits for the lease before it goes on without it.
const LEASE_WAIT_MAX: Duration = Duration::from_secs(10);
/// How long a message may be under way, and a process stand still, in milliseconds.
const LATE_MS_MAX: usize = 4_000;
/// How far a clock jumps, in milliseconds.
const JUMP_MS_MAX: i64 = 30_000;

/// What may go wrong with a change.
const CHANGE_FAULTS: [Fault; 8] = [
    Fault::Twice,
    Fault::Unreachable,
    Fault::LostRequest,
    Fault::LateRequest,
    Fault::CrashAfter,
    Fault::LostAnswer,
    Fault::LateAnswer,
    Fault::Refused,
];

/// A process. Clones are the same one.
#[derive(Clone)]
pub(crate) struct Process(Arc<Life>);

struct Life {
    world: World,
    name: String,
    dead: CancellationToken,
    frozen: AtomicBool,
    thaws: Mutex<Instant>,
    /// How far its clock is from the true time, in milliseconds.
    skew_ms: AtomicI64,
    /// Nothing goes wrong here.
    charmed: bool,
}

/// The connection broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Broken;

impl Process {
    pub(crate) fn new(world: &World, name: String) -> Self {
        let skew_ms = i64::try_from(world.below(2_000)).unwrap_or_default() - 1_000;
        Self::with(world, name, skew_ms, false)
    }

    /// A process with which nothing goes wrong.
    pub(crate) fn charmed(world: &World, name: &str) -> Self {
        Self::with(world, name.to_owned(), 0, true)
    }

    fn with(world: &World, name: String, skew_ms: i64, charmed: bool) -> Self {
        world.note(&name, "starts");
        Self(Arc::new(Life {
            world: world.clone(),
            name,
            dead: CancellationToken::new(),
            frozen: AtomicBool::new(false),
            thaws: Mutex::new(Instant::now()),
            skew_ms: AtomicI64::new(skew_ms),
            charmed,
        }))
    }

    pub(crate) fn name(&self) -> &str {
        &self.0.name
    }

    pub(crate) fn world(&self) -> &World {
        &self.0.world
    }

    pub(crate) fn kill(&self) {
        self.note("DIES");
        self.0.dead.cancel();
        self.0.world.release(&self.0.name);
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.0.dead.is_cancelled()
    }

    pub(crate) async fn died(&self) {
        self.0.dead.cancelled().await;
    }

    pub(crate) fn note(&self, what: impl Into<String>) {
        self.0.world.note(&self.0.name, what);
    }

    /// A question on its way to a server.
    pub(crate) async fn ask(&self, step: &'static str) -> Result<(), Broken> {
        self.begin(step).await;
        let fault = self.strike(step, &[Fault::LostRequest]);
        self.travel().await;
        if fault.is_some() { Err(Broken) } else { Ok(()) }
    }

    /// An answer on its way back.
    pub(crate) async fn answer(&self, step: &'static str) -> Result<(), Broken> {
        let fault = self.strike(step, &[Fault::LostAnswer, Fault::LateAnswer]);
        if fault == Some(Fault::LateAnswer) {
            self.late().await;
        }
        self.travel().await;
        if fault == Some(Fault::LostAnswer) { Err(Broken) } else { Ok(()) }
    }

    /// A change on its way to a server, and its answer on its way back.
    ///
    /// What fails only after it was done answers as what failed before it: the sender cannot tell.
    pub(crate) async fn send(&self, step: &'static str, change: Change) -> Delivery {
        self.carry(step, &CHANGE_FAULTS, change).await
    }

    /// The same of a change that no driver sends twice by itself.
    pub(crate) async fn send_once(&self, step: &'static str, change: Change) -> Delivery {
        self.carry(step, &CHANGE_FAULTS[1..], change).await
    }

    async fn carry(&self, step: &'static str, may: &[Fault], change: Change) -> Delivery {
        self.begin(step).await;
        let fault = self.strike(step, may);
        match fault {
            Some(Fault::Unreachable) => {
                self.travel().await;
                return Delivery::Unreachable;
            }
            Some(Fault::Refused) => {
                self.travel().await;
                return Delivery::Refused("55P03");
            }
            Some(Fault::LostRequest) => {
                self.travel().await;
                return Delivery::Broken;
            }
            Some(Fault::LateRequest) => {
                self.later(step, change);
                self.travel().await;
                return Delivery::Broken;
            }
            _ => {}
        }
        self.travel_to_server().await;
        change();
        self.note(format!("{step}: done"));
        match fault {
            Some(Fault::Twice) => self.later(step, change),
            Some(Fault::CrashAfter) => self.kill(),
            Some(Fault::LateAnswer) => self.late().await,
            _ => {}
        }
        self.travel().await;
        if fault == Some(Fault::LostAnswer) {
            return if self.0.world.has(Bug::LostCommitIsAFailure) { Delivery::Unreachable } else { Delivery::Broken };
        }
        Delivery::Answered
    }

    /// Whether a fault of this kind strikes here.
    pub(crate) fn strike(&self, step: &'static str, among: &[Fault]) -> Option<Fault> {
        let fault = if self.0.charmed { None } else { self.0.world.strike(step, among) };
        if let Some(fault) = fault {
            self.note(format!("{step}: {fault}"));
        }
        fault
    }

    /// One step more: the process may die here, stand still, or have its clock changed.
    async fn begin(&self, step: &'static str) {
        self.alive().await;
        self.0.world.step(step);
        match self.strike(step, &[Fault::Crash, Fault::Freeze, Fault::ClockJump]) {
            Some(Fault::Crash) => self.kill(),
            Some(Fault::Freeze) => {
                let thaws = Instant::now() + Duration::from_millis(self.late_ms());
                *self.0.thaws.lock().unwrap_or_else(PoisonError::into_inner) = thaws;
                self.0.frozen.store(true, Ordering::Relaxed);
            }
            Some(_) => {
                let jump = i64::try_from(self.0.world.below(usize::try_from(2 * JUMP_MS_MAX).unwrap_or(1)));
                self.0.skew_ms.fetch_add(jump.unwrap_or_default() - JUMP_MS_MAX, Ordering::Relaxed);
            }
            None => self.note(step),
        }
        self.alive().await;
    }

    /// Returns only in a process that lives and runs.
    async fn alive(&self) {
        while self.0.frozen.load(Ordering::Relaxed) {
            let thaws = *self.0.thaws.lock().unwrap_or_else(PoisonError::into_inner);
            if Instant::now() >= thaws {
                self.0.frozen.store(false, Ordering::Relaxed);
                break;
            }
            tokio::time::sleep_until(thaws).await;
        }
        if self.is_dead() || self.0.world.has_ended() {
            std::future::pending::<()>().await;
        }
    }

    async fn travel(&self) {
        self.wait().await;
        self.alive().await;
    }

    /// What was sent arrives though its sender stands still, and perhaps though it has died.
    async fn travel_to_server(&self) {
        self.wait().await;
        if self.0.world.has_ended() || (self.is_dead() && self.0.world.percent(50)) {
            std::future::pending::<()>().await;
        }
    }

    async fn wait(&self) {
        let latency = self.0.world.latency();
        if !self.0.charmed && !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
    }

    fn later(&self, step: &'static str, change: Change) {
        let process = self.clone();
        tokio::spawn(async move {
            process.late().await;
            if !process.0.world.has_ended() {
                process.note(format!("{step}: done late"));
                change();
            }
        });
    }

    async fn late(&self) {
        tokio::time::sleep(Duration::from_millis(self.late_ms())).await;
    }

    fn late_ms(&self) -> u64 {
        u64::try_from(self.0.world.below(LATE_MS_MAX)).unwrap_or_default()
    }
}

#[async_trait]
impl Wire for Process {
    async fn ask(&self, step: &'static str) -> Result<(), Lost> {
        Self::ask(self, step).await.map_err(|Broken| Lost)
    }

    async fn answer(&self, step: &'static str) -> Result<(), Lost> {
        Self::answer(self, step).await.map_err(|Broken| Lost)
    }

    async fn change(&self, step: &'static str, change: Change) -> Delivery {
        let delivery = self.send(step, change).await;
        if delivery == Delivery::Broken {
            // The lease goes with the connection.
            self.0.world.release(&self.0.name);
        }
        delivery
    }

    async fn take_lease(&self) -> Result<(), Lost> {
        Wire::ask(self, "take the lease").await?;
        if let Some(wait) = self.0.world.queue(&self.0.name)
            && tokio::time::timeout(LEASE_WAIT_MAX, wait).await.is_err()
        {
            return Err(Lost);
        }
        let answer = Wire::answer(self, "take the lease").await;
        if answer.is_err() {
            self.0.world.release(&self.0.name);
        }
        answer
    }

    async fn give_lease(&self) {
        let (world, name) = (self.0.world.clone(), self.0.name.clone());
        self.send("give the lease", Arc::new(move || world.release(&name))).await;
        // Where it could not be said, the connection is given up.
        self.0.world.release(&self.0.name);
    }
}

impl Clock for Process {
    fn now(&self) -> Timestamp {
        let skew = SignedDuration::from_millis(self.0.skew_ms.load(Ordering::Relaxed));
        self.0.world.now() + skew
    }
}
