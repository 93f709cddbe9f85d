//! Rules for packages: what a manifest must say, who must pass the conformance suite, one Arrow.

use std::collections::BTreeMap;

use super::Finding;
use super::workspace::Workspace;

/// The packages that implement a repository trait, and the parts of the conformance suite that they must run.
const STORES: [(&str, &[&str]); 4] = [
    (
        "minutebook-json",
        &["decision_repository_tests!", "catalog_tests!"],
    ),
    ("minutebook-jsonl", &["time_series_repository_tests!"]),
    ("minutebook-parquet", &["time_series_repository_tests!"]),
    (
        "minutebook",
        &[
            "decision_repository_tests!",
            "time_series_repository_tests!",
            "catalog_tests!",
        ],
    ),
];

pub(super) fn check(workspace: &Workspace) -> Vec<Finding> {
    let mut findings = manifests(workspace);
    findings.extend(conformance(workspace));
    if let Some(lock) = workspace.files.get("Cargo.lock") {
        findings.extend(versions(lock));
    }
    findings
}

fn manifests(workspace: &Workspace) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in &workspace.packages {
        let mut missing = |what: &str| {
            let line = workspace.manifest_line(package, "[package]");
            findings.push(Finding::error(
                &package.manifest_path,
                line,
                format!("no {what}"),
            ));
        };
        if package
            .description
            .as_deref()
            .is_none_or(|text| text.trim().is_empty())
        {
            missing("`description`");
        }
        if package.license.is_none() {
            missing("`license.workspace = true`");
        }
        let lints = workspace
            .files
            .get(&package.manifest_path)
            .is_some_and(|text| text.contains("[lints]\nworkspace = true"));
        if !lints {
            missing("`[lints]` with `workspace = true`");
        }
    }
    findings
}

fn conformance(workspace: &Workspace) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in &workspace.packages {
        let Some((name, parts)) = STORES.iter().find(|(name, _)| package.name == *name) else {
            continue;
        };
        let below = format!("{}/", Workspace::directory(package));
        let tests = || {
            let inside = |path: &str| {
                path.strip_prefix(&below)
                    .is_some_and(|rest| rest.contains("tests"))
            };
            workspace.files.iter().filter(move |(path, _)| inside(path))
        };
        for part in *parts {
            if !tests().any(|(_, text)| text.contains(part)) {
                findings.push(Finding::error(
                    &package.manifest_path,
                    workspace.manifest_line(package, "name"),
                    format!("`{name}` must run `{part}` of the conformance suite in its tests"),
                ));
            }
        }
    }
    findings
}

/// Two versions of these in one build do not understand each other's types.
fn versions(lock: &str) -> Vec<Finding> {
    let mut found: BTreeMap<&str, Vec<(usize, &str)>> = BTreeMap::new();
    let mut name = "";
    for (i, line) in lock.lines().enumerate() {
        let value = |key: &str| {
            line.strip_prefix(key)?
                .strip_prefix(" = \"")?
                .strip_suffix('"')
        };
        if let Some(text) = value("name") {
            name = text;
        } else if let Some(version) = value("version")
            && (name.starts_with("arrow")
                || ["parquet", "object_store", "datafusion"].contains(&name))
        {
            found.entry(name).or_default().push((i + 1, version));
        }
    }
    found
        .into_iter()
        .filter(|(_, versions)| versions.len() > 1)
        .map(|(name, versions)| {
            let all: Vec<_> = versions.iter().map(|(_, version)| *version).collect();
            Finding::error(
                "Cargo.lock",
                versions[1].0,
                format!(
                    "`{name}` is there in the versions {}; keep one",
                    all.join(" and ")
                ),
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::workspace::Package;
    use super::*;

    fn workspace(manifest: &str, conformance: Option<&str>) -> Workspace {
        let mut workspace = Workspace::default();
        let path = "crates/json/Cargo.toml";
        workspace.files.insert(path.into(), manifest.into());
        if let Some(text) = conformance {
            workspace
                .files
                .insert("crates/json/tests/conformance.rs".into(), text.into());
        }
        workspace.packages.push(Package {
            name: "minutebook-json".into(),
            description: Some("Files".into()),
            license: Some("MIT".into()),
            manifest_path: path.into(),
            ..Package::default()
        });
        workspace
    }

    const SUITE: &str = "decision_repository_tests!(Json);\ncatalog_tests!(Json);\n";
    const GOOD: &str = "[package]\n[lints]\nworkspace = true\n";

    #[test]
    fn a_store_that_runs_the_suite_passes() {
        let good = workspace(GOOD, Some(SUITE));
        assert_eq!(check(&good), []);
    }

    #[test]
    fn a_missing_or_partial_conformance_test_is_found() {
        assert_eq!(check(&workspace(GOOD, None)).len(), 2);
        let partial = workspace(GOOD, Some("minutebook_testkit::catalog_tests!(Json);"));
        let found = check(&partial);
        assert_eq!(found.len(), 1);
        assert_eq!(
            found[0].to_string(),
            "crates/json/Cargo.toml:1: `minutebook-json` must run `decision_repository_tests!` of the conformance suite in its tests"
        );
    }

    #[test]
    fn a_thin_manifest_is_found() {
        let mut bad = workspace("[package]\n", Some(SUITE));
        bad.packages[0].description = None;
        bad.packages[0].license = None;
        let found = check(&bad);
        assert_eq!(found.len(), 3);
        assert!(
            found
                .iter()
                .all(|f| f.file == "crates/json/Cargo.toml" && f.line == 1)
        );
    }

    #[test]
    fn two_versions_of_arrow_are_found() {
        let package = |name: &str, version: &str| {
            format!("[[package]]\nname = \"{name}\"\nversion = \"{version}\"\n\n")
        };
        let one =
            package("arrow-array", "59.3.0") + &package("syn", "1.0.0") + &package("syn", "2.0.0");
        assert_eq!(versions(&one), []);
        let two = one + &package("arrow-array", "60.1.0");
        assert_eq!(
            versions(&two)[0].to_string(),
            "Cargo.lock:15: `arrow-array` is there in the versions 59.3.0 and 60.1.0; keep one"
        );
    }
}
