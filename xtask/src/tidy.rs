//! `cargo xtask tidy`: what the compiler does not check about the structure of the repository.
//! Every rule is a function over text, so that its tests show it catching a violation.

mod arrows;
mod features;
mod links;
mod packages;
mod sources;
mod workspace;

use std::fmt;
use std::path::Path;

use anyhow::{Result, bail};

use crate::process::root;
use workspace::Workspace;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Error,
    Warning,
}

/// One line of what tidy has to say.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Finding {
    level: Level,
    file: String,
    line: usize,
    text: String,
}

impl Finding {
    fn error(file: impl Into<String>, line: usize, text: impl Into<String>) -> Self {
        Self {
            level: Level::Error,
            file: file.into(),
            line,
            text: text.into(),
        }
    }

    fn warning(file: impl Into<String>, line: usize, text: impl Into<String>) -> Self {
        Self {
            level: Level::Warning,
            ..Self::error(file, line, text)
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.level {
            Level::Error => "",
            Level::Warning => "warning: ",
        };
        write!(f, "{}:{}: {level}{}", self.file, self.line, self.text)
    }
}

/// Checks the repository, prints the findings, fails if one is more than a warning.
pub(crate) fn run() -> Result<()> {
    let (files, findings) = check(&root())?;
    for finding in &findings {
        println!("{finding}");
    }
    let errors = findings.iter().filter(|f| f.level == Level::Error).count();
    println!(
        "tidy: {files} files looked at, {errors} findings, {} warnings",
        findings.len() - errors
    );
    if errors > 0 {
        bail!("{errors} findings");
    }
    Ok(())
}

/// The number of files looked at and everything found, in order of rule and file.
fn check(root: &Path) -> Result<(usize, Vec<Finding>)> {
    let workspace = Workspace::read(root)?;
    let mut findings = Vec::new();
    for (path, text) in &workspace.files {
        findings.extend(sources::check(path, text));
        if is(path, "md") {
            findings.extend(links::check(path, text, &workspace));
        }
    }
    findings.extend(arrows::check(&workspace));
    findings.extend(packages::check(&workspace));
    findings.extend(features::check()?);
    Ok((workspace.files.len(), findings))
}

fn is(path: &str, extension: &str) -> bool {
    Path::new(path)
        .extension()
        .is_some_and(|found| found.eq_ignore_ascii_case(extension))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repository_is_tidy() {
        let (files, findings) = check(&root()).unwrap();
        assert!(files > 10, "tidy saw only {files} files");
        let errors: Vec<_> = findings
            .iter()
            .filter(|f| f.level == Level::Error)
            .map(ToString::to_string)
            .collect();
        assert!(errors.is_empty(), "\n{}", errors.join("\n"));
    }

    #[test]
    fn findings_read_like_the_compilers() {
        let finding = Finding::warning("a/b.rs", 7, "too long");
        assert_eq!(finding.to_string(), "a/b.rs:7: warning: too long");
        assert_eq!(Finding::error("c", 1, "bad").to_string(), "c:1: bad");
    }
}
