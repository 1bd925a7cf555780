//! Strategies: generated accounts, commands and whole histories, which meet each other and shrink well.
//!
//! [`history`] is made of short stories: a hold with its settles and its void, an entry that is reversed, an account
//! that is frozen and unfrozen. Stories run side by side, and a command may be sent again, by the same words, by
//! other words that mean the same, or with another meaning. A [`Mix`] says over which accounts, and how often what
//! comes up. As the ids in a story depend on that story alone, a history shrinks by leaving stories out: what
//! remains still means what it did.
//!
//! ```
//! use postfold_proptests::strategy::{self, Mix};
//! use proptest::prelude::*;
//!
//! // Many holds and no periods, over two wallets and a till.
//! let mix = Mix { holds: 20, periods: 0, ..Mix::over(["wallet:1", "wallet:2", "till"]) };
//! let histories = strategy::history(&mix, 0..30);
//! # let _ = histories.boxed();
//! ```

mod accounts;
mod money;
mod stories;

use std::ops::Range;

use proptest::prelude::*;

pub use accounts::{account, chart};
pub use money::{amount, entry, hold, transfer};
pub use stories::{batch, change, command, story};

use crate::history::{History, Step};
use stories::Story;

/// What comes up how often. The numbers are weights: twice the number, twice as often; 0 is never.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mix {
    /// Codes of the accounts that commands name. Default: `account:0` to `account:5`.
    pub codes: Vec<String>,
    /// What every id and every entity begins with, so that histories of several mixes do not meet. Default: nothing.
    pub names: String,
    /// Currencies of the accounts that [`chart`] opens, the first one far more often. Those that ISO 4217 does not
    /// know are registered with 3 decimals. Default: EUR, JPY and POINTS.
    pub currencies: Vec<String>,
    /// Of a thousand accounts that are named, so many were never opened. Default 15.
    pub unknown: u32,
    /// Of a thousand accounts that [`chart`] opens, so many have a limit of each kind. Default 300.
    pub limited: u32,
    /// Of a thousand amounts, so many have too many digits, are zero or less, or very large. Default 40.
    pub odd_amounts: u32,
    /// Of a thousand entries, so many do not balance. Default 60.
    pub unbalanced: u32,
    /// Of a thousand entries and holds, so many say when they count. Default 200.
    pub dated: u32,
    /// Of a thousand stories, so many have a command that is sent again. Default 150.
    pub retries: u32,
    /// Transfers, some `up_to`. Default 12.
    pub transfers: u32,
    /// Entries of two to four legs, some reversed later. Default 10.
    pub entries: u32,
    /// Holds with what becomes of them: settled, in parts or whole, voided, left to expire. Default 12.
    pub holds: u32,
    /// Changes of entities. Default 6.
    pub changes: u32,
    /// Changes of limits. Default 4.
    pub limits: u32,
    /// Accounts frozen and unfrozen, or closed. Default 4.
    pub statuses: u32,
    /// Periods closed and reopened. Default 2.
    pub periods: u32,
    /// Assertions of balances. Default 3.
    pub assertions: u32,
    /// `expire_due`, after some time. Default 3.
    pub expiries: u32,
    /// Time that passes. Default 4.
    pub waits: u32,
    /// Accounts and currencies opened and registered on the way. Default 2.
    pub openings: u32,
    /// Batches, atomic or not, of the commands of other stories. Default 6.
    pub batches: u32,
    /// Commands without sense. Default 3.
    pub nonsense: u32,
}

impl Default for Mix {
    fn default() -> Self {
        Self {
            codes: (0..6).map(|number| format!("account:{number}")).collect(),
            names: String::new(),
            currencies: ["EUR", "JPY", "POINTS"].map(str::to_owned).to_vec(),
            unknown: 15,
            limited: 300,
            odd_amounts: 40,
            unbalanced: 60,
            dated: 200,
            retries: 150,
            transfers: 12,
            entries: 10,
            holds: 12,
            changes: 6,
            limits: 4,
            statuses: 4,
            periods: 2,
            assertions: 3,
            expiries: 3,
            waits: 4,
            openings: 2,
            batches: 6,
            nonsense: 3,
        }
    }
}

impl Mix {
    /// The default mix over these accounts.
    pub fn over<S: Into<String>>(codes: impl IntoIterator<Item = S>) -> Self {
        Self { codes: codes.into_iter().map(Into::into).collect(), ..Self::default() }
    }

    /// Only what concerns the accounts and entities that it names, and not the ledger as a whole: no periods, no
    /// time that passes, nothing that expires.
    pub fn local(self) -> Self {
        Self { periods: 0, expiries: 0, waits: 0, openings: 0, ..self }
    }

    /// Only entries, transfers and holds that can be done: over accounts in one currency, without limits.
    pub fn plain(self) -> Self {
        Self {
            currencies: vec!["EUR".to_owned()],
            unknown: 0,
            limited: 0,
            odd_amounts: 0,
            unbalanced: 0,
            limits: 0,
            statuses: 0,
            nonsense: 0,
            ..self.local()
        }
    }
}

/// A chart of accounts, and so many stories on it.
pub fn history(mix: &Mix, stories: Range<usize>) -> impl Strategy<Value = History> + use<> {
    (chart(mix), happening(mix, stories))
        .prop_map(|(chart, happening)| chart.into_iter().collect::<History>().then(happening))
}

/// So many stories, on accounts that are open already.
pub fn happening(mix: &Mix, stories: Range<usize>) -> impl Strategy<Value = History> + use<> {
    proptest::collection::vec(story(mix), stories).prop_map(side_by_side)
}

/// Each story begins one step after the one before it, and takes its own time.
fn side_by_side(stories: Vec<Story>) -> History {
    let mut timed: Vec<(usize, Step)> = Vec::new();
    for (begin, story) in stories.into_iter().enumerate() {
        let mut time = begin;
        for (delay, step) in story.0 {
            time += usize::from(delay);
            timed.push((time, step));
        }
    }
    timed.sort_by_key(|(time, _)| *time);
    History(timed.into_iter().map(|(_, step)| step).collect())
}

/// True so many times of a thousand; shrinks to false.
fn permille(times: u32) -> impl Strategy<Value = bool> {
    prop::bool::weighted(f64::from(times.min(1_000)) / 1_000.0)
}

/// Some so many times of a thousand; shrinks to none.
fn sometimes<S: Strategy + 'static>(times: u32, some: S) -> BoxedStrategy<Option<S::Value>>
where
    S::Value: Clone,
{
    match times {
        0 => Just(None).boxed(),
        1_000.. => some.prop_map(Some).boxed(),
        _ => prop::option::weighted(f64::from(times) / 1_000.0, some).boxed(),
    }
}
