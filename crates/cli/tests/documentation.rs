//! What docs/command-line.md says of settings and exit codes is what the program does.
#![allow(
    clippy::unwrap_used,
    reason = "a test stops where something is not as it should be"
)]

use minutebook::config::{SETTINGS, SettingKind};

fn page() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/command-line.md");
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn every_setting_is_there_with_its_variable_and_default() {
    let page = page();
    for setting in SETTINGS {
        let default = match setting.kind {
            SettingKind::Count | SettingKind::Flag | SettingKind::Columns => {
                setting.default.to_owned()
            }
            _ => format!("\"{}\"", setting.default),
        };
        let row = format!(
            "| `{}` | `{}` | `{default}` |",
            setting.key,
            setting.variable()
        );
        assert!(page.contains(&row), "{row}");
    }
}

#[test]
fn the_defaults_are_those_of_the_backends() {
    let default = |key: &str| {
        SETTINGS
            .iter()
            .find(|setting| setting.key == key)
            .unwrap()
            .default
            .to_owned()
    };
    let decisions = minutebook::json::JsonDecisionConfig::default();
    assert_eq!(
        default("decisions.max_decisions"),
        decisions.max_decisions.to_string()
    );
    assert_eq!(
        default("decisions.max_document_bytes"),
        decisions.max_document_bytes.to_string()
    );
    let ticks = minutebook::jsonl::JsonlConfig::default();
    assert_eq!(
        default("ticks.max_line_bytes"),
        ticks.max_line_bytes.to_string()
    );
}

#[test]
fn exit_codes_are_those_of_the_help() {
    let ran = std::process::Command::new(env!("CARGO_BIN_EXE_minutebook"))
        .arg("--help")
        .output()
        .unwrap();
    let help = String::from_utf8(ran.stdout).unwrap();
    let page = page();
    for code in 0..=8 {
        let start = format!("  {code}  ");
        let line = help.lines().find(|line| line.starts_with(&start)).unwrap();
        // The page says it in its own words; the first of them tells which code it is.
        let word = line
            .trim_start_matches(&start)
            .split([' ', ':', ';', ','])
            .next()
            .unwrap();
        let row = page
            .lines()
            .find(|line| line.starts_with(&format!("| {code} | ")))
            .unwrap();
        assert!(word.len() < 4 || row.contains(word), "{line} / {row}");
    }
}
