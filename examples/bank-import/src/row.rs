//! A line as a row: strict, or not at all.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::Offset;
use rust_decimal::Decimal;

use crate::source::Line;

/// The header of `account.asc`.
pub const ACCOUNT_HEADER: &str = r#""account_id";"district_id";"frequency";"date""#;
/// The header of `trans.asc`.
pub const TRANS_HEADER: &str =
    r#""trans_id";"account_id";"date";"type";"operation";"amount";"balance";"k_symbol";"bank";"account""#;

/// The century of the dates, which are written `YYMMDD`: the data set covers 1993 to 1998.
const CENTURY: i16 = 1900;
/// Most digits behind the point: those of the koruna.
const DECIMALS: u32 = 2;

/// A row of `account.asc`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountRow {
    /// `account_id`
    pub account: u64,
    /// `district_id`: where the branch is.
    pub district: String,
    /// `frequency`: how often statements are issued.
    pub frequency: String,
    /// `date`: when it was opened, 00:00 UTC.
    pub opened: Timestamp,
}

/// A row of `trans.asc`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its line in the file.
    pub line: u64,
    /// `trans_id`
    pub trans_id: u64,
    /// `account_id`
    pub account: u64,
    /// `date`
    pub date: Date,
    /// 00:00 UTC of that date.
    pub at: Timestamp,
    /// `type`
    pub kind: Kind,
    /// `operation`, as it is written.
    pub operation: String,
    /// `amount`, never negative; the type says in which direction.
    pub amount: Decimal,
    /// `balance`: what the bank says is on the account after the row.
    pub balance: Decimal,
    /// `k_symbol`, as it is written.
    pub k_symbol: String,
    /// `bank`: two letters for the partner's bank.
    pub bank: String,
    /// `account`: the partner's account.
    pub partner: String,
}

impl Row {
    /// By how much the row moves the customer's balance.
    pub fn signed(&self) -> Decimal {
        if self.kind == Kind::Prijem { self.amount } else { -self.amount }
    }
}

/// `type`, in alphabetical order, which is also the order of the rows within a day (see [`crate::order`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `PRIJEM`: comes in.
    Prijem,
    /// `VYBER`: goes out, in cash.
    Vyber,
    /// `VYDAJ`: goes out.
    Vydaj,
}

impl Kind {
    /// The word of the file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Prijem => "PRIJEM",
            Self::Vyber => "VYBER",
            Self::Vydaj => "VYDAJ",
        }
    }

    fn parse(word: &str) -> Result<Self, String> {
        [Self::Prijem, Self::Vyber, Self::Vydaj]
            .into_iter()
            .find(|kind| kind.as_str() == word)
            .ok_or_else(|| format!("type {word:?} is none of PRIJEM, VYBER, VYDAJ"))
    }
}

/// Reads a line of `account.asc`.
///
/// # Errors
///
/// What is wrong with it.
pub fn account(line: &Line) -> Result<AccountRow, String> {
    let [account, district, frequency, opened] = fields(&line.text)?;
    Ok(AccountRow {
        account: number("account_id", account)?,
        district: district.to_owned(),
        frequency: frequency.to_owned(),
        opened: date(opened)?.1,
    })
}

/// Reads a line of `trans.asc`.
///
/// # Errors
///
/// What is wrong with it.
pub fn transaction(line: &Line) -> Result<Row, String> {
    let [trans_id, account, day, kind, operation, amount, balance, k_symbol, bank, partner] = fields(&line.text)?;
    let (date, at) = date(day)?;
    Ok(Row {
        line: line.number,
        trans_id: number("trans_id", trans_id)?,
        account: number("account_id", account)?,
        date,
        at,
        kind: Kind::parse(kind)?,
        operation: operation.to_owned(),
        amount: money("amount", amount, false)?,
        balance: money("balance", balance, true)?,
        k_symbol: k_symbol.to_owned(),
        bank: bank_code(bank)?.to_owned(),
        partner: partner.to_owned(),
    })
}

/// What can still be told from a line of `trans.asc` that is no row: its account and date. The last field of a
/// line that was cut is not relied on.
pub fn salvage(line: &Line) -> (Option<u64>, Option<Date>) {
    let mut parts: Vec<_> = line.text.split(';').collect();
    if !line.ended {
        parts.pop();
    }
    let account = parts.get(1).and_then(|text| number("", text).ok());
    (account, parts.get(2).and_then(|text| date(text).ok()).map(|(date, _)| date))
}

/// Splits at semicolons and takes quotes off. The format knows no quote or semicolon inside a field.
fn fields<const N: usize>(line: &str) -> Result<[&str; N], String> {
    let parts = line.split(';').map(unquoted).collect::<Result<Vec<_>, _>>()?;
    let count = parts.len();
    parts.try_into().map_err(|_| format!("{count} fields, not {N}"))
}

