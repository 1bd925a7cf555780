//! What callers sent and nobody decided yet.

use std::collections::VecDeque;

use tokio::sync::{mpsc, watch};

use super::Request;
use crate::error::Error;
use crate::observe::{self, name};

/// How often the queue is looked at again before a batch is sent.
///
/// Callers that were just answered need a moment to send their next command; without this they split
/// into two halves that alternate.
const GATHER_YIELDS: usize = 4;

/// The queue, and what was taken from it: at most one batch more than what was put back.
pub(super) struct Inbox {
    queue: mpsc::Receiver<Request>,
    /// Turns true when no more requests are to be taken in.
    closing: watch::Receiver<bool>,
    waiting: VecDeque<Request>,
    /// The commands that wait, members of batches counted.
    commands: usize,
    commands_max: usize,
}

impl Inbox {
    pub(super) fn new(queue: mpsc::Receiver<Request>, closing: watch::Receiver<bool>, commands_max: usize) -> Self {
        Self { queue, closing, waiting: VecDeque::new(), commands: 0, commands_max }
    }

    /// Returns when a request waits; false when none does and none will come.
    pub(super) async fn wait(&mut self) -> bool {
        if !self.waiting.is_empty() {
            return true;
        }
        let first = loop {
            tokio::select! {
                biased;
                // What was sent before is still received.
                Ok(_) = self.closing.wait_for(|closing| *closing), if !self.queue.is_closed() => self.queue.close(),
                first = self.queue.recv() => break first,
            }
        };
        let Some(first) = first else { return false };
        self.push(first);
        true
    }

    /// Takes what is queued, and gives those who are about to send a chance to do so; answers whether a
    /// request waits.
    pub(super) async fn gather(&mut self) -> bool {
        for _ in 0..GATHER_YIELDS {
            self.take_queued();
            tokio::task::yield_now().await;
        }
        self.take_queued();
        metrics::gauge!(name::QUEUE_COMMANDS).set(observe::number(self.queue.len()));
        !self.waiting.is_empty()
    }

    /// How many requests wait.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Takes what is queued, up to one batch.
    pub(super) fn take_queued(&mut self) {
        while self.commands < self.commands_max {
            let Ok(request) = self.queue.try_recv() else { return };
            self.push(request);
        }
    }

    /// The next requests, as many commands as there is room for; the last one may be a batch that goes beyond.
    pub(super) fn take(&mut self, room: usize) -> Vec<Request> {
        let mut taken = Vec::new();
        let mut commands = 0;
        while commands < room {
            let Some(request) = self.waiting.pop_front() else { break };
            commands += request.command.count();
            taken.push(request);
        }
        self.commands -= commands;
        taken
    }

    /// Requests that are to be decided again, before all others.
    pub(super) fn put_back(&mut self, requests: Vec<Request>) {
        for request in requests.into_iter().rev() {
            self.commands += request.command.count();
            self.waiting.push_front(request);
        }
    }

    /// Tells every caller that a command before theirs failed.
    pub(super) fn refuse_behind(&mut self, error: &Error) {
        self.commands = 0;
        for request in self.waiting.drain(..) {
            request.refuse_behind(error);
        }
        while let Ok(request) = self.queue.try_recv() {
            request.refuse_behind(error);
        }
    }

    fn push(&mut self, request: Request) {
        self.commands += request.command.count();
        self.waiting.push_back(request);
    }
}
