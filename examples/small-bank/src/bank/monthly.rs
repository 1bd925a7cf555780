//! What comes round every month: fees, interest, points, rent, bills, salaries and savings.

use jiff::civil::Date;

use super::{Bank, Order};
use crate::{
    book::AccountId,
    command::{Batch, Command, Parties, Transfer},
    people::PAYROLL_MEMBERS_MAX,
    script::Expected,
};

/// The monthly account fee in cents.
const FEE: i64 = 290;
/// Yearly interest on savings, in hundredths of a per cent.
const SAVINGS_RATE: i64 = 150;
/// Yearly interest on overdrafts, in hundredths of a per cent.
const OVERDRAFT_RATE: i64 = 990;
/// Card payments that earn one point, in cents.
const CENTS_PER_POINT: i64 = 1_000;
/// The day of the month on which salaries are paid.
const PAYDAY: i8 = 25;

impl Bank {
    /// The morning's runs, spread over the month as in life.
    pub(super) fn month_begins(&mut self, today: Date) {
        match today.day() {
            1 => {
                self.pay_interest(today);
                self.give_points(today);
            }
            2 => self.take_fees(today),
            3 => self.collect_rents(today),
            5 => self.pay_support(today),
            10 => self.collect_bills(today),
            PAYDAY => self.fund_employers(today),
            27 => self.save(today),
            _ => {}
        }
    }

    /// Interest of the month before, which takes effect on its last day.
    fn pay_interest(&mut self, today: Date) {
        let Ok(yesterday) = today.yesterday() else {
            return;
        };
        let at = format!("{yesterday}T23:59:59Z");
        for index in self.active.clone() {
            let customer = &self.customers[index];
            let (current, savings) = (customer.current, customer.savings);
            let month = month_of(yesterday);
            if let Some(savings) = savings {
                let cents = monthly_interest(self.book.balance(savings), SAVINGS_RATE);
                let id = format!("interest-{month}-{}", self.customers[index].number);
                let expense = self.accounts.savings_interest;
                self.charge(&Order {
                    at: Some(at.clone()),
                    ..Order::new(id, expense, savings, cents, "Interest on savings")
                });
            }
            if let Some(current) = current {
                let cents = monthly_interest(-self.book.balance(current), OVERDRAFT_RATE);
                let id = format!("overdraft-{month}-{}", self.customers[index].number);
                let income = self.accounts.overdraft_interest;
                self.charge(&Order {
                    at: Some(at.clone()),
                    ..Order::new(id, current, income, cents, "Interest on overdraft")
                });
            }
        }
    }

    /// Sends what the bank itself charges or pays, unless it comes to nothing or cannot be taken.
    fn charge(&mut self, order: &Order) {
        let entry = [(order.debit, order.cents), (order.credit, -order.cents)];
        if order.cents > 0 && self.book.allows(&entry) {
            self.transfer(order);
        }
    }

    fn give_points(&mut self, today: Date) {
        for index in self.active.clone() {
            let customer = &mut self.customers[index];
            let Some(account) = customer.points else {
                continue;
            };
            let points = customer.spent / CENTS_PER_POINT;
            customer.spent %= CENTS_PER_POINT;
            if points > 0 {
                let id = format!("points-{today}-{}", self.customers[index].number);
                let entry = [(self.accounts.points_given, points), (account, -points)];
                self.post(id, &entry, "Points for card payments", None);
            }
        }
    }

    fn take_fees(&mut self, today: Date) {
        for (index, current) in self.current_accounts() {
            if self.customers[index].pays_fee {
                let id = format!("fee-{}-{}", month_of(today), self.customers[index].number);
                let income = self.accounts.account_fees;
                self.charge(&Order::new(id, current, income, FEE, "Account fee"));
            }
        }
    }

    fn collect_rents(&mut self, today: Date) {
        for (index, current) in self.current_accounts() {
            let customer = &self.customers[index];
            let landlord = self.accounts.landlords[customer.landlord];
            let id = format!("rent-{}-{}", month_of(today), customer.number);
            let cents = customer.rent;
            self.charge(&Order::new(id, current, landlord, cents, "Rent"));
        }
    }

    fn collect_bills(&mut self, today: Date) {
        for (index, current) in self.current_accounts() {
            let customer = &self.customers[index];
            let id = format!("bills-{}-{}", month_of(today), customer.number);
            let cents = customer.bills;
            self.charge(&Order::new(id, current, self.accounts.nostro, cents, "Utilities and insurance"));
        }
    }

    fn pay_support(&mut self, today: Date) {
        for (index, current) in self.current_accounts() {
            let customer = &self.customers[index];
            if customer.employer.is_none() {
                let id = format!("support-{}-{}", month_of(today), customer.number);
                let cents = customer.income;
                self.transfer(&Order::new(id, self.accounts.nostro, current, cents, "Support"));
            }
        }
    }

