//! What the log says up to some position, and what a command would have to be answered there.
//!
//! Written for clarity from the contract of the commands, and shares no code with the engine's rules.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use postfold::{Event, Payload, Rule, Side};
use rust_decimal::Decimal;

use super::ask::{Ask, WALLETS, code, entity, floor};

/// The state of the ledger after some event.
#[derive(Clone, Debug, Default)]
pub(crate) struct Books {
    pub(crate) position: i64,
    pub(crate) recorded_at: Option<Timestamp>,
    pub(crate) accounts: Vec<Book>,
    holds: BTreeMap<String, Held>,
    entries: BTreeMap<String, Entry>,
    versions: BTreeMap<String, i64>,
}

/// An account, in cents on its normal side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Book {
    pub(crate) posted: i64,
    pub(crate) pending_in: i64,
    pub(crate) pending_out: i64,
}

#[derive(Clone, Debug)]
struct Held {
    left: i64,
    expires_at: Option<Timestamp>,
    end: Option<Rule>,
}

#[derive(Clone, Debug)]
struct Entry {
    from: usize,
    to: usize,
    cents: i64,
    reversed: bool,
}

/// What a command has to be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Ok,
    /// `expire_due`: so many.
    Expired(usize),
    Rejected(Rule),
    /// With what the account has available, in cents.
    Poor(i64),
    /// The member of a batch that fails.
    BatchFailed(usize),
    Conflict(i64),
}

impl Book {
    pub(crate) const fn available(&self) -> i64 {
        self.posted - self.pending_out
    }
}

impl Books {
    pub(crate) fn new() -> Self {
        Self { accounts: vec![Book::default(); WALLETS + 1], ..Self::default() }
    }

    /// Takes one more event; the error is a promise that it breaks.
    pub(crate) fn take(&mut self, event: &Event) -> Result<(), String> {
        if event.position.get() != self.position + 1 {
            return Err(format!("position {} follows {}", event.position, self.position));
        }
        if self.recorded_at.is_some_and(|last| event.recorded_at < last) {
            return Err(format!("recorded time goes back at position {}", event.position));
        }
        (self.position, self.recorded_at) = (event.position.get(), Some(event.recorded_at));
        let before = self.accounts.clone();
        let payload = event.payload().map_err(|error| error.to_string())?;
        let id = event.id.clone().unwrap_or_default();
        match &payload {
            Payload::EntryPosted(entry) => {
                let entry_of = legs(&entry.legs)?;
                let reversed = entry.reverses.as_ref().map(|of| self.entries.get_mut(of).ok_or(of));
                match reversed {
                    Some(Ok(reversed)) if reversed.reversed => return Err(format!("{id} reverses an entry again")),
                    Some(Ok(reversed)) => reversed.reversed = true,
                    Some(Err(of)) => return Err(format!("{id} reverses {of}, which is no entry")),
                    None => {}
                }
                self.entries.insert(id, entry_of);
            }
            Payload::HoldPlaced(placed) => {
                let Entry { cents: left, .. } = legs(&placed.legs)?;
                self.holds.insert(id, Held { left, expires_at: placed.expires_at, end: None });
            }
            Payload::HoldSettled(settled) => {
                let (entry, ends) = (legs(&settled.legs)?, settled.rest.is_empty());
                self.held(&settled.hold, entry.cents, ends.then_some(Rule::HoldSettled))?;
                self.entries.insert(id, entry);
            }
            Payload::HoldReleased(released) => {
                let rule = if event.kind == "hold.expired" { Rule::HoldExpired } else { Rule::HoldVoided };
                self.held(&released.hold, 0, Some(rule))?;
            }
            Payload::EntityChanged => {
                let version = self.versions.entry(event.stream.clone().unwrap_or_default()).or_default();
                *version += 1;
                if event.version != Some(*version) {
                    return Err(format!("version {:?} follows {}", event.version, *version - 1));
                }
            }
            _ => {}
        }
        self.move_money(&payload)?;
        self.check_floors(&before)
    }

    /// What this command has to be answered by a ledger that knows so much and whose clock shows this time.
    pub(crate) fn answer(&self, ask: &Ask, stamp: Timestamp) -> Answer {
        let now = self.recorded_at.map_or(stamp, |last| last.max(stamp));
        match ask {
            Ask::Transfer { from, cents, up_to, .. } => {
                let cents = if *up_to { (*cents).min(self.may_give(*from)) } else { *cents };
                if cents <= 0 { Answer::Rejected(Rule::NothingAvailable) } else { self.transfer(*from, cents) }
            }
            Ask::Pair(transfers) => {
                let mut books = self.clone();
                for (index, (from, to, cents)) in transfers.iter().enumerate() {
                    if books.transfer(*from, *cents) != Answer::Ok {
                        return Answer::BatchFailed(index);
                    }
                    books.accounts[*from].posted -= cents;
                    books.accounts[*to].posted += cents;
                }
                Answer::Ok
            }
            Ask::Hold { from, cents, expires_at, .. } => {
                if expires_at.is_some_and(|at| at <= now) {
                    return Answer::Rejected(Rule::HoldExpired);
                }
                self.transfer(*from, *cents)
            }
            Ask::Settle { hold, cents, .. } => match self.open_hold(hold, now) {
                Err(rule) => Answer::Rejected(rule),
                Ok(held) if cents.is_some_and(|cents| cents > held.left) => Answer::Rejected(Rule::SettleExceedsHold),
                Ok(_) => Answer::Ok,
            },
            Ask::Void { hold } => self.open_hold(hold, now).map_or_else(Answer::Rejected, |_| Answer::Ok),
            Ask::Reverse { entry } => match self.entries.get(entry) {
                None => Answer::Rejected(Rule::EntryNotFound),
                Some(entry) if entry.reversed => Answer::Rejected(Rule::AlreadyReversed),
                Some(entry) => self.transfer(entry.to, entry.cents),
            },
            Ask::Record { entity: number, expected, .. } => {
                let found = self.versions.get(&entity(*number)).copied().unwrap_or_default();
                if expected.is_some_and(|expected| expected != found) { Answer::Conflict(found) } else { Answer::Ok }
            }
            Ask::ExpireDue => Answer::Expired(self.due(now)),
        }
    }

