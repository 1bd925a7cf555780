//! The bank itself: day by day, the commands it sends and what must come of them.

mod changes;
mod daily;
mod mischief;
mod monthly;
mod opening;

use std::{
    collections::{BTreeMap, VecDeque},
    mem,
};

use jiff::civil::{Date, date};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

use crate::{
    amount::Currency,
    book::{AccountId, Book, Movement},
    command::{Command, Leg, Parties, Post, Side, Transfer},
    people::{self, Customer, Employer},
    script::{Expected, Script},
};

/// The first day of business.
pub const FIRST_DAY: Date = date(2025, 1, 1);
/// The last day of the generated year.
pub const LAST_DAY: Date = date(2025, 12, 31);

/// How many of the last commands are kept to be sent again by mistake.
const RECENT_MAX: usize = 200;

/// A seeded bank: the same seed and size give the same bytes.
#[derive(Debug)]
pub struct Bank {
    rng: ChaCha8Rng,
    book: Book,
    script: Script,
    accounts: House,
    customers: Vec<Customer>,
    /// Indices of the customers who have joined.
    active: Vec<usize>,
    employers: Vec<Employer>,
    recent: VecDeque<Command>,
    /// Ids given so far.
    serial: u64,
}

/// The accounts that are not a customer's.
#[derive(Debug)]
struct House {
    cash: AccountId,
    nostro: AccountId,
    capital: AccountId,
    account_fees: AccountId,
    card_fees: AccountId,
    overdraft_interest: AccountId,
    savings_interest: AccountId,
    points_given: AccountId,
    shops: Vec<AccountId>,
    landlords: Vec<AccountId>,
}

impl Bank {
    /// Plans a bank of so many customers. No command is written yet.
    ///
    /// # Panics
    ///
    /// When `customers` is zero or above 9,999: their numbers have four digits.
    pub fn new(seed: u64, customers: usize) -> Self {
        assert!((1..=9_999).contains(&customers), "1 to 9,999 customers");
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut book = Book::default();
        let accounts = opening::house(&mut book, customers);
        let mut employers = people::employers(customers);
        for employer in &mut employers {
            employer.account = Some(opening::employer(&mut book, &employer.name));
        }
        let customers = (0..customers)
            .map(|index| people::customer(&mut rng, index, FIRST_DAY, &employers, accounts.landlords.len()))
            .collect();
        Self {
            rng,
            book,
            script: Script::default(),
            accounts,
            customers,
            active: Vec::new(),
            employers,
            recent: VecDeque::new(),
            serial: 0,
        }
    }

    /// Writes the whole first year. Later days follow by [`Bank::day`].
    pub fn year(&mut self) -> Script {
        let mut today = FIRST_DAY;
        while today <= LAST_DAY {
            self.live(today);
            today = today.tomorrow().unwrap_or(Date::MAX);
        }
        mem::take(&mut self.script)
    }

    /// Writes one day. Days must be asked for in order, after [`Bank::year`].
    pub fn day(&mut self, today: Date) -> Script {
        self.live(today);
        mem::take(&mut self.script)
    }

    /// What every account's balance must be now, in minor units on its normal side, by account code.
    pub fn balances(&self) -> BTreeMap<String, (Currency, i64)> {
        self.book.balances()
    }

    /// What every user's preferences must be now, by entity (`user/0001`).
    pub fn preferences(&self) -> BTreeMap<String, &Value> {
        self.active
            .iter()
            .map(|&index| &self.customers[index])
            .map(|customer| (format!("user/{}", customer.number), &customer.preferences))
            .collect()
    }

    /// The entity with the most recorded changes, and how many those are.
    pub fn most_changed(&self) -> Option<(String, u64)> {
        self.customers
            .iter()
            .max_by_key(|customer| customer.changes)
            .map(|customer| (format!("customer/{}", customer.number), customer.changes))
    }

    fn live(&mut self, today: Date) {
        self.script.clock(&format!("{today}T06:00:00Z"));
        if today == FIRST_DAY {
            self.open_house();
        }
        self.welcome(today);
        self.month_begins(today);
        self.script.clock(&format!("{today}T12:00:00Z"));
        self.payday(today);
        self.business(today);
        self.script.clock(&format!("{today}T18:00:00Z"));
        self.business(today);
        self.people_change();
    }

    fn next_id(&mut self, purpose: &str) -> String {
        self.serial += 1;
        format!("{purpose}-{:06}", self.serial)
    }

    fn code(&self, account: AccountId) -> String {
        self.book.account(account).code.clone()
    }

    /// A transfer of euros, with the outcome that the books say. Returns whether it goes through.
    fn transfer(&mut self, order: &Order) -> bool {
        let entry = [(order.debit, order.cents), (order.credit, -order.cents)];
        let command = Command::Transfer(self.write_transfer(order));
        self.decide(command, &entry)
    }

    /// The transfer as a command, without sending it.
    fn write_transfer(&self, order: &Order) -> Transfer {
        let debit = self.book.account(order.debit);
        let credit = self.book.account(order.credit);
        // Both ways to say it are used: money moves `from` a customer `to` another, all else by sides.
        let parties = if debit.kind == credit.kind && !debit.kind.is_debit_normal() {
            Parties::FromTo { from: debit.code.clone(), to: credit.code.clone() }
        } else {
            Parties::Sides { debit: debit.code.clone(), credit: credit.code.clone() }
        };
        Transfer {
            id: order.id.clone(),
            amount: Currency::Eur.text(order.cents),
            parties,
            text: order.text.to_owned(),
            at: order.at.clone(),
            correlation: order.correlation.clone(),
        }
    }

    /// An entry of any number of legs, all in one currency.
    fn post(&mut self, id: String, entry: &[Movement], text: &str, at: Option<String>) -> bool {
        let command = Command::Post(Post { id, legs: self.write_legs(entry), text: text.to_owned(), at });
        self.decide(command, entry)
    }

    fn write_legs(&self, entry: &[Movement]) -> Vec<Leg> {
        entry
            .iter()
            .map(|&(id, debit)| {
                let account = self.book.account(id);
                let amount = account.currency.text(debit.abs());
                Leg {
                    account: account.code.clone(),
                    side: if debit > 0 { Side::Debit(amount) } else { Side::Credit(amount) },
                }
            })
            .collect()
    }

    fn decide(&mut self, command: Command, entry: &[Movement]) -> bool {
        let allowed = self.book.allows(entry);
        if allowed {
            self.book.post(entry);
            self.script.say(&command, Expected::Ok);
            self.remember(command);
        } else {
            self.script.say(&command, Expected::Rejected("insufficient_funds"));
        }
        allowed
    }

    fn remember(&mut self, command: Command) {
        if self.recent.len() == RECENT_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back(command);
    }
}

/// A transfer about to be written: cents from one account to another.
#[derive(Debug)]
struct Order {
    id: String,
    debit: AccountId,
    credit: AccountId,
    cents: i64,
    text: &'static str,
    at: Option<String>,
    correlation: Option<String>,
}

impl Order {
    const fn new(id: String, debit: AccountId, credit: AccountId, cents: i64, text: &'static str) -> Self {
        Self { id, debit, credit, cents, text, at: None, correlation: None }
    }
}
