//! What the facade pulls in when only its in-memory stores are asked for.

use anyhow::Result;

use super::Finding;
use crate::process::{cargo, output};

/// What an application that only wants the traits and the fakes should not have to build.
const HEAVY: [&str; 4] = ["parquet", "object_store", "tokio", "datafusion"];

pub(super) fn check() -> Result<Vec<Finding>> {
    let mut tree = cargo([
        "tree",
        "--package",
        "minutebook",
        "--no-default-features",
        "--features",
        "memory",
        "--edges",
        "normal",
        "--prefix",
        "none",
        "--locked",
        "--offline",
    ]);
    Ok(findings(&output(&mut tree)?))
}

/// Findings in the output of `cargo tree --prefix none`: one package a line, its name first.
fn findings(tree: &str) -> Vec<Finding> {
    let mut names: Vec<&str> = tree
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    names.sort_unstable();
    names.dedup();
    let mut findings: Vec<_> = names
        .iter()
        .filter(|name| {
            HEAVY.contains(name) || (name.starts_with("minutebook-") && **name != "minutebook-core")
        })
        .map(|name| {
            Finding::error(
                "crates/minutebook/Cargo.toml",
                1,
                format!("with the feature `memory` alone the facade pulls in `{name}`"),
            )
        })
        .collect();
    // An empty tree would pass anything.
    if !names.contains(&"minutebook-core") {
        findings.push(Finding::error(
            "crates/minutebook/Cargo.toml",
            1,
            "`minutebook-core` is not among the facade's dependencies; does the feature `memory` still exist?",
        ));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_core_alone_passes() {
        let tree = "minutebook v0.1.0 (/x)\nminutebook-core v0.1.0 (/y)\nserde v1.0.0\n";
        assert_eq!(findings(tree), []);
    }

    #[test]
    fn a_backend_its_format_or_a_runtime_is_found() {
        for heavy in ["minutebook-fs", "minutebook-json", "parquet", "tokio"] {
            let tree = format!("minutebook v0.1.0\nminutebook-core v0.1.0\n{heavy} v1.0.0 (*)\n");
            let found = findings(&tree);
            assert_eq!(found.len(), 1);
            assert!(found[0].text.contains(heavy));
        }
        assert_eq!(findings("").len(), 1);
    }
}
