//! Random commands of every kind over a small chart of accounts, so that they meet: floors are reached, holds
//! are settled and voided, entries reversed, entities changed again and again. Some are refused.

use std::collections::VecDeque;

use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

const WALLETS: u32 = 16;
const TILLS: u32 = 3;
const USERS: u32 = 12;
/// Ids of entries and of holds that are remembered, to reverse and settle them.
const REMEMBERED: usize = 40;
const THEMES: [&str; 2] = ["dark", "light"];
const TEXTS: [&str; 5] = ["coffee and cake", "rent for March", "coffee", "Miete für März", "salary, \"net\""];

/// An endless source of commands; the same seed gives the same commands.
pub(crate) struct Commands {
    pub(crate) rng: ChaCha8Rng,
    /// What its ids begin with.
    prefix: String,
    next: u64,
    /// What opens the chart comes first.
    opening: VecDeque<Value>,
    entries: VecDeque<String>,
    holds: VecDeque<String>,
}

impl Commands {
    pub(crate) fn new(seed: u64) -> Self {
        let rng = ChaCha8Rng::seed_from_u64(seed);
        let prefix = "id".to_owned();
        Self { rng, prefix, next: 0, opening: chart().into(), entries: VecDeque::new(), holds: VecDeque::new() }
    }

    /// Those of one of several clients of a ledger whose chart is open.
    pub(crate) fn of_client(seed: u64, name: &str) -> Self {
        Self { prefix: name.to_owned(), opening: VecDeque::new(), ..Self::new(seed) }
    }

    /// How many commands open the chart.
    pub(crate) fn opening(&self) -> u64 {
        u64::try_from(self.opening.len()).unwrap_or(u64::MAX)
    }

    pub(crate) fn next(&mut self) -> Value {
        if let Some(command) = self.opening.pop_front() {
            return command;
        }
        if self.rng.random_ratio(1, 15) {
            let number = self.rng.random_range(1..=6);
            let members: Vec<Value> = (0..number).map(|_| self.single()).collect();
            return json!({"do": "batch", "atomic": self.rng.random_bool(0.5), "commands": members});
        }
        self.single()
    }

    /// A movement of money, or several as one: a command that may be sent again, since it has an id.
    pub(crate) fn next_with_id(&mut self) -> Value {
        if !self.rng.random_ratio(1, 12) {
            return self.money();
        }
        // Of each member it is known that it has an event, or that it was refused.
        let members = std::iter::repeat_with(|| self.money()).filter(|money| money.get("up_to").is_none());
        let members: Vec<Value> = members.take(3).collect();
        json!({"do": "batch", "id": self.id(), "atomic": true, "commands": members})
    }

    /// Takes note of what can be referred to from now on.
    pub(crate) fn done(&mut self, command: &Value) {
        let Some(id) = command["id"].as_str() else { return };
        let ids = match command["do"].as_str() {
            Some("post" | "transfer" | "settle") => &mut self.entries,
            Some("hold") => &mut self.holds,
            _ => return,
        };
        ids.push_back(id.to_owned());
        if ids.len() > REMEMBERED {
            ids.pop_front();
        }
    }

    fn single(&mut self) -> Value {
        let mut command = match self.rng.random_range(0..100) {
            0..66 => self.money(),
            66..72 => self.on_account(),
            72..75 => self.open(),
            75..77 => self.rare(),
            _ => self.record(),
        };
        if self.rng.random_ratio(1, 6) {
            command["meta"] = json!({"by": self.user(), "channel": "web"});
        }
        if self.rng.random_ratio(1, 8) {
            command["correlation"] = json!(format!("case-{}", self.rng.random_range(0..50)));
        }
        if self.rng.random_ratio(1, 10) {
            let (day, hour) = (self.rng.random_range(1..=28), self.rng.random_range(0..24));
            command["at"] = json!(format!("2026-03-{day:02}T{hour:02}:30:00Z"));
        }
        command
    }

