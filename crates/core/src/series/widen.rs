//! Which types can become which without loss.

use arrow_schema::DataType;

/// The narrowest type that holds every value of both exactly, or `None` if there is none.
///
/// Whole numbers widen to wider ones, and to floats with enough digits (32 bits to `Float64`; 64 bits to none); floats to wider floats;
/// decimals to more digits; text and bytes to their large form; a dictionary to its plain values or to a wider key; `Null` to anything.
///
/// ```
/// use arrow_schema::DataType;
/// use minutebook_core::series::batch::common_type;
///
/// assert_eq!(common_type(&DataType::Int16, &DataType::Float32), Some(DataType::Float32));
/// assert_eq!(common_type(&DataType::UInt32, &DataType::Int8), Some(DataType::Int64));
/// assert_eq!(common_type(&DataType::Int64, &DataType::Float64), None);
/// ```
pub fn common_type(a: &DataType, b: &DataType) -> Option<DataType> {
    use DataType as T;
    if a == b {
        return Some(a.clone());
    }
    match (a, b) {
        (T::Null, other) | (other, T::Null) => Some(other.clone()),
        (T::Utf8, T::LargeUtf8) | (T::LargeUtf8, T::Utf8) => Some(T::LargeUtf8),
        (T::Binary, T::LargeBinary) | (T::LargeBinary, T::Binary) => Some(T::LargeBinary),
        (T::Dictionary(key_a, a), T::Dictionary(key_b, b)) if a == b => {
            let key = common_type(key_a, key_b)?;
            Some(T::Dictionary(Box::new(key), a.clone()))
        }
        (T::Dictionary(_, value), plain) | (plain, T::Dictionary(_, value))
            if **value == *plain =>
        {
            Some(plain.clone())
        }
        (T::Decimal128(digits, scale), T::Decimal128(other_digits, other_scale)) => {
            let whole = (i16::from(*digits) - i16::from(*scale))
                .max(i16::from(*other_digits) - i16::from(*other_scale));
            let scale = *scale.max(other_scale);
            let precision = u8::try_from(whole + i16::from(scale)).ok()?;
            match precision {
                0..=38 => Some(T::Decimal128(precision, scale)),
                39..=76 => Some(T::Decimal256(precision, scale)),
                _ => None,
            }
        }
        _ => number(Number::of(a)?, Number::of(b)?),
    }
}

/// A number by its kind and bits.
#[derive(Clone, Copy)]
enum Number {
    Signed(u8),
    Unsigned(u8),
    Float(u8),
}

impl Number {
    fn of(data_type: &DataType) -> Option<Self> {
        Some(match data_type {
            DataType::Int8 => Self::Signed(8),
            DataType::Int16 => Self::Signed(16),
            DataType::Int32 => Self::Signed(32),
            DataType::Int64 => Self::Signed(64),
            DataType::UInt8 => Self::Unsigned(8),
            DataType::UInt16 => Self::Unsigned(16),
            DataType::UInt32 => Self::Unsigned(32),
            DataType::UInt64 => Self::Unsigned(64),
            DataType::Float16 => Self::Float(16),
            DataType::Float32 => Self::Float(32),
            DataType::Float64 => Self::Float(64),
            _ => return None,
        })
    }
}

fn number(a: Number, b: Number) -> Option<DataType> {
    use Number::{Float, Signed, Unsigned};
    match (a, b) {
        (Signed(a), Signed(b)) => signed(a.max(b)),
        (Unsigned(a), Unsigned(b)) => Some(match a.max(b) {
            8 => DataType::UInt8,
            16 => DataType::UInt16,
            32 => DataType::UInt32,
            _ => DataType::UInt64,
        }),
        (Signed(s), Unsigned(u)) | (Unsigned(u), Signed(s)) => signed(s.max(u.checked_mul(2)?)),
        (Float(a), Float(b)) => float(a.max(b)),
        // A float of twice the bits holds every whole number: 24 bits of digits for 16, 53 for 32.
        (Float(f), Signed(w) | Unsigned(w)) | (Signed(w) | Unsigned(w), Float(f)) => {
            float(f.max(w.checked_mul(2)?))
        }
    }
}

fn signed(bits: u8) -> Option<DataType> {
    match bits {
        8 => Some(DataType::Int8),
        16 => Some(DataType::Int16),
        32 => Some(DataType::Int32),
        64 => Some(DataType::Int64),
        _ => None,
    }
}

fn float(bits: u8) -> Option<DataType> {
    match bits {
        16 => Some(DataType::Float16),
        32 => Some(DataType::Float32),
        64 => Some(DataType::Float64),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lossless_widenings_are_known() {
        use DataType as T;
        for (a, b, expected) in [
            (T::Int8, T::Int64, Some(T::Int64)),
            (T::UInt8, T::Int8, Some(T::Int16)),
            (T::UInt64, T::Int64, None),
            (T::Int8, T::Float16, Some(T::Float16)),
            (T::Int16, T::Float16, Some(T::Float32)),
            (T::UInt32, T::Float32, Some(T::Float64)),
            (T::Int64, T::Float64, None),
            (T::Utf8, T::LargeUtf8, Some(T::LargeUtf8)),
            (T::Utf8, T::Int8, None),
            (T::Boolean, T::Int8, None),
            (T::Null, T::Boolean, Some(T::Boolean)),
            (
                T::Decimal128(10, 2),
                T::Decimal128(9, 5),
                Some(T::Decimal128(13, 5)),
            ),
            (
                T::Decimal128(38, 0),
                T::Decimal128(38, 38),
                Some(T::Decimal256(76, 38)),
            ),
            (
                T::Dictionary(Box::new(T::Int8), Box::new(T::Utf8)),
                T::Utf8,
                Some(T::Utf8),
            ),
        ] {
            assert_eq!(common_type(&a, &b), expected, "{a} {b}");
            assert_eq!(common_type(&b, &a), expected, "{b} {a}");
        }
    }
}
