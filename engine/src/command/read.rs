//! JSON to [`Command`]: types and grammar, each error with the path of its field.

use jiff::Timestamp;
use jiff::civil::Date;
use rust_decimal::Decimal;

use super::json::{Json, join};
use super::shape;
use super::{
    Action, AssertBalance, CloseAccount, ClosePeriod, Command, CommandBatch, Data, ExpireDue, Freeze, Held, Leg,
    MAX_BATCH, Meta, OpenAccount, Part, PlaceHold, Post, Record, RegisterCurrency, ReopenPeriod, ReverseEntry, Route,
    SetLimits, SettleHold, TransferMoney, VoidHold,
};
use crate::account::{AccountType, Limits, Side};
use crate::event::SideAmount;
use crate::money;
use crate::outcome::Invalid;

pub(super) fn command(text: &str) -> Result<Command, Invalid> {
    let not_an_object = |message: String| Invalid::new("", Some(text.to_owned()), message);
    member(Json::parse(text).map_err(not_an_object)?)
}

/// A command, or a member of a batch.
fn member(json: Json) -> Result<Command, Invalid> {
    match json {
        Json::Object(entries) => read_command(Fields::new(entries)?),
        Json::Refused(why) => Err(Invalid::new("", None, why)),
        other => Err(Invalid::new("", Some(other.compact()), "a command is a JSON object")),
    }
}

fn read_command(mut fields: Fields) -> Result<Command, Invalid> {
    let name = fields.text("do")?;
    let id = fields.optional_text("id")?;
    let meta = fields.meta()?;
    let correlation = fields.optional_text("correlation")?;
    let at = fields.time("at")?;
    let action = match name.as_str() {
        "register_currency" => register_currency(&mut fields)?,
        "open_account" => open_account(&mut fields)?,
        "set_limits" => set_limits(&mut fields)?,
        "freeze" => Action::Freeze(freeze(&mut fields)?),
        "unfreeze" => Action::Unfreeze(freeze(&mut fields)?),
        "close_account" => close_account(&mut fields)?,
        "post" => post(&mut fields)?,
        "transfer" => transfer(&mut fields)?,
        "hold" => hold(&mut fields)?,
        "settle" => settle(&mut fields)?,
        "void" => void(&mut fields)?,
        "expire_due" => Action::ExpireDue(ExpireDue { now: fields.time("now")? }),
        "reverse" => reverse(&mut fields)?,
        "assert_balance" => assert_balance(&mut fields)?,
        "close_period" => close_period(&mut fields)?,
        "reopen_period" => reopen_period(&mut fields)?,
        "record" => record(&mut fields)?,
        "batch" => batch(&mut fields)?,
        _ => return Err(Invalid::new("do", Some(name), "no such command")),
    };
    fields.finish()?;
    Ok(Command { id, meta, correlation, at, action })
}

fn register_currency(fields: &mut Fields) -> Result<Action, Invalid> {
    Ok(Action::RegisterCurrency(RegisterCurrency {
        code: fields.text("code")?,
        scale: fields.scale("scale")?,
        name: fields.optional_text("name")?,
    }))
}

fn open_account(fields: &mut Fields) -> Result<Action, Invalid> {
    Ok(Action::OpenAccount(OpenAccount {
        account: fields.text("account")?,
        currency: fields.text("currency")?,
        account_type: fields.account_type("type")?,
        normal: fields.side("normal")?,
        limits: fields.limits("limits")?.unwrap_or_default(),
        owner: fields.optional_text("owner")?,
        name: fields.optional_text("name")?,
    }))
}

fn set_limits(fields: &mut Fields) -> Result<Action, Invalid> {
    let account = fields.text("account")?;
    let currency = fields.optional_text("currency")?;
    let limits = fields.limits("limits")?.ok_or_else(|| fields.missing("limits"))?;
    Ok(Action::SetLimits(SetLimits { account, currency, limits, force: fields.flag("force")?.unwrap_or(false) }))
}

fn freeze(fields: &mut Fields) -> Result<Freeze, Invalid> {
    Ok(Freeze {
        account: fields.text("account")?,
        currency: fields.optional_text("currency")?,
        reason: fields.text("reason")?,
    })
}

