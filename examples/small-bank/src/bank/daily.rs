//! What happens at any hour: card payments, transfers between customers, cash.

use jiff::civil::{Date, Weekday};
use rand::RngExt;

use super::{Bank, Order};
use crate::book::AccountId;

/// One thing done wrong for so many card payments.
const CARD_PAYMENTS_PER_MISTAKE: u32 = 20;
/// The bank's share of a payment abroad, in hundredths of a per cent.
const ABROAD_RATE: i64 = 150;

impl Bank {
    /// Half a day's payments; fewer at the weekend.
    pub(super) fn business(&mut self, today: Date) {
        let quiet = matches!(today.weekday(), Weekday::Saturday | Weekday::Sunday);
        let divisor = if quiet { 2 } else { 1 };
        let customers = self.active.len();
        for _ in 0..customers.div_ceil(45 * divisor) {
            self.card_payment();
            if self.rng.random_ratio(1, CARD_PAYMENTS_PER_MISTAKE) {
                self.mistake();
            }
        }
        for _ in 0..customers.div_ceil(180 * divisor) {
            self.between_customers();
        }
        for _ in 0..customers.div_ceil(360 * divisor) {
            self.cash_withdrawal();
        }
    }

    /// One of the customers who have joined, and the current account.
    pub(super) fn anybody(&mut self) -> Option<(usize, AccountId)> {
        if self.active.is_empty() {
            return None;
        }
        let index = self.active[self.rng.random_range(0..self.active.len())];
        self.customers[index].current.map(|account| (index, account))
    }

    pub(super) fn any_shop(&mut self) -> AccountId {
        let shops = &self.accounts.shops;
        shops[self.rng.random_range(0..shops.len())]
    }

    fn affords(&self, account: AccountId, cents: i64) -> bool {
        self.book.spendable(account).is_none_or(|spendable| spendable >= cents)
    }

    fn card_payment(&mut self) {
        let Some((index, current)) = self.anybody() else {
            return;
        };
        // Small amounts are more frequent than large ones.
        let cents = self.rng.random_range(150..=20_000).min(self.rng.random_range(150..=20_000));
        let fee = if self.rng.random_bool(0.15) { (cents * ABROAD_RATE / 10_000).max(1) } else { 0 };
        if !self.affords(current, cents + fee) {
            return;
        }
        let shop = self.any_shop();
        let id = self.next_id("card");
        if fee > 0 {
            let entry = [(current, cents + fee), (shop, -cents), (self.accounts.card_fees, -fee)];
            self.post(id, &entry, "Card payment abroad", None);
        } else {
            self.transfer(&Order::new(id, current, shop, cents, "Card payment"));
        }
        self.customers[index].spent += cents;
    }

    fn between_customers(&mut self) {
        let (Some((_, from)), Some((_, to))) = (self.anybody(), self.anybody()) else {
            return;
        };
        let cents = self.rng.random_range(500..=40_000);
        if from != to && self.affords(from, cents) {
            let id = self.next_id("transfer");
            self.transfer(&Order::new(id, from, to, cents, "Between friends"));
        }
    }

    fn cash_withdrawal(&mut self) {
        let Some((_, current)) = self.anybody() else {
            return;
        };
        let cents = self.rng.random_range(1..=10) * 2_000;
        if self.affords(current, cents) {
            let id = self.next_id("cash");
            self.transfer(&Order::new(id, current, self.accounts.cash, cents, "Cash withdrawal"));
        }
    }
}
