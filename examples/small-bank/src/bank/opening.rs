//! Accounts opened, and customers welcomed.

use jiff::civil::Date;
use rand::RngExt;
use serde_json::json;

use super::{Bank, House, Order};
use crate::{
    amount::Currency,
    book::{AccountId, Book, Kind},
    command::{Command, Limits, OpenAccount, Record, RegisterCurrency},
    people, preferences,
    script::Expected,
};

/// What the owners paid in, in cents.
const CAPITAL: i64 = 500_000_000;
/// What the vault starts with, in cents.
const VAULT: i64 = 100_000_000;

/// The bank's own chart of accounts, and those of shops and landlords.
pub(super) fn house(book: &mut Book, customers: usize) -> House {
    let mut euros = |code: &str, kind| book.open(code.to_owned(), kind, Currency::Eur, None, None);
    let cash = euros("assets:cash:vault", Kind::Asset);
    let nostro = euros("assets:nostro:central-bank", Kind::Asset);
    let capital = euros("equity:capital", Kind::Equity);
    let account_fees = euros("income:fees:account", Kind::Income);
    let card_fees = euros("income:fees:card-abroad", Kind::Income);
    let overdraft_interest = euros("income:interest:overdraft", Kind::Income);
    let savings_interest = euros("expense:interest:savings", Kind::Expense);
    let shops = people::shops(customers.div_ceil(30)).iter().map(|code| euros(code, Kind::Liability)).collect();
    let landlords = (1..=customers.div_ceil(100))
        .map(|number| euros(&format!("liabilities:landlords:{number:02}"), Kind::Liability))
        .collect();
    let points_given = book.open("expense:points".to_owned(), Kind::Expense, Currency::Points, None, None);
    House {
        cash,
        nostro,
        capital,
        account_fees,
        card_fees,
        overdraft_interest,
        savings_interest,
        points_given,
        shops,
        landlords,
    }
}

/// An employer pays from what was paid in, and never more.
pub(super) fn employer(book: &mut Book, name: &str) -> AccountId {
    let code = format!("liabilities:employers:{name}");
    book.open(code, Kind::Liability, Currency::Eur, Some(0), None)
}

impl Bank {
    /// The first morning: the currency, the chart of accounts and the capital.
    pub(super) fn open_house(&mut self) {
        let points = Command::RegisterCurrency(RegisterCurrency {
            code: Currency::Points.code(),
            scale: 0,
            name: "Loyalty points",
        });
        self.script.say(&points, Expected::Ok);

        let house = &self.accounts;
        let mut all = vec![
            house.cash,
            house.nostro,
            house.capital,
            house.account_fees,
            house.card_fees,
            house.overdraft_interest,
            house.savings_interest,
            house.points_given,
        ];
        all.extend(&house.shops);
        all.extend(&house.landlords);
        all.extend(self.employers.iter().filter_map(|employer| employer.account));
        for account in all {
            self.say_open(account);
        }

        let (cash, nostro, capital) = (self.accounts.cash, self.accounts.nostro, self.accounts.capital);
        let id = self.next_id("capital");
        let entry = [(nostro, CAPITAL - VAULT), (cash, VAULT), (capital, -CAPITAL)];
        self.post(id, &entry, "Capital paid in", None);
    }

    pub(super) fn say_open(&mut self, account: AccountId) {
        let command = Command::OpenAccount(self.write_open(account));
        self.script.say(&command, Expected::Ok);
    }

    /// The command that opened an account; said again, it is a duplicate.
    pub(super) fn write_open(&self, account: AccountId) -> OpenAccount {
        let account = self.book.account(account);
        OpenAccount {
            account: account.code.clone(),
            currency: account.currency.code(),
            kind: account.kind,
            limits: account.floor.map(|floor| Limits { floor: account.currency.text(floor) }),
            owner: account.owner.clone(),
        }
    }

    /// Those who join today: recorded, accounts opened, first money paid in.
    pub(super) fn welcome(&mut self, today: Date) {
        for index in 0..self.customers.len() {
            if self.customers[index].joins == today {
                self.register(index);
                self.open_accounts(index);
                self.active.push(index);
            }
        }
    }

    fn register(&mut self, index: usize) {
        let address = people::address(&mut self.rng);
        let preferences = preferences::first(&mut self.rng);
        let customer = &mut self.customers[index];
        let registered = Record {
            entity: format!("customer/{}", customer.number),
            kind: "customer.registered",
            data: json!({"name": customer.name, "address": address}),
            expected_version: Some(0),
        };
        let chosen = Record {
            entity: format!("user/{}", customer.number),
            kind: "preference.changed",
            data: preferences.clone(),
            expected_version: None,
        };
        customer.changes = 1;
        customer.preferences = preferences;
        self.script.say(&Command::Record(registered), Expected::Ok);
        self.script.say(&Command::Record(chosen), Expected::Ok);
    }

    fn open_accounts(&mut self, index: usize) {
        let customer = &self.customers[index];
        let (saves, collects) = (customer.saves, customer.collects_points);
        let credit_line = customer.credit_line;

        let current = self.open_for(index, "current", Currency::Eur, Some(-credit_line));
        self.customers[index].current = Some(current);
        if saves {
            let savings = self.open_for(index, "savings", Currency::Eur, Some(0));
            self.customers[index].savings = Some(savings);
        }
        if collects {
            let points = self.open_for(index, "points", Currency::Points, Some(0));
            self.customers[index].points = Some(points);
        }

        let cents = self.rng.random_range(10_000..=150_000);
        let id = self.next_id("first");
        self.transfer(&Order::new(id, self.accounts.nostro, current, cents, "First deposit"));
    }

    fn open_for(&mut self, index: usize, what: &str, currency: Currency, floor: Option<i64>) -> AccountId {
        let number = &self.customers[index].number;
        let account = self.book.open(
            format!("liabilities:customers:{number}:{what}"),
            Kind::Liability,
            currency,
            floor,
            Some(format!("customer/{number}")),
        );
        self.say_open(account);
        account
    }
}
