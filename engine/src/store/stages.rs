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
    /// Whether the events of the one before it have their positions.
    before: watch::Receiver<bool>,
    placed: watch::Sender<bool>,
    turn: watch::Receiver<Turn>,
}

/// The writer's half.
pub(crate) struct Steering {
    placed: watch::Receiver<bool>,
    turn: watch::Sender<Turn>,
}

/// An append behind another one, or behind none.
pub(crate) fn stages(before: Option<&Steering>) -> (Stages, Steering) {
    let (placed, is_placed) = watch::channel(false);
    let (steer, turn) = watch::channel(if before.is_some() { Turn::Waits } else { Turn::Commits });
    // Whose own events are placed is of no use to itself: where there is none before, the turn is there.
    let before = before.map_or_else(|| is_placed.clone(), |before| before.placed.clone());
    (Stages { before, placed, turn }, Steering { placed: is_placed, turn: steer })
}

impl Stages {
    /// Waits until the events may be written: those of the one before it have their positions, or it is durable.
    ///
    /// # Errors
    ///
    /// When it is to give up instead.
    pub(crate) async fn may_place(&mut self) -> Result<(), AppendError> {
        let before = &mut self.before;
        let placed = async {
            // Whoever ends without saying so has an outcome soon.
            if before.wait_for(|placed| *placed).await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = placed => Ok(()),
            turn = turn(&mut self.turn) => turn,
        }
    }

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
        turn(&mut self.turn).await
    }
}

async fn turn(turn: &mut watch::Receiver<Turn>) -> Result<(), AppendError> {
    match turn.wait_for(|turn| *turn != Turn::Waits).await.as_deref() {
        Ok(Turn::Commits) => Ok(()),
        _ => Err(AppendError::Failed(Error::Unavailable("the commit before this one failed".to_owned()))),
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
