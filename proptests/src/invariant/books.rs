//! The log folded anew, by rules of its own, and what breaks an invariant on the way.

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::Timestamp;
use jiff::civil::Date;
use postfold::event::{EntryPosted, HoldPlaced, HoldReleased, HoldSettled, PostedLeg};
use postfold::{Error, Event, Log, Payload, Position, Side};
use rust_decimal::Decimal;

use super::effects::{Account, Effect, Kind, day, name};
use super::{BROKEN_MAX, Broken, Invariant, PAGE_EVENTS};

/// A log up to a position, folded.
#[derive(Default)]
pub(super) struct Books {
    pub(super) accounts: BTreeMap<(String, String), Account>,
    pub(super) holds: BTreeMap<Position, Hold>,
    last: Position,
    recorded_at: Option<Timestamp>,
    ids: HashSet<String>,
    versions: HashMap<String, i64>,
    reversed: HashSet<String>,
    closed_through: Option<Date>,
    broken: Vec<Broken>,
}

/// A hold as it was placed, and what is left of each leg.
pub(super) struct Hold {
    pub(super) id: String,
    pub(super) legs: Vec<PostedLeg>,
    pub(super) left: Vec<Decimal>,
    pub(super) ended: bool,
    recorded_at: Timestamp,
    expires_at: Option<Timestamp>,
    /// By leg: whether it counts in its account's day.
    counts: Vec<bool>,
}

impl Books {
    pub(super) async fn read(log: &Log, through: Position) -> Result<Self, Error> {
        let mut books = Self::default();
        while books.last < through {
            let mut page = log.page(books.last, PAGE_EVENTS).await?;
            page.retain(|event| event.position <= through);
            if page.is_empty() {
                let found = format!("position {}", books.last);
                books.tell(
                    Invariant::PositionsAreDense,
                    None,
                    "the end of the log",
                    &format!("position {through}"),
                    &found,
                );
                break;
            }
            for event in &page {
                books.fold(event)?;
            }
        }
        Ok(books)
    }

    pub(super) fn events(&self) -> u64 {
        self.last.get().unsigned_abs()
    }

    pub(super) fn accounts(&self) -> usize {
        self.accounts.len()
    }

    pub(super) fn holds(&self) -> usize {
        self.holds.len()
    }

    pub(super) fn broken(&self) -> &[Broken] {
        &self.broken
    }

    pub(super) fn fold(&mut self, event: &Event) -> Result<(), Error> {
        self.place(event);
        match event.payload()? {
            Payload::AccountOpened(opened) => {
                let account = Account::new(opened.normal, opened.limits);
                self.accounts.insert((opened.account, opened.currency), account);
            }
            Payload::AccountChanged(changed) => {
                if let Some(account) = self.accounts.get_mut(&(changed.account, changed.currency)) {
                    account.changed(&changed.status);
                }
            }
            Payload::EntryPosted(entry) => self.entry(event, &entry),
            Payload::HoldPlaced(placed) => self.placed(event, placed),
            Payload::HoldSettled(settled) => self.settled(event, &settled),
            Payload::HoldReleased(released) => self.released(event, &released),
            Payload::PeriodMoved(moved) => self.closed_through = moved.through,
            _ => {}
        }
        Ok(())
    }

    /// Position, time, id and version.
    fn place(&mut self, event: &Event) {
        let at = Some(event.position);
        let next = self.last.next();
        if event.position != next {
            let (next, found) = (next.to_string(), event.position.to_string());
            self.tell(Invariant::PositionsAreDense, at, "the next position", &next, &found);
        }
        self.last = event.position;
        if let Some(before) = self.recorded_at.replace(event.recorded_at).filter(|before| *before > event.recorded_at) {
            let (least, found) = (format!("{before} or later"), event.recorded_at.to_string());
            self.tell(Invariant::PositionsAreDense, at, "the recorded time", &least, &found);
        }
        if let Some(id) = &event.id
            && !self.ids.insert(id.clone())
        {
            self.tell(Invariant::IdsAreUnique, at, &format!("the id {id:?}"), "new", "in the log before");
        }
        if let (Some(stream), Some(version)) = (&event.stream, event.version) {
            let before = self.versions.insert(stream.clone(), version).unwrap_or(0);
            if version != before + 1 {
                let (next, found) = ((before + 1).to_string(), version.to_string());
                self.tell(Invariant::VersionsAreDense, at, &format!("the version of {stream}"), &next, &found);
            }
        }
    }

    fn entry(&mut self, event: &Event, entry: &EntryPosted) {
        if let Some(reversed) = &entry.reverses
            && !self.reversed.insert(reversed.clone())
        {
            let subject = format!("the entry {reversed:?}");
            self.tell(Invariant::ReversedOnce, Some(event.position), &subject, "reversed once", "reversed again");
        }
        self.apply(event, &entry.legs, Kind::Post);
    }

    fn placed(&mut self, event: &Event, placed: HoldPlaced) {
        let counts = |leg: &PostedLeg| {
            let account = self.accounts.get(&name(leg));
            account.is_some_and(|account| account.counting && account.normal != leg.amount.side())
        };
        let hold = Hold {
            id: event.id.clone().unwrap_or_default(),
            counts: placed.legs.iter().map(counts).collect(),
            left: placed.legs.iter().map(|leg| leg.amount.amount()).collect(),
            ended: false,
            recorded_at: event.recorded_at,
            expires_at: placed.expires_at,
            legs: placed.legs,
        };
        self.apply(event, &hold.legs, Kind::Hold);
        self.holds.insert(event.position, hold);
    }

