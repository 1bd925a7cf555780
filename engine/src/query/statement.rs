//! The statement of an account: opening balance, what happened, closing balance.

use std::sync::Arc;

use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::Serialize;

use super::cursor::Cursor;
use super::{AsOf, EntryKind};
use crate::account::{AccountType, Side};
use crate::error::Error;
use crate::log::Log;
use crate::outcome::Invalid;
use crate::position::Position;
use crate::state::Account;
use crate::store::{Move, Moves, View};

/// Most lines of one page of a statement.
const LINES_MAX: usize = 10_000;

/// Which statement, and which page of it.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), postfold::Error> {
/// use postfold::{Account, Ledger, StatementQuery, Transfer};
/// use rust_decimal::dec;
///
/// let ledger = Ledger::in_memory();
/// ledger.open(Account::asset("till", "EUR")).await?;
/// ledger.open(Account::income("sales", "EUR")).await?;
/// ledger.transfer(Transfer::sides("sale-1", "till", "sales", dec!(5))).await?;
///
/// let mut query = StatementQuery::of("till").limit(50);
/// loop {
///     let page = ledger.log().statement(&query).await?;
///     for line in &page.lines {
///         println!("{} {:?} {}", line.effective_at, line.debit, line.balance);
///     }
///     let Some(next) = page.next else { break };
///     query = query.cursor(next);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct StatementQuery {
    account: String,
    currency: Option<String>,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    as_of: AsOf,
    cursor: Option<String>,
    limit: usize,
}

impl StatementQuery {
    /// Lines of a page, where nothing else is said.
    pub const LIMIT: usize = 100;

    /// The whole statement of an account; the first page of at most 100 lines.
    pub fn of(account: impl Into<String>) -> Self {
        Self {
            account: account.into(),
            currency: None,
            from: None,
            to: None,
            as_of: AsOf::now(),
            cursor: None,
            limit: Self::LIMIT,
        }
    }

    /// In this currency, where the code is open in several.
    pub fn currency(mut self, currency: impl Into<String>) -> Self {
        self.currency = Some(currency.into());
        self
    }

    /// What took effect from this time on, itself included.
    pub const fn from(mut self, from: Timestamp) -> Self {
        self.from = Some(from);
        self
    }

    /// What took effect before this time, itself excluded: so the statements of successive months join.
    pub const fn to(mut self, to: Timestamp) -> Self {
        self.to = Some(to);
        self
    }

    /// As of a position, or as known at a time; an effective time is said with [`StatementQuery::to`], and
    /// refused here. Later pages are as of what the first one was.
    pub const fn as_of(mut self, as_of: AsOf) -> Self {
        self.as_of = as_of;
        self
    }

    /// The page behind the one that had this in its `next`.
    pub fn cursor(mut self, cursor: impl Into<String>) -> Self {
        self.cursor = Some(cursor.into());
        self
    }

    /// Most lines of the page; default 100, at most 10,000.
    pub const fn limit(mut self, lines: usize) -> Self {
        self.limit = lines;
        self
    }
}

/// A page of an account's statement: what was posted, in order of effective time, then of position and leg.
/// Balances are on the account's normal side.
///
/// `opening` plus all lines of all pages is `closing`; `forward` plus the lines of this page is its last
/// balance, which is the next page's `forward`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Statement {
    /// The account's code.
    pub account: Arc<str>,
    /// Its currency.
    pub currency: Arc<str>,
    /// Its type.
    #[serde(rename = "type")]
    pub account_type: AccountType,
    /// The side on which it grows.
    pub normal: Side,
    /// What took effect from then on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
    /// What took effect before that time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<Timestamp>,
    /// The position that the whole statement is as of.
    pub position: Position,
    /// What had been posted before `from`.
    pub opening: Decimal,
    /// The balance before the first line of this page; on the first one the opening balance.
    pub forward: Decimal,
    /// What was posted, in order.
    pub lines: Vec<StatementLine>,
    /// What was posted before `to`.
    pub closing: Decimal,
    /// What [`StatementQuery::cursor`] takes for the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A posted leg of the account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StatementLine {
    /// The place of its entry in the log.
    pub position: Position,
    /// The place of the leg in its entry, from 0.
    pub leg: i32,
    /// The entry's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// What kind of entry.
    pub kind: EntryKind,
    /// What it was for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The id of the entry that it reverses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reverses: Option<String>,
    /// When it counts.
    pub effective_at: Timestamp,
    /// When the ledger learnt it.
    pub recorded_at: Timestamp,
    /// What was debited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub debit: Option<Decimal>,
    /// What was credited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credit: Option<Decimal>,
    /// The account's balance after it.
    pub balance: Decimal,
}

