//! Which of our packages may depend on which: the arrows of docs/ARCHITECTURE.md.

use super::Finding;
use super::workspace::Workspace;

/// A package and what it may depend on.
struct Rule {
    package: &'static str,
    normal: &'static [&'static str],
    /// Beside `normal`.
    dev: &'static [&'static str],
    /// Those of `normal` that must be optional, each behind its feature.
    optional: &'static [&'static str],
}

const CORE: &str = "minutebook-core";
const FS: &str = "minutebook-fs";
const JSON: &str = "minutebook-json";
const JSONL: &str = "minutebook-jsonl";
const PARQUET: &str = "minutebook-parquet";
const TESTKIT: &str = "minutebook-testkit";
const FACADE: &str = "minutebook";
const ALL: &[&str] = &[CORE, FS, JSON, JSONL, PARQUET, TESTKIT, FACADE];

const fn rule(
    package: &'static str,
    normal: &'static [&'static str],
    dev: &'static [&'static str],
) -> Rule {
    Rule {
        package,
        normal,
        dev,
        optional: &[],
    }
}

const RULES: &[Rule] = &[
    rule(CORE, &[], &[]),
    rule(FS, &[], &[]),
    rule(JSON, &[CORE, FS], &[TESTKIT]),
    rule(JSONL, &[CORE, FS], &[TESTKIT]),
    rule(PARQUET, &[CORE, FS], &[TESTKIT]),
    rule(TESTKIT, &[CORE], &[]),
    Rule {
        package: FACADE,
        normal: &[CORE, FS, JSON, JSONL, PARQUET],
        dev: &[TESTKIT],
        optional: &[FS, JSON, JSONL, PARQUET],
    },
    rule("minutebook-cli", &[FACADE, CORE, FS], &[]),
    rule("minutebook-python", &[FACADE, CORE, FS], &[]),
    rule("minutebook-tests", ALL, &["minutebook-cli"]),
    rule("minutebook-bench", ALL, &[]),
    rule("xtask", &[], &[]),
];

pub(super) fn check(workspace: &Workspace) -> Vec<Finding> {
    let ours: Vec<&str> = workspace.packages.iter().map(|p| p.name.as_str()).collect();
    let mut findings = Vec::new();
    for package in &workspace.packages {
        let Some(rule) = RULES.iter().find(|rule| rule.package == package.name) else {
            findings.push(Finding::error(
                &package.manifest_path,
                workspace.manifest_line(package, "name"),
                format!(
                    "`{}` has no place among the arrows; give it one in xtask/src/tidy/arrows.rs and docs/ARCHITECTURE.md",
                    package.name
                ),
            ));
            continue;
        };
        for dependency in &package.dependencies {
            let name = dependency.name.as_str();
            if !ours.contains(&name) {
                continue;
            }
            let dev = dependency.kind.as_deref() == Some("dev");
            let allowed = rule.normal.contains(&name) || (dev && rule.dev.contains(&name));
            let mut find = |text: String| {
                findings.push(Finding::error(
                    &package.manifest_path,
                    workspace.manifest_line(package, name),
                    text,
                ));
            };
            if !allowed {
                let how = if dev { "in its tests" } else { "at all" };
                find(format!(
                    "`{}` must not depend on `{name}` {how}",
                    rule.package
                ));
            } else if !dev && rule.optional.contains(&name) && !dependency.optional {
                find(format!(
                    "`{name}` must be optional in `{}`, behind a feature",
                    rule.package
                ));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::workspace::{Dependency, Package};
    use super::*;

    /// A name, the kind and whether it is optional.
    type Arrow = (&'static str, Option<&'static str>, bool);

    fn workspace(packages: &[(&str, &[Arrow])]) -> Workspace {
        let package = |(name, dependencies): &(&str, &[Arrow])| Package {
            name: (*name).to_owned(),
            manifest_path: format!("{name}/Cargo.toml"),
            dependencies: dependencies
                .iter()
                .map(|(name, kind, optional)| Dependency {
                    name: (*name).to_owned(),
                    kind: kind.map(str::to_owned),
                    optional: *optional,
                })
                .collect(),
            ..Package::default()
        };
        let mut packages: Vec<_> = packages.iter().map(package).collect();
        for name in ALL {
            if packages.iter().all(|p| p.name != *name) {
                packages.push(package(&(name, &[])));
            }
        }
        let manifest = "[package]\nname = \"x\"\n[dependencies]\nminutebook-fs.workspace = true\n";
        let files = packages
            .iter()
            .map(|p| (p.manifest_path.clone(), manifest.to_owned()))
            .collect();
        Workspace {
            files,
            packages,
            ..Workspace::default()
        }
    }

    #[test]
    fn allowed_arrows_pass() {
        let good = workspace(&[
            (
                JSON,
                &[
                    (CORE, None, false),
                    (FS, None, false),
                    (TESTKIT, Some("dev"), false),
                ],
            ),
            (
                FACADE,
                &[(CORE, None, false), (FS, None, true), (JSON, None, true)],
            ),
            ("xtask", &[("serde", None, false)]),
        ]);
        assert_eq!(check(&good), []);
    }

    #[test]
    fn an_arrow_the_wrong_way_is_found_with_its_line() {
        let bad = workspace(&[(CORE, &[(FS, None, false)])]);
        assert_eq!(
            check(&bad)[0].to_string(),
            "minutebook-core/Cargo.toml:4: `minutebook-core` must not depend on `minutebook-fs` at all"
        );
        for (package, other, kind) in [
            (JSON, JSONL, None),
            (JSON, TESTKIT, None),
            (JSON, TESTKIT, Some("build")),
            (TESTKIT, FACADE, Some("dev")),
            ("minutebook-cli", JSON, None),
            ("xtask", CORE, Some("dev")),
        ] {
            let bad = workspace(&[(package, &[(other, kind, false)])]);
            assert_eq!(check(&bad).len(), 1, "{package} -> {other}");
        }
    }

    #[test]
    fn a_backend_of_the_facade_must_be_optional() {
        let bad = workspace(&[(FACADE, &[(JSON, None, false)])]);
        assert!(check(&bad)[0].text.contains("must be optional"));
    }

    #[test]
    fn a_package_without_a_rule_is_found() {
        let bad = workspace(&[("minutebook-new", &[])]);
        assert!(check(&bad)[0].text.contains("no place among the arrows"));
    }
}
