//! An embedder's own rules: aggregates.
//!
//! An [`Aggregate`] is a type whose value is the state of one entity (`course/42`): the fold of that
//! entity's events. [`Aggregate::decide`] looks at it and at a command, and answers which events follow and
//! which commands of the ledger go with them, or why not. Both functions are pure: no I/O, no clock, no
//! randomness; identity, time and balances are arguments.
//!
//! ```
//! use postfold::aggregate::{Aggregate, Context, Decision};
//! use postfold::{Account, Ledger, Transfer};
//! use rust_decimal::{Decimal, dec};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Clone, Default)]
//! struct Course {
//!     free: u32,
//! }
//!
//! #[derive(Serialize)]
//! enum Ask {
//!     Offer { seats: u32 },
//!     Enrol { student: String, fee: Decimal },
//! }
//!
//! #[derive(Serialize, Deserialize)]
//! #[serde(tag = "kind", content = "data")]
//! enum Happened {
//!     #[serde(rename = "course.offered")]
//!     Offered { seats: u32 },
//!     #[serde(rename = "course.enrolled")]
//!     Enrolled { student: String },
//! }
//!
//! #[derive(Debug, PartialEq)]
//! struct Full;
//!
//! impl Aggregate for Course {
//!     const ENTITY: &'static str = "course";
//!     type Command = Ask;
//!     type Event = Happened;
//!     type Refusal = Full;
//!
//!     fn decide(&self, command: &Ask, context: &Context) -> Result<Decision<Happened>, Full> {
//!         match command {
//!             Ask::Offer { seats } => Ok(Decision::new().event(Happened::Offered { seats: *seats })),
//!             Ask::Enrol { .. } if self.free == 0 => Err(Full),
//!             Ask::Enrol { student, fee } => {
//!                 let from = format!("wallet:{student}");
//!                 Ok(Decision::new()
//!                     .command(Transfer::between(context.id_of("fee"), from, "wallet:school", *fee))
//!                     .event(Happened::Enrolled { student: student.clone() }))
//!             }
//!         }
//!     }
//!
//!     fn evolve(self, event: &Happened) -> Self {
//!         match event {
//!             Happened::Offered { seats } => Self { free: self.free + seats },
//!             Happened::Enrolled { .. } => Self { free: self.free - 1 },
//!         }
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let ledger = Ledger::in_memory();
//! ledger.open(Account::liability("wallet:ann", "EUR")).await?;
//! ledger.open(Account::liability("wallet:school", "EUR")).await?;
//! # let failed = |_| "refused";
//! ledger.execute_on::<Course>("course/42", Ask::Offer { seats: 30 }).id("offer-42").await.map_err(failed)?;
//! let enrol = Ask::Enrol { student: "ann".into(), fee: dec!(99) };
//! ledger.execute_on::<Course>("course/42", enrol).id("enrol-1").await.map_err(failed)?; // both, or neither
//!
//! assert_eq!(ledger.log().fold::<Course>("course/42").await?.state.free, 29);
//! assert_eq!(ledger.balance("wallet:school").await?.posted, dec!(99));
//! # Ok(())
//! # }
//! ```
//!
//! # What is guaranteed
//!
//! A decision is taken by the ledger's writer, at the end of the log, between the commands before it and
//! those behind it: **the state and the balances that it saw are those right before its own events.** If another
//! writer was faster, it is taken again. So no seat is sold twice, under any concurrency and from any number of
//! processes, and callers of one hot entity still share commits. A refusal is as of the end of the log as
//! this process knows it.
//!
//! Events and commands of a decision commit together or not at all; a command that the ledger refuses
//! (a fee that is not covered) refuses the whole. An id that was used before is recognised before anything is
//! decided: the same command on the same entity answers the same receipt, another one `id_reused`.
//!
//! # Where state is kept
//!
//! Only in the log. The writer keeps the states of [`Settings::cached_aggregates`](crate::Settings) entities and
//! folds each new event into them; one that is not there is folded from its events, page by page. For an
//! entity with very many events, keep a [`Folded`] and give it back: see [`Folded`].

mod event;
mod execution;
mod folded;
mod run;

use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use event::Upcaster;
pub use execution::Execution;
pub(crate) use execution::Steps;
pub(crate) use folded::Cached;
pub use folded::Folded;
pub use run::{Execute, ExecuteError};

use crate::command::Command;
use crate::query::Balance;

