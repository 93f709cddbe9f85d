//! Rules for one file's text: module docs, length, placeholders, white space, reasons.

use super::{Finding, is};

/// From this many lines on a file is called long.
const LONG: usize = 500;
/// More than this many lines are too many.
const TOO_LONG: usize = 800;

/// What stands for something that is not done. Written in two parts, so that this file does not find itself.
const PLACEHOLDERS: [&str; 6] = [
    concat!("to", "do!"),
    concat!("un", "implemented!"),
    concat!("d", "bg!"),
    concat!("FIX", "ME"),
    concat!("X", "XX"),
    concat!("TO", "DO"),
];

/// What an ignored test needs, and what its name must contain so that `cargo xtask ci` runs it.
const RUN_BY_CI: [(&str, &str); 2] = [("shared/data", "shared_data"), ("python", "python")];

pub(super) fn check(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    if is(path, "lock") {
        return findings;
    }
    if is(path, "rs") {
        module_doc(path, text, &mut findings);
        length(path, text, &mut findings);
        attributes(path, text, &mut findings);
    }
    for (i, line) in text.lines().enumerate() {
        if line.ends_with([' ', '\t']) {
            findings.push(Finding::error(
                path,
                i + 1,
                "white space at the end of the line",
            ));
        }
        if line.contains('\t') {
            findings.push(Finding::error(path, i + 1, "a tab; indent with blanks"));
        }
        for word in PLACEHOLDERS {
            if has_word(line, word) && !hidden(line) {
                findings.push(Finding::error(
                    path,
                    i + 1,
                    format!("the placeholder `{word}`"),
                ));
            }
        }
    }
    if !text.is_empty() && !text.ends_with('\n') {
        let last = text.lines().count();
        findings.push(Finding::error(
            path,
            last,
            "no newline at the end of the file",
        ));
    }
    findings
}

fn module_doc(path: &str, text: &str, findings: &mut Vec<Finding>) {
    let says_something = text
        .lines()
        .next()
        .and_then(|line| line.strip_prefix("//!"))
        .is_some_and(|doc| doc.trim().len() > 3);
    if !says_something {
        findings.push(Finding::error(
            path,
            1,
            "must begin with a `//!` line that says what the file is for",
        ));
    }
}

fn length(path: &str, text: &str, findings: &mut Vec<Finding>) {
    let lines = text.lines().count();
    if lines > TOO_LONG {
        findings.push(Finding::error(
            path,
            lines,
            format!("{lines} lines; more than {TOO_LONG} are too many, split it"),
        ));
    } else if lines > LONG {
        findings.push(Finding::warning(
            path,
            lines,
            format!("{lines} lines; think about splitting it"),
        ));
    }
}

/// `ignore` must say why a test does not run, `allow` and `expect` why a lint does not count.
fn attributes(path: &str, text: &str, findings: &mut Vec<Finding>) {
    let lines: Vec<&str> = text.lines().collect();
    for (i, line) in lines.iter().enumerate() {
        let code = line.trim_start();
        if code == "#[ignore]" {
            findings.push(Finding::error(
                path,
                i + 1,
                "an ignored test without a reason: write `#[ignore = \"...\"]`",
            ));
        }
        if let Some((_, reason)) = code.split_once("#[ignore = \"") {
            let named = lines[i..].iter().find_map(|line| line.split_once("fn "));
            for (word, part) in RUN_BY_CI {
                if reason.contains(word) && named.is_none_or(|(_, name)| !name.contains(part)) {
                    findings.push(Finding::error(
                        path,
                        i + 1,
                        format!("ci would not find this test: put `{part}` into its name"),
                    ));
                }
            }
        }
        let silences = ["#[allow(", "#![allow(", "#[expect(", "#![expect("];
        if silences.iter().any(|start| code.starts_with(start)) {
            let attribute = lines[i..]
                .iter()
                .take_while(|line| !line.contains(")]"))
                .chain(lines[i..].iter().find(|line| line.contains(")]")));
            let before = i
                .checked_sub(1)
                .map_or("", |before| lines[before].trim_start());
            let explained = attribute
                .into_iter()
                .any(|line| line.contains("reason =") || line.contains("//"))
                || (before.starts_with("//") && !before.starts_with("//!"));
            if !explained {
                findings.push(Finding::error(
                    path,
                    i + 1,
                    "a lint is silenced without a reason: add `reason = \"...\"`",
                ));
            }
        }
    }
}

