//! Whether what clients were told can be true: each answer has to be right at some moment between question and answer.

use std::collections::HashMap;

use postfold::simulation::SharedLog;
use postfold::{Event, Outcome, Payload, Position, Receipt, Rejection, Rule};
use postfold_proptests::invariant;

use super::ask::{Ask, code, entity, euro};
use super::books::{Answer, Books, positions, to_cents};
use super::journal::{Attempt, Journal, Notes, Operation, Read, Told};

/// Everything that is wrong with the log, and with what was told of it.
pub(crate) async fn judge(log: &SharedLog, journal: &Journal) -> Vec<String> {
    let events = match log.truth().page(Position::START, usize::MAX).await {
        Ok(events) => events,
        Err(error) => return vec![format!("the log cannot be read: {error}")],
    };
    let mut found = Vec::new();
    match invariant::check_all(&log.truth()).await {
        Ok(checked) => found.extend(checked.broken.iter().map(ToString::to_string)),
        Err(error) => found.push(format!("the invariants cannot be checked: {error}")),
    }
    let mut books = vec![Books::new()];
    for event in &events {
        let mut next = books[books.len() - 1].clone();
        if let Err(broken) = next.take(event) {
            found.push(broken);
        }
        books.push(next);
    }
    let notes = journal.notes();
    let judge = Judge { events: &events, books: &books, used: positions(&events), notes: &notes };
    found.extend(judge.events_are_explained());
    for operation in &notes.operations {
        for attempt in &operation.attempts {
            let wrong = judge.attempt(operation, attempt).err();
            found.extend(wrong.map(|wrong| format!("{} {:?}: {wrong}", operation.id, operation.ask)));
        }
    }
    found.extend(notes.reads.iter().filter_map(|read| judge.read(read).err()));
    found
}

struct Judge<'a> {
    events: &'a [Event],
    /// After so many events.
    books: &'a [Books],
    used: HashMap<&'a str, usize>,
    notes: &'a Notes,
}

