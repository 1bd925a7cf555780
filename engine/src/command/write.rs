//! [`Command`] to JSON, defaults left out.

use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use super::{Action, Command, Leg, Meta, OpenAccount, Route, TransferMoney, json::Json};
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
        Action::Post(post) => {
            object.put("legs", Json::Array(post.legs.iter().map(leg).collect()));
            object.optional("text", post.text.as_deref());
        }
        Action::Transfer(money) => transfer(&mut object, money),
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
        Action::Unreadable(_) => {}
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
    object.limits(&account.limits);
    object.optional("owner", account.owner.as_deref());
    object.optional("name", account.name.as_deref());
}

fn transfer(object: &mut Object, transfer: &TransferMoney) {
    object.amount("amount", Some(transfer.amount));
    match &transfer.route {
        Route::Sides { debit, credit } => {
            object.text("debit", debit);
            object.text("credit", credit);
        }
        Route::Direction { from, to } => {
            object.text("from", from);
            object.text("to", to);
        }
    }
    object.optional("currency", transfer.currency.as_deref());
    if transfer.up_to {
        object.put("up_to", Json::Bool(true));
    }
    object.optional("text", transfer.text.as_deref());
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

    fn limits(&mut self, limits: &Limits) {
        if limits.is_empty() {
            return;
        }
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