/// Whether a doc example hides the line: there a signature without a body is usual.
fn hidden(line: &str) -> bool {
    let code = line.trim_start();
    code.starts_with("/// # ") || code.starts_with("//! # ")
}

/// Whether `word` occurs in `line` and is no part of a longer word.
fn has_word(line: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        !line[..at].ends_with(part)
            && (word.ends_with('!') || !line[at + word.len()..].starts_with(part))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<String> {
        check(path, text).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_good_file_passes() {
        let text = "//! What this is for.\n\n#[ignore = \"reads the sample data\"]\nfn f() {}\n";
        assert_eq!(found("a.rs", text), Vec::<String>::new());
        assert_eq!(found("a.md", "No module doc here.\n"), Vec::<String>::new());
    }

    #[test]
    fn a_missing_module_doc_is_found() {
        for text in ["use x;\n", "", "//!\nfn f() {}\n", "// not doc\n"] {
            assert!(
                found("a.rs", text)[0].starts_with("a.rs:1: must begin"),
                "{text}"
            );
        }
    }

    #[test]
    fn length_warns_and_then_fails() {
        let file = |lines: usize| format!("//! Long.\n{}", "x();\n".repeat(lines - 1));
        assert!(check("a.rs", &file(LONG)).is_empty());
        assert_eq!(
            check("a.rs", &file(LONG + 1))[0].level,
            super::super::Level::Warning
        );
        assert_eq!(
            check("a.rs", &file(TOO_LONG + 1))[0].level,
            super::super::Level::Error
        );
    }

    #[test]
    fn placeholders_are_found_as_words_only() {
        for word in PLACEHOLDERS {
            let text = format!("//! Doc.\nlet x = {word}();\n");
            assert_eq!(found("a.rs", &text).len(), 1, "{word}");
            let inside = format!("//! Doc.\nlet a{word} = 1;\n");
            assert_eq!(found("a.rs", &inside).len(), 0, "{word}");
            let example =
                format!("//! Doc.\n/// # fn store() -> Store {{ {word}() }}\nfn f() {{}}\n");
            assert_eq!(found("a.rs", &example).len(), 0, "{word}");
        }
    }

    #[test]
    fn white_space_is_found_with_its_line() {
        assert_eq!(
            found("a.toml", "a = 1 \n\tb = 2\nc = 3"),
            [
                "a.toml:1: white space at the end of the line",
                "a.toml:2: a tab; indent with blanks",
                "a.toml:3: no newline at the end of the file",
            ]
        );
    }

    #[test]
    fn an_ignored_test_that_ci_would_miss_is_found() {
        let test = |name: &str| {
            format!("//! Doc.\n#[ignore = \"needs ../shared/data\"]\nasync fn {name}() {{}}\n")
        };
        assert!(found("a.rs", &test("real_bars"))[0].contains("put `shared_data`"));
        assert_eq!(
            found("a.rs", &test("shared_data_bars")),
            Vec::<String>::new()
        );
    }

    #[test]
    fn a_silenced_lint_or_test_needs_a_reason() {
        let bare = "//! Doc.\n#[allow(dead_code)]\nfn f() {}\n#[ignore]\nfn g() {}\n";
        assert_eq!(found("a.rs", bare).len(), 2);
        for good in [
            "//! Doc.\n#[allow(\n    dead_code,\n    reason = \"why\"\n)]\nfn f() {}\n",
            "//! Doc.\n// Used by the macro only.\n#[allow(dead_code)]\nfn f() {}\n",
            "//! Doc.\n#[allow(dead_code)] // Used by the macro only.\nfn f() {}\n",
        ] {
            assert_eq!(found("a.rs", good), Vec::<String>::new(), "{good}");
        }
    }
}
