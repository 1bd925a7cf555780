//! A hold as `decide` sees it: what it reserved, what is left of it, how it ended.

use jiff::Timestamp;
use rust_decimal::Decimal;

use crate::event::{Event, HoldPlaced, Payload, PostedLeg, SideAmount, kind};
use crate::position::Position;

/// A hold is known by the position that placed it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Hold {
    pub(crate) placed: Position,
    pub(crate) id: String,
    pub(crate) recorded_at: Timestamp,
    pub(crate) expires_at: Option<Timestamp>,
    /// As it was made.
    pub(crate) legs: Vec<PostedLeg>,
    /// What is left of each leg.
    pub(crate) rest: Vec<Decimal>,
    /// The accounts, by leg, for which it counts in the day's outflow.
    pub(crate) counts: Vec<bool>,
    pub(crate) end: Option<HoldEnd>,
    /// Changes so far: the version of the hold's own stream.
    pub(crate) version: i64,
}

/// How a hold ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HoldEnd {
    Settled,
    Voided,
    Expired,
}

impl Hold {
    pub(crate) fn placed(event: &Event, placed: &HoldPlaced) -> Self {
        let counts =
            |leg: &PostedLeg| placed.out.iter().any(|out| out.account == leg.account && out.currency == leg.currency);
        Self {
            placed: event.position,
            id: event.id.clone().unwrap_or_default(),
            recorded_at: event.recorded_at,
            expires_at: placed.expires_at,
            legs: placed.legs.clone(),
            rest: placed.legs.iter().map(|leg| leg.amount.amount()).collect(),
            counts: placed.legs.iter().map(counts).collect(),
            end: None,
            version: 0,
        }
    }

    /// Takes over what the newest event of the hold's own stream says, whole.
    pub(crate) fn changed(&mut self, event: &Event, payload: &Payload) {
        self.version = event.version.unwrap_or(self.version);
        match payload {
            Payload::HoldSettled(settled) if settled.rest.is_empty() => self.end(HoldEnd::Settled),
            Payload::HoldSettled(settled) => self.rest.clone_from(&settled.rest),
            Payload::HoldReleased(_) if event.kind == kind::HOLD_EXPIRED => self.end(HoldEnd::Expired),
            Payload::HoldReleased(_) => self.end(HoldEnd::Voided),
            _ => {}
        }
    }

    /// What is left, leg by leg; legs of which nothing is left are passed over.
    pub(crate) fn left(&self) -> Vec<PostedLeg> {
        self.of(&self.rest)
    }

    /// The hold's legs with these amounts, one for each; legs of which there is nothing are passed over.
    pub(crate) fn of(&self, amounts: &[Decimal]) -> Vec<PostedLeg> {
        let legs = self.legs.iter().zip(amounts).filter(|(_, amount)| !amount.is_zero());
        legs.map(|(leg, amount)| PostedLeg { amount: SideAmount::new(leg.amount.side(), *amount), ..leg.clone() })
            .collect()
    }

    /// The name of the hold's own stream.
    pub(crate) fn stream(placed: Position) -> String {
        // The engine's own streams hold no `/`, so no entity can be named like this.
        format!("hold:{placed}")
    }

    fn end(&mut self, end: HoldEnd) {
        self.end = Some(end);
        self.rest.fill(Decimal::ZERO);
    }
}
