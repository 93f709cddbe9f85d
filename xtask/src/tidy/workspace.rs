//! What tidy looks at: the text files of the repository and the packages as cargo sees them.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::process::{cargo, output};

/// Files that hold text of ours.
const TEXT: [&str; 7] = ["rs", "toml", "md", "sh", "py", "yml", "lock"];

/// The repository in memory.
#[derive(Debug, Default)]
pub(super) struct Workspace {
    /// Text files by path relative to the root, `/` between the parts.
    pub(super) files: BTreeMap<String, String>,
    /// Every other path that there is, directories included: a link may point there.
    pub(super) paths: std::collections::BTreeSet<String>,
    /// The workspace's packages.
    pub(super) packages: Vec<Package>,
}

/// A package, as `cargo metadata` tells it.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Package {
    pub(super) name: String,
    pub(super) description: Option<String>,
    pub(super) license: Option<String>,
    #[serde(default)]
    pub(super) dependencies: Vec<Dependency>,
    pub(super) manifest_path: String,
}

/// What a package depends on, directly.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Dependency {
    pub(super) name: String,
    /// `None` for an ordinary one, else `dev` or `build`.
    pub(super) kind: Option<String>,
    #[serde(default)]
    pub(super) optional: bool,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

impl Workspace {
    /// Reads the repository at `root`.
    pub(super) fn read(root: &Path) -> Result<Self> {
        let mut workspace = Self::default();
        workspace.walk(root, "")?;
        // Without dependencies: those that are declared are enough, and nothing has to be fetched.
        let text =
            output(cargo(["metadata", "--no-deps", "--format-version", "1"]).current_dir(root))?;
        let metadata: Metadata =
            serde_json::from_str(&text).context("the output of cargo metadata")?;
        workspace.packages = metadata.packages;
        let prefix = format!("{}/", root.display());
        for package in &mut workspace.packages {
            if let Some(relative) = package.manifest_path.strip_prefix(&prefix) {
                package.manifest_path = relative.to_owned();
            }
        }
        Ok(workspace)
    }

    fn walk(&mut self, root: &Path, below: &str) -> Result<()> {
        let directory = root.join(below);
        let entries =
            std::fs::read_dir(&directory).with_context(|| directory.display().to_string())?;
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if below.is_empty() && (name == ".git" || name.starts_with("target")) {
                continue;
            }
            let path = if below.is_empty() {
                name
            } else {
                format!("{below}/{name}")
            };
            if entry.file_type()?.is_dir() {
                self.walk(root, &path)?;
            } else if is_text(&path) {
                let text = std::fs::read_to_string(entry.path())
                    .with_context(|| format!("{path} should be UTF-8 text"))?;
                self.files.insert(path.clone(), text);
            }
            self.paths.insert(path);
        }
        Ok(())
    }

    /// The manifest's text and the line (from 1) of the first line that starts with `key`, 1 if there is none.
    pub(super) fn manifest_line(&self, package: &Package, key: &str) -> usize {
        self.files
            .get(&package.manifest_path)
            .and_then(|text| text.lines().position(|line| line.starts_with(key)))
            .map_or(1, |at| at + 1)
    }

    /// The package's directory relative to the root.
    pub(super) fn directory(package: &Package) -> &str {
        package
            .manifest_path
            .strip_suffix("/Cargo.toml")
            .unwrap_or("")
    }
}

/// Whether the file is text of ours. What lies in a `fixtures` directory is data: it is as others wrote it.
fn is_text(path: &str) -> bool {
    if path.split('/').any(|part| part == "fixtures") {
        return false;
    }
    path.starts_with(".ci/") || TEXT.iter().any(|extension| super::is(path, extension))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fixtures_are_data_and_scripts_are_text() {
        assert!(is_text("crates/core/src/lib.rs") && is_text(".ci/run"));
        assert!(!is_text("tests/fixtures/old/README.md"));
        assert!(!is_text("crates/cli/sample.csv"));
    }
}
