//! A batch on its way to the log.

use std::sync::Arc;

use tokio::task::JoinHandle;
use tokio::time::Instant;
use tracing::Instrument;

use super::append;
use super::batch::Batch;
use crate::error::Error;
use crate::observe::{self, name};
use crate::settings::Settings;
use crate::state::Mark;
use crate::store::stages::{Steering, Turn, stages};
use crate::store::{AppendError, Store};

pub(super) struct Flight {
    pub(super) batch: Batch,
    /// The state behind it.
    pub(super) end: Mark,
    pub(super) started: Instant,
    steering: Steering,
    task: JoinHandle<Result<(), AppendError>>,
}

impl Flight {
    /// Sends the rows of a batch, in a task of its own.
    pub(super) fn send(store: &Arc<dyn Store>, settings: &Settings, mut batch: Batch, end: Mark, turn: Turn) -> Self {
        let draft = std::mem::take(&mut batch.draft);
        metrics::histogram!(name::BATCH_COMMANDS).record(observe::number(batch.commands));
        let (commands, events) = (batch.commands, draft.events.len());
        let span = tracing::debug_span!("postfold.append", ledger = store.name(), commands, events);
        let (stages, steering) = stages(turn);
        let append = append::append(Arc::clone(store), settings.clone(), draft, stages);
        let task = tokio::spawn(append.instrument(span));
        Self { batch, end, started: Instant::now(), steering, task }
    }

    pub(super) async fn outcome(&mut self) -> Result<(), AppendError> {
        (&mut self.task).await.unwrap_or(Err(AppendError::Unknown(Error::Closed)))
    }

    /// Returns when another may be sent behind it.
    pub(super) fn placed(&self) -> impl Future<Output = ()> + use<> {
        self.steering.placed()
    }

    /// The one before it is durable.
    pub(super) fn commit(&self) {
        self.steering.turn(Turn::Commits);
    }

    /// The one before it failed: what was sent is taken back.
    pub(super) async fn give_up(self) -> Batch {
        self.steering.turn(Turn::GivesUp);
        // How it ended does not matter: without its turn nothing was committed.
        let _ = self.task.await;
        self.batch
    }
}
