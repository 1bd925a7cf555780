//! Builders: the shortest way to say a command in Rust. Each turns into a [`Command`].

mod holds;

use jiff::civil::Date;
use rust_decimal::Decimal;

pub use holds::{Hold, Settle, Void};

use super::{
    Action, AssertBalance, CloseAccount, ClosePeriod, Command, CommandBatch, Data, ExpireDue, Freeze, Leg, OpenAccount,
    Post, Record, RegisterCurrency, ReopenPeriod, ReverseEntry, Route, SetLimits, TransferMoney,
};
use crate::account::{AccountType, Limits, Side};

/// A balanced entry, leg by leg.
///
/// ```
/// use postfold::Entry;
/// use rust_decimal::dec;
///
/// let sale = Entry::new("sale-1")
///     .debit("assets:cash:till-1", dec!(12.50))
///     .credit("income:sales", dec!(12.50))
///     .text("two coffees");
/// # let _: postfold::Command = sale.into();
/// ```
#[derive(Clone, Debug)]
pub struct Entry {
    id: String,
    post: Post,
}

impl Entry {
    /// An entry under this idempotency key, without legs yet.
    pub fn new(id: impl Into<String>) -> Self {
        Self { id: id.into(), post: Post { legs: Vec::new(), text: None } }
    }

    /// Adds a leg that debits the account.
    pub fn debit(self, account: impl Into<String>, amount: Decimal) -> Self {
        self.leg(Leg::debit(account, amount))
    }

    /// Adds a leg that credits the account.
    pub fn credit(self, account: impl Into<String>, amount: Decimal) -> Self {
        self.leg(Leg::credit(account, amount))
    }

    /// Adds a leg that debits the account of this code in this currency.
    pub fn debit_in(self, currency: impl Into<String>, account: impl Into<String>, amount: Decimal) -> Self {
        self.leg(Leg::debit(account, amount).currency(currency))
    }

    /// Adds a leg that credits the account of this code in this currency.
    pub fn credit_in(self, currency: impl Into<String>, account: impl Into<String>, amount: Decimal) -> Self {
        self.leg(Leg::credit(account, amount).currency(currency))
    }

    /// Says what it is for.
    pub fn text(mut self, text: impl Into<String>) -> Self {
        self.post.text = Some(text.into());
        self
    }

    /// Adds a leg.
    pub fn leg(mut self, leg: Leg) -> Self {
        self.post.legs.push(leg);
        self
    }
}

impl From<Entry> for Command {
    fn from(entry: Entry) -> Self {
        Self::new(Action::Post(entry.post)).id(entry.id)
    }
}

/// An account to open.
///
/// ```
/// use postfold::Account;
/// use rust_decimal::dec;
///
/// let wallet = Account::liability("wallet:42", "EUR").floor(dec!(0)).owner("user/42");
/// # let _: postfold::Command = wallet.into();
/// ```
#[derive(Clone, Debug)]
pub struct Account(OpenAccount);

impl Account {
    /// An account of this type.
    pub fn new(account_type: AccountType, code: impl Into<String>, currency: impl Into<String>) -> Self {
        Self(OpenAccount {
            account: code.into(),
            currency: currency.into(),
            account_type,
            normal: None,
            limits: Limits::default(),
            owner: None,
            name: None,
        })
    }

    /// What is owned.
    pub fn asset(code: impl Into<String>, currency: impl Into<String>) -> Self {
        Self::new(AccountType::Asset, code, currency)
    }

    /// What was consumed.
    pub fn expense(code: impl Into<String>, currency: impl Into<String>) -> Self {
        Self::new(AccountType::Expense, code, currency)
    }

    /// What is owed.
    pub fn liability(code: impl Into<String>, currency: impl Into<String>) -> Self {
        Self::new(AccountType::Liability, code, currency)
    }

    /// The owners' share.
    pub fn equity(code: impl Into<String>, currency: impl Into<String>) -> Self {
        Self::new(AccountType::Equity, code, currency)
    }

    /// What was earned.
    pub fn income(code: impl Into<String>, currency: impl Into<String>) -> Self {
        Self::new(AccountType::Income, code, currency)
    }

    /// Sets the normal side; the side opposite to the type's makes it a contra account.
    pub const fn normal(mut self, side: Side) -> Self {
        self.0.normal = Some(side);
        self
    }

    /// Keeps the available balance at or above this.
    pub const fn floor(mut self, floor: Decimal) -> Self {
        self.0.limits.floor = Some(floor);
        self
    }

    /// Keeps the balance at or below this.
    pub const fn ceiling(mut self, ceiling: Decimal) -> Self {
        self.0.limits.ceiling = Some(ceiling);
        self
    }

    /// Lets at most this leave within a UTC day.
    pub const fn daily_out(mut self, daily_out: Decimal) -> Self {
        self.0.limits.daily_out = Some(daily_out);
        self
    }

    /// Says whom it belongs to.
    pub fn owner(mut self, owner: impl Into<String>) -> Self {
        self.0.owner = Some(owner.into());
        self
    }

    /// Names it for people.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.0.name = Some(name.into());
        self
    }
}

impl From<Account> for Command {
    fn from(account: Account) -> Self {
        Self::new(Action::OpenAccount(account.0))
    }
}

/// A currency to register.
#[derive(Clone, Debug)]
pub struct Currency(RegisterCurrency);

impl Currency {
    /// A currency with so many digits behind the decimal point.
    pub fn new(code: impl Into<String>, scale: u8) -> Self {
        Self(RegisterCurrency { code: code.into(), scale, name: None })
    }

    /// Names it for people.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.0.name = Some(name.into());
        self
    }
}

