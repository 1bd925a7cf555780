//! An independent reference model of the ledger, which shares no code with the engine's rules.
//!
//! It is the contract written down once more, for clarity instead of speed: a command after the other, state in
//! plain maps, an atomic batch decided on a copy of everything. It says of each command what it has to be
//! answered: done and at which position, done before, refused by which rule, in conflict, or without sense.
//!
//! ```
//! use postfold::{Account, Command, Ledger, Outcome, Timestamp, Transfer};
//! use postfold_proptests::model::{Expected, Model};
//! use rust_decimal::dec;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), postfold::Error> {
//! let (mut model, ledger) = (Model::new(), Ledger::in_memory());
//! let commands: [Command; 3] = [
//!     Account::asset("till", "EUR").into(),
//!     Account::asset("safe", "EUR").floor(dec!(0)).into(),
//!     Transfer::between("t-1", "safe", "till", dec!(5)).into(),
//! ];
//! for command in commands {
//!     let outcome = ledger.submit(command.clone()).await?;
//!     // Here the clock is the machine's: the model takes over what the ledger says.
//!     if let Outcome::Ok(receipt) = &outcome {
//!         model.set_clock(receipt.recorded_at.unwrap_or(Timestamp::UNIX_EPOCH));
//!     }
//!     assert_eq!(Expected::from(&outcome), model.apply(&command));
//! }
//! # Ok(())
//! # }
//! ```
//!
//! It knows all commands but those of aggregates, and currencies of at most 9 decimals: what has more may reach
//! numbers that the model does not hold.

mod accounts;
mod answer;
mod entries;
mod holds;
mod legs;
mod shape;
mod totals;

use std::collections::BTreeMap;

use jiff::civil::Date;
use postfold::command::{Action, CommandBatch};
use postfold::{Command, Rule, Timestamp};
use rust_decimal::Decimal;

pub use answer::{Expected, Told};
pub use totals::Totals;

use answer::Refused;
use holds::Hold;
use legs::{Amount, Side};
use totals::Book;

/// The name of an account: code and currency.
type Name = (String, String);

/// The ledger as the model sees it.
#[derive(Clone, Debug, Default)]
pub struct Model {
    clock: Timestamp,
    last_recorded: Option<Timestamp>,
    position: i64,
    /// Registered currencies: scale, the command that did it, its answer.
    currencies: BTreeMap<String, (u8, Command, Told)>,
    accounts: BTreeMap<Name, Book>,
    used: BTreeMap<String, Used>,
    holds: BTreeMap<String, Hold>,
    versions: BTreeMap<String, i64>,
    closed_through: Option<Date>,
}

/// What an id was used for.
#[derive(Clone, Debug)]
struct Used {
    command: Command,
    told: Told,
    /// The legs of an entry; `None` for what is no entry.
    entry: Option<Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    legs: Vec<Posted>,
    reversed: bool,
}

/// A leg in whole minor units.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Posted {
    account: Name,
    side: Side,
    amount: Amount,
}

/// What a command that is done leaves behind besides the books.
#[derive(Default)]
struct Done {
    /// Events written.
    events: i64,
    entry: Option<Entry>,
    amount: Option<Decimal>,
    count: Option<usize>,
    /// It had been done before: the answer that is repeated.
    again: Option<Told>,
}

impl Done {
    fn one_event() -> Self {
        Self { events: 1, ..Self::default() }
    }
}

impl Model {
    /// An empty ledger, its clock at the beginning of 1970.
    pub fn new() -> Self {
        Self::default()
    }

    /// Moves the clock, forwards or back.
    pub const fn set_clock(&mut self, now: Timestamp) {
        self.clock = now;
    }

    /// What every account holds, by code and currency.
    pub fn balances(&self) -> impl Iterator<Item = (&str, &str, Totals)> {
        self.accounts.iter().map(|((code, currency), book)| (code.as_str(), currency.as_str(), book.totals()))
    }

    /// What an account holds.
    pub fn balance(&self, code: &str, currency: &str) -> Option<Totals> {
        self.accounts.get(&(code.to_owned(), currency.to_owned())).map(Book::totals)
    }

    /// How many changes an entity has seen.
    pub fn version(&self, entity: &str) -> i64 {
        self.versions.get(entity).copied().unwrap_or(0)
    }

    /// The ids of the holds that still reserve something.
    pub fn open_holds(&self) -> impl Iterator<Item = &str> {
        self.holds.iter().filter(|(_, hold)| hold.is_open()).map(|(id, _)| id.as_str())
    }

    /// The position of the last event.
    pub const fn position(&self) -> i64 {
        self.position
    }

    /// Does what the command asks, and says what it has to be answered.
    pub fn apply(&mut self, command: &Command) -> Expected {
        match &command.action {
            Action::Batch(batch) => self.batch(command, batch),
            _ => self.single(command),
        }
    }

    /// The recorded time of what is decided now: it never goes back.
    fn now(&self) -> Timestamp {
        self.last_recorded.map_or(self.clock, |last| last.max(self.clock))
    }

