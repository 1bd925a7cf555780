//! An independent reference model of the ledger, in whole cents, which shares no code with the engine.
//!
//! It covers what [`crate::strategy`] generates: accounts in EUR with floors and ceilings, entries,
//! transfers, entity changes, batches. It is written for clarity: everything is copied, nothing is
//! cached.

use std::collections::BTreeMap;

use postfold::command::{Action, Leg, Route, TransferMoney};
use postfold::{Command, Side};
use rust_decimal::Decimal;

/// What a command should be answered, by its first word and rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Done.
    Ok,
    /// Done before by the same command.
    Duplicate,
    /// Refused by this rule.
    Rejected(&'static str),
    /// At another version.
    Conflict,
    /// It makes no sense.
    Invalid,
    /// A batch: what its members are answered.
    Members(Vec<Expected>),
}

/// The ledger as the model sees it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Model {
    accounts: BTreeMap<String, Book>,
    ids: BTreeMap<String, Command>,
    versions: BTreeMap<String, i64>,
}

#[derive(Clone, Debug, PartialEq)]
struct Book {
    normal: Side,
    balance: i64,
    floor: Option<i64>,
    ceiling: Option<i64>,
}

impl Model {
    /// Every account's balance on its normal side, in cents.
    pub fn balances(&self) -> BTreeMap<String, i64> {
        self.accounts.iter().map(|(code, book)| (code.clone(), book.balance)).collect()
    }

    /// Does what the command asks, and says what it should be answered.
    pub fn apply(&mut self, command: &Command) -> Expected {
        let Action::Batch(batch) = &command.action else { return self.apply_single(command) };
        let before = self.clone();
        let members: Vec<_> = batch.commands.iter().map(|member| self.apply_single(member)).collect();
        let failed = members.iter().any(|member| !matches!(member, Expected::Ok | Expected::Duplicate));
        if batch.atomic && failed {
            *self = before;
            return Expected::Rejected("batch_failed");
        }
        Expected::Members(members)
    }

    fn apply_single(&mut self, command: &Command) -> Expected {
        if makes_no_sense(command) {
            return Expected::Invalid;
        }
        if let Some(id) = &command.id
            && let Some(earlier) = self.ids.get(id)
        {
            return if same(earlier, command) { Expected::Duplicate } else { Expected::Rejected("id_reused") };
        }
        let answer = match &command.action {
            Action::OpenAccount(open) => {
                let cents = |limit: Option<Decimal>| limit.and_then(cents);
                let book = Book {
                    normal: open.account_type.normal(),
                    balance: 0,
                    floor: cents(open.limits.floor),
                    ceiling: cents(open.limits.ceiling),
                };
                self.accounts.insert(open.account.clone(), book);
                Expected::Ok
            }
            Action::Post(post) => self.post(&post.legs),
            Action::Transfer(transfer) => self.transfer(transfer),
            Action::Record(record) => {
                let version = self.versions.entry(record.entity.clone()).or_default();
                if record.expected_version.is_some_and(|expected| expected != *version) {
                    return Expected::Conflict;
                }
                *version += 1;
                Expected::Ok
            }
            _ => Expected::Invalid,
        };
        if let (Expected::Ok, Some(id)) = (&answer, &command.id) {
            self.ids.insert(id.clone(), command.clone());
        }
        answer
    }

    fn post(&mut self, legs: &[Leg]) -> Expected {
        let legs: Vec<_> =
            legs.iter().map(|leg| (leg.account.clone(), leg.amount.side(), leg.amount.amount())).collect();
        self.move_money(&legs)
    }

    fn transfer(&mut self, transfer: &TransferMoney) -> Expected {
        let (first, second) = match &transfer.route {
            Route::Sides { debit, credit } => ((debit, Side::Debit), (credit, Side::Credit)),
            Route::Direction { from, to } => {
                let (Some(giver), Some(receiver)) = (self.accounts.get(from), self.accounts.get(to)) else {
                    return Expected::Rejected("unknown_account");
                };
                if giver.normal != receiver.normal {
                    return Expected::Rejected("sides_differ");
                }
                ((from, giver.normal.opposite()), (to, giver.normal))
            }
        };
        let mut amount = transfer.amount;
        let legs = |amount| [(first.0.clone(), first.1, amount), (second.0.clone(), second.1, amount)];
        if transfer.up_to
            && let Some(cents) = cents(amount)
        {
            let lowered: Vec<_> = legs(amount)
                .iter()
                .filter_map(|(code, side, _)| self.accounts.get(code).filter(|book| book.normal != *side))
                .collect();
            let by_floor = lowered.iter().filter_map(|book| Some(book.balance - book.floor?)).min();
            let most = by_floor.or(lowered.first().map(|book| book.balance));
            let known = legs(amount).iter().all(|(code, _, _)| self.accounts.contains_key(code));
            if known && most.is_some_and(|most| most <= 0) {
                return Expected::Rejected("nothing_available");
            }
            amount = Decimal::new(most.map_or(cents, |most| most.min(cents)), 2);
        }
        self.move_money(&legs(amount))
    }

    fn move_money(&mut self, legs: &[(String, Side, Decimal)]) -> Expected {
        if legs.iter().any(|(code, _, _)| !self.accounts.contains_key(code)) {
            return Expected::Rejected("unknown_account");
        }
        if legs.iter().any(|(_, _, amount)| cents(*amount).is_none()) {
            return Expected::Invalid;
        }
        let side = |wanted: Side| legs.iter().filter(|leg| leg.1 == wanted).map(|leg| leg.2).sum::<Decimal>();
        if side(Side::Debit) != side(Side::Credit) {
            return Expected::Rejected("unbalanced");
        }
        let mut after = self.accounts.clone();
        for (code, side, amount) in legs {
            if let (Some(book), Some(cents)) = (after.get_mut(code), cents(*amount)) {
                book.balance += if *side == book.normal { cents } else { -cents };
            }
        }
        let mut order: Vec<&String> = Vec::new();
        for (code, _, _) in legs {
            if !order.contains(&code) {
                order.push(code);
            }
        }
        for code in order {
            let (Some(before), Some(after)) = (self.accounts.get(code), after.get(code)) else { continue };
            if after.balance < before.balance && after.floor.is_some_and(|floor| after.balance < floor) {
                return Expected::Rejected("insufficient_funds");
            }
            if after.balance > before.balance && after.ceiling.is_some_and(|ceiling| after.balance > ceiling) {
                return Expected::Rejected("ceiling_exceeded");
            }
        }
        self.accounts = after;
        Expected::Ok
    }
}

/// Wrong whatever the state: only a transfer to the same account is generated so.
fn makes_no_sense(command: &Command) -> bool {
    match &command.action {
        Action::Transfer(transfer) => {
            let [one, other] = transfer.route.codes();
            one == other
        }
        _ => false,
    }
}

/// The same command, amounts by value.
fn same(left: &Command, right: &Command) -> bool {
    left.action == right.action
}

/// Whole cents, if the amount has no more digits than that.
fn cents(amount: Decimal) -> Option<i64> {
    if amount.scale() > 2 {
        return None;
    }
    let mut cents = amount;
    cents.rescale(2);
    i64::try_from(cents.mantissa()).ok()
}
