//! Amounts of the posting table, of which verification reads millions: straight from the wire.

use rust_decimal::Decimal;
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgTypeInfo, PgValueFormat, PgValueRef, Postgres};
use sqlx::{Decode, Type};

/// A `numeric` at the scale it is stored with.
///
/// What no decimal can hold (NaN, infinity, more digits) is [`Decimal::MAX`]: the engine writes nothing
/// near it, so whoever compares finds it to be wrong, where an error would only end the comparison.
pub(super) struct Numeric(pub(super) Decimal);

impl Numeric {
    /// The amount, or where there is none one that nobody takes for right.
    pub(super) fn or_wrong(stored: Option<Self>) -> Decimal {
        stored.map_or(Decimal::MAX, |numeric| numeric.0)
    }
}

impl Type<Postgres> for Numeric {
    fn type_info() -> PgTypeInfo {
        <Decimal as Type<Postgres>>::type_info()
    }
}

impl<'row> Decode<'row, Postgres> for Numeric {
    fn decode(value: PgValueRef<'row>) -> Result<Self, BoxDynError> {
        match value.format() {
            PgValueFormat::Binary => Ok(Self(read(value.as_bytes()?).unwrap_or(Decimal::MAX))),
            PgValueFormat::Text => Ok(Self(<Decimal as Decode<Postgres>>::decode(value)?)),
        }
    }
}

/// The wire form: four 16-bit words (number of digits, weight of the first, sign, digits shown behind the
/// point), then the digits to the base of 10,000.
fn read(bytes: &[u8]) -> Option<Decimal> {
    const NEGATIVE: u16 = 0x4000;
    let mut words = bytes.chunks_exact(2).map(|word| u16::from_be_bytes([word[0], word[1]]));
    let (count, weight, sign, scale) = (words.next()?, words.next()?.cast_signed(), words.next()?, words.next()?);
    if sign != 0 && sign != NEGATIVE {
        return None;
    }
    let mut mantissa: i128 = 0;
    for digit in words {
        mantissa = mantissa.checked_mul(10_000)?.checked_add(digit.into())?;
    }
    // The last digit stands for so many powers of ten; the scale asks for so many more.
    let shift = 4 * (i32::from(weight) - i32::from(count) + 1) + i32::from(scale);
    let power = 10_i128.checked_pow(shift.unsigned_abs())?;
    mantissa = if shift < 0 { mantissa / power } else { mantissa.checked_mul(power)? };
    let signed = if sign == NEGATIVE { -mantissa } else { mantissa };
    Decimal::try_from_i128_with_scale(signed, scale.into()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(words: &[i16]) -> Option<String> {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
        read(&bytes).map(|decimal| decimal.to_string())
    }

    #[test]
    fn digits_to_the_base_of_ten_thousand_are_read_at_the_scale_shown() {
        let cases: [(&[i16], &str); 7] = [
            (&[0, 0, 0, 2], "0.00"),
            (&[2, 0, 0, 2, 12, 5000], "12.50"),
            (&[2, 0, 0x4000, 2, 12, 5000], "-12.50"),
            (&[1, 1, 0, 0, 1], "10000"),
            (&[1, 2, 0, 2, 7], "700000000.00"),
            (&[1, -1, 0, 4, 1], "0.0001"),
            (&[1, -1, 0, 2, 100], "0.01"),
        ];
        for (words, expected) in cases {
            assert_eq!(wire(words).as_deref(), Some(expected), "{words:?}");
        }
        assert_eq!(wire(&[0, 0, 0xC000_u16.cast_signed(), 0]), None, "not a number");
        assert_eq!(wire(&[1, 10, 0, 0, 1]), None, "10^40");
    }
}
