//! What must hold on any ledger at any time.

use std::collections::{BTreeMap, HashSet};
use std::fmt;

use postfold::{Balance, Error, Event, Log, Payload, Position, Side};
use rust_decimal::Decimal;

/// Events read at a time.
const PAGE_EVENTS: usize = 1_000;

/// An invariant that does not hold, with the values that show it.
#[derive(Debug)]
pub enum Broken {
    /// Debits less credits of all balances in a currency are not zero.
    NotZero {
        /// The currency.
        currency: String,
        /// The sum.
        sum: Decimal,
    },
    /// A balance is not the fold of the log.
    BalanceIsNotTheFold {
        /// Account and currency.
        account: String,
        /// What the ledger answers.
        answered: Decimal,
        /// What the events add up to.
        folded: Decimal,
    },
    /// An account's available balance is below its floor.
    BelowFloor {
        /// Account and currency.
        account: String,
        /// What is available.
        available: Decimal,
        /// The floor it was opened with.
        floor: Decimal,
    },
    /// A position is missing or comes twice.
    NotDense {
        /// Where an event should stand.
        expected: Position,
        /// Where the next one stands.
        found: Position,
    },
    /// An id stands at two positions.
    IdTwice(String),
    /// `verify` found a problem.
    Verify(String),
    /// The log could not be read.
    Unreadable(Error),
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotZero { currency, sum } => write!(f, "the books do not balance: {sum} {currency} left over"),
            Self::BalanceIsNotTheFold { account, answered, folded } => {
                write!(f, "{account}: the ledger says {answered}, the log adds up to {folded}")
            }
            Self::BelowFloor { account, available, floor } => {
                write!(f, "{account}: {available} available, below the floor of {floor}")
            }
            Self::NotDense { expected, found } => write!(f, "position {found} stands where {expected} should"),
            Self::IdTwice(id) => write!(f, "the id {id:?} stands in the log twice"),
            Self::Verify(problem) => write!(f, "verify: {problem}"),
            Self::Unreadable(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Broken {}

impl From<Error> for Broken {
    fn from(error: Error) -> Self {
        Self::Unreadable(error)
    }
}

/// Checks every invariant of this module on a ledger that nobody writes to meanwhile.
///
/// # Errors
///
/// The first that does not hold.
pub async fn check_all(log: &Log) -> Result<(), Broken> {
    let events = read(log).await?;
    let balances = log.balances("").await?;
    positions_are_dense(&events)?;
    ids_are_unique(&events)?;
    books_balance(&balances)?;
    balances_are_the_fold(&events, &balances)?;
    floors_hold(&events, &balances)?;
    hash_chain_is_whole(log).await
}

/// Positions run from 1 without a gap.
///
/// # Errors
///
/// [`Broken::NotDense`].
pub fn positions_are_dense(events: &[Event]) -> Result<(), Broken> {
    let mut expected = Position::START;
    for event in events {
        expected = expected.next();
        if event.position != expected {
            return Err(Broken::NotDense { expected, found: event.position });
        }
    }
    Ok(())
}

/// No id stands in the log twice.
///
/// # Errors
///
/// [`Broken::IdTwice`].
pub fn ids_are_unique(events: &[Event]) -> Result<(), Broken> {
    let mut seen = HashSet::new();
    let mut ids = events.iter().filter_map(|event| event.id.as_deref());
    ids.find(|id| !seen.insert(*id)).map_or(Ok(()), |id| Err(Broken::IdTwice(id.to_owned())))
}

/// Debits equal credits over all accounts of each currency.
///
/// # Errors
///
/// [`Broken::NotZero`].
pub fn books_balance(balances: &[Balance]) -> Result<(), Broken> {
    let mut sums: BTreeMap<&str, Decimal> = BTreeMap::new();
    for balance in balances {
        let debit = if balance.normal == Side::Debit { balance.posted } else { -balance.posted };
        *sums.entry(&balance.currency).or_default() += debit;
    }
    match sums.into_iter().find(|(_, sum)| !sum.is_zero()) {
        None => Ok(()),
        Some((currency, sum)) => Err(Broken::NotZero { currency: currency.to_owned(), sum }),
    }
}

/// Every balance is what the legs of the log add up to.
///
/// # Errors
///
/// [`Broken::BalanceIsNotTheFold`]; [`Broken::Unreadable`] for an event that cannot be read.
pub fn balances_are_the_fold(events: &[Event], balances: &[Balance]) -> Result<(), Broken> {
    let mut folded: BTreeMap<(String, String), Decimal> = BTreeMap::new();
    for event in events {
        for moved in event.payload().map_err(Error::from)?.movements() {
            let debit = if moved.leg.amount.side() == Side::Debit { moved.posted } else { -moved.posted };
            *folded.entry((moved.leg.account.clone(), moved.leg.currency.clone())).or_default() += debit;
        }
    }
    for balance in balances {
        let key = (balance.account.to_string(), balance.currency.to_string());
        let debit = folded.get(&key).copied().unwrap_or_default();
        let folded = if balance.normal == Side::Debit { debit } else { -debit };
        if balance.posted != folded {
            let account = format!("{} in {}", key.0, key.1);
            return Err(Broken::BalanceIsNotTheFold { account, answered: balance.posted, folded });
        }
    }
    Ok(())
}

/// No account whose floor allowed its opening has less available than its floor.
///
/// # Errors
///
/// [`Broken::BelowFloor`]; [`Broken::Unreadable`] for an event that cannot be read.
pub fn floors_hold(events: &[Event], balances: &[Balance]) -> Result<(), Broken> {
    for event in events {
        let Payload::AccountOpened(opened) = event.payload().map_err(Error::from)? else { continue };
        // A floor above zero may be broken from the start: it only stops what goes further down.
        let Some(floor) = opened.limits.floor.filter(|floor| *floor <= Decimal::ZERO) else { continue };
        let of_account =
            |balance: &&Balance| *balance.account == opened.account && *balance.currency == opened.currency;
        if let Some(balance) = balances.iter().find(of_account).filter(|balance| balance.available < floor) {
            let account = format!("{} in {}", opened.account, opened.currency);
            return Err(Broken::BelowFloor { account, available: balance.available, floor });
        }
    }
    Ok(())
}

/// Every hash follows from its row and the hash before it, and every stored total from the log.
///
/// # Errors
///
/// [`Broken::Verify`] with the first problem.
pub async fn hash_chain_is_whole(log: &Log) -> Result<(), Broken> {
    let report = postfold::verify(log, |_| {}).await?;
    match report.problems.first() {
        None => Ok(()),
        Some(problem) => {
            Err(Broken::Verify(format!("position {}, {}: {}", problem.position, problem.column, problem.message)))
        }
    }
}

/// The whole log.
async fn read(log: &Log) -> Result<Vec<Event>, Error> {
    let mut events: Vec<Event> = Vec::new();
    loop {
        let after = events.last().map_or(Position::START, |event| event.position);
        let page = log.page(after, PAGE_EVENTS).await?;
        if page.is_empty() {
            return Ok(events);
        }
        events.extend(page);
    }
}
