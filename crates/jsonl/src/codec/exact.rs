//! Whether the columns of a row say all that its line says.

use std::collections::HashMap;

use minutebook_core::series::batch::TIMESTAMP;

use super::fields::{Fields, Raw, Shape};
use super::kind::{ColumnType, Seen};

/// Whether every value of a line comes back from its column as the same JSON value. How it is written (blanks, `1.10` or `1.1`, escapes, the
/// order of the keys, `null` or nothing) is not asked.
pub(crate) fn is_exact(line: &str, types: &HashMap<String, ColumnType>) -> bool {
    let mut keys: Vec<String> = Vec::new();
    let mut fields = Fields::new(line);
    loop {
        match fields.next() {
            Ok(Some(field)) => {
                let key = field.key().into_owned();
                let exact = if key == TIMESTAMP {
                    matches!(field.value.shape, Shape::Plain | Shape::Escaped)
                } else {
                    let known = types.get(&key);
                    known.is_some_and(|column_type| value_is_exact(field.value, *column_type))
                };
                if !exact || keys.contains(&key) {
                    return false;
                }
                keys.push(key);
            }
            Ok(None) => return true,
            Err(_) => return false,
        }
    }
}

fn value_is_exact(value: Raw<'_>, column_type: ColumnType) -> bool {
    match (column_type, value.shape) {
        (_, Shape::Null)
        | (ColumnType::Boolean, Shape::Bool)
        | (ColumnType::Utf8, Shape::Plain | Shape::Escaped) => true,
        (ColumnType::Int64, Shape::Int) => value.text != "-0" && value.text.parse::<i64>().is_ok(),
        (ColumnType::Float64, Shape::Int) => {
            let int = value.text.parse::<i64>().ok();
            value.text != "-0" && int.is_some_and(|int| Seen::of_int(int) == Seen::INT)
        }
        (ColumnType::Float64, Shape::Float) => float_is_exact(value.text),
        _ => false,
    }
}

/// Whether the number nearest to a decimal is, in the fewest digits that name it, that decimal.
fn float_is_exact(text: &str) -> bool {
    let Ok(float) = text.parse::<f64>() else {
        return false;
    };
    decimal(text).is_some_and(|known| Some(known) == decimal(&format!("{float:e}")))
}

/// A decimal as its sign, its digits without zeros at either end, and the power of ten of the last digit.
fn decimal(text: &str) -> Option<(bool, String, i64)> {
    let (negative, rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (mantissa, power) = match rest.split_once(['e', 'E']) {
        Some((mantissa, power)) => (mantissa, power.parse::<i64>().ok()?),
        None => (rest, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let digits = digits.trim_start_matches('0');
    let kept = digits.trim_end_matches('0');
    if kept.is_empty() {
        return Some((negative, String::new(), 0));
    }
    let zeros = i64::try_from(digits.len() - kept.len()).ok()?;
    let power = power - i64::try_from(fraction.len()).ok()? + zeros;
    Some((negative, kept.to_owned(), power))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_columns_hold_is_exact_and_nothing_else() {
        use ColumnType::{Boolean, Float64, Int64, Utf8};
        let types = HashMap::from([
            ("i".to_owned(), Int64),
            ("f".to_owned(), Float64),
            ("b".to_owned(), Boolean),
            ("t".to_owned(), Utf8),
        ]);
        let line = |rest: &str| format!("{{\"timestamp\": \"2025-01-01\"{rest}}}");
        for rest in [
            "",
            ",\"i\":1,\"f\":1.10,\"b\":true,\"t\":\"x\\n\"",
            ",\"f\":5",
            ",\"f\":0.1e1, \"i\" : null",
            ",\"f\":1.7976931348623157e308",
            ",\"f\":-0.0",
            ",\"f\":9007199254740992",
            ",\"i\":-9223372036854775808",
        ] {
            assert!(is_exact(&line(rest), &types), "{rest}");
        }
        for rest in [
            ",\"f\":0.1234567890123456789",
            ",\"f\":9007199254740993",
            ",\"f\":100000000000000000000000.1",
            ",\"t\":{\"a\":1}",
            ",\"t\":1",
            ",\"i\":1,\"i\":1",
            ",\"i\":-0",
            ",\"new\":1",
        ] {
            assert!(!is_exact(&line(rest), &types), "{rest}");
        }
        assert!(!is_exact("{\"timestamp\":1735689600}", &types));
        assert!(!is_exact("{\"timestamp\":", &types));
    }
}
