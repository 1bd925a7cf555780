//! Money as whole minor units, and its decimal text.

use std::fmt;

/// The two currencies of the bank.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Currency {
    /// Euro: minor units are cents.
    Eur,
    /// Loyalty points, which have no decimals and must be registered.
    Points,
}

impl Currency {
    /// The code that commands use.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Eur => "EUR",
            Self::Points => "POINTS",
        }
    }

    /// The currency of a code, if the bank has it.
    pub fn from_code(code: &str) -> Option<Self> {
        [Self::Eur, Self::Points].into_iter().find(|currency| currency.code() == code)
    }

    /// Minor units as the decimal text of a command or a query: `1250` is `12.50` EUR.
    pub fn text(self, minor: i64) -> String {
        let sign = if minor < 0 { "-" } else { "" };
        let size = minor.unsigned_abs();
        match self {
            Self::Eur => format!("{sign}{}.{:02}", size / 100, size % 100),
            Self::Points => format!("{sign}{size}"),
        }
    }

    /// The minor units of a decimal text at this currency's scale; `None` for any other text.
    pub fn minor(self, text: &str) -> Option<i64> {
        let (sign, digits) = match text.strip_prefix('-') {
            Some(rest) => (-1, rest),
            None => (1, text),
        };
        let whole_number = match self {
            Self::Eur => {
                let (whole, cents) = digits.split_once('.')?;
                (cents.len() == 2 && !whole.is_empty()).then(|| format!("{whole}{cents}"))?
            }
            Self::Points => digits.to_owned(),
        };
        // `parse` alone would let a second sign through.
        if !whole_number.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        whole_number.parse::<i64>().ok().map(|minor| sign * minor)
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.code())
    }
}

/// Decimal text with thousands parted, for people: `1234567.80` becomes `1,234,567.80`.
pub fn grouped(text: &str) -> String {
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text),
    };
    let (whole, fraction) = rest.split_once('.').map_or((rest, None), |(whole, fraction)| (whole, Some(fraction)));
    let mut grouped = String::from(sign);
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    if let Some(fraction) = fraction {
        grouped.push('.');
        grouped.push_str(fraction);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::{Currency, grouped};

    #[test]
    fn cents_become_two_decimals() {
        for (minor, text) in [(0, "0.00"), (5, "0.05"), (1250, "12.50"), (-705, "-7.05")] {
            assert_eq!(Currency::Eur.text(minor), text);
            assert_eq!(Currency::Eur.minor(text), Some(minor));
        }
    }

    #[test]
    fn points_have_no_decimals() {
        assert_eq!(Currency::Points.text(42), "42");
        assert_eq!(Currency::Points.minor("42"), Some(42));
        assert_eq!(Currency::Points.minor("42.0"), None);
    }

    #[test]
    fn other_texts_are_no_euros() {
        for text in ["", "1", "1.5", "1.500", ".50", "--1.00", "+1.00", "1.-5", "a.00"] {
            assert_eq!(Currency::Eur.minor(text), None, "{text}");
        }
    }

    #[test]
    fn thousands_are_parted() {
        for (text, expected) in [("0.00", "0.00"), ("999", "999"), ("1000", "1,000"), ("-1234567.80", "-1,234,567.80")]
        {
            assert_eq!(grouped(text), expected);
        }
    }
}
