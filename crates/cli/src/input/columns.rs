//! Names of columns: finding those that are needed, and the names under which the others are kept.

/// A name in `snake_case`: `Adj Close` is `adj_close`, `quoteVolume` is `quote_volume`.
pub(crate) fn snake_case(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 4);
    let mut lower_before = false;
    for c in name.trim().chars() {
        if c.is_alphanumeric() {
            if c.is_uppercase() && lower_before {
                out.push('_');
            }
            lower_before = c.is_lowercase() || c.is_numeric();
            out.extend(c.to_lowercase());
        } else {
            if !out.is_empty() && !out.ends_with('_') {
                out.push('_');
            }
            lower_before = false;
        }
    }
    let out = out.trim_end_matches('_');
    if out.is_empty() {
        "column".to_owned()
    } else {
        out.to_owned()
    }
}

/// The place of the first column that has one of these names, in their order, whatever its case.
pub(crate) fn find(columns: &[String], names: &[&str]) -> Option<usize> {
    names.iter().find_map(|name| {
        columns
            .iter()
            .position(|column| snake_case(column) == *name)
    })
}

/// The place of a column that the user named: exactly, else whatever its case.
pub(crate) fn named(columns: &[String], name: &str) -> Option<usize> {
    columns
        .iter()
        .position(|column| column == name)
        .or_else(|| {
            columns
                .iter()
                .position(|column| snake_case(column) == snake_case(name))
        })
}

/// Names for columns that are kept: `snake_case`, none twice, none that is taken.
pub(crate) fn distinct<'a>(
    names: impl IntoIterator<Item = &'a str>,
    taken: &[&str],
) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for name in names {
        let base = snake_case(name);
        let mut candidate = base.clone();
        let mut n = 2;
        while taken.contains(&candidate.as_str()) || out.contains(&candidate) {
            candidate = format!("{base}_{n}");
            n += 1;
        }
        out.push(candidate);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_snake_case() {
        for (name, expected) in [
            ("Adj Close", "adj_close"),
            ("quoteVolume", "quote_volume"),
            ("VWAP", "vwap"),
            ("Volume (BTC)", "volume_btc"),
            ("20d avg.", "20d_avg"),
            ("__", "column"),
        ] {
            assert_eq!(snake_case(name), expected);
        }
    }

    #[test]
    fn columns_are_found_in_any_case_and_stay_distinct() {
        let columns = ["Ticker", "DATE", "Adj Close"].map(str::to_owned);
        assert_eq!(find(&columns, &["timestamp", "date"]), Some(1));
        assert_eq!(named(&columns, "adj close"), Some(2));
        assert_eq!(named(&columns, "nope"), None);
        assert_eq!(
            distinct(["A b", "a_b", "open"], &["open"]),
            ["a_b", "a_b_2", "open_2"]
        );
    }
}
