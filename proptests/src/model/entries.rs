//! Entries, transfers and reversals.

use jiff::Timestamp;
use postfold::Rule;
use postfold::command::{Post, ReverseEntry, TransferMoney};

use super::answer::Refused;
use super::legs::{Side, are_balanced};
use super::totals::{TOO_MUCH, decimal};
use super::{Done, Entry, Model, Posted};

impl Model {
    pub(super) fn post(&mut self, post: &Post, at: Timestamp) -> Result<Done, Refused> {
        let legs = self.named(&post.legs)?;
        self.check_entry(&legs, at)?;
        Ok(self.enter(legs, at))
    }

    pub(super) fn transfer(&mut self, transfer: &TransferMoney, at: Timestamp) -> Result<Done, Refused> {
        let mut legs = self.between(transfer.amount, &transfer.route, transfer.currency.as_deref())?;
        let mut amount = None;
        if transfer.up_to {
            self.accounts_take(&legs)?;
            self.period_is_open(at)?;
            are_balanced(&legs)?;
            if legs.iter().any(|leg| leg.amount >= TOO_MUCH) {
                return Err(Refused::Invalid);
            }
            let moved = self.most(&legs)?;
            for leg in &mut legs {
                leg.amount = moved;
            }
            amount = Some(decimal(moved, self.accounts[&legs[0].account].scale));
        }
        self.check_entry(&legs, at)?;
        Ok(Done { amount, ..self.enter(legs, at) })
    }

    pub(super) fn reverse(&mut self, reverse: &ReverseEntry, at: Timestamp) -> Result<Done, Refused> {
        let used = self.used.get(&reverse.entry).ok_or(Rule::EntryNotFound)?;
        let entry = used.entry.clone().ok_or(Rule::NotAnEntry)?;
        self.accounts_take(&entry.legs)?;
        if entry.reversed {
            return Err(Rule::AlreadyReversed.into());
        }
        let legs: Vec<_> = entry.legs.into_iter().map(|leg| Posted { side: leg.side.opposite(), ..leg }).collect();
        self.check_entry(&legs, at)?;
        if let Some(entry) = self.used.get_mut(&reverse.entry).and_then(|used| used.entry.as_mut()) {
            entry.reversed = true;
        }
        Ok(self.enter(legs, at))
    }

    /// The stages from the accounts' state on.
    fn check_entry(&self, legs: &[Posted], at: Timestamp) -> Result<(), Refused> {
        self.accounts_take(legs)?;
        self.period_is_open(at)?;
        are_balanced(legs)?;
        self.fits(legs, |book| book.posted)?;
        self.within_limits(legs)
    }

    fn enter(&mut self, legs: Vec<Posted>, at: Timestamp) -> Done {
        self.count_out(&legs);
        self.put(&legs, at);
        Done { entry: Some(Entry { legs, reversed: false }), ..Done::one_event() }
    }

    /// Posts legs.
    pub(super) fn put(&mut self, legs: &[Posted], at: Timestamp) {
        self.each_leg(legs, |book, leg| {
            *book.posted.on(leg.side) += leg.amount;
            book.dated.push((at, if leg.side == Side::Debit { leg.amount } else { -leg.amount }));
        });
    }

    /// What a transfer `up_to` its amount moves.
    fn most(&self, legs: &[Posted]) -> Result<i128, Refused> {
        let asked = legs[0].amount;
        let lowered: Vec<_> = legs
            .iter()
            .map(|leg| (leg, &self.accounts[&leg.account]))
            .filter(|(leg, book)| book.normal != leg.side)
            .collect();
        let by_floor = lowered.iter().filter_map(|(_, book)| book.floor.map(|floor| book.available() - floor)).min();
        let Some(most) = by_floor.or_else(|| lowered.first().map(|(_, book)| book.available())) else {
            return Ok(asked);
        };
        if most > 0 { Ok(most.min(asked)) } else { Err(Rule::NothingAvailable.into()) }
    }
}
