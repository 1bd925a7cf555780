//! The legs of a command: the stages that all of them go through, leg by leg.

use std::collections::BTreeMap;

use jiff::Timestamp;
use postfold::Rule;
use postfold::command::{Leg, Route};
use rust_decimal::Decimal;

pub(super) use postfold::Side;

use super::answer::Refused;
use super::totals::{Book, Sides, TOO_MUCH, day_of, minor};
use super::{Model, Name, Posted};

/// Whole minor units of a currency.
pub(super) type Amount = i128;

impl Model {
    /// Existence: the account that a command names; `None` when the currency is left out and there are several.
    pub(super) fn find(&self, code: &str, currency: Option<&str>) -> Result<Option<Name>, Refused> {
        let mut named = self.accounts.keys().filter(|(known, _)| known == code);
        let Some(currency) = currency else {
            let first = named.next().ok_or(Rule::UnknownAccount)?;
            return Ok(named.next().is_none().then(|| first.clone()));
        };
        if let Some(name) = named.find(|(_, known)| known == currency) {
            return Ok(Some(name.clone()));
        }
        self.scale_of(currency)?;
        Err(Rule::UnknownAccount.into())
    }

    /// The one account that a command names, not for a leg.
    pub(super) fn find_one(&self, code: &str, currency: Option<&str>) -> Result<Name, Refused> {
        self.find(code, currency)?.ok_or(Refused::Invalid)
    }

    /// Existence, then scale and left-out currency, of legs that are named.
    pub(super) fn named(&self, legs: &[Leg]) -> Result<Vec<Posted>, Refused> {
        let found: Vec<_> =
            legs.iter().map(|leg| self.find(&leg.account, leg.currency.as_deref())).collect::<Result<_, _>>()?;
        let leg = |(leg, account): (&Leg, Option<Name>)| self.posted(account, leg.amount.side(), leg.amount.amount());
        legs.iter().zip(found).map(leg).collect()
    }

    /// The same of an amount between two accounts.
    pub(super) fn between(
        &self,
        amount: Decimal,
        route: &Route,
        currency: Option<&str>,
    ) -> Result<Vec<Posted>, Refused> {
        let [one, other] = route.codes();
        let (one, other) = (self.find(one, currency)?, self.find(other, currency)?);
        let mut first = Side::Debit;
        if let (Route::Direction { .. }, Some(from), Some(to)) = (route, &one, &other) {
            let normal = self.accounts[from].normal;
            if normal != self.accounts[to].normal {
                return Err(Rule::SidesDiffer.into());
            }
            first = normal.opposite();
        }
        Ok(vec![self.posted(one, first, amount)?, self.posted(other, first.opposite(), amount)?])
    }

    fn posted(&self, account: Option<Name>, side: Side, amount: Decimal) -> Result<Posted, Refused> {
        let account = account.ok_or(Refused::Invalid)?;
        let amount = minor(amount, self.accounts[&account].scale).ok_or(Refused::Invalid)?;
        Ok(Posted { account, side, amount })
    }

    /// State: closed, then frozen, leg by leg.
    pub(super) fn accounts_take(&self, legs: &[Posted]) -> Result<(), Refused> {
        legs.iter().try_for_each(|leg| self.accounts[&leg.account].takes_legs())
    }

    /// Period.
    pub(super) fn period_is_open(&self, at: Timestamp) -> Result<(), Refused> {
        match self.closed_through {
            Some(through) if day_of(at) <= through => Err(Rule::PeriodClosed.into()),
            _ => Ok(()),
        }
    }

    /// Overflow: of an amount, of a side, of the totals that the legs lead to on this half of the books.
    pub(super) fn fits(&self, legs: &[Posted], half: fn(&Book) -> Sides) -> Result<(), Refused> {
        let mut debits: BTreeMap<&str, Amount> = BTreeMap::new();
        let mut after: BTreeMap<&Name, Sides> = BTreeMap::new();
        for leg in legs {
            if leg.amount >= TOO_MUCH {
                return Err(Refused::Invalid);
            }
            if leg.side == Side::Debit {
                *debits.entry(&leg.account.1).or_default() += leg.amount;
            }
            let sides = after.entry(&leg.account).or_insert_with(|| half(&self.accounts[&leg.account]));
            *sides.on(leg.side) += leg.amount;
        }
        let too_much = debits.values().any(|sum| *sum >= TOO_MUCH) || after.values().any(|s| s.reach_too_much());
        if too_much { Err(Refused::Invalid) } else { Ok(()) }
    }

    /// Limits, account by account, on the net effect.
    pub(super) fn within_limits(&self, legs: &[Posted]) -> Result<(), Refused> {
        let now = self.now();
        self.net(legs).into_iter().try_for_each(|(account, net)| self.accounts[&account].check_limits(net, now))
    }

    /// What the legs do to each account, on its normal side, in order of first appearance.
    pub(super) fn net(&self, legs: &[Posted]) -> Vec<(Name, Amount)> {
        let mut effects: Vec<(Name, Amount)> = Vec::new();
        for leg in legs {
            let grows = self.accounts[&leg.account].normal == leg.side;
            let signed = if grows { leg.amount } else { -leg.amount };
            match effects.iter_mut().find(|(account, _)| *account == leg.account) {
                Some((_, net)) => *net += signed,
                None => effects.push((leg.account.clone(), signed)),
            }
        }
        effects
    }

    /// Changes the book of each leg's account.
    pub(super) fn each_leg(&mut self, legs: &[Posted], change: impl Fn(&mut Book, &Posted)) {
        for leg in legs {
            if let Some(book) = self.accounts.get_mut(&leg.account) {
                change(book, leg);
            }
        }
    }

    /// Counts what an entry or a hold lets out of its accounts.
    pub(super) fn count_out(&mut self, legs: &[Posted]) {
        let now = self.now();
        for (account, net) in self.net(legs) {
            if let Some(book) = self.accounts.get_mut(&account) {
                book.count_out(net, now);
            }
        }
    }
}

/// Balance of the legs: debits equal credits in every currency.
pub(super) fn are_balanced(legs: &[Posted]) -> Result<(), Refused> {
    let mut sums: BTreeMap<&str, Amount> = BTreeMap::new();
    for leg in legs {
        let signed = if leg.side == Side::Debit { leg.amount } else { -leg.amount };
        let sum = sums.entry(&leg.account.1).or_default();
        *sum = sum.saturating_add(signed);
    }
    if sums.values().all(|sum| *sum == 0) { Ok(()) } else { Err(Rule::Unbalanced.into()) }
}
