//! Numbers, sizes and times as people read them.

use chrono::{DateTime, Utc};
use minutebook::time::format_timestamp;

/// A count with thousands separated: `35,058`.
pub(crate) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() * 4 / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A count with its noun: `1 decision`, `2 decisions`, `3 series`.
pub(crate) fn plural(n: u64, noun: &str) -> String {
    let s = if n == 1 || noun.ends_with("series") {
        ""
    } else {
        "s"
    };
    format!("{} {noun}{s}", count(n))
}

/// As [`plural`], for nouns with a plural of their own.
pub(crate) fn plural_of(n: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(n), if n == 1 { one } else { many })
}

/// Bytes in the largest unit that leaves a figure before the point: `1.6 MiB`.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    #[allow(clippy::cast_precision_loss, reason = "one decimal is shown")]
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// An instant, without what is zero behind it: a date alone at midnight.
pub(crate) fn time(time: DateTime<Utc>) -> String {
    let text = format_timestamp(time);
    text.strip_suffix("T00:00:00Z")
        .map_or(text.clone(), str::to_owned)
}

/// An instant that may be missing.
pub(crate) fn time_or_dash(at: Option<DateTime<Utc>>) -> String {
    at.map_or_else(|| "-".to_owned(), time)
}

/// Text cut to so many characters, with an ellipsis where it was cut.
pub(crate) fn shorten(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(most.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_sizes_are_easy_to_read() {
        assert_eq!(
            [0, 999, 1_000, 1_234_567].map(count),
            ["0", "999", "1,000", "1,234,567"]
        );
        assert_eq!(
            [0, 1023, 1024, 1_048_575, 1_658_402].map(size),
            ["0 B", "1023 B", "1.0 KiB", "1.0 MiB", "1.6 MiB"]
        );
        assert_eq!(plural(1, "decision"), "1 decision");
        assert_eq!(plural(2, "series"), "2 series");
    }

    #[test]
    fn midnight_is_a_date() {
        let at = |text| minutebook::time::parse_timestamp(text).unwrap();
        assert_eq!(time(at("2024-01-01T00:00:00Z")), "2024-01-01");
        assert_eq!(time(at("2024-01-01T10:00:00Z")), "2024-01-01T10:00:00Z");
    }

    #[test]
    fn long_text_is_cut_at_characters() {
        assert_eq!(shorten("häuser", 6), "häuser");
        assert_eq!(shorten("häuser", 4), "häu…");
    }
}