    fn money(&mut self) -> Value {
        match self.rng.random_range(0..66) {
            0..30 => self.transfer(),
            30..45 => self.post(),
            45..53 => self.hold(),
            53..59 => self.settle(),
            59..62 => json!({"do": "void", "id": self.id(), "hold": self.a_hold(), "reason": "not needed"}),
            _ => json!({"do": "reverse", "id": self.id(), "entry": self.an_entry(), "reason": "a mistake"}),
        }
    }

    fn transfer(&mut self) -> Value {
        let (id, amount) = (self.id(), self.amount());
        let mut transfer = match self.rng.random_range(0..3) {
            0 => json!({"debit": self.till(), "credit": self.wallet()}),
            1 => json!({"debit": self.wallet(), "credit": "income:fees"}),
            _ => json!({"from": self.wallet(), "to": self.wallet()}),
        };
        transfer["do"] = json!("transfer");
        transfer["id"] = json!(id);
        transfer["amount"] = json!(amount);
        transfer["currency"] = json!("EUR");
        if self.rng.random_ratio(1, 10) {
            transfer["up_to"] = json!(true);
        }
        if self.rng.random_bool(0.5) {
            transfer["text"] = json!(TEXTS.choose(&mut self.rng));
        }
        transfer
    }

    /// Two to five legs; or an exchange, which balances in each of two currencies.
    fn post(&mut self) -> Value {
        let text = json!(TEXTS.choose(&mut self.rng));
        if self.rng.random_ratio(1, 4) {
            let (eur, usd) = (self.amount(), self.amount());
            return json!({"do": "post", "id": self.id(), "text": text, "legs": [
                {"account": self.till(), "debit": eur, "currency": "EUR"},
                {"account": "trading", "credit": eur, "currency": "EUR"},
                {"account": "trading", "debit": usd, "currency": "USD"},
                {"account": "cash:vault", "credit": usd, "currency": "USD"},
            ]});
        }
        let (mut legs, mut sum) = (Vec::new(), 0);
        for _ in 0..self.rng.random_range(1..=4) {
            let cents = self.rng.random_range(1..5_000);
            sum += cents;
            legs.push(json!({"account": self.till(), "debit": decimal(cents), "currency": "EUR"}));
        }
        legs.push(json!({"account": self.wallet(), "credit": decimal(sum), "currency": "EUR"}));
        json!({"do": "post", "id": self.id(), "text": text, "legs": legs})
    }

    fn hold(&mut self) -> Value {
        let mut hold = json!({"do": "hold", "id": self.id(), "amount": self.amount(), "currency": "EUR",
            "from": self.wallet(), "to": self.wallet()});
        if self.rng.random_ratio(1, 3) {
            hold["expires_at"] = json!(jiff::Timestamp::now() + jiff::SignedDuration::from_millis(300));
        }
        hold
    }

    fn settle(&mut self) -> Value {
        let mut settle = json!({"do": "settle", "id": self.id(), "hold": self.a_hold()});
        if self.rng.random_bool(0.5) {
            settle["amount"] = json!(decimal(self.rng.random_range(1..3_000)));
            settle["keep_rest"] = json!(self.rng.random_bool(0.5));
        }
        settle
    }

    fn on_account(&mut self) -> Value {
        let account = self.wallet();
        match self.rng.random_range(0..6) {
            0 => json!({"do": "freeze", "account": account, "reason": "looked into"}),
            1 | 2 => json!({"do": "unfreeze", "account": account, "reason": "all is well"}),
            3 => json!({"do": "set_limits", "account": account, "force": true,
                "limits": {"floor": decimal(-self.rng.random_range(0..90_000)), "daily_out": "900"}}),
            4 => json!({"do": "assert_balance", "account": account, "amount": "0.00"}),
            _ => json!({"do": "close_account", "account": format!("wallet:{}", self.rng.random_range(1_000..1_100))}),
        }
    }

