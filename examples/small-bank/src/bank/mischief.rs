//! What goes wrong at a bank: about one command in a hundred, each with the answer that it must get.

use rand::RngExt;
use serde_json::json;

use super::{Bank, Order};
use crate::{
    command::{Command, Leg, Limits, Parties, Post, Record, Side},
    script::Expected,
};

impl Bank {
    /// One mistake of a random sort.
    pub(super) fn mistake(&mut self) {
        match self.rng.random_range(0..12) {
            0 | 1 => self.overdraw(),
            2 => self.pay_into_the_void(),
            3 => self.split_a_cent(),
            4 => self.send_a_float(),
            5 => self.unbalance(),
            6 => self.send_twice(),
            7 => self.reuse_an_id(),
            8 => self.break_the_line(),
            9 => self.misspell(),
            10 => self.write_over(),
            _ => self.open_again(),
        }
    }

    fn overdraw(&mut self) {
        let Some((_, current)) = self.anybody() else {
            return;
        };
        let shop = self.any_shop();
        let excess = self.rng.random_range(1..=50_000);
        let cents = self.book.spendable(current).unwrap_or(0) + excess;
        let id = self.next_id("card");
        self.transfer(&Order::new(id, current, shop, cents, "Card payment"));
    }

    fn pay_into_the_void(&mut self) {
        if let Some(mut order) = self.small_payment() {
            order.id = self.next_id("lost");
            let mut transfer = self.write_transfer(&order);
            if let Parties::FromTo { to, .. } = &mut transfer.parties {
                to.push_str(":nobody");
            }
            self.script.say(&Command::Transfer(transfer), Expected::Rejected("unknown_account"));
        }
    }

    /// Three decimals, which the ledger must not round.
    fn split_a_cent(&mut self) {
        if let Some(order) = self.small_payment() {
            let mut transfer = self.write_transfer(&order);
            transfer.amount.push('5');
            self.script.say(&Command::Transfer(transfer), Expected::Invalid);
        }
    }

    /// The amount as a JSON number, which may have been a float on the way.
    fn send_a_float(&mut self) {
        if let Some(order) = self.small_payment() {
            let (from, to) = (self.code(order.debit), self.code(order.credit));
            let line = format!(r#"{{"do":"transfer","id":"{}","amount":12.5,"from":"{from}","to":"{to}"}}"#, order.id);
            self.script.line(&line, "transfer", Expected::Invalid);
        }
    }

    fn unbalance(&mut self) {
        if let Some(order) = self.small_payment() {
            let leg = |account, side| Leg { account, side };
            let post = Post {
                legs: vec![
                    leg(self.code(order.debit), Side::Debit("10.00".to_owned())),
                    leg(self.code(order.credit), Side::Credit("9.99".to_owned())),
                ],
                id: order.id,
                text: "A cent is missing".to_owned(),
                at: None,
            };
            self.script.say(&Command::Post(post), Expected::Rejected("unbalanced"));
        }
    }

    /// The same command once more, as after a lost answer.
    fn send_twice(&mut self) {
        if let Some(command) = self.any_recent() {
            self.script.say(&command, Expected::Duplicate);
        }
    }

    fn reuse_an_id(&mut self) {
        let Some(mut command) = self.any_recent() else {
            return;
        };
        match &mut command {
            Command::Transfer(transfer) => transfer.text.push_str(", again"),
            Command::Post(post) => post.text.push_str(", again"),
            _ => return,
        }
        self.script.say(&command, Expected::Rejected("id_reused"));
    }

    /// What is no command at all.
    fn break_the_line(&mut self) {
        let line = match self.rng.random_range(0..3) {
            0 => r#"{"do":"transfer","id":"cut-off","amount":"12."#,
            1 => r#"["transfer","12.50"]"#,
            _ => "card terminal 7 restarted",
        };
        self.script.line(line, "malformed", Expected::Invalid);
    }

    /// A field that no command has.
    fn misspell(&mut self) {
        if let Some(order) = self.small_payment() {
            let (from, to) = (self.code(order.debit), self.code(order.credit));
            let line =
                format!(r#"{{"do":"transfer","id":"{}","ammount":"12.50","from":"{from}","to":"{to}"}}"#, order.id);
            self.script.line(&line, "transfer", Expected::Invalid);
        }
    }

    /// A change by somebody who saw an older state of the customer.
    fn write_over(&mut self) {
        let Some((index, _)) = self.anybody() else {
            return;
        };
        let customer = &self.customers[index];
        let record = Record {
            entity: format!("customer/{}", customer.number),
            kind: "customer.moved",
            data: json!({"address": {"street": "Old Road 1", "town": "Nowhere"}}),
            expected_version: Some(customer.changes - 1),
        };
        self.script.say(&Command::Record(record), Expected::Conflict);
    }

    /// A set-up script run again: harmless when it says the same, refused when it does not.
    fn open_again(&mut self) {
        let Some((_, current)) = self.anybody() else {
            return;
        };
        let mut open = self.write_open(current);
        let mut expected = Expected::Duplicate;
        if self.rng.random_bool(0.5) {
            open.limits = Some(Limits { floor: "-1000.00".to_owned() });
            expected = Expected::Rejected("account_exists");
        }
        self.script.say(&Command::OpenAccount(open), expected);
    }

    /// A payment of a customer to a shop, not yet sent.
    fn small_payment(&mut self) -> Option<Order> {
        let (_, current) = self.anybody()?;
        let shop = self.any_shop();
        let cents = self.rng.random_range(100..=2_000);
        let id = self.next_id("card");
        Some(Order::new(id, current, shop, cents, "Card payment"))
    }

    fn any_recent(&mut self) -> Option<Command> {
        if self.recent.is_empty() {
            return None;
        }
        let index = self.rng.random_range(0..self.recent.len());
        self.recent.get(index).cloned()
    }
}
