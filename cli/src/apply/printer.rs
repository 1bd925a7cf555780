//! Outcomes in the order of their commands, on a thread of its own: stdout may block, and the ledger
//! must not wait for it.

use std::io::{self, Write};
use std::sync::Arc;

use postfold::{Error, Outcome};
use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use crate::output;
use crate::progress::{Progress, Step};

/// A command on its way.
pub(super) struct Pending {
    pub(super) line: u64,
    /// Where the line ends in the input, in bytes.
    pub(super) end: u64,
    pub(super) answer: Answer,
    /// What it takes of the window, until it is printed.
    pub(super) _room: OwnedSemaphorePermit,
}

/// The outcome, or where it will come.
pub(super) enum Answer {
    Known(Outcome),
    Awaited(oneshot::Receiver<Result<Outcome, Error>>),
    Failed(Error),
}

impl Answer {
    /// What [`postfold::Ledger::enqueue`] answered.
    pub(super) fn of(enqueued: Result<oneshot::Receiver<Result<Outcome, Error>>, Error>) -> Self {
        match enqueued {
            Ok(receiver) => Self::Awaited(receiver),
            Err(error) => Self::Failed(error),
        }
    }
}

/// What was printed, and why it ended.
#[derive(Default)]
pub(super) struct Printed {
    pub(super) answered: u64,
    pub(super) duplicates: u64,
    pub(super) refused: u64,
    pub(super) first_refused: Option<Refused>,
    /// `None` when every answer was printed.
    pub(super) stop: Option<Stop>,
}

/// A command that was refused.
pub(super) struct Refused {
    pub(super) line: u64,
    pub(super) why: String,
}

/// Why not every answer was printed.
pub(super) enum Stop {
    /// stdout takes no more.
    Output(io::Error),
    /// There is no answer for this line.
    Ledger { line: u64, error: Error },
}

/// Prints the answers.
pub(super) struct Printer {
    pub(super) answers: mpsc::Receiver<Pending>,
    /// Whether receipts keep their balances.
    pub(super) balances: bool,
    pub(super) progress: Arc<Progress>,
    /// The size of the input; 0 when unknown.
    pub(super) total: u64,
}

impl Printer {
    /// Goes on until the last answer, or until something stops it.
    pub(super) fn run(mut self) -> Printed {
        let mut printed = Printed::default();
        let mut out = output::stdout();
        printed.stop = self.print(&mut out, &mut printed).err();
        printed
    }

    fn print(&mut self, out: &mut impl Write, printed: &mut Printed) -> Result<(), Stop> {
        while let Some(pending) = self.next(out)? {
            let answer = outcome(pending.answer, out)?;
            let mut outcome = answer.map_err(|error| Stop::Ledger { line: pending.line, error })?;
            if !self.balances {
                drop_balances(&mut outcome);
            }
            output::write_json(out, &outcome).map_err(Stop::Output)?;
            printed.add(pending.line, &outcome);
            self.progress.at(Step { count: printed.answered, done: pending.end, total: self.total });
        }
        out.flush().map_err(Stop::Output)
    }

    /// The next command. When there is none yet, whoever waits for outcomes gets them all first.
    fn next(&mut self, out: &mut impl Write) -> Result<Option<Pending>, Stop> {
        match self.answers.try_recv() {
            Ok(pending) => Ok(Some(pending)),
            Err(TryRecvError::Disconnected) => Ok(None),
            Err(TryRecvError::Empty) => {
                out.flush().map_err(Stop::Output)?;
                Ok(self.answers.blocking_recv())
            }
        }
    }
}

/// The answer; the same holds when it is not there yet.
fn outcome(answer: Answer, out: &mut impl Write) -> Result<Result<Outcome, Error>, Stop> {
    let mut receiver = match answer {
        Answer::Known(outcome) => return Ok(Ok(outcome)),
        Answer::Failed(error) => return Ok(Err(error)),
        Answer::Awaited(receiver) => receiver,
    };
    match receiver.try_recv() {
        Ok(answer) => Ok(answer),
        Err(oneshot::error::TryRecvError::Closed) => Ok(Err(Error::Closed)),
        Err(oneshot::error::TryRecvError::Empty) => {
            out.flush().map_err(Stop::Output)?;
            Ok(receiver.blocking_recv().unwrap_or(Err(Error::Closed)))
        }
    }
}

impl Printed {
    fn add(&mut self, line: u64, outcome: &Outcome) {
        self.answered += 1;
        if let Outcome::Ok(receipt) = outcome
            && receipt.duplicate
        {
            self.duplicates += 1;
        }
        if let Some(why) = refusal(outcome, self.first_refused.is_none()) {
            self.refused += 1;
            self.first_refused.get_or_insert(Refused { line, why });
        }
    }
}

/// Why a command was refused, or a member of a batch that goes on without it; `None` if nothing was.
fn refusal(outcome: &Outcome, say_why: bool) -> Option<String> {
    let why = |outcome: &Outcome| {
        let refusal = if say_why { outcome.clone().into_result().err() } else { None };
        refusal.map(|refusal| refusal.to_string()).unwrap_or_default()
    };
    let Outcome::Ok(receipt) = outcome else { return Some(why(outcome)) };
    let members = receipt.outcomes.iter().flatten().enumerate();
    let refused = members.into_iter().find(|(_, member)| !member.is_ok());
    refused.map(|(index, member)| format!("commands[{index}]: {}", why(member)))
}

/// Takes the balances out of a receipt and out of those of its members.
fn drop_balances(outcome: &mut Outcome) {
    if let Outcome::Ok(receipt) = outcome {
        receipt.balances = None;
        receipt.outcomes.iter_mut().flatten().for_each(drop_balances);
    }
}
