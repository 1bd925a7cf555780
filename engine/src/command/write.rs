//! [`Command`] to JSON, defaults left out.

use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use super::{Action, Command, Held, Leg, Meta, OpenAccount, Part, Route, json::Json};
use crate::account::Limits;

impl Serialize for Command {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = to_json(self).compact();
        RawValue::from_string(text).map_err(serde::ser::Error::custom)?.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Command {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        Self::from_json(raw.get()).map_err(serde::de::Error::custom)
    }
}

fn to_json(command: &Command) -> Json {
    let mut object = Object::default();
    object.text("do", command.name());
    object.optional("id", command.id.as_deref());
    match &command.action {
        Action::RegisterCurrency(currency) => {
            object.text("code", &currency.code);
            object.put("scale", Json::Number(currency.scale.to_string()));
            object.optional("name", currency.name.as_deref());
        }
        Action::OpenAccount(account) => open_account(&mut object, account),
        Action::SetLimits(set) => {
            object.account(&set.account, set.currency.as_deref());
            object.limits(&set.limits);
            object.flag("force", set.force);
        }
        Action::Freeze(freeze) | Action::Unfreeze(freeze) => {
            object.account(&freeze.account, freeze.currency.as_deref());
            object.text("reason", &freeze.reason);
        }
        Action::CloseAccount(close) => object.account(&close.account, close.currency.as_deref()),
        Action::Post(post) => {
            object.legs(&post.legs);
            object.optional("text", post.text.as_deref());
        }
        Action::Transfer(money) => {
            object.between(money.amount, &money.route, money.currency.as_deref());
            object.flag("up_to", money.up_to);
            object.optional("text", money.text.as_deref());
        }
        Action::Hold(hold) => {
            match &hold.what {
                Held::Legs(legs) => object.legs(legs),
                Held::Amount { amount, route, currency } => object.between(*amount, route, currency.as_deref()),
            }
            object.time("expires_at", hold.expires_at);
            object.optional("text", hold.text.as_deref());
        }
        Action::Settle(settle) => {
            object.text("hold", &settle.hold);
            match &settle.part {
                Part::All => {}
                Part::Amount(amount) => object.amount("amount", Some(*amount)),
                Part::Legs(legs) => object.legs(legs),
            }
            object.flag("keep_rest", settle.keep_rest);
            object.optional("text", settle.text.as_deref());
        }
        Action::Void(void) => {
            object.text("hold", &void.hold);
            object.optional("reason", void.reason.as_deref());
        }
        Action::ExpireDue(expire) => object.time("now", expire.now),
        Action::Reverse(reverse) => {
            object.text("entry", &reverse.entry);
            object.optional("reason", reverse.reason.as_deref());
        }
        Action::AssertBalance(assert) => {
            object.account(&assert.account, assert.currency.as_deref());
            object.amount("amount", Some(assert.amount));
            object.time("as_of", assert.as_of);
        }
        Action::ClosePeriod(close) => object.text("through", &close.through.to_string()),
        Action::ReopenPeriod(reopen) => {
            object.optional("through", reopen.through.map(|date| date.to_string()).as_deref());
            object.text("reason", &reopen.reason);
        }
        Action::Record(record) => {
            object.text("entity", &record.entity);
            object.text("kind", &record.kind);
            // Data is only ever made from an object that was read.
            object.put("data", Json::parse(record.data.as_str()).unwrap_or(Json::Null));
            if let Some(version) = record.expected_version {
                object.put("expected_version", Json::Number(version.to_string()));
            }
        }
        Action::Batch(batch) => {
            object.put("commands", Json::Array(batch.commands.iter().map(to_json).collect()));
            object.put("atomic", Json::Bool(batch.atomic));
        }
        Action::Execute(_) | Action::Unreadable(_) => {}
    }
    object.time("at", command.at);
    object.optional("correlation", command.correlation.as_deref());
    object.meta(&command.meta);
    Json::Object(object.0)
}

fn open_account(object: &mut Object, account: &OpenAccount) {
    object.text("account", &account.account);
    object.text("currency", &account.currency);
    object.text("type", account.account_type.as_str());
    object.optional("normal", account.normal.map(crate::account::Side::as_str));
    if !account.limits.is_empty() {
        object.limits(&account.limits);
    }
    object.optional("owner", account.owner.as_deref());
    object.optional("name", account.name.as_deref());
}

fn leg(leg: &Leg) -> Json {
    let mut object = Object::default();
    object.text("account", &leg.account);
    object.amount(leg.amount.side().as_str(), Some(leg.amount.amount()));
    object.optional("currency", leg.currency.as_deref());
    Json::Object(object.0)
}

#[derive(Default)]
struct Object(Vec<(String, Json)>);

impl Object {
    fn put(&mut self, key: &str, value: Json) {
        self.0.push((key.to_owned(), value));
    }

    fn text(&mut self, key: &str, value: &str) {
        self.put(key, Json::Text(value.to_owned()));
    }

    fn optional(&mut self, key: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.text(key, value);
        }
    }

    fn amount(&mut self, key: &str, value: Option<Decimal>) {
        if let Some(value) = value {
            self.text(key, &value.to_string());
        }
    }

    fn time(&mut self, key: &str, value: Option<Timestamp>) {
        if let Some(value) = value {
            self.text(key, &value.to_string());
        }
    }

    fn flag(&mut self, key: &str, value: bool) {
        if value {
            self.put(key, Json::Bool(true));
        }
    }

    fn account(&mut self, code: &str, currency: Option<&str>) {
        self.text("account", code);
        self.optional("currency", currency);
    }

    fn legs(&mut self, legs: &[Leg]) {
        self.put("legs", Json::Array(legs.iter().map(leg).collect()));
    }

    fn between(&mut self, amount: Decimal, route: &Route, currency: Option<&str>) {
        self.amount("amount", Some(amount));
        let [first, second] = match route {
            Route::Sides { .. } => ["debit", "credit"],
            Route::Direction { .. } => ["from", "to"],
        };
        let codes = route.codes();
        self.text(first, codes[0]);
        self.text(second, codes[1]);
        self.optional("currency", currency);
    }

    fn limits(&mut self, limits: &Limits) {
        let mut object = Self::default();
        object.amount("floor", limits.floor);
        object.amount("ceiling", limits.ceiling);
        object.amount("daily_out", limits.daily_out);
        self.put("limits", Json::Object(object.0));
    }

    fn meta(&mut self, meta: &Meta) {
        if meta.is_empty() {
            return;
        }
        let entries = meta.iter().map(|(key, value)| (key.clone(), Json::Text(value.clone())));
        self.put("meta", Json::Object(entries.collect()));
    }
}