impl From<Currency> for Command {
    fn from(currency: Currency) -> Self {
        Self::new(Action::RegisterCurrency(currency.0))
    }
}

/// A transfer: the two-leg entry.
///
/// ```
/// use postfold::Transfer;
/// use rust_decimal::dec;
///
/// let gift = Transfer::between("gift-1", "wallet:1", "wallet:2", dec!(5)).text("happy birthday");
/// # let _: postfold::Command = gift.into();
/// ```
#[derive(Clone, Debug)]
pub struct Transfer {
    id: String,
    transfer: TransferMoney,
}

impl Transfer {
    /// From an account that gives to one that receives; both have the same normal side.
    pub fn between(id: impl Into<String>, from: impl Into<String>, to: impl Into<String>, amount: Decimal) -> Self {
        Self::new(id.into(), Route::Direction { from: from.into(), to: to.into() }, amount)
    }

    /// Debits one account and credits the other.
    pub fn sides(id: impl Into<String>, debit: impl Into<String>, credit: impl Into<String>, amount: Decimal) -> Self {
        Self::new(id.into(), Route::Sides { debit: debit.into(), credit: credit.into() }, amount)
    }

    /// Says in which currency, where the accounts share several.
    pub fn currency(mut self, currency: impl Into<String>) -> Self {
        self.transfer.currency = Some(currency.into());
        self
    }

    /// Moves less where there is less.
    pub const fn up_to(mut self) -> Self {
        self.transfer.up_to = true;
        self
    }

    /// Says what it is for.
    pub fn text(mut self, text: impl Into<String>) -> Self {
        self.transfer.text = Some(text.into());
        self
    }

    const fn new(id: String, route: Route, amount: Decimal) -> Self {
        Self { id, transfer: TransferMoney { amount, route, currency: None, up_to: false, text: None } }
    }
}

impl From<Transfer> for Command {
    fn from(transfer: Transfer) -> Self {
        Self::new(Action::Transfer(transfer.transfer)).id(transfer.id)
    }
}

/// A change of an entity.
#[derive(Clone, Debug)]
pub struct Change(Record);

impl Change {
    /// What happened to which entity (`type/id`), and its content.
    pub fn new(entity: impl Into<String>, kind: impl Into<String>, data: Data) -> Self {
        Self(Record { entity: entity.into(), kind: kind.into(), data, schema: 1, expected_version: None })
    }

    /// Says which version of the shape of this kind's data it has, from 1. Default 1.
    pub const fn schema(mut self, schema: i16) -> Self {
        self.0.schema = schema;
        self
    }

    /// Relies on the number of the entity's changes so far; 0 = it must be new.
    pub const fn expected_version(mut self, version: i64) -> Self {
        self.0.expected_version = Some(version);
        self
    }
}

impl From<Change> for Command {
    fn from(change: Change) -> Self {
        Self::new(Action::Record(change.0))
    }
}

/// Several commands in one.
#[derive(Clone, Debug)]
pub struct Batch(CommandBatch);

impl Batch {
    /// All or nothing, decided in order, each seeing those before it.
    pub fn atomic(commands: impl IntoIterator<Item = Command>) -> Self {
        Self(CommandBatch { commands: commands.into_iter().collect(), atomic: true })
    }

    /// Exactly as if its members were sent one by one.
    pub fn independent(commands: impl IntoIterator<Item = Command>) -> Self {
        Self(CommandBatch { commands: commands.into_iter().collect(), atomic: false })
    }
}

impl From<Batch> for Command {
    fn from(batch: Batch) -> Self {
        Self::new(Action::Batch(batch.0))
    }
}

/// Commands that are said in one breath. Where a code is open in several currencies, fill in the action's own
/// struct, which has a field for it.
impl Command {
    /// Posts the mirror image of the entry under this id; an entry can be reversed once.
    pub fn reverse(id: impl Into<String>, entry: impl Into<String>) -> Self {
        Self::new(Action::Reverse(ReverseEntry { entry: entry.into(), reason: None })).id(id)
    }

    /// Voids every hold whose time is over.
    pub const fn expire_due() -> Self {
        Self::new(Action::ExpireDue(ExpireDue { now: None }))
    }

    /// Replaces the limits of an account; refused when its balance already breaks them.
    pub fn set_limits(account: impl Into<String>, limits: Limits) -> Self {
        Self::new(Action::SetLimits(SetLimits { account: account.into(), currency: None, limits, force: false }))
    }

    /// Lets an account take no more legs, in or out.
    pub fn freeze(account: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::new(Action::Freeze(Freeze { account: account.into(), currency: None, reason: reason.into() }))
    }

    /// Lets a frozen account take legs again.
    pub fn unfreeze(account: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::new(Action::Unfreeze(Freeze { account: account.into(), currency: None, reason: reason.into() }))
    }

    /// Closes an account for good; only at zero with nothing pending.
    pub fn close_account(account: impl Into<String>) -> Self {
        Self::new(Action::CloseAccount(CloseAccount { account: account.into(), currency: None }))
    }

    /// Records that the posted balance of an account is this, on its normal side; refused when it is not.
    pub fn assert_balance(account: impl Into<String>, amount: Decimal) -> Self {
        Self::new(Action::AssertBalance(AssertBalance { account: account.into(), currency: None, amount, as_of: None }))
    }

    /// Closes the books: no entry takes effect any more on or before this date.
    pub const fn close_period(through: Date) -> Self {
        Self::new(Action::ClosePeriod(ClosePeriod { through }))
    }

    /// Moves that mark back; `None`: nothing stays closed.
    pub fn reopen_period(through: Option<Date>, reason: impl Into<String>) -> Self {
        Self::new(Action::ReopenPeriod(ReopenPeriod { through, reason: reason.into() }))
    }
}
