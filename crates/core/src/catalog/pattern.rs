//! Patterns of names.

/// Whether a name matches a pattern: `*` stands for any characters, `?` for one, and a backslash takes the character after it as it is.
///
/// ```
/// use minutebook_core::catalog::name_matches;
///
/// assert!(name_matches("btcusd_*", "btcusd_1h"));
/// assert!(!name_matches("btcusd_?", "btcusd_1h"));
/// assert!(name_matches(r"a\*b", "a*b"));
/// ```
pub fn name_matches(pattern: &str, name: &str) -> bool {
    // A star that was tried too short takes one more character: no backtracking beyond the last star is needed.
    let (mut pattern, mut name) = (pattern, name);
    let mut star: Option<(&str, &str)> = None;
    loop {
        let mut rest = pattern.chars();
        let wanted = rest.next();
        if wanted == Some('*') {
            pattern = rest.as_str();
            star = Some((pattern, name));
            continue;
        }
        let mut left = name.chars();
        let found = left.next();
        let fits = match (wanted, found) {
            (None, None) => return true,
            (Some('?'), Some(_)) => true,
            (Some('\\'), Some(found)) => {
                // A backslash at the end is itself.
                let escaped = rest.next().unwrap_or('\\');
                escaped == found
            }
            (Some(wanted), Some(found)) => wanted == found,
            (Some(_), None) => return false,
            (None, Some(_)) => false,
        };
        if fits {
            (pattern, name) = (rest.as_str(), left.as_str());
            continue;
        }
        let Some((after, from)) = star else {
            return false;
        };
        let mut longer = from.chars();
        if longer.next().is_none() {
            return false;
        }
        (pattern, name) = (after, longer.as_str());
        star = Some((after, name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_a_shell() {
        for (pattern, name, expected) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("**", "abc", true),
            ("*_1h", "btc_1h", true),
            ("*_1h", "btc_1h_", false),
            ("btc_*_2024?", "btc_1h_20240", true),
            ("*a*b*", "xxaxxbxx", true),
            ("*a*b*", "xxbxxaxx", false),
            ("*aab", "aaaab", true),
            ("?", "ü", true),
            ("?", "", false),
            ("a?", "a", false),
            ("[a]", "a", false),
            ("[a]", "[a]", true),
            (r"\*", "*", true),
            (r"\*", "x", false),
            (r"\?x", "?x", true),
            (r"a\\b", r"a\b", true),
            (r"a\", r"a\", true),
            (r"*\*", "ab*", true),
            (r"*\*", "ab", false),
            ("a", "A", false),
        ] {
            assert_eq!(name_matches(pattern, name), expected, "{pattern} {name}");
        }
    }
}
