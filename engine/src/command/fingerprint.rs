//! What tells a repeated command from another one under the same id.
//!
//! Every field is fed to SHA-256 under a tag and with its length, amounts by value, times by instant,
//! JSON with sorted keys, defaults as if left out; the first 128 bits are the fingerprint.

use std::fmt;

use jiff::Timestamp;
use rust_decimal::Decimal;
use sha2::{Digest, Sha256};

use super::{Action, Command, Held, Leg, Part, Record, Route, json::Json};
use crate::account::{Limits, Side};

/// 128 bits over everything the caller gave, by meaning, except the id.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 16]);

impl Fingerprint {
    /// The fingerprint written in hexadecimal, if it is one.
    pub fn from_hex(text: &str) -> Option<Self> {
        let mut bytes = [0; 16];
        hex::decode_to_slice(text, &mut bytes).ok()?;
        Some(Self(bytes))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

pub(super) fn of(command: &Command) -> Fingerprint {
    let mut print = Print(Sha256::new());
    print.command(command);
    let digest: [u8; 32] = print.0.finalize().into();
    let mut first = [0; 16];
    first.copy_from_slice(&digest[..16]);
    Fingerprint(first)
}

struct Print(Sha256);

impl Print {
    fn command(&mut self, command: &Command) {
        self.text("do", command.name());
        self.optional("correlation", command.correlation.as_deref());
        self.time("at", command.at);
        for (key, value) in &command.meta {
            self.text("meta", key);
            self.text("=", value);
        }
        self.action(&command.action);
    }

    fn action(&mut self, action: &Action) {
        match action {
            Action::RegisterCurrency(currency) => {
                self.text("code", &currency.code);
                self.number("scale", currency.scale.into());
                self.optional("name", currency.name.as_deref());
            }
            Action::OpenAccount(account) => {
                self.text("account", &account.account);
                self.text("currency", &account.currency);
                self.text("type", account.account_type.as_str());
                let contra = account.normal.filter(|side| *side != account.account_type.normal());
                self.optional("normal", contra.map(Side::as_str));
                self.limits(&account.limits);
                self.optional("owner", account.owner.as_deref());
                self.optional("name", account.name.as_deref());
            }
            Action::SetLimits(set) => {
                self.account(&set.account, set.currency.as_deref());
                self.limits(&set.limits);
                self.number("force", set.force.into());
            }
            Action::Freeze(freeze) | Action::Unfreeze(freeze) => {
                self.account(&freeze.account, freeze.currency.as_deref());
                self.text("reason", &freeze.reason);
            }
            Action::CloseAccount(close) => self.account(&close.account, close.currency.as_deref()),
            Action::Post(post) => {
                self.legs(&post.legs);
                self.optional("text", post.text.as_deref());
            }
            Action::Transfer(transfer) => {
                self.between(transfer.amount, &transfer.route, transfer.currency.as_deref());
                self.number("up_to", transfer.up_to.into());
                self.optional("text", transfer.text.as_deref());
            }
            Action::Hold(hold) => {
                match &hold.what {
                    Held::Legs(legs) => self.legs(legs),
                    Held::Amount { amount, route, currency } => self.between(*amount, route, currency.as_deref()),
                }
                self.time("expires_at", hold.expires_at);
                self.optional("text", hold.text.as_deref());
            }
            Action::Settle(settle) => {
                self.text("hold", &settle.hold);
                match &settle.part {
                    Part::All => {}
                    Part::Amount(amount) => self.amount("amount", Some(*amount)),
                    Part::Legs(legs) => self.legs(legs),
                }
                self.number("keep_rest", settle.keep_rest.into());
                self.optional("text", settle.text.as_deref());
            }
            Action::Void(void) => {
                self.text("hold", &void.hold);
                self.optional("reason", void.reason.as_deref());
            }
            Action::ExpireDue(expire) => self.time("now", expire.now),
            Action::Reverse(reverse) => {
                self.text("entry", &reverse.entry);
                self.optional("reason", reverse.reason.as_deref());
            }
            Action::AssertBalance(assert) => {
                self.account(&assert.account, assert.currency.as_deref());
                self.amount("amount", Some(assert.amount));
                self.time("as_of", assert.as_of);
            }
            Action::ClosePeriod(close) => self.text("through", &close.through.to_string()),
            Action::ReopenPeriod(reopen) => {
                self.optional("through", reopen.through.map(|date| date.to_string()).as_deref());
                self.text("reason", &reopen.reason);
            }
            Action::Record(record) => self.record(record),
            Action::Batch(batch) => {
                self.number("atomic", batch.atomic.into());
                for member in &batch.commands {
                    self.optional("id", member.id.as_deref());
                    self.command(member);
                }
            }
            Action::Execute(execution) => {
                self.text("entity", execution.0.entity());
                self.json("command", execution.0.json());
            }
            Action::Unreadable(invalid) => self.text("unreadable", &invalid.message),
        }
    }

    fn account(&mut self, code: &str, currency: Option<&str>) {
        self.text("account", code);
        self.optional("currency", currency);
    }

    fn legs(&mut self, legs: &[Leg]) {
        for leg in legs {
            self.text("leg", &leg.account);
            self.amount(leg.amount.side().as_str(), Some(leg.amount.amount()));
            self.optional("currency", leg.currency.as_deref());
        }
    }

    fn between(&mut self, amount: Decimal, route: &Route, currency: Option<&str>) {
        self.amount("amount", Some(amount));
        self.route(route);
        self.optional("currency", currency);
    }

    fn route(&mut self, route: &Route) {
        match route {
            Route::Sides { debit, credit } => {
                self.text("debit", debit);
                self.text("credit", credit);
            }
            Route::Direction { from, to } => {
                self.text("from", from);
                self.text("to", to);
            }
        }
    }

    fn record(&mut self, record: &Record) {
        self.text("entity", &record.entity);
        self.text("kind", &record.kind);
        self.json("data", record.data.as_str());
        if let Some(version) = record.expected_version {
            self.number("expected_version", version);
        }
        if record.schema != 1 {
            self.number("schema", record.schema.into());
        }
    }

    fn limits(&mut self, limits: &Limits) {
        self.amount("floor", limits.floor);
        self.amount("ceiling", limits.ceiling);
        self.amount("daily_out", limits.daily_out);
    }

    fn json(&mut self, tag: &str, value: &str) {
        let canonical = Json::parse(value).map(|json| json.canonical());
        self.text(tag, canonical.as_deref().unwrap_or(value));
    }

    fn text(&mut self, tag: &str, value: &str) {
        self.bytes(tag, value.as_bytes());
    }

    fn optional(&mut self, tag: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.text(tag, value);
        }
    }

    fn number(&mut self, tag: &str, value: i64) {
        self.bytes(tag, &value.to_be_bytes());
    }

    fn time(&mut self, tag: &str, value: Option<Timestamp>) {
        if let Some(value) = value {
            self.number(tag, value.as_microsecond());
        }
    }

    fn amount(&mut self, tag: &str, value: Option<Decimal>) {
        if let Some(value) = value {
            let value = value.normalize();
            let mut bytes = [0; 20];
            bytes[..16].copy_from_slice(&value.mantissa().to_be_bytes());
            bytes[16..].copy_from_slice(&value.scale().to_be_bytes());
            self.bytes(tag, &bytes);
        }
    }

    fn bytes(&mut self, tag: &str, value: &[u8]) {
        for part in [tag.as_bytes(), value] {
            self.0.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            self.0.update(part);
        }
    }
}