impl Judge<'_> {
    /// Every event under an id was asked for, by who was told that it is done or does not know.
    fn events_are_explained(&self) -> Vec<String> {
        let mut by_id: HashMap<&str, Vec<&Operation>> = HashMap::new();
        for operation in &self.notes.operations {
            by_id.entry(&operation.id).or_default().push(operation);
        }
        let unexplained = |event: &&Event| {
            let Some(id) = event.id.as_deref() else { return false };
            let whole = id.strip_suffix("+a").or(id.strip_suffix("+b")).unwrap_or(id);
            let asked = by_id.get(whole).map(Vec::as_slice).unwrap_or_default();
            !asked.iter().any(|operation| {
                let may = |attempt: &&Attempt| Self::may_have_written(attempt, event.position.get());
                self.is_of(event, operation) && operation.attempts.iter().any(|attempt| may(&attempt))
            })
        };
        let tell = |event: &Event| {
            format!("nobody was told of {:?} ({}) at {}", event.id.as_deref(), event.kind, event.position)
        };
        self.events.iter().filter(unexplained).map(tell).collect()
    }

    /// Whether an attempt that was told so can have written this position.
    fn may_have_written(attempt: &Attempt, position: i64) -> bool {
        attempt.from < position
            && match &attempt.told {
                None | Some((_, Told::Unknown)) => true,
                Some((_, Told::Undone)) => false,
                Some((until, Told::Outcome(outcome))) => {
                    matches!(&**outcome, Outcome::Ok(receipt) if !receipt.duplicate) && position <= *until
                }
            }
    }

    /// Whether the event is what the operation asked for.
    fn is_of(&self, event: &Event, operation: &Operation) -> bool {
        let before = &self.books[usize::try_from(event.position.get() - 1).unwrap_or_default()];
        let Ok(payload) = event.payload() else { return false };
        let legs = |legs: &[postfold::event::PostedLeg], from: usize, to: usize, cents: i64| {
            let sides = |leg: &postfold::event::PostedLeg| (leg.account.clone(), leg.amount.amount());
            legs.iter().map(sides).collect::<Vec<_>>() == [(code(from), euro(cents)), (code(to), euro(cents))]
        };
        match (&operation.ask, &payload) {
            (Ask::Transfer { from, to, cents, up_to }, Payload::EntryPosted(entry)) => {
                let moved = if *up_to { before.may_give(*from).min(*cents) } else { *cents };
                entry.reverses.is_none() && legs(&entry.legs, *from, *to, moved)
            }
            (Ask::Pair([a, b]), Payload::EntryPosted(entry)) => {
                let second = event.id.as_ref().is_some_and(|id| id.ends_with("+b"));
                let (from, to, cents) = if second { *b } else { *a };
                legs(&entry.legs, from, to, cents)
            }
            (Ask::Pair(_), Payload::BatchCommitted(_)) => {
                // Its members stand right before it.
                let at = usize::try_from(event.position.get() - 1).unwrap_or_default();
                at >= 2 && self.events[at - 2..at].iter().all(|member| self.is_of(member, operation))
            }
            (Ask::Hold { from, to, cents, expires_at }, Payload::HoldPlaced(placed)) => {
                legs(&placed.legs, *from, *to, *cents) && placed.expires_at == *expires_at
            }
            (Ask::Settle { hold, cents, keep_rest }, Payload::HoldSettled(settled)) => {
                let left = before.left(hold);
                let taken = settled.legs.first().and_then(|leg| to_cents(leg.amount.amount()).ok());
                let rest = *keep_rest && cents.is_some_and(|cents| cents < left);
                settled.hold == *hold && taken == Some(cents.unwrap_or(left)) && settled.rest.is_empty() != rest
            }
            (Ask::Void { hold }, Payload::HoldReleased(released)) => {
                event.kind == "hold.voided" && released.hold == *hold
            }
            (Ask::Reverse { entry }, Payload::EntryPosted(posted)) => {
                let mirrored = before.entry(entry).zip(to_cents(posted.legs[0].amount.amount()).ok());
                posted.reverses.as_ref() == Some(entry) && mirrored.is_some_and(|((_, _, cents), moved)| cents == moved)
            }
            (Ask::Record { entity: number, value, .. }, Payload::EntityChanged) => {
                event.entity() == Some(&entity(*number)) && event.data.get() == format!("{{\"value\":{value}}}")
            }
            (Ask::ExpireDue, Payload::HoldReleased(_)) => event.kind == "hold.expired",
            _ => false,
        }
    }

    /// Whether the answer to an attempt can be true.
    fn attempt(&self, operation: &Operation, attempt: &Attempt) -> Result<(), String> {
        let Some((until, Told::Outcome(outcome))) = &attempt.told else { return Ok(()) };
        match &**outcome {
            Outcome::Ok(receipt) if receipt.duplicate => self.duplicate(operation, receipt, *until),
            Outcome::Ok(receipt) => match receipt.position {
                Some(position) => self.done(operation, attempt, receipt, (position.get(), *until)),
                None => self.some_moment(operation, attempt, *until, &Answer::Expired(0)),
            },
            Outcome::Rejected(rejection) => self.rejected(operation, attempt, *until, rejection),
            Outcome::Conflict(conflict) => {
                self.some_moment(operation, attempt, *until, &Answer::Conflict(conflict.found))
            }
            Outcome::Invalid(invalid) => Err(format!("is told that it is invalid: {invalid}")),
        }
    }

    /// It was done now, was right then, and the receipt says what is in the log.
    fn done(
        &self,
        operation: &Operation,
        attempt: &Attempt,
        receipt: &Receipt,
        (position, until): (i64, i64),
    ) -> Result<(), String> {
        let rows = match &operation.ask {
            Ask::Pair(_) => 3,
            Ask::ExpireDue => i64::try_from(receipt.count.unwrap_or_default()).unwrap_or_default(),
            _ => 1,
        };
        let first = position - rows + 1;
        // Two processes that are given the same command, and whose clocks agree, make the very same row. One that
        // was cut off while it wrote it finds it in the log, and cannot know that it is the other's.
        let twin = |other: &Attempt| Self::may_have_written(other, first);
        if first <= attempt.from && operation.attempts.iter().any(twin) {
            return self.receipt(operation, receipt);
        }
        if first <= attempt.from || position > until {
            let from = attempt.from;
            return Err(format!("done at {first} to {position}, and the log went from {from} to {until} meanwhile"));
        }
        self.receipt(operation, receipt)?;
        let expected = match &operation.ask {
            Ask::ExpireDue => Answer::Expired(receipt.count.unwrap_or_default()),
            _ => Answer::Ok,
        };
        let answer = self.at(first - 1).answer(&operation.ask, attempt.stamp);
        if answer != expected {
            return Err(format!("was done at {position}, where it had to be answered {answer:?}"));
        }
        self.balances(receipt)
    }

    fn duplicate(&self, operation: &Operation, receipt: &Receipt, until: i64) -> Result<(), String> {
        if receipt.position.is_none_or(|position| position.get() > until) {
            return Err(format!("a duplicate of what stands at {:?}, and the log ends at {until}", receipt.position));
        }
        self.receipt(operation, receipt)
    }

    /// The receipt says what is in the log, which is what was asked for.
    fn receipt(&self, operation: &Operation, receipt: &Receipt) -> Result<(), String> {
        let event = self.used.get(operation.id.as_str()).and_then(|at| self.events.get(*at));
        let Some(event) = event else { return Err(format!("is told {receipt:?}, and is not in the log")) };
        let said = (receipt.position, receipt.hash, receipt.recorded_at);
        if said != (Some(event.position), Some(event.hash), Some(event.recorded_at)) {
            return Err(format!("is told {said:?}, and stands at {}", event.position));
        }
        if !self.is_of(event, operation) {
            return Err(format!("what stands under its id at {} is something else", event.position));
        }
        Ok(())
    }

    fn balances(&self, receipt: &Receipt) -> Result<(), String> {
        for balance in receipt.balances.iter().flatten() {
            self.balance(balance, balance.position.get())?;
        }
        Ok(())
    }

    fn rejected(
        &self,
        operation: &Operation,
        attempt: &Attempt,
        until: i64,
        rejection: &Rejection,
    ) -> Result<(), String> {
        let answer = match rejection.rule {
            Rule::IdReused => {
                let used = self.used.get(operation.id.as_str()).and_then(|at| self.events.get(*at));
                let anothers = |event: &Event| {
                    let mut others = self.notes.operations.iter().filter(|other| other.ask != operation.ask);
                    others.any(|other| other.id == operation.id && self.is_of(event, other))
                };
                let right = used.is_some_and(|event| event.position.get() <= until && anothers(event));
                return if right { Ok(()) } else { Err("its id is said to be another's, and is not".to_owned()) };
            }
            Rule::InsufficientFunds => {
                let available = rejection.available.and_then(|available| to_cents(available).ok());
                Answer::Poor(available.unwrap_or_default())
            }
            Rule::BatchFailed => Answer::BatchFailed(rejection.index.unwrap_or_default()),
            // What the id is of does not matter here.
            Rule::NotAnEntry => Answer::Rejected(Rule::EntryNotFound),
            rule => Answer::Rejected(rule),
        };
        self.some_moment(operation, attempt, until, &answer)
    }

    /// There was a moment between question and answer at which this was the answer.
    fn some_moment(&self, operation: &Operation, attempt: &Attempt, until: i64, told: &Answer) -> Result<(), String> {
        let right = |at: i64| {
            // Once an id is used, the answer is another one.
            let used = self.used.get(operation.id.as_str()).is_some_and(|used| i64::try_from(*used).unwrap_or(0) < at);
            !used && self.at(at).answer(&operation.ask, attempt.stamp) == *told
        };
        if (attempt.from..=until).any(right) {
            return Ok(());
        }
        let answer = self.at(attempt.from).answer(&operation.ask, attempt.stamp);
        Err(format!("is told {told:?}, never right between {} and {until}; at first {answer:?}", attempt.from))
    }

    fn read(&self, read: &Read) -> Result<(), String> {
        let position = read.found.position.get();
        if position < read.from || position > read.until {
            let (account, from, until) = (code(read.account), read.from, read.until);
            return Err(format!("the balance of {account} is as of {position}, asked between {from} and {until}"));
        }
        self.balance(&read.found, position)
    }

    fn balance(&self, found: &postfold::Balance, position: i64) -> Result<(), String> {
        let number = (0..).take_while(|number| *number < self.at(position).accounts.len());
        let number = number.into_iter().find(|number| code(*number) == *found.account).unwrap_or_default();
        let expected = self.at(position).accounts[number];
        let said = [found.posted, found.pending_in, found.pending_out].map(|amount| to_cents(amount).unwrap_or(-1));
        if said == [expected.posted, expected.pending_in, expected.pending_out] {
            return Ok(());
        }
        Err(format!("{} is said to have {said:?} at {position}, and has {expected:?}", found.account))
    }

    fn at(&self, position: i64) -> &Books {
        &self.books[usize::try_from(position).unwrap_or_default()]
    }
}