fn unquoted(field: &str) -> Result<&str, String> {
    let inner = match field.strip_prefix('"') {
        Some(rest) => rest.strip_suffix('"').ok_or_else(|| format!("a quote is not closed: {field}"))?,
        None => field,
    };
    let strange = |character: char| character == '"' || character == '\u{fffd}' || character.is_control();
    if inner.contains(strange) {
        return Err(format!("a character that does not belong there: {field:?}"));
    }
    Ok(inner)
}

fn number(name: &str, text: &str) -> Result<u64, String> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|_| digits);
    number.ok_or_else(|| format!("{name} {text:?} is no number"))
}

fn date(text: &str) -> Result<(Date, Timestamp), String> {
    let wrong = || format!("date {text:?} is no YYMMDD");
    let six = Some(text).filter(|text| text.len() == 6 && text.bytes().all(|byte| byte.is_ascii_digit()));
    let part = |from: usize| six.and_then(|text| text[from..from + 2].parse::<i8>().ok()).ok_or_else(wrong);
    let date = Date::new(CENTURY + i16::from(part(0)?), part(2)?, part(4)?).map_err(|_| wrong())?;
    let at = Offset::UTC.to_timestamp(date.at(0, 0, 0, 0)).map_err(|_| wrong())?;
    Ok((date, at))
}

/// Digits, a point and at most two decimals; exact, nothing is rounded.
fn money(name: &str, text: &str, signed: bool) -> Result<Decimal, String> {
    let digits = text.strip_prefix('-').filter(|_| signed).unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(whole) || !is_number(fraction) {
        return Err(format!("{name} {text:?} is no amount"));
    }
    let amount = Decimal::from_str_exact(text).map_err(|_| format!("{name} {text:?} is too long"))?;
    if amount.scale() > DECIMALS {
        return Err(format!("{name} {text:?} has more than {DECIMALS} decimals"));
    }
    Ok(amount)
}

/// The bank's code becomes a segment of an account code.
fn bank_code(text: &str) -> Result<&str, String> {
    let good = text.len() <= 8 && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if good { Ok(text) } else { Err(format!("bank {text:?} is no bank code")) }
}

#[cfg(test)]
mod tests {
    use rust_decimal::dec;

    use super::*;

    const GOOD: &str = r#"7;42;930131;"VYDAJ";"PREVOD NA UCET";12.50;-3.00;" ";"AB";"123""#;

    fn line(text: &str) -> Line {
        Line { number: 9, text: text.to_owned(), ended: true }
    }

    #[test]
    fn a_line_is_read_field_by_field() {
        let row = transaction(&line(GOOD)).unwrap();
        assert_eq!((row.line, row.trans_id, row.account), (9, 7, 42));
        assert_eq!(row.at.to_string(), "1993-01-31T00:00:00Z");
        assert_eq!((row.kind, row.operation.as_str(), row.k_symbol.as_str()), (Kind::Vydaj, "PREVOD NA UCET", " "));
        assert_eq!((row.amount, row.balance, row.signed()), (dec!(12.50), dec!(-3.00), dec!(-12.50)));
        assert_eq!((row.bank.as_str(), row.partner.as_str()), ("AB", "123"));
    }

    #[test]
    fn a_line_that_is_not_to_the_letter_is_no_row() {
        for (from, to) in [
            (";", ","),
            ("\"123\"", "\"123\";"),
            ("\"123\"", "\"12"),
            ("\"AB\"", "\"A\"B\""),
            ("\"AB\"", "\"a:b\""),
            ("930131", "930231"),
            ("930131", "93013"),
            ("VYDAJ", "VYDEJ"),
            ("12.50", "-12.50"),
            ("12.50", "12.505"),
            ("12.50", "1e2"),
            ("12.50", "12."),
            ("12.50", ""),
            ("42", "+42"),
        ] {
            let text = GOOD.replacen(from, to, 1);
            assert!(transaction(&line(&text)).is_err(), "{text} was taken for a row");
        }
    }

    #[test]
    fn a_cut_line_still_tells_whose_it_was_but_its_last_field_is_not_believed() {
        let cut = |text: &str| salvage(&Line { ended: false, ..line(text) });
        let day = "1993-01-31".parse().ok();
        assert_eq!(cut(r#"7;42;930131;"VYD"#), (Some(42), day));
        assert_eq!(cut("7;42;930131"), (Some(42), None));
        assert_eq!(cut("7;42"), (None, None));
        assert_eq!(salvage(&line("7;42;930131")), (Some(42), day));
    }

    #[test]
    fn an_account_is_read_with_its_date_of_opening() {
        let row = account(&line(r#"576;55;"POPLATEK MESICNE";930101"#)).unwrap();
        assert_eq!((row.account, row.district.as_str()), (576, "55"));
        assert_eq!(row.opened.to_string(), "1993-01-01T00:00:00Z");
        assert!(account(&line("576;55;930101")).is_err());
    }
}
