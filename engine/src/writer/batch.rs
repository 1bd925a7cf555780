//! A batch of requests that was decided: its rows, and what every caller is to be told once they are durable.

use super::Request;
use crate::decide;
use crate::draft::Draft;
use crate::error::Error;
use crate::observe;
use crate::outcome::Outcome;
use crate::state::{Need, State};

#[derive(Default)]
pub(super) struct Batch {
    /// In the order in which they came; each has its outcome at the same place.
    pub(super) requests: Vec<Request>,
    outcomes: Vec<Outcome>,
    /// The rows to append.
    pub(super) draft: Draft,
    /// The commands in the requests, members of batches counted.
    pub(super) commands: usize,
}

impl Batch {
    pub(super) fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    /// Decides requests in order, up to the first for which something is missing; answers that one and all
    /// behind it, and what all of them need, so that it is loaded in one go.
    pub(super) fn add(&mut self, state: &mut State, requests: Vec<Request>) -> (Vec<Request>, Vec<Need>) {
        let mut requests = requests.into_iter();
        while let Some(request) = requests.next() {
            match self.draft.add(state, &request.command, request.stamp) {
                Ok(outcome) => {
                    self.commands += request.command.count();
                    self.outcomes.push(outcome);
                    self.requests.push(request);
                }
                Err(mut needs) => {
                    let rest: Vec<Request> = std::iter::once(request).chain(requests).collect();
                    for request in &rest {
                        decide::needs(state, &request.command, &mut needs);
                    }
                    self.try_on(state, &rest[1..], &mut needs);
                    return (rest, needs);
                }
            }
        }
        (Vec::new(), Vec::new())
    }

    /// Decides further requests only to see what they need beyond what can be read off them.
    fn try_on(&mut self, state: &mut State, requests: &[Request], needs: &mut Vec<Need>) {
        let save = self.draft.save(state);
        for request in requests {
            if let Err(missing) = self.draft.add(state, &request.command, request.stamp) {
                needs.extend(missing);
            }
        }
        self.draft.restore(state, &save);
    }

    /// Tells every caller; the rows are durable.
    pub(super) fn answer(self) {
        for (request, outcome) in self.requests.into_iter().zip(self.outcomes) {
            observe::count(&outcome);
            // A caller that has gone away is not told.
            let _ = request.reply.send(Ok(outcome));
        }
    }

    /// Tells every caller that it was not done, or is not known to be.
    pub(super) fn fail(self, error: &Error) {
        for request in self.requests {
            let _ = request.reply.send(Err(error.for_each_caller()));
        }
    }

    /// Tells every caller that a command before theirs failed.
    pub(super) fn refuse_behind(self, error: &Error) {
        for request in self.requests {
            request.refuse_behind(error);
        }
    }
}

impl Request {
    /// What is queued behind a command that failed fails with it, undone.
    pub(super) fn refuse_behind(self, error: &Error) {
        let why = format!("a command before this one failed: {error}");
        let _ = self.reply.send(Err(Error::Unavailable(why)));
    }
}
