//! Running other programs, with errors that name the command to rerun.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    // Cargo names the directory at run time; what was compiled in serves a binary that is started by hand.
    let here = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    here.parent().map(Path::to_path_buf).unwrap_or(here)
}

/// Where cargo builds.
pub(crate) fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// The cargo that runs this, at the root of the repository.
pub(crate) fn cargo<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.args(args).current_dir(root()).stdin(Stdio::null());
    command
}

/// The command as one would type it, variables of this run first.
pub(crate) fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program())
        .file_name()
        .unwrap_or(command.get_program());
    let quoted = |text: &OsStr| {
        let text = text.to_string_lossy().into_owned();
        if text.is_empty() || text.contains(|c: char| " *$'\"".contains(c)) {
            format!("'{text}'")
        } else {
            text
        }
    };
    let variables = command
        .get_envs()
        .filter_map(|(name, value)| Some(format!("{}={}", name.display(), quoted(value?))));
    variables
        .chain([quoted(program)])
        .chain(command.get_args().map(quoted))
        .collect::<Vec<_>>()
        .join(" ")
}

/// Runs a command whose output goes to the terminal.
///
/// # Errors
/// If it does not start or ends with another code than 0.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let text = shown(command);
    let status = command
        .status()
        .with_context(|| format!("cannot start `{text}`"))?;
    if !status.success() {
        bail!("`{text}` ended with {status}");
    }
    Ok(())
}

/// Runs a command, shows its standard output line by line and gives it back.
///
/// # Errors
/// As [`run`].
pub(crate) fn tee(command: &mut Command) -> Result<String> {
    let text = shown(command);
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start `{text}`"))?;
    let mut all = String::new();
    if let Some(output) = child.stdout.take() {
        let mut terminal = std::io::stdout();
        for line in BufReader::new(output).lines() {
            let line = line.with_context(|| format!("reading the output of `{text}`"))?;
            writeln!(terminal, "{line}")?;
            all.push_str(&line);
            all.push('\n');
        }
    }
    let status = child.wait()?;
    if !status.success() {
        bail!("`{text}` ended with {status}");
    }
    Ok(all)
}

/// Runs a command quietly and gives back its standard output.
///
/// # Errors
/// As [`run`], with what the command wrote to standard error.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let text = shown(command);
    let output = command
        .output()
        .with_context(|| format!("cannot start `{text}`"))?;
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr);
        bail!("`{text}` ended with {}: {}", output.status, why.trim());
    }
    String::from_utf8(output.stdout).with_context(|| format!("the output of `{text}` is no UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_as_typed() {
        let mut command = Command::new("/usr/bin/cargo");
        command
            .args(["doc", "--features", "a b"])
            .env("RUSTDOCFLAGS", "-D warnings");
        assert_eq!(
            shown(&command),
            "RUSTDOCFLAGS='-D warnings' cargo doc --features 'a b'"
        );
    }

    #[test]
    fn a_failing_command_is_an_error_that_names_it() {
        let error = output(&mut cargo(["no-such-command-of-cargo"])).unwrap_err();
        assert!(error.to_string().contains("no-such-command-of-cargo"));
        assert!(run(&mut Command::new("/no/such/program")).is_err());
    }
}