fn close_account(fields: &mut Fields) -> Result<Action, Invalid> {
    Ok(Action::CloseAccount(CloseAccount {
        account: fields.text("account")?,
        currency: fields.optional_text("currency")?,
    }))
}

fn post(fields: &mut Fields) -> Result<Action, Invalid> {
    let legs = fields.legs("legs")?.ok_or_else(|| fields.missing("legs"))?;
    Ok(Action::Post(Post { legs, text: fields.optional_text("text")? }))
}

fn hold(fields: &mut Fields) -> Result<Action, Invalid> {
    let what = match (fields.legs("legs")?, fields.amount("amount", false)?) {
        (Some(_), Some(amount)) => {
            return Err(Invalid::new("amount", Some(amount.to_string()), "a hold has legs or an amount, not both"));
        }
        (Some(legs), None) => Held::Legs(legs),
        (None, Some(amount)) => {
            Held::Amount { amount, route: fields.route()?, currency: fields.optional_text("currency")? }
        }
        (None, None) => return Err(fields.missing("legs")),
    };
    let expires_at = fields.time("expires_at")?;
    Ok(Action::Hold(PlaceHold { what, expires_at, text: fields.optional_text("text")? }))
}

fn settle(fields: &mut Fields) -> Result<Action, Invalid> {
    let hold = fields.text("hold")?;
    let part = match (fields.legs("legs")?, fields.amount("amount", false)?) {
        (Some(_), Some(amount)) => {
            return Err(Invalid::new("amount", Some(amount.to_string()), "settle by legs or by an amount, not both"));
        }
        (Some(legs), None) => Part::Legs(legs),
        (None, Some(amount)) => Part::Amount(amount),
        (None, None) => Part::All,
    };
    let keep_rest = fields.flag("keep_rest")?.unwrap_or(false);
    Ok(Action::Settle(SettleHold { hold, part, keep_rest, text: fields.optional_text("text")? }))
}

fn void(fields: &mut Fields) -> Result<Action, Invalid> {
    Ok(Action::Void(VoidHold { hold: fields.text("hold")?, reason: fields.optional_text("reason")? }))
}

fn reverse(fields: &mut Fields) -> Result<Action, Invalid> {
    Ok(Action::Reverse(ReverseEntry { entry: fields.text("entry")?, reason: fields.optional_text("reason")? }))
}

fn assert_balance(fields: &mut Fields) -> Result<Action, Invalid> {
    Ok(Action::AssertBalance(AssertBalance {
        account: fields.text("account")?,
        currency: fields.optional_text("currency")?,
        amount: fields.amount("amount", true)?.ok_or_else(|| fields.missing("amount"))?,
        as_of: fields.time("as_of")?,
    }))
}

fn close_period(fields: &mut Fields) -> Result<Action, Invalid> {
    let through = fields.date("through")?.ok_or_else(|| fields.missing("through"))?;
    Ok(Action::ClosePeriod(ClosePeriod { through }))
}

fn reopen_period(fields: &mut Fields) -> Result<Action, Invalid> {
    Ok(Action::ReopenPeriod(ReopenPeriod { through: fields.date("through")?, reason: fields.text("reason")? }))
}

fn read_leg(path: &str, leg: Json) -> Result<Leg, Invalid> {
    let mut fields = Fields::nested(path, leg)?;
    let account = fields.text("account")?;
    let amount = match (fields.amount("debit", false)?, fields.amount("credit", false)?) {
        (Some(amount), None) => SideAmount::Debit(amount),
        (None, Some(amount)) => SideAmount::Credit(amount),
        (None, None) => return Err(Invalid::new(path, None, "a leg needs a debit or a credit")),
        (Some(_), Some(_)) => return Err(Invalid::new(path, None, "a leg has a debit or a credit, not both")),
    };
    let currency = fields.optional_text("currency")?;
    fields.finish()?;
    Ok(Leg { account, amount, currency })
}

