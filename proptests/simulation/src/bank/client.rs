//! A client: sends commands, by whichever process answers, and again where the answer did not come.

use futures::FutureExt;
use postfold::simulation::SharedLog;
use postfold::{Clock, Error, Ledger, Log, Outcome};

use super::ask::{Ask, WALLETS, code};
use super::branch::{Branches, Office};
use super::journal::{Journal, Read, Told};
use crate::world::World;

/// How often a command is sent at most.
const ATTEMPTS_MAX: usize = 5;

/// A user of the ledger; it does not die with the processes that serve it.
pub(crate) struct Client {
    pub(crate) name: String,
    pub(crate) world: World,
    pub(crate) log: SharedLog,
    pub(crate) branches: Branches,
    pub(crate) journal: Journal,
}

impl Client {
    pub(crate) async fn run(self, commands: usize) {
        for number in 0..commands {
            if self.world.percent(50) {
                self.world.sleep_ms(self.world.below(30)).await;
            }
            let operation = self.next(number);
            self.settle(operation).await;
            if self.world.percent(30) {
                self.look().await;
            }
        }
    }

    /// A new command, mostly; now and then one of before again, or another under an id of before.
    fn next(&self, number: usize) -> usize {
        let ids = self.journal.ids();
        let ask = Ask::draw(&self.world, &ids);
        match self.world.below(20) {
            0 if !ids.is_empty() => self.world.below(ids.len()),
            1 if !ids.is_empty() => self.journal.begin(ids[self.world.below(ids.len())].clone(), ask),
            _ => self.journal.begin(format!("{}-{number}", self.name), ask),
        }
    }

    /// Sends a command until it is answered, or there is no patience left.
    async fn settle(&self, operation: usize) {
        for _ in 0..ATTEMPTS_MAX {
            let told = self.send(operation).await;
            let again = match told {
                Some(Told::Outcome(_)) => self.world.percent(5),
                _ => self.world.percent(80),
            };
            if !again {
                return;
            }
        }
    }

    async fn send(&self, operation: usize) -> Option<Told> {
        let office = self.branches.any(&self.world).await;
        let (id, ask) = self.journal.operation(operation);
        let Office { ledger, process, .. } = &office;
        self.world.note(&self.name, format!("asks {} for {id}: {ask:?}", process.name()));
        let attempt = self.journal.send(operation, length(&self.log), process.now());
        let answer = tokio::select! {
            biased;
            () = process.died() => None,
            answer = submit(ledger, &ask, &id) => Some(answer),
        };
        let told = answer.map(|answer| self.told(answer));
        self.world.note(&self.name, format!("is told of {id}: {}", told.as_ref().map_or("nothing".into(), brief)));
        if let Some(told) = &told {
            self.journal.told(operation, attempt, length(&self.log), told.clone());
        }
        told
    }

    fn told(&self, answer: Result<Outcome, Error>) -> Told {
        match answer {
            Ok(outcome) => Told::Outcome(Box::new(outcome)),
            Err(Error::Unavailable(_) | Error::Database { .. }) => Told::Undone,
            Err(Error::OutcomeUnknown(_) | Error::Closed) => Told::Unknown,
            Err(other) => {
                self.world.violated(format!("{} is told: {other}", self.name));
                Told::Unknown
            }
        }
    }

    /// Asks for a balance.
    async fn look(&self) {
        let office = self.branches.any(&self.world).await;
        let account = self.world.below(WALLETS + 1);
        let from = length(&self.log);
        let found = tokio::select! {
            biased;
            () = office.process.died() => return,
            found = balance(office.ledger.log(), account) => found,
        };
        match found {
            Ok(found) => self.journal.read(Read { from, until: length(&self.log), account, found }),
            Err(error) if error.is_transient() => {}
            Err(error) => self.world.violated(format!("the balance of {} is answered: {error}", code(account))),
        }
    }
}

async fn submit(ledger: &Ledger, ask: &Ask, id: &str) -> Result<Outcome, Error> {
    let answer = ledger.enqueue(ask.command(id)).await?;
    answer.await.unwrap_or(Err(Error::Closed))
}

async fn balance(log: &Log, account: usize) -> Result<postfold::Balance, Error> {
    log.balance(&code(account), None).await
}

/// How long the log is in truth.
pub(crate) fn length(log: &SharedLog) -> i64 {
    let head = log.truth().head().now_or_never();
    head.and_then(Result::ok).map_or(0, |head| head.position.get())
}

fn brief(told: &Told) -> String {
    match told {
        Told::Outcome(outcome) => serde_json::to_string(outcome).unwrap_or_default(),
        other => format!("{other:?}"),
    }
}
