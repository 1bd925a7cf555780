//! Builders of holds: two-phase entries.

use jiff::Timestamp;
use rust_decimal::Decimal;

use crate::command::{Action, Command, Held, Leg, Part, PlaceHold, Route, SettleHold, VoidHold};
use crate::event::SideAmount;

/// A hold: a pending entry, which takes from the available balance and not from the posted one.
///
/// ```
/// use postfold::{Hold, Settle, Timestamp};
/// use rust_decimal::dec;
///
/// let hold = Hold::between("auth-7", "wallet:42", "wallet:9", dec!(30))
///     .expires_at(Timestamp::now() + std::time::Duration::from_secs(86_400));
/// let capture = Settle::all("capture-7", "auth-7").amount(dec!(25));
/// # let _: [postfold::Command; 2] = [hold.into(), capture.into()];
/// ```
#[derive(Clone, Debug)]
pub struct Hold {
    id: String,
    hold: PlaceHold,
}

impl Hold {
    /// Holds an amount of an account that gives for one that receives; both have the same normal side.
    pub fn between(id: impl Into<String>, from: impl Into<String>, to: impl Into<String>, amount: Decimal) -> Self {
        Self::amount(id.into(), Route::Direction { from: from.into(), to: to.into() }, amount)
    }

    /// Holds an amount that is to debit one account and credit the other.
    pub fn sides(id: impl Into<String>, debit: impl Into<String>, credit: impl Into<String>, amount: Decimal) -> Self {
        Self::amount(id.into(), Route::Sides { debit: debit.into(), credit: credit.into() }, amount)
    }

    /// Holds a balanced set of legs; an account stands on one side only.
    pub fn legs(id: impl Into<String>, legs: impl IntoIterator<Item = Leg>) -> Self {
        Self::new(id.into(), Held::Legs(legs.into_iter().collect()))
    }

    /// Says in which currency, where the two accounts share several.
    pub fn currency(mut self, code: impl Into<String>) -> Self {
        if let Held::Amount { currency, .. } = &mut self.hold.what {
            *currency = Some(code.into());
        }
        self
    }

    /// From then on it is expired: it can only be voided.
    pub const fn expires_at(mut self, time: Timestamp) -> Self {
        self.hold.expires_at = Some(time);
        self
    }

    /// Says what it is for.
    pub fn text(mut self, text: impl Into<String>) -> Self {
        self.hold.text = Some(text.into());
        self
    }

    const fn amount(id: String, route: Route, amount: Decimal) -> Self {
        Self::new(id, Held::Amount { amount, route, currency: None })
    }

    const fn new(id: String, what: Held) -> Self {
        Self { id, hold: PlaceHold { what, expires_at: None, text: None } }
    }
}

impl From<Hold> for Command {
    fn from(hold: Hold) -> Self {
        Self::new(Action::Hold(hold.hold)).id(hold.id)
    }
}

/// Posts all of a hold, or part of it. What is left is released, unless it is kept.
#[derive(Clone, Debug)]
pub struct Settle {
    id: String,
    settle: SettleHold,
}

impl Settle {
    /// Posts all that is left of the hold under this id.
    pub fn all(id: impl Into<String>, hold: impl Into<String>) -> Self {
        let settle = SettleHold { hold: hold.into(), part: Part::All, keep_rest: false, text: None };
        Self { id: id.into(), settle }
    }

    /// Posts this much, of a hold of one debit and one credit leg.
    pub fn amount(mut self, amount: Decimal) -> Self {
        self.settle.part = Part::Amount(amount);
        self
    }

    /// Posts these legs, each at most what is left of it.
    pub fn legs(mut self, legs: impl IntoIterator<Item = Leg>) -> Self {
        self.settle.part = Part::Legs(legs.into_iter().collect());
        self
    }

    /// Keeps the rest on hold, with the same expiry.
    pub const fn keep_rest(mut self) -> Self {
        self.settle.keep_rest = true;
        self
    }

    /// Says what it is for.
    pub fn text(mut self, text: impl Into<String>) -> Self {
        self.settle.text = Some(text.into());
        self
    }
}

impl From<Settle> for Command {
    fn from(settle: Settle) -> Self {
        Self::new(Action::Settle(settle.settle)).id(settle.id)
    }
}

/// Releases what is left of a hold.
#[derive(Clone, Debug)]
pub struct Void {
    id: String,
    void: VoidHold,
}

impl Void {
    /// Releases what is left of the hold under this id.
    pub fn new(id: impl Into<String>, hold: impl Into<String>) -> Self {
        Self { id: id.into(), void: VoidHold { hold: hold.into(), reason: None } }
    }

    /// Says why.
    pub fn reason(mut self, reason: impl Into<String>) -> Self {
        self.void.reason = Some(reason.into());
        self
    }
}

impl From<Void> for Command {
    fn from(void: Void) -> Self {
        Self::new(Action::Void(void.void)).id(void.id)
    }
}

impl Leg {
    /// A leg that debits the account; of a code that is open in several currencies, say which with
    /// [`Leg::currency`].
    pub fn debit(account: impl Into<String>, amount: Decimal) -> Self {
        Self { account: account.into(), amount: SideAmount::Debit(amount), currency: None }
    }

    /// A leg that credits the account.
    pub fn credit(account: impl Into<String>, amount: Decimal) -> Self {
        Self { account: account.into(), amount: SideAmount::Credit(amount), currency: None }
    }

    /// The same leg in this currency.
    pub fn currency(self, currency: impl Into<String>) -> Self {
        Self { currency: Some(currency.into()), ..self }
    }
}