    /// Wallets that come and may go again.
    fn open(&mut self) -> Value {
        let number = self.rng.random_range(1_000..1_100);
        json!({"do": "open_account", "account": format!("wallet:{number}"), "currency": "EUR", "type": "liability",
            "owner": format!("user/{}", number % USERS), "name": format!("Wallet {number}")})
    }

    fn rare(&mut self) -> Value {
        match self.rng.random_range(0..4) {
            0 => json!({"do": "expire_due"}),
            1 => json!({"do": "close_period", "through": format!("2026-02-{:02}", self.rng.random_range(1..=28))}),
            2 => json!({"do": "reopen_period", "through": "2026-01-31", "reason": "a late invoice"}),
            _ => json!({"do": "register_currency", "code": format!("X{}", self.rng.random_range(0..99)), "scale": 3}),
        }
    }

    fn record(&mut self) -> Value {
        let entity = self.user();
        let mut change = match self.rng.random_range(0..6) {
            0 | 1 => json!({"kind": "preference.changed", "data": {
                "theme": THEMES.choose(&mut self.rng), "mail": {"weekly": self.rng.random_bool(0.5)}}}),
            2 => json!({"kind": "preference.changed", "data": {"mail": {"daily": null}, "a.b": {"$c": 1}}}),
            3 => json!({"kind": "preference.unset", "data": {"paths": ["mail.weekly", ["a.b", "$c"]]}}),
            4 => json!({"kind": "user.renamed", "data": {"name": TEXTS.choose(&mut self.rng)}}),
            _ => json!({"kind": "user.scored", "data": {"score": self.rng.random_range(0..1_000), "tags": ["a", "b"]}}),
        };
        change["do"] = json!("record");
        change["entity"] = json!(entity);
        if self.rng.random_ratio(1, 5) {
            change["expected_version"] = json!(self.rng.random_range(0..40));
        }
        change
    }

    fn id(&mut self) -> String {
        self.next += 1;
        format!("{}-{}", self.prefix, self.next)
    }

    fn wallet(&mut self) -> String {
        format!("wallet:{}", self.rng.random_range(0..WALLETS))
    }

    fn till(&mut self) -> String {
        format!("cash:till-{}", self.rng.random_range(0..TILLS))
    }

    fn user(&mut self) -> String {
        format!("user/{}", self.rng.random_range(0..USERS))
    }

    fn amount(&mut self) -> String {
        // Now and then with a digit too many.
        if self.rng.random_ratio(1, 40) { "1.005".to_owned() } else { decimal(self.rng.random_range(1..9_000)) }
    }

    fn a_hold(&mut self) -> String {
        choose(&mut self.rng, &self.holds)
    }

    fn an_entry(&mut self) -> String {
        choose(&mut self.rng, &self.entries)
    }
}

fn choose(rng: &mut ChaCha8Rng, ids: &VecDeque<String>) -> String {
    if ids.is_empty() { "none".to_owned() } else { ids[rng.random_range(0..ids.len())].clone() }
}

fn chart() -> Vec<Value> {
    let open = |account: &str, currency: &str, kind: &str| json!({"do": "open_account", "account": account, "currency": currency, "type": kind});
    let mut chart = vec![
        open("income:fees", "EUR", "income"),
        open("cash:vault", "USD", "asset"),
        open("trading", "EUR", "equity"),
        open("trading", "USD", "equity"),
    ];
    chart.extend((0..TILLS).map(|number| open(&format!("cash:till-{number}"), "EUR", "asset")));
    chart.extend((0..WALLETS).map(|number| {
        let mut wallet = open(&format!("wallet:{number}"), "EUR", "liability");
        wallet["owner"] = json!(format!("user/{}", number % USERS));
        if number % 3 != 0 {
            wallet["limits"] = json!({"floor": if number % 2 == 0 { "-500" } else { "0" }});
        }
        wallet
    }));
    chart
}

fn decimal(cents: i64) -> String {
    let sign = if cents < 0 { "-" } else { "" };
    format!("{sign}{}.{:02}", cents.abs() / 100, cents.abs() % 100)
}