fn transfer(fields: &mut Fields) -> Result<Action, Invalid> {
    let amount = fields.amount("amount", false)?.ok_or_else(|| fields.missing("amount"))?;
    Ok(Action::Transfer(TransferMoney {
        amount,
        route: fields.route()?,
        currency: fields.optional_text("currency")?,
        up_to: fields.flag("up_to")?.unwrap_or(false),
        text: fields.optional_text("text")?,
    }))
}

fn record(fields: &mut Fields) -> Result<Action, Invalid> {
    Ok(Action::Record(Record {
        entity: fields.text("entity")?,
        kind: fields.text("kind")?,
        data: fields.data("data")?,
        schema: 1,
        expected_version: fields.count("expected_version")?,
    }))
}

fn batch(fields: &mut Fields) -> Result<Action, Invalid> {
    let members = fields.array("commands")?;
    let atomic = fields.flag("atomic")?.ok_or_else(|| fields.missing("atomic"))?;
    if members.len() > MAX_BATCH {
        // Before they are read: one that is no command takes a hundred times the memory of its text.
        return Err(shape::wrong_number_of_members(members.len()));
    }
    let commands = members
        .into_iter()
        .map(member)
        .map(|read| read.unwrap_or_else(|invalid| Command::new(Action::Unreadable(invalid))));
    Ok(Action::Batch(CommandBatch { commands: commands.collect(), atomic }))
}

/// The fields of one object that are still to be read.
struct Fields {
    path: String,
    entries: Vec<(String, Json)>,
}

impl Fields {
    /// The fields of a command. What is refused within the members of a batch is theirs to answer.
    fn new(entries: Vec<(String, Json)>) -> Result<Self, Invalid> {
        let is_batch = entries.iter().any(|(key, value)| key == "do" && *value == Json::Text("batch".to_owned()));
        let own = entries.iter().filter(|(key, _)| !(is_batch && key == "commands"));
        for (key, value) in own {
            if let Some((path, why)) = value.refused() {
                return Err(Invalid::new(join(key, &path), None, why));
            }
        }
        Ok(Self { path: String::new(), entries })
    }

    fn nested(path: &str, json: Json) -> Result<Self, Invalid> {
        match json {
            Json::Object(entries) => Ok(Self { path: path.to_owned(), entries }),
            other => Err(Invalid::new(path, Some(other.compact()), "this is a JSON object")),
        }
    }

