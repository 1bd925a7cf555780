//! The chain of hashes, and what each event says by itself.
//!
//! A link needs no more than the hash that is stored before it, so each page is checked on a thread of
//! its own while the next ones are read.

use rust_decimal::Decimal;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::{PAGE_ROWS, Problem};
use crate::account::Side;
use crate::error::Error;
use crate::event::{Event, Payload};
use crate::hash::{Fields, Hash};
use crate::log::Log;
use crate::position::Position;
use crate::state::Head;

/// Pages that are being checked, or were and wait to be folded.
const PAGES_AHEAD: usize = 4;

/// The end of what comes before a page.
pub(super) async fn link(log: &Log, position: Position) -> Result<Head, Error> {
    if position == Position::START {
        return Ok(Head { position, hash: Hash::genesis(log.ledger_name()), recorded_at: None });
    }
    let before = Position::new(position.get() - 1);
    let event = log.page(before, 1).await?.into_iter().next().filter(|event| event.position == position);
    let missing = || Error::Damaged { position, what: "there is no event here to begin behind".to_owned() };
    event.map(|event| end_of(&event)).ok_or_else(missing)
}

/// Reads the log behind `start` up to `upto`.
pub(super) fn pages(log: Log, start: Head, upto: Position) -> Pages {
    let (sender, receiver) = mpsc::channel(PAGES_AHEAD);
    tokio::spawn(async move {
        let mut before = start;
        let mut limit = PAGE_ROWS;
        while before.position < upto {
            let page = match log.page(before.position, limit).await {
                Ok(page) => page,
                Err(Error::Damaged { position, what }) => {
                    let rows_before = position.get() - before.position.get() - 1;
                    match usize::try_from(rows_before) {
                        Ok(rows) if rows > 0 && rows < limit => limit = rows,
                        // What comes behind it could not be folded.
                        _ => return drop(sender.send(Ok(unreadable(before, position, what))).await),
                    }
                    continue;
                }
                Err(error) => return drop(sender.send(Err(error)).await),
            };
            let page: Vec<Event> = page.into_iter().take_while(|event| event.position <= upto).collect();
            let Some(end) = page.last().map(end_of) else { return };
            let checking = tokio::task::spawn_blocking(move || check(before, page));
            before = end;
            // Whoever waits for the pages may have gone away.
            if sender.send(Ok(checking)).await.is_err() {
                return;
            }
        }
    });
    Pages(receiver)
}

/// The end of what can be read.
fn unreadable(before: Head, position: Position, what: String) -> JoinHandle<Page> {
    let problems = vec![Problem::new(position, "event", what)];
    tokio::spawn(async move { Page { end: before, events: Vec::new(), problems } })
}

/// Pages in order, checked.
pub(super) struct Pages(mpsc::Receiver<Result<JoinHandle<Page>, Error>>);

impl Pages {
    pub(super) async fn next(&mut self) -> Result<Option<Page>, Error> {
        match self.0.recv().await {
            None => Ok(None),
            Some(checking) => checking?.await.map(Some).map_err(|_| Error::Closed),
        }
    }
}

/// What there is to fold of a page.
pub(super) struct Page {
    pub(super) end: Head,
    pub(super) events: Vec<Checked>,
    pub(super) problems: Vec<Problem>,
}

/// An event and what it says, if it can be read.
pub(super) struct Checked {
    pub(super) position: Position,
    pub(super) payload: Option<Payload>,
}

fn end_of(event: &Event) -> Head {
    Head { position: event.position, hash: event.hash, recorded_at: Some(event.recorded_at) }
}

fn check(mut before: Head, page: Vec<Event>) -> Page {
    let mut problems = Vec::new();
    let mut events = Vec::with_capacity(page.len());
    for event in page {
        check_link(before, &event, &mut problems);
        let payload = event.payload().inspect_err(|error| {
            problems.push(Problem::new(event.position, "event.data", error.to_string()));
        });
        if let Some(message) = payload.as_ref().ok().and_then(imbalance) {
            problems.push(Problem::new(event.position, "event.data", message));
        }
        events.push(Checked { position: event.position, payload: payload.ok() });
        before = end_of(&event);
    }
    Page { end: before, events, problems }
}

fn check_link(before: Head, event: &Event, problems: &mut Vec<Problem>) {
    if event.position != before.position.next() {
        let message = format!("the next event stands at {}", event.position);
        problems.push(Problem::new(before.position.next(), "event.position", message));
    }
    if before.recorded_at.is_some_and(|before| event.recorded_at < before) {
        problems.push(Problem::new(event.position, "event.recorded_at", "recorded time goes back"));
    }
    let hash = before.hash.chain(&Fields::from(event));
    if hash != event.hash {
        let message = format!("{} is stored, {hash} follows from the row", event.hash);
        problems.push(Problem::new(event.position, "event.hash", message));
    }
}

/// Where debits and credits differ, if they do.
fn imbalance(payload: &Payload) -> Option<String> {
    let mut sums: Vec<(&str, Decimal, Decimal)> = Vec::new();
    for moved in payload.movements() {
        let sign = if moved.leg.amount.side() == Side::Debit { Decimal::ONE } else { Decimal::NEGATIVE_ONE };
        let currency = moved.leg.currency.as_str();
        let slot = sums.iter().position(|(known, ..)| *known == currency).unwrap_or_else(|| {
            sums.push((currency, Decimal::ZERO, Decimal::ZERO));
            sums.len() - 1
        });
        let (_, posted, pending) = &mut sums[slot];
        // Whoever wrote past the engine may have written any amount.
        let added = (posted.checked_add(sign * moved.posted), pending.checked_add(sign * moved.pending));
        let (Some(more_posted), Some(more_pending)) = added else {
            return Some(format!("the amounts in {currency} are too large to be added up"));
        };
        (*posted, *pending) = (more_posted, more_pending);
    }
    let (currency, posted, pending) =
        sums.into_iter().find(|(_, posted, pending)| !(posted.is_zero() && pending.is_zero()))?;
    Some(format!("debits less credits are {posted} {currency} posted and {pending} pending"))
}
