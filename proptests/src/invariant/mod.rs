//! What must hold on any ledger at any time.
//!
//! [`check_all`] reads the log once up to its head, folds it with rules of its own, and compares what the ledger
//! answers with that. Others may write meanwhile: all answers are as of that head. [`Invariant::check`] looks at
//! one of them.
//!
//! ```
//! use postfold::{Account, Entry, Ledger};
//! use rust_decimal::dec;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let ledger = Ledger::in_memory();
//! ledger.open(Account::asset("till", "EUR")).await?;
//! ledger.open(Account::income("sales", "EUR")).await?;
//! ledger.post(Entry::new("sale-1").debit("till", dec!(5)).credit("sales", dec!(5))).await?;
//!
//! let checked = postfold_proptests::invariant::check_all(ledger.log()).await?;
//! assert!(checked.is_whole(), "{checked}");
//! # Ok(())
//! # }
//! ```

mod answers;
mod books;
mod effects;
#[cfg(test)]
mod tests;

use std::fmt;

use postfold::{Error, Log, Position};

use books::Books;

/// Most broken invariants that are told; more are only counted.
pub const BROKEN_MAX: usize = 100;

/// Events read at a time.
const PAGE_EVENTS: usize = 1_000;

/// What must hold on any ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Invariant {
    /// Positions run from 1 without a gap, and recorded times never go back.
    PositionsAreDense,
    /// No id stands in the log twice.
    IdsAreUnique,
    /// The changes of an entity, an account or a hold are counted from 1 without a gap.
    VersionsAreDense,
    /// Every entry and every hold balances in each currency.
    EntriesBalance,
    /// Debits equal credits over all accounts of each currency.
    SumsAreZero,
    /// Every balance is what the log adds up to.
    BalancesAreTheFold,
    /// No entry takes an account's available balance below its floor, its balance above its ceiling, or more out
    /// of it within a day than may leave.
    LimitsHold,
    /// No entry touches an account that is closed or frozen, and none takes effect in a closed period.
    StatesHold,
    /// What a hold placed is settled, released or left, and nothing happens to it behind its end.
    HoldsAreConserved,
    /// No entry is reversed twice.
    ReversedOnce,
    /// A statement's pages add up, line by line, from the opening balance to the closing one, which is the account's.
    StatementsClose,
    /// The trial balance lists every balance, and its sides are equal.
    TrialBalanceIsZero,
    /// Every hash follows from its row and the hash before it, and every stored total from the log.
    HashChainIsWhole,
}

impl Invariant {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::PositionsAreDense,
        Self::IdsAreUnique,
        Self::VersionsAreDense,
        Self::EntriesBalance,
        Self::SumsAreZero,
        Self::BalancesAreTheFold,
        Self::LimitsHold,
        Self::StatesHold,
        Self::HoldsAreConserved,
        Self::ReversedOnce,
        Self::StatementsClose,
        Self::TrialBalanceIsZero,
        Self::HashChainIsWhole,
    ];

    /// Checks this one, up to the head of the log as it is now.
    ///
    /// # Errors
    ///
    /// As [`check_all`].
    pub async fn check(self, log: &Log) -> Result<Checked, Error> {
        check(log, &[self]).await
    }
}

/// What was checked, and what is broken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// Up to where.
    pub through: Position,
    /// Events that were read.
    pub events: u64,
    /// Accounts that were compared.
    pub accounts: usize,
    /// Holds that were followed.
    pub holds: usize,
    /// How much is broken in all.
    pub broken_total: usize,
    /// The first [`BROKEN_MAX`] of it.
    pub broken: Vec<Broken>,
}

/// An invariant that does not hold, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Which one.
    pub invariant: Invariant,
    /// The event that breaks it; `None` where the ledger as a whole does.
    pub position: Option<Position>,
    /// Of what: an account, a hold, an id, a currency.
    pub subject: String,
    /// What should be.
    pub expected: String,
    /// What is.
    pub found: String,
}

impl Checked {
    /// Whether nothing is broken.
    pub const fn is_whole(&self) -> bool {
        self.broken_total == 0
    }

    fn tell(&mut self, broken: Broken) {
        self.broken_total += 1;
        if self.broken.len() < BROKEN_MAX {
            self.broken.push(broken);
        }
    }
}

/// Checks every invariant, up to the head of the log as it is now; others may write meanwhile.
///
/// Reads the log once, every balance and every statement. Memory grows with accounts, holds and ids.
///
/// # Errors
///
/// When the database is not available, or an event cannot be read. What is broken is not an error but in the answer.
pub async fn check_all(log: &Log) -> Result<Checked, Error> {
    check(log, &Invariant::ALL).await
}

async fn check(log: &Log, wanted: &[Invariant]) -> Result<Checked, Error> {
    let through = log.head().await?.position;
    let books = Books::read(log, through).await?;
    let mut checked = Checked {
        through,
        events: books.events(),
        accounts: books.accounts(),
        holds: books.holds(),
        ..Checked::default()
    };
    let mut tell = |broken: Broken| {
        if wanted.contains(&broken.invariant) {
            checked.tell(broken);
        }
    };
    books.broken().iter().cloned().for_each(&mut tell);
    let answers = [Invariant::SumsAreZero, Invariant::BalancesAreTheFold, Invariant::TrialBalanceIsZero];
    if wanted.iter().any(|invariant| answers.contains(invariant)) {
        answers::balances(log, &books, through, &mut tell).await?;
    }
    if wanted.contains(&Invariant::HoldsAreConserved) {
        answers::holds(log, &books, through, &mut tell).await?;
    }
    if wanted.contains(&Invariant::StatementsClose) {
        answers::statements(log, &books, through, &mut tell).await?;
    }
    if wanted.contains(&Invariant::HashChainIsWhole) {
        answers::hashes(log, through, &mut tell).await?;
    }
    Ok(checked)
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.invariant)?;
        if let Some(position) = self.position {
            write!(f, " at position {position}")?;
        }
        write!(f, ": {} should be {}, is {}", self.subject, self.expected, self.found)
    }
}

impl fmt::Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { through, events, accounts, holds, broken_total, broken } = self;
        write!(
            f,
            "{events} events, {accounts} accounts and {holds} holds up to position {through}: {broken_total} broken"
        )?;
        broken.iter().try_for_each(|broken| write!(f, "\n  {broken}"))
    }
}