/// The rules of one kind of entity. The value is the state: the fold of the entity's events, cheap to clone.
///
/// The default value is the state before the first event. See the [module](self) for an example.
pub trait Aggregate: Clone + Default + Send + Sync + 'static {
    /// What stands before the slash in the names of such entities: `course` in `course/42`.
    const ENTITY: &'static str;

    /// How data of older events becomes that of today's: one step for each older schema of a kind. The schema
    /// that is written is one above the newest step's. Default: none, all kinds are in schema 1.
    ///
    /// A release without the newest step cannot read what one with it wrote. While both run side by side, the older
    /// one answers errors for the entities that the newer one has written to.
    const UPCASTERS: &'static [Upcaster] = &[];

    /// What may be asked. Its JSON is what tells a repeat from another command under the same id.
    type Command: Serialize + Send + Sync + 'static;

    /// What may happen: an enum with `#[serde(tag = "kind", content = "data")]`, one variant a kind, each with
    /// named fields. Give every variant a name of its own such as `#[serde(rename = "course.enrolled")]`; the
    /// names stay in the log for ever.
    type Event: Serialize + DeserializeOwned;

    /// Why something is not done.
    type Refusal: Send + 'static;

    /// The accounts whose balances the decision looks at. Default: none.
    ///
    /// Limits of accounts need no looking: the ledger enforces them on every command of the decision.
    fn accounts(&self, command: &Self::Command) -> Vec<String> {
        let _ = command;
        Vec::new()
    }

    /// What follows from a command, given the state.
    ///
    /// May be called several times for one command, and is called by the ledger's writer: it must be quick.
    ///
    /// # Errors
    ///
    /// Why it is refused; then nothing changes.
    fn decide(&self, command: &Self::Command, context: &Context) -> Result<Decision<Self::Event>, Self::Refusal>;

    /// The state after an event. What has happened is not judged again: this cannot fail.
    fn evolve(self, event: &Self::Event) -> Self;
}

/// What a decision may look at besides state and command.
#[derive(Clone, Debug)]
pub struct Context {
    pub(crate) entity: String,
    pub(crate) id: String,
    pub(crate) now: Timestamp,
    pub(crate) balances: Vec<Balance>,
}

impl Context {
    /// The context of a command under this id on this entity, with no balances: for tests of rules.
    pub fn new(entity: impl Into<String>, id: impl Into<String>, now: Timestamp) -> Self {
        Self { entity: entity.into(), id: id.into(), now, balances: Vec::new() }
    }

    /// Adds the balance of an account.
    pub fn with_balance(mut self, balance: Balance) -> Self {
        self.balances.push(balance);
        self
    }

    /// The entity, such as `course/42`.
    pub fn entity(&self) -> &str {
        &self.entity
    }

    /// The id of the execution: the caller's, or a new one.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// An id for a part of the decision, such as `enrol-1/fee`: the same however often it is taken.
    pub fn id_of(&self, part: &str) -> String {
        format!("{}/{part}", self.id)
    }

    /// The recorded time that the events will bear.
    pub const fn now(&self) -> Timestamp {
        self.now
    }

    /// The balance of an account that was asked for and is open in one currency.
    pub fn balance(&self, account: &str) -> Option<&Balance> {
        let mut found = self.balances.iter().filter(|balance| &*balance.account == account);
        found.next().filter(|_| found.next().is_none())
    }

    /// The balance of an account that was asked for, in this currency.
    pub fn balance_in(&self, account: &str, currency: &str) -> Option<&Balance> {
        self.balances.iter().find(|balance| &*balance.account == account && &*balance.currency == currency)
    }
}

/// What follows from a command: all of it, or none.
///
/// The commands come first, each seeing those before it, then the events. An empty decision is a success that
/// writes nothing and uses no id.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision<E> {
    pub(crate) commands: Vec<Command>,
    pub(crate) events: Vec<E>,
}

impl<E> Decision<E> {
    /// Nothing yet.
    pub const fn new() -> Self {
        Self { commands: Vec::new(), events: Vec::new() }
    }

    /// Adds an event of the entity.
    pub fn event(mut self, event: E) -> Self {
        self.events.push(event);
        self
    }

    /// Adds a command of the ledger: an entry, a hold, a change of another entity. Ids are best made with
    /// [`Context::id_of`].
    pub fn command(mut self, command: impl Into<Command>) -> Self {
        self.commands.push(command.into());
        self
    }

    /// The events, in order.
    pub fn events(&self) -> &[E] {
        &self.events
    }

    /// The commands, in order.
    pub fn commands(&self) -> &[Command] {
        &self.commands
    }
}

impl<E> Default for Decision<E> {
    fn default() -> Self {
        Self::new()
    }
}
