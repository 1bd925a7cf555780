//! Several processes that write one ledger, and clients that keep a journal of what they are told.

pub(crate) mod ask;
mod books;
mod branch;
mod client;
mod journal;
mod judge;

use postfold::Ledger;
use postfold::simulation::SharedLog;
use tokio::task::JoinSet;

use crate::world::{Process, World};
pub(crate) use books::to_cents;
use branch::Branches;
use client::Client;
use journal::Journal;
pub(crate) use judge::judge;

/// Clients at work on a ledger.
pub(crate) struct Bank {
    pub(crate) journal: Journal,
    clients: JoinSet<()>,
}

impl Bank {
    /// Opens the accounts, then processes and clients.
    pub(crate) async fn open(world: &World, log: &SharedLog) -> Self {
        let founder = std::sync::Arc::new(Process::charmed(world, "founder"));
        let ledger = log.open(Ledger::builder().clock(founder.clone()), founder);
        for command in ask::chart() {
            if let Err(error) = ledger.submit(command).await {
                world.violated(format!("an account cannot be opened: {error}"));
            }
        }
        ledger.close().await;
        let branches = Branches::open(world, log, 1 + world.below(3));
        let (journal, mut clients) = (Journal::default(), JoinSet::new());
        for number in 0..=world.below(4) {
            let client = Client {
                name: format!("client{number}"),
                world: world.clone(),
                log: log.clone(),
                branches: branches.clone(),
                journal: journal.clone(),
            };
            clients.spawn(client.run(3 + world.below(12)));
        }
        Self { journal, clients }
    }

    /// Returns when all clients are done.
    pub(crate) async fn close(&mut self) {
        while self.clients.join_next().await.is_some() {}
    }
}
