//! Two appends that overlap: the second is written while the first is, and committed behind it.
//!
//! | who | does | the second waits for it |
//! |---|---|---|
//! | the first | writes its events, and says so: nobody else can take their positions now | before it writes its own |
//! | the first | writes its postings, and commits | |
//! | the writer | has the first's outcome, and gives the second its turn, or has it give up | before it commits |
//!
//! So the first never waits for the second, nor for anybody who could wait for the second: from its events on it holds all
//! that it needs.

use tokio::sync::watch;

use super::AppendError;
use crate::error::Error;

/// Whether an append may commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// The one before it has no outcome yet.
    Waits,
    /// The one before it is durable.
    Commits,
    /// The one before it failed: what was decided on it is not to be written.
    GivesUp,
}

/// The store's half of an append under way.
pub(crate) struct Stages {
    placed: watch::Sender<bool>,
    turn: watch::Receiver<Turn>,
}

/// The writer's half.
pub(crate) struct Steering {
    placed: watch::Receiver<bool>,
    turn: watch::Sender<Turn>,
}

pub(crate) fn stages(turn: Turn) -> (Stages, Steering) {
    let (placed, is_placed) = watch::channel(false);
    let (steer, turn) = watch::channel(turn);
    (Stages { placed, turn }, Steering { placed: is_placed, turn: steer })
}

impl Stages {
    /// The events have their positions: the next append may be sent.
    pub(crate) fn placed(&self) {
        self.placed.send_replace(true);
    }

    /// Waits for the turn.
    ///
    /// # Errors
    ///
    /// When it is to give up instead.
    pub(crate) async fn turn(&mut self) -> Result<(), AppendError> {
        match self.turn.wait_for(|turn| *turn != Turn::Waits).await.as_deref() {
            Ok(Turn::Commits) => Ok(()),
            _ => Err(AppendError::Failed(Error::Unavailable("the commit before this one failed".to_owned()))),
        }
    }
}

impl Steering {
    /// Returns when the events have their positions; never, if the append ends without saying so.
    pub(crate) fn placed(&self) -> impl Future<Output = ()> + use<> {
        let mut placed = self.placed.clone();
        async move {
            if placed.wait_for(|placed| *placed).await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Gives it its turn, or has it give up.
    pub(crate) fn turn(&self, turn: Turn) {
        self.turn.send_replace(turn);
    }
}
