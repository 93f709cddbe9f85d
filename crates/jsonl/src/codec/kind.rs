//! Which types the values of a column have had, and what type the column therefore has.

use arrow_schema::{DataType, TimeUnit};
use serde::{Deserialize, Serialize};

use super::fields::Shape;
use super::token::Token;

/// The type of a column as JSON can hold it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ColumnType {
    Int64,
    Float64,
    Boolean,
    Utf8,
    /// Only where a schema is declared: text or numbers read as instants.
    Time,
}

impl ColumnType {
    /// The Arrow type.
    pub(crate) fn data_type(self) -> DataType {
        match self {
            Self::Int64 => DataType::Int64,
            Self::Float64 => DataType::Float64,
            Self::Boolean => DataType::Boolean,
            Self::Utf8 => DataType::Utf8,
            Self::Time => minutebook_core::series::batch::timestamp_type(),
        }
    }

    /// The type that reads as this Arrow type; `None` for a type that JSON cannot hold as it is.
    pub(crate) fn of(data_type: &DataType) -> Option<Self> {
        Some(match data_type {
            DataType::Int64 => Self::Int64,
            DataType::Float64 => Self::Float64,
            DataType::Boolean => Self::Boolean,
            DataType::Utf8 => Self::Utf8,
            DataType::Timestamp(TimeUnit::Nanosecond, Some(zone)) if **zone == *"UTC" => Self::Time,
            _ => return None,
        })
    }

    /// What a batch with this type has shown, even where all its values are null.
    pub(crate) fn seen(self) -> Seen {
        match self {
            Self::Int64 => Seen::INT,
            Self::Float64 => Seen::FLOAT,
            Self::Boolean => Seen::BOOL,
            Self::Utf8 | Self::Time => Seen::TEXT,
        }
    }
}

/// A set of the types that a column's values have had; null is none of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub(crate) struct Seen(u8);

impl Seen {
    pub(crate) const NONE: Self = Self(0);
    pub(crate) const BOOL: Self = Self(1);
    /// Integers that a float holds exactly.
    pub(crate) const INT: Self = Self(2);
    /// Integers of 64 bits that a float would change.
    pub(crate) const WIDE: Self = Self(4);
    /// Finite numbers with a fraction or an exponent.
    pub(crate) const FLOAT: Self = Self(8);
    /// Numbers beyond `i64` and `f64`.
    pub(crate) const HUGE: Self = Self(16);
    pub(crate) const TEXT: Self = Self(32);
    pub(crate) const NESTED: Self = Self(64);

    /// What one value shows.
    #[inline]
    pub(crate) fn of(value: &Token<'_>) -> Self {
        match value.shape {
            Shape::Null => Self::NONE,
            Shape::Bool => Self::BOOL,
            Shape::Int => match value.int() {
                Some(int) => Self::of_int(int),
                None => Self::HUGE,
            },
            Shape::Float if value.is_short() || value.float().is_some() => Self::FLOAT,
            Shape::Float => Self::HUGE,
            Shape::Plain | Shape::Escaped => Self::TEXT,
            Shape::Nested => Self::NESTED,
        }
    }

    /// What an integer shows.
    pub(crate) fn of_int(int: i64) -> Self {
        // 2^53: up to there every integer is a float.
        if int.unsigned_abs() <= 1 << 53 {
            Self::INT
        } else {
            Self::WIDE
        }
    }

    /// The set as a number.
    pub(crate) fn bits(self) -> u8 {
        self.0
    }

    /// The set of a number.
    pub(crate) fn from_bits(bits: u8) -> Self {
        Self(bits)
    }

    /// Adds what another set has.
    #[inline]
    pub(crate) fn add(&mut self, other: Self) {
        self.0 |= other.0;
    }

    fn only(self, allowed: Self) -> bool {
        self.0 & !allowed.0 == 0
    }

    fn has(self, part: Self) -> bool {
        self.0 & part.0 != 0
    }

    /// Whether a float holds each of the values exactly.
    pub(crate) fn fits_floats(self) -> bool {
        self.only(Self(Self::INT.0 | Self::FLOAT.0))
    }

    /// The column's type. Text where no single type holds every value exactly, and where there was no value.
    pub(crate) fn column_type(self) -> ColumnType {
        if self == Self::NONE {
            ColumnType::Utf8
        } else if self.only(Self::BOOL) {
            ColumnType::Boolean
        } else if self.only(Self(Self::INT.0 | Self::WIDE.0)) {
            ColumnType::Int64
        } else if self.only(Self(Self::INT.0 | Self::FLOAT.0)) {
            ColumnType::Float64
        } else {
            ColumnType::Utf8
        }
    }

    /// What became of a column whose values have had several types, in words; `None` if all are of one.
    pub(crate) fn change(self) -> Option<String> {
        let parts: Vec<&str> = [
            (Self::BOOL, "booleans"),
            (Self(Self::INT.0 | Self::WIDE.0), "integers"),
            (Self::FLOAT, "floats"),
            (Self::HUGE, "numbers beyond 64 bits"),
            (Self::TEXT, "strings"),
            (Self::NESTED, "nested values"),
        ]
        .into_iter()
        .filter_map(|(part, name)| self.has(part).then_some(name))
        .collect();
        if parts.len() < 2 && !self.has(Self::HUGE) {
            return None;
        }
        let read = match self.column_type() {
            ColumnType::Float64 => "floats",
            _ => "text",
        };
        Some(format!("holds {}; read as {read}", parts.join(" and ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::fields::Fields;

    fn seen(values: &[&str]) -> Seen {
        let mut seen = Seen::default();
        for value in values {
            let text = format!("{{\"a\":{value}}}");
            let field = Fields::new(&text).next().unwrap().unwrap();
            seen.add(Seen::of(&Token::of(field.value)));
        }
        seen
    }

    #[test]
    fn no_type_changes_a_value() {
        use ColumnType::{Boolean, Float64, Int64, Utf8};
        for (values, expected) in [
            (&["null", "null"][..], Utf8),
            (&["1", "null"], Int64),
            (&["9223372036854775807", "-9223372036854775808"], Int64),
            (&["1", "2.5"], Float64),
            (&["9007199254740992", "2.5"], Float64),
            (&["9007199254740993", "2.5"], Utf8),
            (&["9223372036854775808"], Utf8),
            (&["1e400"], Utf8),
            (&["1e300"], Float64),
            (&["true"], Boolean),
            (&["true", "1"], Utf8),
            (&["\"1\"", "\"2\""], Utf8),
            (&["\"1\"", "2"], Utf8),
            (&["[1]", "{}"], Utf8),
        ] {
            assert_eq!(seen(values).column_type(), expected, "{values:?}");
        }
    }

    #[test]
    fn changes_are_told_in_words() {
        assert_eq!(seen(&["1", "9007199254740993"]).change(), None);
        assert_eq!(seen(&["{}", "[]", "null"]).change(), None);
        let change = seen(&["1", "2.5"]).change();
        assert_eq!(
            change.as_deref(),
            Some("holds integers and floats; read as floats")
        );
        let change = seen(&["1e400"]).change();
        assert_eq!(
            change.as_deref(),
            Some("holds numbers beyond 64 bits; read as text")
        );
        assert!(
            seen(&["true", "\"x\""])
                .change()
                .unwrap()
                .ends_with("read as text")
        );
    }
}
