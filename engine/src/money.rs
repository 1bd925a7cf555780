//! Amounts: exact decimals outside, whole minor units inside.
//!
//! No amount, no side of an entry and no running total reaches [`LIMIT`] minor units, so sums of two
//! never leave the 96 bits of a [`Decimal`].

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use rust_decimal::Decimal;

/// 10^28: what every amount and total stays below, in minor units of its currency.
pub(crate) const LIMIT: i128 = 10_i128.pow(28);

/// Most digits behind the decimal point that a currency may have.
pub(crate) const MAX_SCALE: u8 = 18;

/// A signed number of minor units (cents, for EUR) of a currency known from context.
pub(crate) type Minor = i128;

/// Why a decimal is no amount of a currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AmountError {
    /// More digits behind the point than the currency has, counted as written.
    Scale,
    /// 10^28 minor units or more.
    Overflow,
}

/// The decimal in minor units of a currency with this scale.
pub(crate) fn to_minor(amount: Decimal, scale: u8) -> Result<Minor, AmountError> {
    let missing = u32::from(scale).checked_sub(amount.scale()).ok_or(AmountError::Scale)?;
    let minor = amount.mantissa().checked_mul(10_i128.pow(missing)).ok_or(AmountError::Overflow)?;
    within(minor).ok_or(AmountError::Overflow)
}

/// Minor units as a decimal at the currency's scale.
///
/// Only for numbers below [`LIMIT`], which fit by construction.
pub(crate) fn to_decimal(minor: Minor, scale: u8) -> Decimal {
    Decimal::try_from_i128_with_scale(minor, u32::from(scale)).unwrap_or(Decimal::MAX)
}

/// The sum, if it stays within [`LIMIT`].
pub(crate) fn add(left: Minor, right: Minor) -> Option<Minor> {
    left.checked_add(right).and_then(within)
}

/// The UTC day of a recorded time, by which outflow is counted.
pub(crate) fn day(time: Timestamp) -> Date {
    time.to_zoned(TimeZone::UTC).date()
}

fn within(minor: Minor) -> Option<Minor> {
    (minor.abs() < LIMIT).then_some(minor)
}

/// Reads `(0|[1-9][0-9]*)(\.[0-9]+)?`, with a leading `-` where `signed`, of at most 28 digits.
pub(crate) fn parse(text: &str, signed: bool) -> Result<Decimal, &'static str> {
    let digits = match text.strip_prefix('-') {
        Some(rest) if signed => rest,
        Some(_) => return Err("an amount has no sign; the side says debit or credit"),
        None => text,
    };
    let (whole, fraction) = match digits.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (digits, None),
    };
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(whole) || fraction.is_some_and(|part| !is_number(part)) {
        return Err("an amount is written as digits, with a point before the decimals: 12.50");
    }
    if whole.len() > 1 && whole.starts_with('0') {
        return Err("an amount has no leading zeros");
    }
    let count = whole.len() + fraction.map_or(0, str::len);
    if count > 28 {
        return Err("an amount has at most 28 digits");
    }
    Decimal::from_str_exact(text).map_err(|_| "an amount has at most 28 digits")
}

/// The scale of an active ISO 4217 currency that has a minor unit.
pub(crate) fn iso_scale(code: &str) -> Option<u8> {
    let currency = iso_currency::Currency::from_code(code)?;
    let active = currency.is_superseded().is_none();
    let scale = currency.exponent().and_then(|exponent| u8::try_from(exponent).ok());
    scale.filter(|_| active)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_to_the_letter() {
        for good in ["0", "1", "10", "12.50", "0.000000000000000001", "9999999999999999999999999999"] {
            let read = parse(good, false).map(|amount| amount.to_string());
            assert_eq!(read.as_deref(), Ok(good));
        }
        for bad in
            ["", "-1", "+1", "01", "1.", ".5", "1e3", " 1", "1 ", "1,5", "٣", "1.2.3", "99999999999999999999999999999"]
        {
            assert!(parse(bad, false).is_err(), "{bad:?} was taken for an amount");
        }
        assert!(parse("-500", true).is_ok());
        assert!(parse("--1", true).is_err());
    }

    #[test]
    fn digits_count_as_written_and_nothing_is_rounded() {
        let amount = |text| parse(text, false).unwrap();
        assert_eq!(to_minor(amount("1.5"), 2), Ok(150));
        assert_eq!(to_minor(amount("1.500"), 2), Err(AmountError::Scale));
        assert_eq!(to_minor(amount("9999999999999999999999999999"), 2), Err(AmountError::Overflow));
        assert_eq!(to_minor(amount("9999999999999999999999999999"), 0), Ok(LIMIT - 1));
        assert_eq!(to_decimal(150, 2).to_string(), "1.50");
    }

    #[test]
    fn iso_currencies_with_a_minor_unit_are_known() {
        assert_eq!(iso_scale("EUR"), Some(2));
        assert_eq!(iso_scale("JPY"), Some(0));
        assert_eq!(iso_scale("BHD"), Some(3));
        for other in ["XAU", "BTC", "POINTS", "DEM", "eur", ""] {
            assert_eq!(iso_scale(other), None, "{other}");
        }
    }
}
