//! Balances rolled up: what each level of the account codes comes to.

use std::collections::BTreeMap;
use std::sync::Arc;

use rust_decimal::Decimal;
use serde::Serialize;

use super::AsOf;
use super::balances::AccountPages;
use super::reports::sum;
use crate::account::{AccountType, Side};
use crate::error::Error;
use crate::log::Log;
use crate::position::Position;
use crate::state::{Account, Totals};

/// What an account and all accounts below it hold, in one currency.
///
/// Amounts are on the side `normal`. Where all these accounts grow on the same side, that is the one; where
/// they do not (contra accounts, or types of both sides), they are debit minus credit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TreeBalance {
    /// The code, or the part of codes up to a colon that accounts have in common.
    pub account: String,
    /// The currency.
    pub currency: Arc<str>,
    /// How many colons stand before its last segment.
    pub depth: usize,
    /// How many accounts it sums up, itself included where it is one.
    pub accounts: usize,
    /// Their type; absent where they have several.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub account_type: Option<AccountType>,
    /// The side on which the amounts are.
    pub normal: Side,
    /// What is posted.
    pub posted: Decimal,
    /// What holds will bring.
    pub pending_in: Decimal,
    /// What holds reserve.
    pub pending_out: Decimal,
    /// Posted less `pending_out`.
    pub available: Decimal,
    /// The position of the log that this is as of.
    pub position: Position,
}

impl Log {
    /// The balances of all accounts whose code begins with `prefix` (empty: all), and of every level above
    /// them that begins so: `assets:cash:till-1` counts in `assets`, `assets:cash` and itself. Each level
    /// stands before what is below it.
    ///
    /// Levels below `depth_max` colons are summed up in those above. Memory grows with the rows that are
    /// answered; what `as_of` costs is said at [`Log::balance_as_of`].
    ///
    /// # Errors
    ///
    /// [`Error::Query`] for a position behind the head; [`Error::SumTooLarge`]; otherwise when the database
    /// is not available.
    pub async fn balance_tree(
        &self,
        prefix: &str,
        as_of: AsOf,
        depth_max: Option<usize>,
    ) -> Result<Vec<TreeBalance>, Error> {
        let view = self.view(as_of).await?;
        let mut nodes: BTreeMap<(String, Arc<str>), Node> = BTreeMap::new();
        let mut pages = AccountPages::new(prefix, view);
        while let Some(page) = pages.next(self).await? {
            for account in page {
                let code = &*account.facts.code;
                let ends = code.match_indices(':').map(|(end, _)| end).chain([code.len()]);
                let levels = ends.take(depth_max.map_or(usize::MAX, |depth| depth.saturating_add(1)));
                // What is shorter than the prefix is more than what was asked for.
                for level in levels.filter_map(|end| code.get(..end)).filter(|level| level.starts_with(prefix)) {
                    // A colon sorts before all that codes are made of, so that a level comes before what is below it.
                    let key = (level.replace(':', "\0"), Arc::clone(&account.facts.currency));
                    nodes.entry(key).or_insert_with(|| Node::new(&account)).add(&account);
                }
            }
        }
        nodes.into_iter().map(|((level, currency), node)| node.row(&level, currency, view.at)).collect()
    }
}

/// A level under way.
struct Node {
    scale: u8,
    accounts: usize,
    account_type: Option<AccountType>,
    /// The side of all its accounts; `None` where they differ.
    normal: Option<Side>,
    totals: Totals,
}

impl Node {
    fn new(first: &Account) -> Self {
        let facts = &first.facts;
        Self {
            scale: facts.scale,
            accounts: 0,
            account_type: Some(facts.account_type),
            normal: Some(facts.normal),
            totals: Totals::default(),
        }
    }

    fn add(&mut self, account: &Account) {
        self.accounts += 1;
        self.account_type = self.account_type.filter(|known| *known == account.facts.account_type);
        self.normal = self.normal.filter(|known| *known == account.facts.normal);
        self.totals.debits_posted += account.totals.debits_posted;
        self.totals.credits_posted += account.totals.credits_posted;
        self.totals.debits_pending += account.totals.debits_pending;
        self.totals.credits_pending += account.totals.credits_pending;
    }

    fn row(self, level: &str, currency: Arc<str>, position: Position) -> Result<TreeBalance, Error> {
        let normal = self.normal.unwrap_or(Side::Debit);
        let posted = normal.signed(self.totals.posted());
        let (pending_in, pending_out) = (self.totals.pending(normal), self.totals.pending(normal.opposite()));
        let decimal = |minor| sum(minor, self.scale, &currency);
        Ok(TreeBalance {
            account: level.replace('\0', ":"),
            depth: level.matches('\0').count(),
            accounts: self.accounts,
            account_type: self.account_type,
            normal,
            posted: decimal(posted)?,
            pending_in: decimal(pending_in)?,
            pending_out: decimal(pending_out)?,
            available: decimal(posted - pending_out)?,
            position,
            currency,
        })
    }
}