impl Log {
    /// A page of the statement of an account.
    ///
    /// Pages are exact while others write: the cursor keeps the position of the first one. A page costs a
    /// look at every posting of the account, in two statements, and memory for its own lines.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownAccount`], [`Error::SeveralCurrencies`]; [`Error::Query`] for a limit, a span of
    /// time, a position or a cursor that cannot be meant so; otherwise when the database is not available.
    pub async fn statement(&self, query: &StatementQuery) -> Result<Statement, Error> {
        check(query)?;
        let cursor = query.cursor.as_deref().map(|text| Cursor::read(text, self.ledger_name())).transpose()?;
        let as_of = cursor.map_or(query.as_of, |cursor| AsOf::position(cursor.at));
        let view = View::at(self.resolve(as_of).await?);
        let account = self.one_account(&query.account, query.currency.as_deref(), view).await?;
        let first = Moves { account: account.facts.id, at: view.at, from: query.from, to: query.to, after: None };
        let moves = match cursor {
            Some(cursor) => cursor.continues(first)?,
            None => first,
        };
        let queries = self.store().queries();
        let (sums, mut found) = tokio::try_join!(queries.sums(&moves), queries.moves(&moves, query.limit + 1))?;
        let more = found.len() > query.limit;
        found.truncate(query.limit);
        let last = found.last().filter(|_| more);
        let next = last.map(|last| Cursor::behind(last.key, &moves).write(self.ledger_name()));
        let side = Balances { account: &account };
        let forward = side.balance(sums.forward);
        Ok(Statement {
            account: Arc::clone(&account.facts.code),
            currency: Arc::clone(&account.facts.currency),
            account_type: account.facts.account_type,
            normal: account.facts.normal,
            from: moves.from,
            to: moves.to,
            position: view.at,
            opening: side.balance(sums.opening),
            forward,
            lines: side.lines(forward, found),
            closing: side.balance(sums.closing),
            next,
        })
    }
}

fn check(query: &StatementQuery) -> Result<(), Error> {
    if query.limit == 0 || query.limit > LINES_MAX {
        let message = format!("a page has 1 to {LINES_MAX} lines, not {}", query.limit);
        return Err(Error::Query(Invalid::new("limit", Some(query.limit.to_string()), message)));
    }
    super::check_span(query.from, query.to, query.as_of)
}

/// Debit minus credit, turned to the normal side of an account, at its scale.
struct Balances<'a> {
    account: &'a Account,
}

impl Balances<'_> {
    fn balance(&self, debit_minus_credit: Decimal) -> Decimal {
        let mut balance = match self.account.facts.normal {
            Side::Debit => debit_minus_credit,
            Side::Credit => Decimal::ZERO - debit_minus_credit,
        };
        balance.rescale(u32::from(self.account.facts.scale));
        balance
    }

    fn lines(&self, forward: Decimal, moves: Vec<Move>) -> Vec<StatementLine> {
        let mut balance = forward;
        let line = |moved: Move| {
            balance += self.balance(moved.posted);
            let amount = self.balance(moved.posted).abs();
            let debited = moved.posted.is_sign_positive();
            StatementLine {
                position: moved.key.position,
                leg: moved.key.leg,
                id: moved.id,
                kind: EntryKind::posted(&moved.kind, moved.reverses.as_deref()),
                text: moved.text,
                reverses: moved.reverses,
                effective_at: moved.key.effective_at,
                recorded_at: moved.recorded_at,
                debit: debited.then_some(amount),
                credit: (!debited).then_some(amount),
                balance,
            }
        };
        moves.into_iter().map(line).collect()
    }
}
