//! Trying again: for ever where it may help, and not where the batch itself is at fault.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use tokio_util::sync::CancellationToken;

use crate::accounts::Accounts;
use crate::checkpoint::Checkpoint;
use crate::halt::{Halt, Stop};
use crate::log::LogError;
use crate::metrics;
use crate::projector::lease::Lease;
use crate::settings::Settings;
use crate::store::{Collection, Store, StoreError, StoreErrorKind};

/// What every step of a projection's work needs: where to write, within which bounds, until when.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) projection: &'static str,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) settings: Arc<Settings>,
    pub(crate) cancel: CancellationToken,
    pub(crate) lease: Lease,
    /// Where one of the projections asks for them.
    pub(crate) accounts: Option<Arc<Accounts>>,
}

impl Context {
    /// Asks the store until it answers, unless the answer cannot change or the caller cancels.
    pub(crate) async fn store<T, A, F>(&self, what: &'static str, ask: A) -> Result<T, Stop>
    where
        A: Fn() -> F,
        F: Future<Output = Result<T, StoreError>>,
    {
        let mut patience = Patience::new(self);
        loop {
            match ask().await {
                Ok(answer) => return Ok(answer),
                Err(error) => patience.after(what, &error).await?,
            }
        }
    }

    /// The checkpoint of the projection, asked for as [`store`](Self::store) does.
    pub(crate) async fn checkpoint(&self) -> Result<Option<Checkpoint>, Stop> {
        self.store("read the checkpoint", || self.store.checkpoint(self.projection)).await
    }

    /// All collections, asked for as [`store`](Self::store) does.
    pub(crate) async fn collections(&self) -> Result<Vec<Collection>, Stop> {
        self.store("list collections", || self.store.collections()).await
    }

    /// Drops a collection, asked for as [`store`](Self::store) does; none of that name is no error.
    pub(crate) async fn drop_collection(&self, name: &str) -> Result<(), Stop> {
        self.store("drop a collection", || self.store.drop_collection(name)).await
    }

    /// Asks the log until it answers, unless the answer cannot change or the caller cancels.
    pub(crate) async fn log<T, A, F>(&self, ask: A) -> Result<T, Stop>
    where
        A: Fn() -> F,
        F: Future<Output = Result<T, LogError>>,
    {
        let mut patience = Patience::new(self);
        loop {
            match self.unless_cancelled(ask()).await? {
                Ok(answer) => return Ok(answer),
                Err(error) if error.is_transient() => patience.pause("read the log", &error).await?,
                Err(error) => return Err(Halt::Log { projection: self.projection, message: error.to_string() }.into()),
            }
        }
    }

    /// The work's result, or [`Stop::Cancelled`] as soon as the caller asks for it.
    pub(crate) async fn unless_cancelled<T>(&self, work: impl Future<Output = T>) -> Result<T, Stop> {
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(Stop::Cancelled),
            done = work => Ok(done),
        }
    }

    /// Waits, unless the caller cancels.
    pub(crate) async fn sleep(&self, time: Duration) -> Result<(), Stop> {
        self.unless_cancelled(tokio::time::sleep(time)).await
    }
}

/// How often something failed in a row, and how.
///
/// An outage is waited out for ever. But a compatible server reports its outages and its bugs alike,
/// as an error with a code; so after [`Settings::equal_answers_max`] equal ones, while the server
/// answers a ping and takes another write, what was asked is taken to be at fault.
pub(crate) struct Patience<'a> {
    context: &'a Context,
    delays: ExponentialBackoff,
    last: Option<StoreErrorKind>,
    equal: u32,
}

impl<'a> Patience<'a> {
    pub(crate) fn new(context: &'a Context) -> Self {
        Self { context, delays: delays(&context.settings), last: None, equal: 0 }
    }

    /// Forgets the failures: something went well in between.
    pub(crate) fn reset(&mut self) {
        self.delays = delays(&self.context.settings);
        self.last = None;
        self.equal = 0;
    }

    /// Waits before the next try; or says that there is no point in one.
    pub(crate) async fn after(&mut self, what: &'static str, error: &StoreError) -> Result<(), Stop> {
        match self.verdict(what, error).await? {
            Verdict::Again => Ok(()),
            Verdict::Refused => {
                let message = format!("{error}{}", self.times());
                Err(Halt::Refused { projection: self.context.projection, what, message }.into())
            }
        }
    }

    /// Whether to try again; where that is so, it has waited.
    pub(crate) async fn verdict(&mut self, what: &'static str, error: &StoreError) -> Result<Verdict, Stop> {
        match error.kind {
            StoreErrorKind::Refused(_) | StoreErrorKind::Malformed => return Ok(Verdict::Refused),
            StoreErrorKind::Unavailable => self.last = None,
            kind => {
                self.equal = if self.last == Some(kind) { self.equal.saturating_add(1) } else { 1 };
                self.last = Some(kind);
                if self.equal >= self.context.settings.equal_answers_max {
                    if self.server_is_well().await {
                        return Ok(Verdict::Refused);
                    }
                    self.last = None;
                }
            }
        }
        self.pause(what, error).await?;
        Ok(Verdict::Again)
    }

    fn times(&self) -> String {
        if self.last.is_none() {
            return String::new();
        }
        format!(" ({} times in a row, while it takes other writes)", self.equal)
    }

    async fn pause(&mut self, what: &'static str, error: &(dyn std::error::Error + Sync)) -> Result<(), Stop> {
        let delay = self.delays.next().unwrap_or(self.context.settings.retry_delay_max);
        let projection = self.context.projection;
        metrics::retried(projection);
        tracing::warn!(projection, what, %error, ?delay, "failed, and will be tried again");
        self.context.sleep(delay).await
    }

    async fn server_is_well(&self) -> bool {
        self.context.store.ping().await.is_ok() && self.context.store.probe(self.context.projection).await.is_ok()
    }
}

/// What to make of an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It may pass: try again.
    Again,
    /// The same will be refused every time.
    Refused,
}

fn delays(settings: &Settings) -> ExponentialBackoff {
    ExponentialBuilder::new()
        .with_min_delay(settings.retry_delay_min)
        .with_max_delay(settings.retry_delay_max)
        .with_jitter()
        .without_max_times()
        .build()
}