    /// What a transfer that takes what there is moves.
    pub(crate) fn may_give(&self, account: usize) -> i64 {
        self.accounts[account].available() - floor(account).unwrap_or_default()
    }

    /// How much of a hold is left.
    pub(crate) fn left(&self, hold: &str) -> i64 {
        self.holds.get(hold).map_or(0, |held| held.left)
    }

    /// From whom to whom an entry moved how much.
    pub(crate) fn entry(&self, id: &str) -> Option<(usize, usize, i64)> {
        self.entries.get(id).map(|entry| (entry.from, entry.to, entry.cents))
    }

    fn due(&self, now: Timestamp) -> usize {
        let due = |held: &&Held| held.end.is_none() && held.expires_at.is_some_and(|at| at <= now);
        self.holds.values().filter(due).count()
    }

    fn transfer(&self, from: usize, cents: i64) -> Answer {
        let available = self.accounts[from].available();
        match floor(from) {
            Some(floor) if available - cents < floor => Answer::Poor(available),
            _ => Answer::Ok,
        }
    }

    fn open_hold(&self, id: &str, now: Timestamp) -> Result<&Held, Rule> {
        let held = self.holds.get(id).ok_or(Rule::HoldNotFound)?;
        match held.end {
            Some(rule) => Err(rule),
            None if held.expires_at.is_some_and(|at| at <= now) => Err(Rule::HoldExpired),
            None => Ok(held),
        }
    }

    fn held(&mut self, id: &str, cents: i64, end: Option<Rule>) -> Result<(), String> {
        let held = self.holds.get_mut(id).ok_or_else(|| format!("there is no hold {id}"))?;
        if let Some(ended) = held.end {
            return Err(format!("the hold {id} is released twice: {ended} before"));
        }
        held.left -= cents;
        held.end = end;
        if held.left < 0 { Err(format!("more of {id} is settled than was held")) } else { Ok(()) }
    }

    fn move_money(&mut self, payload: &Payload) -> Result<(), String> {
        for moved in payload.movements() {
            let (account, posted, pending) =
                (account(&moved.leg.account)?, to_cents(moved.posted)?, to_cents(moved.pending)?);
            let book = &mut self.accounts[account];
            // All accounts are liabilities: they grow on the credit side.
            if moved.leg.amount.side() == Side::Credit {
                book.posted += posted;
                book.pending_in += pending;
            } else {
                book.posted -= posted;
                book.pending_out += pending;
            }
        }
        Ok(())
    }

    fn check_floors(&self, before: &[Book]) -> Result<(), String> {
        for (number, (book, before)) in self.accounts.iter().zip(before).enumerate() {
            let lowered = book.available() < before.available();
            if lowered && floor(number).is_some_and(|floor| book.available() < floor) {
                let available = book.available();
                return Err(format!("{} falls below its floor at {}: {available}", code(number), self.position));
            }
            if book.pending_in < 0 || book.pending_out < 0 {
                return Err(format!("more is released than was pending of {} at {}", code(number), self.position));
            }
        }
        Ok(())
    }
}

/// The positions at which ids were used.
pub(crate) fn positions(events: &[Event]) -> HashMap<&str, usize> {
    let with_id = events.iter().enumerate().filter_map(|(at, event)| Some((event.id.as_deref()?, at)));
    with_id.collect()
}

fn legs(legs: &[postfold::event::PostedLeg]) -> Result<Entry, String> {
    let on = |side| legs.iter().find(|leg| leg.amount.side() == side);
    let (Some(from), Some(to)) = (on(Side::Debit), on(Side::Credit)) else { return Err("no two legs".to_owned()) };
    let cents = to_cents(from.amount.amount())?;
    Ok(Entry { from: account(&from.account)?, to: account(&to.account)?, cents, reversed: false })
}

fn account(name: &str) -> Result<usize, String> {
    (0..=WALLETS).find(|number| code(*number) == name).ok_or_else(|| format!("there is no account {name}"))
}

pub(crate) fn to_cents(amount: Decimal) -> Result<i64, String> {
    let mut cents = amount;
    cents.rescale(2);
    i64::try_from(cents.mantissa()).map_err(|error| error.to_string())
}
