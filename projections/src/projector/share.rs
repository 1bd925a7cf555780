//! Who works on what: how the processes of a ledger share its projections, decided by each for itself.
//!
//! Every process sees the same checkpoints and the same beats. It takes what is free as long as no other
//! process that could take it has less, and gives up one at a time where another has less by two. So they
//! come to an even share without talking to each other, and stay there.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::checkpoint::Owner;
use crate::store::Member;

/// One bucket of one projection: what one process at a time works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Unit {
    pub(crate) projection: &'static str,
    pub(crate) bucket: usize,
}

/// A unit that may be worked on, and who does.
#[derive(Clone, Debug)]
pub(crate) struct Seat {
    pub(crate) unit: Unit,
    pub(crate) holder: Holder,
    /// A switch of generations is under way: whoever holds it cannot let go of it, and may have to end the switch.
    pub(crate) switching: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    /// Nobody who lives.
    Nobody,
    /// This process.
    Us,
    /// A process that lives, by its id.
    Other(String),
}

/// What to do now.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Decision {
    pub(crate) take: Vec<Unit>,
    pub(crate) give: Option<Unit>,
}

/// When each process was first seen with the beat that it still has, by our own clock.
///
/// No two clocks are compared: a process is dead when its beat has not changed for as long as its own lease,
/// by the clock of the one who looks. A process that cannot beat stops writing before that.
#[derive(Debug, Default)]
pub(crate) struct Roll {
    seen: HashMap<String, Seen>,
    /// Since when a unit has been free, as far as we know.
    free: HashMap<Unit, Instant>,
}

#[derive(Debug)]
struct Seen {
    beat: i64,
    since: Instant,
    lease: Duration,
    projections: Vec<String>,
}

impl Seen {
    fn lives(&self, now: Instant) -> bool {
        now < self.since + self.lease
    }
}

impl Roll {
    /// Takes in who has beaten so far. Whoever is not among them has left.
    pub(crate) fn observe(&mut self, members: Vec<Member>, now: Instant) {
        let mut before = std::mem::take(&mut self.seen);
        for Member { id, beat, lease_ms, projections, .. } in members {
            let lease = Duration::from_millis(u64::try_from(lease_ms).unwrap_or(0));
            let since = before.remove(&id).filter(|seen| seen.beat == beat).map_or(now, |seen| seen.since);
            self.seen.insert(id, Seen { beat, since, lease, projections });
        }
    }

    /// Who holds a bucket of this owner.
    pub(crate) fn holder(&self, owner: Option<&Owner>, us: &str, now: Instant) -> Holder {
        match owner {
            Some(owner) if owner.id == us => Holder::Us,
            Some(owner) if self.seen.get(&owner.id).is_some_and(|seen| seen.lives(now)) => {
                Holder::Other(owner.id.clone())
            }
            _ => Holder::Nobody,
        }
    }

    /// When the next process that is silent now would be dead.
    pub(crate) fn next_death(&self, us: &str, now: Instant) -> Option<Instant> {
        let others = self.seen.iter().filter(|(id, seen)| *id != us && seen.lives(now));
        others.map(|(_, seen)| seen.since + seen.lease).min()
    }

