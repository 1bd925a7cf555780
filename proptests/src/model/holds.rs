//! Holds, and how they end.

use std::collections::BTreeMap;

use jiff::Timestamp;
use postfold::command::{ExpireDue, Held, Part, PlaceHold, SettleHold, VoidHold};
use postfold::{Command, Rule};

use super::answer::Refused;
use super::legs::{Amount, Side, are_balanced};
use super::totals::{day_of, minor};
use super::{Done, Entry, Model, Name, Posted};

/// What is left of a hold, by account and side.
type Left = BTreeMap<(Name, SideKey), Amount>;

/// True on the credit side: a key that sorts.
type SideKey = bool;

#[derive(Clone, Debug)]
pub(super) struct Hold {
    /// As it was made.
    legs: Vec<Posted>,
    left: Left,
    placed_at: Timestamp,
    expires_at: Option<Timestamp>,
    /// The accounts whose day it counts in.
    counts: Vec<Name>,
    ended: Option<Rule>,
}

impl Hold {
    pub(super) const fn is_open(&self) -> bool {
        self.ended.is_none()
    }

    fn is_due(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|expires_at| expires_at <= now)
    }
}

impl Model {
    pub(super) fn hold(&mut self, command: &Command, hold: &PlaceHold, at: Timestamp) -> Result<Done, Refused> {
        let legs = match &hold.what {
            Held::Legs(legs) => self.named(legs)?,
            Held::Amount { amount, route, currency } => self.between(*amount, route, currency.as_deref())?,
        };
        let mut sides: BTreeMap<&Name, Side> = BTreeMap::new();
        if !legs.iter().all(|leg| *sides.entry(&leg.account).or_insert(leg.side) == leg.side) {
            return Err(Refused::Invalid);
        }
        self.accounts_take(&legs)?;
        let now = self.now();
        if hold.expires_at.is_some_and(|expires_at| expires_at <= now) {
            return Err(Rule::HoldExpired.into());
        }
        self.period_is_open(at)?;
        are_balanced(&legs)?;
        self.fits(&legs, |book| book.pending)?;
        self.within_limits(&legs)?;
        let net = self.net(&legs);
        let counts = net.into_iter().filter(|(name, net)| *net < 0 && self.accounts[name].counting);
        let counts = counts.map(|(name, _)| name).collect();
        self.count_out(&legs);
        self.each_leg(&legs, |book, leg| *book.pending.on(leg.side) += leg.amount);
        let mut left = Left::new();
        for leg in &legs {
            *left.entry(key(leg)).or_default() += leg.amount;
        }
        let hold = Hold { legs, left, placed_at: now, expires_at: hold.expires_at, counts, ended: None };
        self.holds.insert(command.id.clone().unwrap_or_default(), hold);
        Ok(Done::one_event())
    }

    pub(super) fn settle(&mut self, settle: &SettleHold, at: Timestamp) -> Result<Done, Refused> {
        let named = match &settle.part {
            Part::Legs(legs) => Some(self.named(legs)?),
            Part::All | Part::Amount(_) => None,
        };
        let Some(hold) = self.holds.get(&settle.hold).cloned() else {
            self.accounts_take(named.as_deref().unwrap_or_default())?;
            return Err(Rule::HoldNotFound.into());
        };
        let part = match (&settle.part, &named) {
            (Part::Amount(amount), _) => self.by_amount(&hold, *amount)?,
            (_, Some(named)) => named.clone(),
            _ => hold.left.iter().filter(|(_, amount)| **amount > 0).map(leg).collect(),
        };
        self.accounts_take(named.as_deref().unwrap_or(&hold.legs))?;
        self.is_settleable(&hold)?;
        let mut left = hold.left.clone();
        for leg in &part {
            let left = left.get_mut(&key(leg)).filter(|left| **left >= leg.amount);
            *left.ok_or(Rule::SettleExceedsHold)? -= leg.amount;
        }
        self.period_is_open(at)?;
        are_balanced(&part)?;
        self.fits(&part, |book| book.posted)?;
        self.put(&part, at);
        self.each_leg(&part, |book, leg| *book.pending.on(leg.side) -= leg.amount);
        let id = &settle.hold;
        if settle.keep_rest && left.values().any(|left| *left > 0) {
            self.holds.insert(id.clone(), Hold { left, ..hold });
        } else {
            self.end(id, Hold { left, ..hold }, Rule::HoldSettled);
        }
        Ok(Done { entry: Some(Entry { legs: part, reversed: false }), ..Done::one_event() })
    }

    pub(super) fn void(&mut self, void: &VoidHold) -> Result<Done, Refused> {
        let hold = self.holds.get(&void.hold).cloned().ok_or(Rule::HoldNotFound)?;
        self.is_settleable(&hold)?;
        self.end(&void.hold, hold, Rule::HoldVoided);
        Ok(Done::one_event())
    }

    pub(super) fn expire_due(&mut self, expire: &ExpireDue) -> Result<Done, Refused> {
        let now = expire.now.unwrap_or_else(|| self.now());
        if now > self.now() {
            return Err(Refused::Invalid);
        }
        let due = self.holds.iter().filter(|(_, hold)| hold.is_open() && hold.is_due(now));
        let due: Vec<_> = due.map(|(id, hold)| (id.clone(), hold.clone())).collect();
        let count = due.len();
        for (id, hold) in due {
            self.end(&id, hold, Rule::HoldExpired);
        }
        Ok(Done { events: i64::try_from(count).unwrap_or(i64::MAX), count: Some(count), ..Done::default() })
    }

    /// An amount of a hold of one debit and one credit leg.
    fn by_amount(&self, hold: &Hold, amount: rust_decimal::Decimal) -> Result<Vec<Posted>, Refused> {
        if hold.legs.len() != 2 || hold.legs[0].side == hold.legs[1].side {
            return Err(Refused::Invalid);
        }
        let part = |leg: &Posted| {
            let amount = minor(amount, self.accounts[&leg.account].scale).ok_or(Refused::Invalid)?;
            Ok(Posted { amount, ..leg.clone() })
        };
        hold.legs.iter().map(part).collect()
    }

    fn is_settleable(&self, hold: &Hold) -> Result<(), Refused> {
        match hold.ended {
            Some(how) => Err(how.into()),
            None if hold.is_due(self.now()) => Err(Rule::HoldExpired.into()),
            None => Ok(()),
        }
    }

    /// Releases what is left; on the day on which it was held, that day's outflow gets it back.
    fn end(&mut self, id: &str, hold: Hold, how: Rule) {
        let now = self.now();
        let released: Vec<_> = hold.left.iter().map(leg).collect();
        self.each_leg(&released, |book, leg| *book.pending.on(leg.side) -= leg.amount);
        if day_of(hold.placed_at) == day_of(now) {
            for (name, net) in self.net(&released) {
                let book = self.accounts.get_mut(&name).filter(|_| net < 0 && hold.counts.contains(&name));
                if let Some(book) = book {
                    book.give_back(-net, now);
                }
            }
        }
        self.holds.insert(id.to_owned(), Hold { left: Left::new(), ended: Some(how), ..hold });
    }
}

fn key(leg: &Posted) -> (Name, SideKey) {
    (leg.account.clone(), leg.side == Side::Credit)
}

fn leg(((account, credit), amount): (&(Name, SideKey), &Amount)) -> Posted {
    let side = if *credit { Side::Credit } else { Side::Debit };
    Posted { account: account.clone(), side, amount: *amount }
}