    fn path(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    /// Takes a field out; null is as good as absent.
    fn take(&mut self, name: &str) -> Option<Json> {
        let index = self.entries.iter().position(|(key, _)| key == name)?;
        let (_, value) = self.entries.swap_remove(index);
        (value != Json::Null).then_some(value)
    }

    fn missing(&self, name: &str) -> Invalid {
        Invalid::new(self.path(name), None, "this field is required")
    }

    fn wrong(&self, name: &str, value: &Json, message: &str) -> Invalid {
        let value = match value {
            Json::Text(text) => text.clone(),
            other => other.compact(),
        };
        Invalid::new(self.path(name), Some(value), message)
    }

    fn finish(self) -> Result<(), Invalid> {
        match self.entries.first() {
            None => Ok(()),
            Some((name, value)) => Err(self.wrong(name, value, "no such field")),
        }
    }

    fn text(&mut self, name: &str) -> Result<String, Invalid> {
        self.optional_text(name)?.ok_or_else(|| self.missing(name))
    }

    fn optional_text(&mut self, name: &str) -> Result<Option<String>, Invalid> {
        match self.take(name) {
            None => Ok(None),
            Some(Json::Text(text)) => Ok(Some(text)),
            Some(other) => Err(self.wrong(name, &other, "this is a string")),
        }
    }

    fn amount(&mut self, name: &str, signed: bool) -> Result<Option<Decimal>, Invalid> {
        match self.take(name) {
            None => Ok(None),
            Some(Json::Text(text)) => match money::parse(&text, signed) {
                Ok(amount) => Ok(Some(amount)),
                Err(message) => Err(Invalid::new(self.path(name), Some(text), message)),
            },
            Some(other) => Err(self.wrong(name, &other, "an amount is a string, such as \"12.50\"")),
        }
    }

    fn time(&mut self, name: &str) -> Result<Option<Timestamp>, Invalid> {
        self.optional_text(name)?
            .map(|text| time(&text).map_err(|why| Invalid::new(self.path(name), Some(text), why)))
            .transpose()
    }

    fn flag(&mut self, name: &str) -> Result<Option<bool>, Invalid> {
        match self.take(name) {
            None => Ok(None),
            Some(Json::Bool(value)) => Ok(Some(value)),
            Some(other) => Err(self.wrong(name, &other, "this is true or false")),
        }
    }

    fn count(&mut self, name: &str) -> Result<Option<i64>, Invalid> {
        match self.take(name) {
            None => Ok(None),
            Some(Json::Number(digits)) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits
                .parse()
                .map(Some)
                .map_err(|_| self.wrong(name, &Json::Number(digits), "this number is too large")),
            Some(other) => Err(self.wrong(name, &other, "this is a whole number from 0")),
        }
    }

    fn scale(&mut self, name: &str) -> Result<u8, Invalid> {
        let count = self.count(name)?.ok_or_else(|| self.missing(name))?;
        u8::try_from(count).map_err(|_| Invalid::new(self.path(name), Some(count.to_string()), "a scale is 0 to 18"))
    }

    fn account_type(&mut self, name: &str) -> Result<AccountType, Invalid> {
        let word = self.text(name)?;
        Ok(match word.as_str() {
            "asset" => AccountType::Asset,
            "expense" => AccountType::Expense,
            "liability" => AccountType::Liability,
            "equity" => AccountType::Equity,
            "income" => AccountType::Income,
            _ => {
                let message = "a type is asset, expense, liability, equity or income";
                return Err(Invalid::new(self.path(name), Some(word), message));
            }
        })
    }

    fn side(&mut self, name: &str) -> Result<Option<Side>, Invalid> {
        match self.optional_text(name)?.as_deref() {
            None => Ok(None),
            Some("debit") => Ok(Some(Side::Debit)),
            Some("credit") => Ok(Some(Side::Credit)),
            Some(other) => Err(Invalid::new(self.path(name), Some(other.to_owned()), "a side is debit or credit")),
        }
    }

    fn limits(&mut self, name: &str) -> Result<Option<Limits>, Invalid> {
        let Some(json) = self.take(name) else { return Ok(None) };
        let mut fields = Self::nested(&self.path(name), json)?;
        let limits = Limits {
            floor: fields.amount("floor", true)?,
            ceiling: fields.amount("ceiling", true)?,
            daily_out: fields.amount("daily_out", false)?,
        };
        fields.finish()?;
        Ok(Some(limits))
    }

    fn legs(&mut self, name: &str) -> Result<Option<Vec<Leg>>, Invalid> {
        match self.take(name) {
            None => Ok(None),
            Some(Json::Array(legs)) => {
                let legs = legs.into_iter().enumerate();
                let read = legs.map(|(index, leg)| read_leg(&self.path(&format!("{name}[{index}]")), leg));
                read.collect::<Result<_, _>>().map(Some)
            }
            Some(other) => Err(self.wrong(name, &other, "this is an array")),
        }
    }

    fn date(&mut self, name: &str) -> Result<Option<Date>, Invalid> {
        let Some(text) = self.optional_text(name)? else { return Ok(None) };
        // The parser knows other spellings of a date; the contract does not.
        let date = text.parse::<Date>().ok().filter(|date| date.to_string() == text);
        let wrong = || Invalid::new(self.path(name), Some(text.clone()), "a date is YYYY-MM-DD");
        date.ok_or_else(wrong).map(Some)
    }

    fn route(&mut self) -> Result<Route, Invalid> {
        let (debit, credit) = (self.optional_text("debit")?, self.optional_text("credit")?);
        let (from, to) = (self.optional_text("from")?, self.optional_text("to")?);
        match (debit, credit, from, to) {
            (Some(debit), Some(credit), None, None) => Ok(Route::Sides { debit, credit }),
            (None, None, Some(from), Some(to)) => Ok(Route::Direction { from, to }),
            (debit, credit, from, to) => {
                let named_sides = debit.is_some() || credit.is_some();
                let field = match (named_sides, from.is_some() || to.is_some()) {
                    (true, true) => {
                        if from.is_some() {
                            "from"
                        } else {
                            "to"
                        }
                    }
                    (true, false) => {
                        if debit.is_none() {
                            "debit"
                        } else {
                            "credit"
                        }
                    }
                    (false, _) => {
                        if from.is_none() {
                            "from"
                        } else {
                            "to"
                        }
                    }
                };
                Err(Invalid::new(self.path(field), None, "name both accounts: either debit and credit, or from and to"))
            }
        }
    }

    fn array(&mut self, name: &str) -> Result<Vec<Json>, Invalid> {
        match self.take(name) {
            None => Err(self.missing(name)),
            Some(Json::Array(items)) => Ok(items),
            Some(other) => Err(self.wrong(name, &other, "this is an array")),
        }
    }

    fn data(&mut self, name: &str) -> Result<Data, Invalid> {
        match self.take(name) {
            None => Err(self.missing(name)),
            Some(object @ Json::Object(_)) => Ok(Data(object.compact())),
            Some(other) => Err(self.wrong(name, &other, "this is a JSON object")),
        }
    }

    fn meta(&mut self) -> Result<Meta, Invalid> {
        let Some(json) = self.take("meta") else { return Ok(Meta::new()) };
        let fields = Self::nested(&self.path("meta"), json)?;
        let mut meta = Meta::new();
        for (key, value) in fields.entries {
            match value {
                Json::Null => continue,
                Json::Text(text) => meta.insert(key, text),
                other => {
                    let field = format!("meta.{key}");
                    return Err(Invalid::new(field, Some(other.compact()), "meta holds strings only"));
                }
            };
        }
        Ok(meta)
    }
}

/// Reads RFC 3339 with an offset and at most 6 fractional digits.
pub(crate) fn time(text: &str) -> Result<Timestamp, &'static str> {
    const GRAMMAR: &str = "a time is RFC 3339 with an offset, such as 2025-03-01T09:30:00Z";
    let bytes = text.as_bytes();
    let digits =
        |range: std::ops::Range<usize>| bytes.get(range).is_some_and(|part| part.iter().all(u8::is_ascii_digit));
    let signs = |at: usize, allowed: &[u8]| bytes.get(at).is_some_and(|byte| allowed.contains(byte));
    let date = digits(0..4) && signs(4, b"-") && digits(5..7) && signs(7, b"-") && digits(8..10);
    let clock =
        signs(10, b"Tt ") && digits(11..13) && signs(13, b":") && digits(14..16) && signs(16, b":") && digits(17..19);
    if !date || !clock {
        return Err(GRAMMAR);
    }
    let rest = &text[19..];
    let fraction = rest.strip_prefix('.').map_or(0, |rest| rest.bytes().take_while(u8::is_ascii_digit).count());
    if rest.starts_with('.') && fraction == 0 {
        return Err(GRAMMAR);
    }
    if fraction > 6 {
        return Err("a time has at most 6 fractional digits");
    }
    let offset = if fraction > 0 { &rest[fraction + 1..] } else { rest };
    let numeric = offset.len() == 6
        && offset.starts_with(['+', '-'])
        && offset
            .as_bytes()
            .iter()
            .enumerate()
            .skip(1)
            .all(|(at, byte)| if at == 3 { *byte == b':' } else { byte.is_ascii_digit() })
        && offset[1..3] < *"24"
        && offset[4..] < *"60";
    if !(numeric || offset.eq_ignore_ascii_case("z")) {
        return Err(GRAMMAR);
    }
    text.parse().map_err(|_| GRAMMAR)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invalid(text: &str) -> (String, Option<String>) {
        let invalid = command(text).unwrap_err();
        (invalid.field, invalid.value)
    }