    fn save(&mut self, today: Date) {
        for (index, current) in self.current_accounts() {
            let customer = &self.customers[index];
            if let Some(savings) = customer.savings {
                let id = format!("saving-{}-{}", month_of(today), customer.number);
                let cents = customer.standing_order;
                self.charge(&Order::new(id, current, savings, cents, "Standing order"));
            }
        }
    }

    /// Employers pay in, in the morning, exactly what they will pay out at noon.
    fn fund_employers(&mut self, today: Date) {
        for employer in 0..self.employers.len() {
            let cents = self.payroll(employer).iter().map(|pay| pay.cents).sum();
            let (Some(account), nostro) = (self.employers[employer].account, self.accounts.nostro) else {
                continue;
            };
            if cents > 0 {
                let id = format!("funding-{}-{}", month_of(today), self.employers[employer].name);
                self.post(id, &[(nostro, cents), (account, -cents)], "Payroll funding", None);
            }
        }
    }

    /// Noon of the day on which salaries are paid.
    pub(super) fn payday(&mut self, today: Date) {
        if today.day() != PAYDAY {
            return;
        }
        let month = month_of(today);
        let filers = self.employers.iter().filter(|employer| employer.files_payroll).count();
        // Another large employer gets it wrong each month.
        let careless = usize::try_from(today.month()).unwrap_or(0) % filers.max(1);
        for employer in 0..self.employers.len() {
            let orders = self.salaries(employer, &month);
            if !self.employers[employer].files_payroll {
                for order in &orders {
                    self.transfer(order);
                }
                continue;
            }
            for (part, orders) in orders.chunks(PAYROLL_MEMBERS_MAX).enumerate() {
                let id = format!("payroll-{month}-{}-{}", self.employers[employer].name, part + 1);
                self.file_payroll(&id, orders, employer == careless && part == 0);
            }
        }
    }

    /// One all-or-nothing file. A careless employer sends it with a wrong account first, and the right one twice.
    fn file_payroll(&mut self, id: &str, orders: &[Order], careless: bool) {
        let members: Vec<Transfer> = orders.iter().map(|order| self.write_transfer(order)).collect();
        if careless {
            let wrong = batch(id, misdirected(members.clone()));
            self.script.say(&wrong, Expected::Rejected("batch_failed"));
        }
        for order in orders {
            self.book.post(&[(order.debit, order.cents), (order.credit, -order.cents)]);
        }
        let right = batch(id, members);
        self.script.say(&right, Expected::Ok);
        if careless {
            self.script.say(&right, Expected::Duplicate);
        }
    }

    fn salaries(&self, employer: usize, month: &str) -> Vec<Order> {
        let Some(payer) = self.employers[employer].account else {
            return Vec::new();
        };
        self.payroll(employer)
            .into_iter()
            .map(|pay| Order {
                correlation: Some(format!("payroll-{month}-{}", self.employers[employer].name)),
                ..Order::new(
                    format!("salary-{month}-{}", self.customers[pay.customer].number),
                    payer,
                    pay.account,
                    pay.cents,
                    "Salary",
                )
            })
            .collect()
    }

    fn payroll(&self, employer: usize) -> Vec<Pay> {
        self.current_accounts()
            .into_iter()
            .filter(|&(customer, _)| self.customers[customer].employer == Some(employer))
            .map(|(customer, account)| Pay { customer, account, cents: self.customers[customer].income })
            .collect()
    }

    fn current_accounts(&self) -> Vec<(usize, AccountId)> {
        self.active.iter().filter_map(|&index| self.customers[index].current.map(|account| (index, account))).collect()
    }
}

struct Pay {
    customer: usize,
    account: AccountId,
    cents: i64,
}

fn batch(id: &str, members: Vec<Transfer>) -> Command {
    Command::Batch(Batch {
        id: id.to_owned(),
        atomic: true,
        commands: members.into_iter().map(Command::Transfer).collect(),
    })
}

/// The last member goes to an account that was never opened, so all before it must be undone.
fn misdirected(mut members: Vec<Transfer>) -> Vec<Transfer> {
    if let Some(Transfer { parties: Parties::FromTo { to, .. }, .. }) = members.last_mut() {
        to.push_str(":closed-long-ago");
    }
    members
}

fn month_of(day: Date) -> String {
    format!("{}-{:02}", day.year(), day.month())
}

/// A twelfth of a year's interest, rounded down to whole cents; nothing on what is not above zero.
fn monthly_interest(cents: i64, yearly_rate: i64) -> i64 {
    (cents.max(0) * yearly_rate) / (10_000 * 12)
}

#[cfg(test)]
mod tests {
    use super::monthly_interest;

    #[test]
    fn interest_is_rounded_down_and_never_negative() {
        for (cents, rate, expected) in [(0, 150, 0), (-100_000, 150, 0), (100_000, 150, 125), (79, 990, 0)] {
            assert_eq!(monthly_interest(cents, rate), expected);
        }
    }
}
