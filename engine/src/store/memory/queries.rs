//! The look-ups behind the queries, by going through what there is.

use std::collections::{HashMap, HashSet};

use async_trait::async_trait;
use jiff::Timestamp;
use rust_decimal::Decimal;

use super::{Log, MemoryStore};
use crate::error::Error;
use crate::event::{AccountOpened, Event, Payload, kind};
use crate::fold::Posting;
use crate::money;
use crate::position::Position;
use crate::state::{Account, AccountId, Totals};
use crate::store::{AccountPage, Codes, Matching, Move, MoveKey, Moves, Queries, Range, Sums, View};

#[async_trait]
impl Queries for MemoryStore {
    async fn account_page(&self, page: &AccountPage<'_>, view: View) -> Result<Vec<Account>, Error> {
        let log = self.log();
        let wanted = |code: &str| match page.codes {
            Codes::One(one) => code == one,
            Codes::Prefixed(prefix) => code.starts_with(prefix),
        };
        let mut accounts: Vec<_> = log
            .accounts
            .iter()
            .filter(|facts| facts.id <= view.at && wanted(&facts.code) && (&*facts.code, &*facts.currency) > page.after)
            .collect();
        accounts.sort_by(|left, right| (&left.code, &left.currency).cmp(&(&right.code, &right.currency)));
        let accounts = accounts.into_iter().take(page.limit);
        accounts
            .map(|facts| Ok(Account { totals: log.totals_in(view, facts.id)?, ..Account::bare(facts.clone()) }))
            .collect()
    }

    async fn opened(&self, accounts: &[(&str, &str)]) -> Result<Vec<AccountOpened>, Error> {
        let log = self.log();
        let wanted: HashSet<_> = accounts.iter().copied().collect();
        let found = log.accounts.iter().filter(|facts| wanted.contains(&(&*facts.code, &*facts.currency)));
        let mut opened = Vec::with_capacity(accounts.len());
        for facts in found {
            let place = usize::try_from(facts.id.get()).unwrap_or_default().saturating_sub(1);
            if let Some(Payload::AccountOpened(account)) = log.events.get(place).map(Event::payload).transpose()? {
                opened.push(account);
            }
        }
        Ok(opened)
    }

    async fn count_accounts(&self, at: Position) -> Result<u64, Error> {
        let count = self.log().accounts.iter().filter(|facts| facts.id <= at).count();
        Ok(u64::try_from(count).unwrap_or(u64::MAX))
    }

    async fn recorded_by(&self, time: Timestamp, upto: Position) -> Result<Position, Error> {
        let log = self.log();
        let behind = log.events.partition_point(|event| event.position <= upto && event.recorded_at <= time);
        Ok(Position::START.plus(behind))
    }

    async fn event_of_id(&self, id: &str, at: Position) -> Result<Option<Event>, Error> {
        let log = self.log();
        let event = log.ids.get(id).and_then(|index| log.events.get(*index));
        Ok(event.filter(|event| event.position <= at).cloned())
    }

    async fn newest(&self, streams: &[String], at: Position) -> Result<HashMap<String, Event>, Error> {
        let log = self.log();
        let newest = |stream: &String| Some((stream.clone(), log.newest(stream, at)?.clone()));
        Ok(streams.iter().filter_map(newest).collect())
    }

    async fn matching(&self, wanted: &Matching, range: Range, limit: usize) -> Result<Vec<Event>, Error> {
        let log = self.log();
        let start = usize::try_from(range.after.get()).unwrap_or(usize::MAX);
        let events = log.events.iter().skip(start).take_while(|event| event.position <= range.through);
        let mut found = Vec::new();
        for event in events {
            if found.len() < limit && log.matches(wanted, event)? {
                found.push(event.clone());
            }
        }
        Ok(found)
    }

    async fn sums(&self, moves: &Moves) -> Result<Sums, Error> {
        let log = self.log();
        let mut sums = Sums::default();
        for (key, _, posted) in log.posted(moves.account, moves.at) {
            let before = moves.from.is_some_and(|from| key.effective_at < from);
            let add = |sum: &mut Decimal, counts: bool| *sum += if counts { posted } else { Decimal::ZERO };
            add(&mut sums.opening, before);
            add(&mut sums.forward, before || moves.after.is_some_and(|after| key <= after));
            add(&mut sums.closing, moves.to.is_none_or(|to| key.effective_at < to));
        }
        Ok(sums)
    }