    #[test]
    fn an_error_names_the_path_and_the_value() {
        let cases = [
            ("nonsense", "", Some("nonsense")),
            (r#"{"do":"fly","do":"swim"}"#, "", None),
            (r#"{"do":"post","id":"x","legs":[{"account":"a","account":"b","debit":"1"}]}"#, "legs[0]", None),
            (r#"{"do":"record","entity":"a/b","kind":"k","data":{"x":[{"y":"\u0000"}]}}"#, "data.x[0].y", None),
            ("[]", "", Some("[]")),
            (r#"{"id":"x"}"#, "do", None),
            (r#"{"do":"fly"}"#, "do", Some("fly")),
            (r#"{"do":"post","id":7,"legs":[]}"#, "id", Some("7")),
            (r#"{"do":"post","id":"x","legs":[],"colour":"red"}"#, "colour", Some("red")),
            (r#"{"do":"post","id":"x","legs":[{"account":"a","debit":1.5}]}"#, "legs[0].debit", Some("1.5")),
            (r#"{"do":"post","id":"x","legs":[{"account":"a","debit":"-1"}]}"#, "legs[0].debit", Some("-1")),
            (r#"{"do":"post","id":"x","legs":[{"account":"a","debit":"1","credit":"1"}]}"#, "legs[0]", None),
            (r#"{"do":"post","id":"x","legs":[{"account":"a","debit":"1","x":null}]}"#, "legs[0].x", Some("null")),
            (r#"{"do":"transfer","id":"x","amount":"1","from":"a","credit":"b"}"#, "from", None),
            (r#"{"do":"transfer","id":"x","amount":"1","from":"a"}"#, "to", None),
            (r#"{"do":"open_account","account":"a","currency":"EUR","type":"cash"}"#, "type", Some("cash")),
            (
                r#"{"do":"open_account","account":"a","currency":"EUR","type":"asset","limits":{"floor":0}}"#,
                "limits.floor",
                Some("0"),
            ),
            (r#"{"do":"register_currency","code":"P","scale":"2"}"#, "scale", Some("2")),
            (r#"{"do":"record","entity":"a/b","kind":"k","data":[]}"#, "data", Some("[]")),
            (
                r#"{"do":"record","entity":"a/b","kind":"k","data":{},"expected_version":-1}"#,
                "expected_version",
                Some("-1"),
            ),
            (r#"{"do":"batch","commands":[]}"#, "atomic", None),
            (r#"{"do":"post","id":"x","meta":{"a":1},"legs":[]}"#, "meta.a", Some("1")),
        ];
        for (text, field, value) in cases {
            assert_eq!(invalid(text), (field.to_owned(), value.map(str::to_owned)), "{text}");
        }
    }

    #[test]
    fn null_is_as_good_as_absent() {
        let with = r#"{"do":"transfer","id":"x","amount":"1","from":"a","to":"b","debit":null,"at":null,"up_to":null}"#;
        let without = r#"{"do":"transfer","id":"x","amount":"1","from":"a","to":"b"}"#;
        assert_eq!(command(with).unwrap(), command(without).unwrap());
    }

    #[test]
    fn a_member_of_a_batch_that_cannot_be_read_leaves_its_neighbours() {
        let text = r#"{"do":"batch","atomic":false,"commands":[{"do":"fly"},7,{"do":"void","do":"void"},{"do":"void","id":"\u0000"}]}"#;
        let Action::Batch(batch) = command(text).unwrap().action else { panic!("a batch") };
        assert!(batch.commands.iter().all(|member| matches!(member.action, Action::Unreadable(_))));
    }

    #[test]
    fn times_are_rfc_3339_with_an_offset() {
        for good in ["2025-03-01T09:30:00Z", "2025-03-01T09:30:00.123456+02:00", "2025-03-01t09:30:00z"] {
            assert!(time(good).is_ok(), "{good}");
        }
        for bad in [
            "2025-03-01",
            "2025-03-01T09:30:00",
            "2025-03-01T09:30:00.1234567Z",
            "2025-03-01T09:30Z",
            "2025-02-30T00:00:00Z",
            "2025-03-01T09:30:00+0200",
            "2025-03-01T09:30:00[UTC]",
            "2025-03-01T09:30:00.Z",
            "now",
            "",
        ] {
            assert!(time(bad).is_err(), "{bad}");
        }
    }
}