    fn batch(&mut self, command: &Command, batch: &CommandBatch) -> Expected {
        if shape::makes_no_sense(command) {
            return Expected::Invalid;
        }
        if !batch.atomic {
            let outcomes = batch.commands.iter().map(|member| self.single(member)).collect();
            return Expected::Ok(Told::of_members(outcomes));
        }
        if let Some(known) = self.known(command) {
            return known;
        }
        let before = self.clone();
        let mut outcomes = Vec::new();
        for (index, member) in batch.commands.iter().enumerate() {
            let same_id = member.id.is_some() && member.id == command.id && !shape::makes_no_sense(member);
            let outcome = if same_id { Expected::rejected(Rule::IdReused) } else { self.single(member) };
            if !outcome.is_ok() {
                *self = before;
                return Expected::Rejected { rule: Rule::BatchFailed, member: Some((index, Box::new(outcome))) };
            }
            outcomes.push(outcome);
        }
        let told = Told::of_members(outcomes);
        let bare = command.id.is_none() && command.correlation.is_none() && command.at.is_none();
        if told.position.is_none() || (bare && command.meta.is_empty()) {
            return Expected::Ok(told);
        }
        // What the batch carries itself stands in a row behind its members.
        let closed = self.write(command, Done::one_event());
        Expected::Ok(Told { outcomes: told.outcomes, ..closed })
    }

    fn single(&mut self, command: &Command) -> Expected {
        if shape::makes_no_sense(command) {
            return Expected::Invalid;
        }
        if let Some(known) = self.known(command) {
            return known;
        }
        match self.decide(command) {
            Ok(done) => Expected::Ok(self.write(command, done)),
            Err(refused) => refused.into(),
        }
    }

    /// The answer to an id that was used before.
    fn known(&self, command: &Command) -> Option<Expected> {
        let used = self.used.get(command.id.as_ref()?)?;
        let same = answer::same(&used.command, command);
        Some(if same { Expected::Ok(used.told.clone().again()) } else { Expected::rejected(Rule::IdReused) })
    }

    fn decide(&mut self, command: &Command) -> Result<Done, Refused> {
        let at = command.at.unwrap_or_else(|| self.now());
        match &command.action {
            Action::RegisterCurrency(register) => self.register_currency(command, register),
            Action::OpenAccount(open) => self.open_account(command, open),
            Action::SetLimits(set) => self.set_limits(set),
            Action::Freeze(freeze) => self.freeze(freeze, true),
            Action::Unfreeze(freeze) => self.freeze(freeze, false),
            Action::CloseAccount(close) => self.close_account(close),
            Action::AssertBalance(assert) => self.assert_balance(assert),
            Action::Post(post) => self.post(post, at),
            Action::Transfer(transfer) => self.transfer(transfer, at),
            Action::Reverse(reverse) => self.reverse(reverse, at),
            Action::Hold(hold) => self.hold(command, hold, at),
            Action::Settle(settle) => self.settle(settle, at),
            Action::Void(void) => self.void(void),
            Action::ExpireDue(expire) => self.expire_due(expire),
            Action::ClosePeriod(close) => self.close_period(close.through),
            Action::ReopenPeriod(reopen) => self.reopen_period(reopen.through),
            Action::Record(record) => {
                let found = self.version(&record.entity);
                if let Some(expected) = record.expected_version.filter(|expected| *expected != found) {
                    return Err(Refused::Conflict { expected, found });
                }
                self.versions.insert(record.entity.clone(), found + 1);
                Ok(Done::one_event())
            }
            Action::Batch(_) | Action::Execute(_) | Action::Unreadable(_) => Err(Refused::Invalid),
        }
    }

    /// Gives what was done its place, and its id its use.
    fn write(&mut self, command: &Command, done: Done) -> Told {
        let Done { events, entry, amount, count, again } = done;
        if let Some(told) = again {
            return told.again();
        }
        if events == 0 {
            return Told { amount, count, ..Told::default() };
        }
        let recorded_at = self.now();
        self.last_recorded = Some(recorded_at);
        self.position += events;
        let told =
            Told { position: Some(self.position), recorded_at: Some(recorded_at), amount, count, ..Told::default() };
        match &command.action {
            Action::OpenAccount(open) => {
                if let Some(book) = self.accounts.get_mut(&(open.account.clone(), open.currency.clone())) {
                    book.opened_by = Some((command.clone(), told.clone()));
                }
            }
            Action::RegisterCurrency(register) => {
                self.currencies.insert(register.code.clone(), (register.scale, command.clone(), told.clone()));
            }
            _ => {}
        }
        if let Some(id) = &command.id {
            self.used.insert(id.clone(), Used { command: command.clone(), told: told.clone(), entry });
        }
        told
    }

    fn close_period(&mut self, through: Date) -> Result<Done, Refused> {
        if self.closed_through.is_some_and(|closed| through <= closed) {
            return Err(Rule::PeriodClosed.into());
        }
        self.closed_through = Some(through);
        Ok(Done::one_event())
    }

    fn reopen_period(&mut self, through: Option<Date>) -> Result<Done, Refused> {
        match self.closed_through {
            Some(closed) if through.is_none_or(|through| through < closed) => self.closed_through = through,
            _ => return Err(Rule::PeriodOpen.into()),
        }
        Ok(Done::one_event())
    }
}
