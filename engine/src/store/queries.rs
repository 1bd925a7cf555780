//! What answers from the log need of the place where it is kept: few and simple look-ups, each as of a
//! position. What they mean together is said once, in [`crate::query`], for every store.

use std::collections::HashMap;

use async_trait::async_trait;
use jiff::Timestamp;
use rust_decimal::Decimal;

use crate::error::Error;
use crate::event::{AccountOpened, Event};
use crate::position::Position;
use crate::state::{Account, AccountId};

/// The look-ups of a store. Rows are only ever added, so whoever asks for the same position again is
/// answered the same.
#[async_trait]
pub(crate) trait Queries: Send + Sync {
    /// A page of accounts, in order of code and currency, with their totals. Limits and status are not
    /// looked up.
    async fn account_page(&self, page: &AccountPage<'_>, view: View) -> Result<Vec<Account>, Error>;

    /// What opened the accounts of these codes and currencies; those that were not are left out.
    async fn opened(&self, accounts: &[(&str, &str)]) -> Result<Vec<AccountOpened>, Error>;

    /// How many accounts were opened.
    async fn count_accounts(&self, at: Position) -> Result<u64, Error>;

    /// The last position up to `upto` that was recorded by then.
    async fn recorded_by(&self, time: Timestamp, upto: Position) -> Result<Position, Error>;

    /// What an id was used for.
    async fn event_of_id(&self, id: &str, at: Position) -> Result<Option<Event>, Error>;

    /// The newest event of each of these streams, by its name; those without any are left out.
    async fn newest(&self, streams: &[String], at: Position) -> Result<HashMap<String, Event>, Error>;

    /// The events behind a position, up to another, that match, in order; fewer than `limit` where they
    /// are large. Only an empty page says that there are no more.
    async fn matching(&self, wanted: &Matching, range: Range, limit: usize) -> Result<Vec<Event>, Error>;

    /// What the posted legs of an account come to.
    async fn sums(&self, moves: &Moves) -> Result<Sums, Error>;

    /// The posted legs of an account, in the order of [`MoveKey`].
    async fn moves(&self, moves: &Moves, limit: usize) -> Result<Vec<Move>, Error>;
}

/// Which legs count in the totals of an account.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View {
    /// Up to this position.
    pub(crate) at: Position,
    /// What took effect from then on.
    pub(crate) from: Option<Timestamp>,
    /// What took effect up to and at that time. What a hold reserved and was released takes effect with
    /// the release, but not before the hold: so nothing pending is ever below zero.
    pub(crate) until: Option<Timestamp>,
}

impl View {
    /// Everything up to a position.
    pub(crate) const fn at(at: Position) -> Self {
        Self { at, from: None, until: None }
    }
}

/// Some accounts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AccountPage<'a> {
    pub(crate) codes: Codes<'a>,
    /// Behind this code and currency.
    pub(crate) after: (&'a str, &'a str),
    pub(crate) limit: usize,
}

/// By which code accounts are found.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Codes<'a> {
    /// This one, in every currency.
    One(&'a str),
    /// All that begin with this.
    Prefixed(&'a str),
}

/// Positions: behind `after`, up to `through`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Range {
    pub(crate) after: Position,
    pub(crate) through: Position,
}

/// Which events match: all that is said must hold, and what is empty says nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Matching {
    pub(crate) kinds: Vec<String>,
    pub(crate) stream: Option<String>,
    pub(crate) correlation: Option<String>,
    /// Opened, changed or moved one of these.
    pub(crate) accounts: Option<Vec<AccountId>>,
    /// Holds that had not ended at this position.
    pub(crate) open_at: Option<Position>,
}

/// Posted legs of an account.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moves {
    pub(crate) account: AccountId,
    pub(crate) at: Position,
    /// What took effect from then on.
    pub(crate) from: Option<Timestamp>,
    /// What took effect before that time.
    pub(crate) to: Option<Timestamp>,
    /// Behind this leg.
    pub(crate) after: Option<MoveKey>,
}

/// The place of a leg in a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct MoveKey {
    pub(crate) effective_at: Timestamp,
    pub(crate) position: Position,
    pub(crate) leg: i32,
}

/// What legs come to, debit minus credit.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sums {
    /// Before [`Moves::from`].
    pub(crate) opening: Decimal,
    /// Up to and with [`Moves::after`].
    pub(crate) forward: Decimal,
    /// Before [`Moves::to`].
    pub(crate) closing: Decimal,
}

/// A posted leg, and what is told of its entry.
#[derive(Clone, Debug)]
pub(crate) struct Move {
    pub(crate) key: MoveKey,
    /// Debit minus credit.
    pub(crate) posted: Decimal,
    pub(crate) recorded_at: Timestamp,
    pub(crate) id: Option<String>,
    pub(crate) kind: String,
    pub(crate) text: Option<String>,
    pub(crate) reverses: Option<String>,
}