    fn settled(&mut self, event: &Event, settled: &HoldSettled) {
        self.apply(event, &settled.legs, Kind::Settle);
        let ends = settled.rest.is_empty();
        self.take(event, settled.placed, (&settled.legs, &settled.released), ends);
        self.give_back(event, settled.placed, &settled.released);
        if let Some(hold) = self.holds.get(&settled.placed).filter(|hold| !ends && hold.left != settled.rest) {
            let (subject, left) = (format!("the rest of the hold {:?}", hold.id), format!("{:?}", hold.left));
            let found = format!("{:?}", settled.rest);
            self.tell(Invariant::HoldsAreConserved, Some(event.position), &subject, &left, &found);
        }
    }

    fn released(&mut self, event: &Event, released: &HoldReleased) {
        self.take(event, released.placed, (&[], &released.released), true);
        self.give_back(event, released.placed, &released.released);
    }

    /// Takes what is settled and what is released from what is left of a hold.
    fn take(&mut self, event: &Event, placed: Position, parts: (&[PostedLeg], &[PostedLeg]), ends: bool) {
        let at = Some(event.position);
        let Some(mut hold) = self.holds.remove(&placed) else {
            let subject = format!("the hold at {placed}");
            return self.tell(Invariant::HoldsAreConserved, at, &subject, "in the log", "nowhere");
        };
        let subject = format!("the hold {:?}", hold.id);
        if hold.ended {
            self.tell(Invariant::HoldsAreConserved, at, &subject, "open", "ended before");
        }
        let expired = event.kind == postfold::event::kind::HOLD_EXPIRED;
        if hold.expires_at.is_some_and(|expires_at| expires_at <= event.recorded_at) != expired {
            let found = format!("{} at {}", event.kind, event.recorded_at);
            self.tell(Invariant::HoldsAreConserved, at, &subject, "expired in its time", &found);
        }
        for leg in parts.0.iter().chain(parts.1) {
            let mut wanted = leg.amount.amount();
            for (held, left) in hold.legs.iter().zip(&mut hold.left) {
                if name(held) == name(leg) && held.amount.side() == leg.amount.side() {
                    let taken = wanted.min(*left);
                    *left -= taken;
                    wanted -= taken;
                }
            }
            if !wanted.is_zero() {
                let most = format!("{} at most", leg.amount.amount() - wanted);
                let (subject, found) =
                    (format!("what {subject} gives {}", leg.account), leg.amount.amount().to_string());
                self.tell(Invariant::HoldsAreConserved, at, &subject, &most, &found);
            }
        }
        for leg in parts.1 {
            self.pend(leg, -leg.amount.amount());
        }
        let nothing = hold.left.iter().all(Decimal::is_zero);
        if ends && !nothing {
            let found = format!("{:?}", hold.left);
            self.tell(Invariant::HoldsAreConserved, at, &format!("what is left of {subject}"), "nothing", &found);
        }
        hold.ended = ends || nothing;
        self.holds.insert(placed, hold);
    }

    /// What was held on the same day is given back to it.
    fn give_back(&mut self, event: &Event, placed: Position, released: &[PostedLeg]) {
        let Some(hold) = self.holds.get(&placed).filter(|hold| day(hold.recorded_at) == day(event.recorded_at)) else {
            return;
        };
        for leg in released {
            let counts = hold.legs.iter().zip(&hold.counts).any(|(held, counts)| *counts && name(held) == name(leg));
            if let Some(account) = self.accounts.get_mut(&name(leg)).filter(|_| counts) {
                account.give_back(leg.amount.amount(), event.recorded_at);
            }
        }
    }

    /// An entry, a hold or a settle on the accounts of its legs, and what it may not do to them.
    fn apply(&mut self, event: &Event, legs: &[PostedLeg], kind: Kind) {
        let at = Some(event.position);
        let mut sums: BTreeMap<&str, Decimal> = BTreeMap::new();
        for leg in legs {
            let debit = if leg.amount.side() == Side::Debit { leg.amount.amount() } else { -leg.amount.amount() };
            *sums.entry(&leg.currency).or_default() += debit;
        }
        for (currency, sum) in sums.into_iter().filter(|(_, sum)| !sum.is_zero()) {
            let subject = format!("debits less credits in {currency}");
            self.tell(Invariant::EntriesBalance, at, &subject, "0", &sum.to_string());
        }
        if let Some(through) = self.closed_through.filter(|through| day(event.effective_at) <= *through) {
            let later = format!("after {through}");
            self.tell(Invariant::StatesHold, at, "the effective time", &later, &event.effective_at.to_string());
        }
        for effect in Effect::of(legs) {
            let Some(account) = self.accounts.get_mut(&effect.name) else {
                self.tell(Invariant::BalancesAreTheFold, at, &effect.subject(), "open", "not opened");
                continue;
            };
            let wrong = account.apply(&effect, kind, event.recorded_at);
            for (invariant, expected, found) in wrong {
                self.tell(invariant, at, &effect.subject(), &expected, &found);
            }
        }
    }

    fn pend(&mut self, leg: &PostedLeg, amount: Decimal) {
        if let Some(account) = self.accounts.get_mut(&name(leg)) {
            account.pend(leg.amount.side(), amount);
        }
    }

    fn tell(&mut self, invariant: Invariant, position: Option<Position>, subject: &str, expected: &str, found: &str) {
        // A little more than is told in the end: what is not asked for is left out there.
        if self.broken.len() < BROKEN_MAX * Invariant::ALL.len() {
            let (subject, expected, found) = (subject.to_owned(), expected.to_owned(), found.to_owned());
            self.broken.push(Broken { invariant, position, subject, expected, found });
        }
    }
}