    async fn moves(&self, moves: &Moves, limit: usize) -> Result<Vec<Move>, Error> {
        let log = self.log();
        let wanted = |key: &MoveKey| {
            moves.from.is_none_or(|from| key.effective_at >= from)
                && moves.to.is_none_or(|to| key.effective_at < to)
                && moves.after.is_none_or(|after| *key > after)
        };
        let mut found: Vec<_> = log.posted(moves.account, moves.at).filter(|(key, ..)| wanted(key)).collect();
        found.sort_by_key(|(key, ..)| *key);
        let told = found.into_iter().take(limit).map(|(key, event, posted)| {
            let (text, reverses) = match event.payload()? {
                Payload::EntryPosted(entry) => (entry.text, entry.reverses),
                Payload::HoldSettled(settled) => (settled.text, None),
                _ => (None, None),
            };
            let (recorded_at, id, kind) = (event.recorded_at, event.id.clone(), event.kind.clone());
            Ok(Move { key, posted, recorded_at, id, kind, text, reverses })
        });
        told.collect()
    }
}

impl Log {
    /// The totals of an account's legs that a view holds.
    fn totals_in(&self, view: View, account: AccountId) -> Result<Totals, Error> {
        if view.from.is_none() && view.until.is_none() {
            return Ok(self.totals(account, view.at));
        }
        let postings = self.postings.range((account, Position::START, 0)..=(account, view.at, i32::MAX));
        let (mut before, mut sum) = (Totals::default(), Totals::default());
        for (_, posting) in postings {
            let Some(event) = self.event(posting.position) else { continue };
            if view.holds(event.effective_at) {
                sum.debits_posted += posting.posted.max(0);
                sum.credits_posted += (-posting.posted).max(0);
            }
            if view.holds(self.pending_at(event, posting)?) {
                sum.debits_pending += posting.totals.debits_pending - before.debits_pending;
                sum.credits_pending += posting.totals.credits_pending - before.credits_pending;
            }
            before = posting.totals;
        }
        Ok(sum)
    }

    /// When what is pending takes effect: see [`View::until`].
    fn pending_at(&self, event: &Event, posting: &Posting) -> Result<Timestamp, Error> {
        let placed = match event.payload()? {
            Payload::HoldSettled(settled) => settled.placed,
            Payload::HoldReleased(released) => released.placed,
            _ => posting.position,
        };
        let hold = self.event(placed).map_or(event.effective_at, |hold| hold.effective_at);
        Ok(hold.max(event.effective_at))
    }

    /// The posted legs of an account, debit minus credit, in order of position.
    fn posted(&self, account: AccountId, at: Position) -> impl Iterator<Item = (MoveKey, &Event, Decimal)> {
        let postings = self.postings.range((account, Position::START, 0)..=(account, at, i32::MAX));
        postings.map(|(_, posting)| posting).filter(|posting| posting.posted != 0).filter_map(|posting| {
            let event = self.event(posting.position)?;
            let key = MoveKey { effective_at: event.effective_at, position: posting.position, leg: posting.leg };
            Some((key, event, money::to_decimal(posting.posted, posting.scale)))
        })
    }

    fn matches(&self, wanted: &Matching, event: &Event) -> Result<bool, Error> {
        let of_account = |id: &AccountId| {
            let leg = (*id, event.position, 0)..=(*id, event.position, i32::MAX);
            let own = event.stream.as_ref().is_some_and(|stream| *stream == Account::stream(*id));
            own || event.position == *id || self.postings.range(leg).next().is_some()
        };
        let of_kind = wanted.kinds.is_empty() || wanted.kinds.contains(&event.kind);
        let of_stream = wanted.stream.is_none() || wanted.stream == event.stream;
        let of_accounts = wanted.accounts.as_ref().is_none_or(|accounts| accounts.iter().any(of_account));
        if !(of_kind && of_stream && of_accounts) {
            return Ok(false);
        }
        if wanted.correlation.is_some() && event.envelope()?.correlation != wanted.correlation {
            return Ok(false);
        }
        let Some(at) = wanted.open_at.filter(|_| event.kind == kind::HOLD_PLACED) else { return Ok(true) };
        Ok(self.hold(event.position, at)?.is_some_and(|hold| hold.end.is_none()))
    }
}

impl View {
    /// Whether what took effect at that time counts.
    fn holds(&self, time: Timestamp) -> bool {
        self.from.is_none_or(|from| time >= from) && self.until.is_none_or(|until| time <= until)
    }
}
