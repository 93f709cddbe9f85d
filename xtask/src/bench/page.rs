//! The page in the documentation that holds the last run: its tables stand between two marks.

use anyhow::{Context, Result};

const BEGIN: &str = "<!-- measured: begin; `cargo xtask bench --docs` writes what stands here -->";
const END: &str = "<!-- measured: end -->";

/// The page with `measured` between the marks.
pub(super) fn replaced(page: &str, measured: &str) -> Result<String> {
    let (before, rest) = page
        .split_once(BEGIN)
        .with_context(|| format!("docs/performance.md has no line `{BEGIN}`"))?;
    let (_, after) = rest
        .split_once(END)
        .with_context(|| format!("docs/performance.md has no line `{END}` after the other"))?;
    let tidy: Vec<_> = measured.trim().lines().map(str::trim_end).collect();
    Ok(format!(
        "{before}{BEGIN}\n\n{}\n\n{END}{after}",
        tidy.join("\n")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_between_the_marks_changes() {
        let page = format!("# Speed\n\n{BEGIN}\nold\n{END}\n\nwhy\n");
        let once = replaced(&page, "new \ntable\n").unwrap();
        assert_eq!(
            once,
            format!("# Speed\n\n{BEGIN}\n\nnew\ntable\n\n{END}\n\nwhy\n")
        );
        assert_eq!(replaced(&once, "new\ntable").unwrap(), once);
        assert!(replaced("no marks", "x").is_err());
    }
}
