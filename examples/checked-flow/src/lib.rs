//! A marketplace: buyers pay into an escrow, and each order ends once, released to its seller less a fee, or refunded.
//!
//! The interesting part is `tests/market.rs`: a property test of this flow, which finds two bugs that can be planted
//! here ([`Market::planted`]).

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use postfold::{Account, Command, Entry, Error, Ledger, Receipt, Refusal, Rule, Transfer};
use rust_decimal::{Decimal, dec};

/// Where buyers' money comes from.
pub const BANK: &str = "assets:bank";
/// What is kept for orders that have not ended.
pub const ESCROW: &str = "liabilities:escrow";
/// What the marketplace earns.
pub const FEES: &str = "income:fees";
/// Part of a price that is the fee.
const FEE: Decimal = dec!(0.05);

/// The open marketplace.
pub struct Market {
    ledger: Ledger,
    planted: Planted,
    /// Orders that have ended, as [`Planted::EndsInATable`] notes them.
    ended: Mutex<BTreeSet<String>>,
}

/// A bug of the kind that reviews miss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planted {
    /// None.
    Nothing,
    /// Which orders have ended stands in a table of the marketplace's own, written once the ledger has answered, and the
    /// ids of entries are new each time: what was posted but not noted, because its answer was lost, is posted again.
    EndsInATable,
    /// Release and refund have an id each, so an order can end in both ways.
    AnIdForEachEnd,
}

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub enum MarketError {
    /// The order ended before, in the other way.
    #[error("the order has ended")]
    Ended,
    /// Nobody has paid for the order, or somebody paid another price.
    #[error("the order is not paid")]
    NotPaid,
    /// The ledger refused, or has no answer.
    #[error(transparent)]
    Ledger(Error),
}

impl Market {
    /// Opens the marketplace and its accounts, where they are not open yet.
    ///
    /// # Errors
    ///
    /// [`MarketError::Ledger`]
    pub async fn open(ledger: Ledger) -> Result<Self, MarketError> {
        ledger.open(Account::asset(BANK, "EUR")).await?;
        ledger.open(Account::liability(ESCROW, "EUR").floor(dec!(0))).await?;
        ledger.open(Account::income(FEES, "EUR")).await?;
        Ok(Self { ledger, planted: Planted::Nothing, ended: Mutex::default() })
    }

    /// The same with a bug.
    pub fn planted(self, planted: Planted) -> Self {
        Self { planted, ..self }
    }

    /// The ledger, for those who audit it.
    pub const fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Gives a seller a wallet.
    ///
    /// # Errors
    ///
    /// [`MarketError::Ledger`]
    pub async fn welcome(&self, seller: &str) -> Result<Receipt, MarketError> {
        Ok(self.ledger.open(Account::liability(wallet(seller), "EUR").floor(dec!(0))).await?)
    }

    /// Takes the price of an order from its buyer.
    ///
    /// # Errors
    ///
    /// [`MarketError::NotPaid`] when another price was paid before.
    pub async fn pay(&self, order: &str, seller: &str, price: Decimal) -> Result<Receipt, MarketError> {
        let paid = Command::from(Transfer::sides(payment(order), BANK, ESCROW, price)).meta("seller", seller);
        self.ledger.execute(paid).await.map_err(|error| match rule(&error) {
            Some(Rule::IdReused) => MarketError::NotPaid,
            _ => MarketError::Ledger(error),
        })
    }

    /// Pays the seller of an order, less the fee.
    ///
    /// # Errors
    ///
    /// [`MarketError::NotPaid`], [`MarketError::Ended`].
    pub async fn release(&self, order: &str) -> Result<Receipt, MarketError> {
        let paid = self.ledger.log().entry(&payment(order)).await.map_err(not_paid)?;
        let seller = paid.meta.get("seller").cloned().unwrap_or_default();
        let price: Decimal = paid.legs.iter().map(|leg| leg.amount.amount()).sum::<Decimal>() / dec!(2);
        let fee = (price * FEE).round_dp(2);
        let release =
            Entry::new(self.end_id(order, "release")).debit(ESCROW, price).credit(wallet(&seller), price - fee);
        let release = if fee.is_zero() { release } else { release.credit(FEES, fee) };
        self.end(order, release.into()).await
    }

    /// Gives the buyer of an order the price back.
    ///
    /// # Errors
    ///
    /// [`MarketError::NotPaid`], [`MarketError::Ended`].
    pub async fn refund(&self, order: &str) -> Result<Receipt, MarketError> {
        self.end(order, Command::reverse(self.end_id(order, "refund"), payment(order))).await
    }

    async fn end(&self, order: &str, end: Command) -> Result<Receipt, MarketError> {
        let in_a_table = self.planted == Planted::EndsInATable;
        if in_a_table && self.ended().contains(order) {
            return Err(MarketError::Ended);
        }
        let receipt = self.ledger.execute(end).await.map_err(ended)?;
        if in_a_table {
            self.ended().insert(order.to_owned());
        }
        Ok(receipt)
    }

    /// The id under which an order ends: one for both ways, so the ledger itself sees to it that it ends once.
    fn end_id(&self, order: &str, way: &str) -> String {
        match self.planted {
            Planted::Nothing => format!("order/{order}/end"),
            Planted::AnIdForEachEnd => format!("order/{order}/{way}"),
            Planted::EndsInATable => uuid::Uuid::now_v7().to_string(),
        }
    }

    fn ended(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wallet(seller: &str) -> String {
    format!("wallet:{seller}")
}

fn payment(order: &str) -> String {
    format!("order/{order}/pay")
}

fn rule(error: &Error) -> Option<Rule> {
    match error {
        Error::Refused(Refusal::Rejected(rejection)) => Some(rejection.rule),
        _ => None,
    }
}

fn not_paid(error: Error) -> MarketError {
    match error {
        Error::EntryNotFound { .. } => MarketError::NotPaid,
        other => MarketError::Ledger(other),
    }
}

fn ended(error: Error) -> MarketError {
    match rule(&error) {
        Some(Rule::IdReused | Rule::AlreadyReversed | Rule::InsufficientFunds) => MarketError::Ended,
        Some(Rule::EntryNotFound) => MarketError::NotPaid,
        _ => MarketError::Ledger(error),
    }
}

impl From<Error> for MarketError {
    fn from(error: Error) -> Self {
        Self::Ledger(error)
    }
}
