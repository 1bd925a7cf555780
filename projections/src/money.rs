//! Exact amounts and times on their way into BSON: never a float, never a rounding.

use bson::Decimal128;
use rust_decimal::Decimal;

/// Bias of a Decimal128's exponent.
const EXPONENT_BIAS: i32 = 6176;
/// Bits of the coefficient, in the form that every value of up to 34 digits takes.
const COEFFICIENT_BITS: u32 = 113;
/// Largest exponent of a Decimal128 with a full coefficient.
const EXPONENT_MAX: i32 = 6111;
/// Most digits that a Decimal128 holds exactly.
pub(crate) const DIGITS_MAX: usize = 34;

/// The Decimal128 `coefficient * 10^exponent`, if there is one that holds it exactly.
///
/// Built by bits: the value keeps its digits and its scale (`1.10` stays `1.10`).
pub(crate) fn decimal128(negative: bool, coefficient: u128, exponent: i32) -> Option<Decimal128> {
    if coefficient >= 10_u128.pow(34) || !(-EXPONENT_BIAS..=EXPONENT_MAX).contains(&exponent) {
        return None;
    }
    let biased = u128::try_from(exponent + EXPONENT_BIAS).ok()?;
    let bits = (u128::from(negative) << 127) | (biased << COEFFICIENT_BITS) | coefficient;
    Some(Decimal128::from_bytes(bits.to_le_bytes()))
}

/// An amount as Decimal128; every [`Decimal`] fits.
pub fn to_decimal128(amount: Decimal) -> Decimal128 {
    let exponent = i32::try_from(amount.scale()).unwrap_or(0);
    let bits = (u128::from(amount.is_sign_negative()) << 127)
        | (u128::from((EXPONENT_BIAS - exponent).unsigned_abs()) << COEFFICIENT_BITS)
        | amount.mantissa().unsigned_abs();
    Decimal128::from_bytes(bits.to_le_bytes())
}

/// A Decimal128 as an amount, if it is a number that [`Decimal`] holds exactly.
pub fn from_decimal128(value: Decimal128) -> Option<Decimal> {
    let (negative, coefficient, exponent) = parts(value)?;
    let coefficient = i128::try_from(coefficient).ok()?;
    let (coefficient, scale) = if exponent > 0 {
        let factor = 10_i128.checked_pow(exponent.unsigned_abs())?;
        (coefficient.checked_mul(factor)?, 0)
    } else {
        (coefficient, exponent.unsigned_abs())
    };
    let mut amount = Decimal::try_from_i128_with_scale(coefficient, scale).ok()?;
    amount.set_sign_negative(negative);
    Some(amount)
}

/// Sign, coefficient and exponent of a finite Decimal128 of up to 34 digits.
pub(crate) fn parts(value: Decimal128) -> Option<(bool, u128, i32)> {
    let bits = u128::from_le_bytes(value.bytes());
    let combination = (bits >> 122) & 0b1_1111;
    if combination >> 3 == 0b11 {
        // Infinity, NaN, or a coefficient past 34 digits, which counts as zero.
        return None;
    }
    let biased = i32::try_from((bits >> COEFFICIENT_BITS) & 0x3fff).ok()?;
    let coefficient = bits & ((1 << COEFFICIENT_BITS) - 1);
    Some((bits >> 127 == 1, coefficient, biased - EXPONENT_BIAS))
}

/// `#[serde(with = "postfold_projections::money::decimal")]`: a [`Decimal`] field as Decimal128.
pub mod decimal {
    use bson::Decimal128;
    use rust_decimal::Decimal;
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    /// Writes an amount as Decimal128.
    ///
    /// # Errors
    ///
    /// Only what the serializer itself reports.
    pub fn serialize<S: Serializer>(amount: &Decimal, serializer: S) -> Result<S::Ok, S::Error> {
        super::to_decimal128(*amount).serialize(serializer)
    }

    /// Reads an amount from Decimal128.
    ///
    /// # Errors
    ///
    /// When the field is no Decimal128, or no amount.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Decimal, D::Error> {
        let value = Decimal128::deserialize(deserializer)?;
        super::from_decimal128(value).ok_or_else(|| D::Error::custom(format!("{value} is not an amount")))
    }
}

/// `#[serde(with = "postfold_projections::money::date")]`: a [`jiff::Timestamp`] field as a BSON date.
///
/// A BSON date counts milliseconds; the log counts microseconds. What is below a millisecond is cut
/// off (towards the past): a model is for finding and showing, the log has the exact time, and the
/// position the exact order.
pub mod date {
    use bson::DateTime;
    use jiff::Timestamp;
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    /// Cut off to the millisecond.
    pub fn to_bson(time: Timestamp) -> DateTime {
        DateTime::from_millis(time.as_microsecond().div_euclid(1000))
    }

    /// Writes a time as a BSON date.
    ///
    /// # Errors
    ///
    /// Only what the serializer itself reports.
    pub fn serialize<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        to_bson(*time).serialize(serializer)
    }

    /// Reads a time from a BSON date.
    ///
    /// # Errors
    ///
    /// When the field is no date, or lies outside the years that [`Timestamp`] knows.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        let date = DateTime::deserialize(deserializer)?;
        Timestamp::from_millisecond(date.timestamp_millis()).map_err(D::Error::custom)
    }
}

/// For `#[serde(with = "postfold_projections::money::optional_date")]`: a time that may be absent, as a BSON
/// date or null.
pub mod optional_date {
    use bson::DateTime;
    use jiff::Timestamp;
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    /// Writes a time as a BSON date, or null.
    ///
    /// # Errors
    ///
    /// Only what the serializer itself reports.
    pub fn serialize<S: Serializer>(time: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
        time.map(super::date::to_bson).serialize(serializer)
    }

    /// Reads a time from a BSON date, or null.
    ///
    /// # Errors
    ///
    /// When the field is neither, or lies outside the years that [`Timestamp`] knows.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
        let date = Option::<DateTime>::deserialize(deserializer)?;
        date.map(|date| Timestamp::from_millisecond(date.timestamp_millis())).transpose().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn digits_and_scale_survive() {
        for text in [
            "0",
            "0.00",
            "1.10",
            "-1.10",
            "12345678901234567890.12345678",
            "79228162514264337593543950335",
            "-0.0000000000000000000000000001",
        ] {
            let amount: Decimal = text.parse().unwrap();
            let stored = to_decimal128(amount);
            assert_eq!(from_decimal128(stored).unwrap().to_string(), text);
            assert_eq!(parts(stored), parts(text.parse().unwrap()), "the driver's own reading of {text}");
        }
    }

    #[test]
    fn a_number_that_is_no_amount_is_refused_not_bent() {
        for text in ["Infinity", "NaN", "1E+40", "1E-40", "9999999999999999999999999999999999"] {
            assert_eq!(from_decimal128(text.parse().unwrap()), None, "{text}");
        }
        assert_eq!(from_decimal128("12E+3".parse().unwrap()), Some(Decimal::from(12_000)));
    }

    proptest! {
        #[test]
        fn every_amount_comes_back_as_it_was(mantissa in -79_228_162_514_264_337_593_543_950_335_i128..=79_228_162_514_264_337_593_543_950_335, scale in 0_u32..=28) {
            let amount = Decimal::from_i128_with_scale(mantissa, scale);
            let back = from_decimal128(to_decimal128(amount)).unwrap();
            prop_assert_eq!((back.mantissa(), back.scale()), (amount.mantissa(), amount.scale()));
        }
    }
}