    /// What to take and what to give. `patience`: after so long, a free unit is taken even where another
    /// process should have been first.
    pub(crate) fn decide(&mut self, us: &str, seats: &[Seat], patience: Duration, now: Instant) -> Decision {
        let mut held: HashMap<&str, usize> =
            self.seen.iter().filter(|(_, seen)| seen.lives(now)).map(|(id, _)| (id.as_str(), 0)).collect();
        let mut ours = 0_usize;
        for seat in seats {
            match &seat.holder {
                Holder::Us => ours += 1,
                Holder::Other(id) => *held.entry(id).or_default() += 1,
                Holder::Nobody => {}
            }
        }
        held.remove(us);
        let can = |id: &str, unit: Unit| {
            self.seen.get(id).is_some_and(|seen| seen.projections.iter().any(|name| name == unit.projection))
        };
        let mut free = HashMap::new();
        let mut decision = Decision::default();
        for seat in seats.iter().filter(|seat| seat.holder == Holder::Nobody) {
            let since = *self.free.get(&seat.unit).unwrap_or(&now);
            free.insert(seat.unit, since);
            let less = held.iter().any(|(id, count)| *count < ours && can(id, seat.unit));
            if !less || now >= since + patience {
                ours += 1;
                decision.take.push(seat.unit);
            }
        }
        if decision.take.is_empty() {
            let ours_of = seats.iter().rev().filter(|seat| seat.holder == Holder::Us && !seat.switching);
            let much_less = |unit: Unit| held.iter().any(|(id, count)| count + 2 <= ours && can(id, unit));
            decision.give = ours_of.map(|seat| seat.unit).find(|unit| much_less(*unit));
        }
        self.free = free;
        decision
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_secs(5);

    fn member(id: &str, beat: i64, projections: &[&str]) -> Member {
        Member {
            id: id.to_owned(),
            name: id.to_owned(),
            beat,
            lease_ms: 5_000,
            projections: projections.iter().map(|name| (*name).to_owned()).collect(),
            at: jiff::Timestamp::UNIX_EPOCH,
        }
    }

    fn unit(bucket: usize) -> Unit {
        Unit { projection: "notes", bucket }
    }

    fn seats(holders: &[Holder]) -> Vec<Seat> {
        let seat =
            |(bucket, holder): (usize, &Holder)| Seat { unit: unit(bucket), holder: holder.clone(), switching: false };
        holders.iter().enumerate().map(seat).collect()
    }

    fn other(id: &str) -> Holder {
        Holder::Other(id.to_owned())
    }

    #[test]
    fn alone_a_process_takes_everything() {
        let (mut roll, now) = (Roll::default(), Instant::now());
        roll.observe(vec![member("us", 1, &["notes"])], now);
        let decision = roll.decide("us", &seats(&[Holder::Nobody, Holder::Nobody]), LEASE, now);
        assert_eq!(decision, Decision { take: vec![unit(0), unit(1)], give: None });
    }

    #[test]
    fn a_process_whose_beat_stands_still_for_its_lease_is_dead_and_not_before() {
        let (mut roll, now) = (Roll::default(), Instant::now());
        let owner = Owner { id: "them".into(), name: "them".into() };
        let them = || vec![member("them", 7, &["notes"])];
        roll.observe(them(), now);
        let almost = now + LEASE.saturating_sub(Duration::from_millis(1));
        roll.observe(them(), almost);
        assert_eq!(roll.holder(Some(&owner), "us", almost), other("them"));
        assert_eq!(roll.next_death("us", almost), Some(now + LEASE));
        roll.observe(them(), now + LEASE);
        assert_eq!(roll.holder(Some(&owner), "us", now + LEASE), Holder::Nobody);
        roll.observe(vec![member("them", 8, &["notes"])], now + LEASE);
        assert_eq!(roll.holder(Some(&owner), "us", now + LEASE), other("them"), "it beats again");
    }

    #[test]
    fn one_who_comes_later_gets_an_even_share_one_by_one_and_then_nothing_moves() {
        let (mut roll, now) = (Roll::default(), Instant::now());
        roll.observe(vec![member("us", 1, &["notes"]), member("new", 1, &["notes"])], now);
        let mut holders = vec![Holder::Us; 5];
        let mut given = 0;
        while let Some(unit) = roll.decide("us", &seats(&holders), LEASE, now).give {
            holders[unit.bucket] = other("new");
            given += 1;
            assert!(given <= 5, "it never ends");
        }
        assert_eq!(given, 2);
        assert_eq!(
            roll.decide(
                "new",
                &seats(
                    &holders
                        .iter()
                        .map(|holder| if *holder == Holder::Us { other("us") } else { Holder::Us })
                        .collect::<Vec<_>>()
                ),
                LEASE,
                now
            )
            .give,
            None
        );
    }

    #[test]
    fn what_is_being_switched_is_not_given_away() {
        let (mut roll, now) = (Roll::default(), Instant::now());
        roll.observe(vec![member("us", 1, &["notes"]), member("new", 1, &["notes"])], now);
        let mut seats = seats(&[Holder::Us, Holder::Us, Holder::Us]);
        seats[2].switching = true;
        assert_eq!(roll.decide("us", &seats, LEASE, now).give, Some(unit(1)));
        seats[..2].iter_mut().for_each(|seat| seat.switching = true);
        assert_eq!(roll.decide("us", &seats, LEASE, now).give, None);
    }

    #[test]
    fn what_the_other_cannot_work_on_is_neither_left_nor_given_to_it() {
        let (mut roll, now) = (Roll::default(), Instant::now());
        roll.observe(vec![member("us", 1, &["notes"]), member("them", 1, &["trail"])], now);
        let decision = roll.decide("us", &seats(&[Holder::Us, Holder::Us, Holder::Nobody]), LEASE, now);
        assert_eq!(decision, Decision { take: vec![unit(2)], give: None });
    }

    #[test]
    fn what_is_free_is_left_to_one_who_has_less_but_not_for_ever() {
        let (mut roll, now) = (Roll::default(), Instant::now());
        roll.observe(vec![member("us", 1, &["notes"]), member("them", 1, &["notes"])], now);
        let seats = seats(&[Holder::Us, Holder::Nobody]);
        assert_eq!(roll.decide("us", &seats, LEASE, now), Decision::default());
        roll.observe(vec![member("us", 2, &["notes"]), member("them", 2, &["notes"])], now + LEASE);
        assert_eq!(roll.decide("us", &seats, LEASE, now + LEASE).take, [unit(1)]);
    }
}
