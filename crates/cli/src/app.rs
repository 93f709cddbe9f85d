//! From arguments to an exit code; everything that comes from outside is handed in.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;

use clap::Parser;
use clap::error::ErrorKind as ClapKind;
use minutebook::Minutebook;
use minutebook::config::Environment;

use crate::args::{Cli, Command, Global};
use crate::failure::{Exit, Failure, Outcome};
use crate::output::Output;

/// The process's own ends.
#[allow(clippy::struct_excessive_bools, reason = "three ends, three answers")]
pub(crate) struct Streams<'a> {
    pub(crate) stdin: &'a mut (dyn Read + Send),
    pub(crate) stdout: &'a mut dyn Write,
    pub(crate) stderr: &'a mut dyn Write,
    pub(crate) stdin_is_terminal: bool,
    pub(crate) stdout_is_terminal: bool,
    pub(crate) stderr_is_terminal: bool,
}

/// What a command works with.
pub(crate) struct Context<'a> {
    pub(crate) output: Output<'a>,
    pub(crate) stdin: &'a mut (dyn Read + Send),
    /// Whether a person can answer questions.
    pub(crate) interactive: bool,
    pub(crate) environment: &'a Environment,
    store: Option<PathBuf>,
}

impl Context<'_> {
    /// The store's directory as it was named.
    pub(crate) fn store_path(&self) -> Outcome<PathBuf> {
        if let Some(path) = &self.store {
            return Ok(path.clone());
        }
        let named = self.environment.text("MINUTEBOOK_STORE")?;
        Ok(PathBuf::from(named.unwrap_or(".")))
    }

    /// Opens the store.
    pub(crate) fn open(&self) -> Outcome<Minutebook> {
        let path = self.store_path()?;
        Minutebook::options()
            .environment(self.environment.clone())
            .open(&path)
            .map_err(wrong_settings)
    }

    /// Asks before something cannot be undone; without a person to ask, `--yes` has to be there.
    pub(crate) fn confirm(&mut self, yes: bool, question: &str) -> Outcome<bool> {
        if yes {
            return Ok(true);
        }
        if !self.interactive {
            return Err(Failure::usage(format!(
                "{question}: this needs --yes when nobody can be asked"
            )));
        }
        let _ = write!(self.output.stderr, "{question}? Type yes to go on: ");
        let _ = self.output.stderr.flush();
        let mut answer = Vec::new();
        BufReader::new(&mut *self.stdin)
            .read_until(b'\n', &mut answer)
            .map_err(|error| Failure::file("read the answer", "standard input", &error))?;
        let agreed = answer.trim_ascii().eq_ignore_ascii_case(b"yes");
        if !agreed {
            self.output.note("nothing was changed");
        }
        Ok(agreed)
    }
}

/// What is invalid while a store is opened was said on the command line, in the environment or in the settings.
pub(crate) fn wrong_settings(error: minutebook::Error) -> Failure {
    let usage = error.kind() == minutebook::ErrorKind::InvalidInput;
    match Failure::from(error) {
        Failure::Message { text, .. } if usage => Failure::usage(text),
        failure => failure,
    }
}

/// Runs one command line and says which code to exit with.
pub(crate) fn run(
    arguments: impl IntoIterator<Item = OsString>,
    environment: &Environment,
    streams: &mut Streams<'_>,
) -> Exit {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => return usage(&error, environment, streams),
    };
    let no_color = environment.text("NO_COLOR").ok().flatten().is_some();
    let watched = streams.stderr_is_terminal && !cli.global.quiet;
    start_logging(&cli.global, environment);
    let mut context = Context {
        output: Output {
            stdout: streams.stdout,
            stderr: streams.stderr,
            json: cli.global.json,
            quiet: cli.global.quiet,
            color: streams.stderr_is_terminal && !no_color,
            watched,
            width: streams
                .stdout_is_terminal
                .then(|| terminal_width(environment)),
        },
        stdin: streams.stdin,
        interactive: streams.stdin_is_terminal && streams.stderr_is_terminal,
        environment,
        store: cli.global.store,
    };
    let done = execute(cli.command, &mut context).and_then(|()| context.output.finish());
    match done {
        Ok(()) | Err(Failure::OutputClosed) => Exit::Success,
        Err(Failure::Message { exit, text }) => {
            // Results that were written before the failure stay in order before the message about it.
            let _ = context.output.finish();
            context.output.error(&text);
            exit
        }
    }
}

fn execute(command: Command, context: &mut Context<'_>) -> Outcome {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_time()
        .build()
        .map_err(|error| Failure::new(Exit::Failure, format!("cannot start: {error}")))?;
    runtime.block_on(async {
        match command {
            Command::Init(command) => command.run(context),
            Command::Decision(command) => command.run(context).await,
            Command::Ticks(command) => command.run(context).await,
            Command::Bars(command) => command.run(context).await,
            Command::Series(command) => command.run(context).await,
            Command::Catalog(command) => command.run(context).await,
            Command::Document(command) => command.run(context).await,
            Command::Verify(command) => command.run(context).await,
            Command::Repair(command) => command.run(context).await,
            Command::Backup(command) => command.run(context).await,
            Command::Restore(command) => command.run(context).await,
            Command::Demo(command) => command.run(context).await,
            Command::Completions(command) => command.run(context),
        }
    })
}

/// What clap has to say: help on standard output, mistakes on standard error.
fn usage(error: &clap::Error, environment: &Environment, streams: &mut Streams<'_>) -> Exit {
    let help = matches!(
        error.kind(),
        ClapKind::DisplayHelp | ClapKind::DisplayVersion
    );
    let terminal = if help {
        streams.stdout_is_terminal
    } else {
        streams.stderr_is_terminal
    };
    let rendered = error.render();
    let colored = terminal && environment.text("NO_COLOR").ok().flatten().is_none();
    let text = if colored {
        rendered.ansi().to_string()
    } else {
        rendered.to_string()
    };
    if help {
        let _ = streams.stdout.write_all(text.as_bytes());
        let _ = streams.stdout.flush();
        return Exit::Success;
    }
    // A value that is wrong is told on one line; how the command is written helps nobody there.
    let one_line = error.kind() == ClapKind::ValueValidation;
    let text = if one_line {
        text.lines().next().unwrap_or("")
    } else {
        text.trim_end()
    };
    let _ = writeln!(streams.stderr, "{text}");
    Exit::Usage
}

fn terminal_width(environment: &Environment) -> u16 {
    let columns = environment.text("COLUMNS").ok().flatten();
    columns
        .and_then(|text| text.parse().ok())
        .or_else(|| comfy_table::Table::new().width())
        .unwrap_or(100)
}

fn start_logging(global: &Global, environment: &Environment) {
    use tracing_subscriber::EnvFilter;
    let level = match (global.quiet, global.verbose) {
        // What fails is told by the command itself, on one line.
        (true, _) | (_, 0) => "off",
        (_, 1) => "info",
        (_, 2) => "debug",
        (_, _) => "trace",
    };
    let wanted = environment.text("MINUTEBOOK_LOG").ok().flatten();
    let filter =
        EnvFilter::try_new(wanted.unwrap_or(level)).unwrap_or_else(|_| EnvFilter::new(level));
    // Fails when a subscriber is there already, as in tests that run several commands in one process.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        .without_time()
        .with_ansi(false)
        .try_init();
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Ran {
        exit: Exit,
        stdout: String,
        stderr: String,
    }

    /// Runs a command line as if a person sat before it.
    fn run_watched(args: &[&str], stdin: &str, environment: &Environment) -> Ran {
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let exit = run(
            ["minutebook"].iter().chain(args).map(OsString::from),
            environment,
            &mut Streams {
                stdin: &mut stdin.as_bytes(),
                stdout: &mut stdout,
                stderr: &mut stderr,
                stdin_is_terminal: true,
                stdout_is_terminal: true,
                stderr_is_terminal: true,
            },
        );
        Ran {
            exit,
            stdout: String::from_utf8(stdout).unwrap(),
            stderr: String::from_utf8(stderr).unwrap(),
        }
    }

    fn of_store(path: &std::path::Path, more: &[(&str, &str)]) -> Environment {
        let store = ("MINUTEBOOK_STORE", path.to_str().unwrap());
        [store, ("COLUMNS", "60")]
            .iter()
            .chain(more)
            .copied()
            .collect()
    }

    #[test]
    fn who_can_be_asked_is_asked() {
        let dir = tempfile::tempdir().unwrap();
        let environment = of_store(dir.path(), &[]);
        let ran = run_watched(&["decision", "add"], "{\"id\": \"a\"}", &environment);
        assert_eq!(ran.exit, Exit::Success, "{}", ran.stderr);
        for answer in ["", "n\n", "y\n"] {
            let ran = run_watched(&["decision", "wipe"], answer, &environment);
            assert_eq!((ran.exit, ran.stdout.as_str()), (Exit::Success, ""));
            assert!(
                ran.stderr.contains("delete all 1 decision in "),
                "{}",
                ran.stderr
            );
            assert!(
                ran.stderr.ends_with("nothing was changed\n"),
                "{}",
                ran.stderr
            );
        }
        let ran = run_watched(&["decision", "wipe"], "yes\n", &environment);
        assert_eq!(ran.stdout, "deleted 1 decision\n");
    }

    #[test]
    fn who_wants_no_repair_is_told_what_is_wrong_all_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let environment = of_store(dir.path(), &[]);
        let decision = "{\"id\": \"a\", \"timestamp\": \"2025-01-02\"}";
        run_watched(&["decision", "add"], decision, &environment);
        let file = |day| dir.path().join(format!("decisions/2025-01-{day}_a.json"));
        std::fs::copy(file("02"), file("01")).unwrap();
        let no = || run_watched(&["repair"], "no\n", &environment);
        let ran = no();
        assert_eq!(ran.exit, Exit::Success, "{}", ran.stderr);
        // What no repair can mend is not in the plan.
        std::fs::write(dir.path().join("documents"), "no directory").unwrap();
        let ran = no();
        assert_eq!(ran.exit, Exit::Failure, "{}", ran.stderr);
        assert!(ran.stderr.contains("nothing was mended"), "{}", ran.stderr);
        std::fs::write(file("02"), "{").unwrap();
        assert_eq!(no().exit, Exit::Corrupt);
        assert!(file("01").exists());
    }

    #[test]
    fn colour_is_for_terminals_and_not_where_it_is_unwanted() {
        let dir = tempfile::tempdir().unwrap();
        let colored = run_watched(&["decision", "get", "a"], "", &of_store(dir.path(), &[]));
        assert_eq!(colored.exit, Exit::NotFound);
        assert!(
            colored.stderr.starts_with("\x1b[31merror:\x1b[0m "),
            "{}",
            colored.stderr
        );
        let plain = of_store(dir.path(), &[("NO_COLOR", "1")]);
        for args in [
            &["decision", "get", "a"][..],
            &["decision", "get", "a/b"],
            &["decison"],
        ] {
            let ran = run_watched(args, "", &plain);
            assert!(ran.stderr.starts_with("error: "), "{}", ran.stderr);
            assert!(!ran.stderr.contains('\x1b'), "{}", ran.stderr);
        }
        assert!(!run_watched(&["--help"], "", &plain).stdout.contains('\x1b'));
    }

    #[test]
    fn tables_keep_to_the_width_of_the_terminal() {
        let dir = tempfile::tempdir().unwrap();
        let environment = of_store(dir.path(), &[]);
        let long = format!(
            "{{\"id\": \"{}\", \"asset_pair\": \"BTCUSD\"}}",
            "x".repeat(100)
        );
        run_watched(&["decision", "add"], &long, &environment);
        let ran = run_watched(&["decision", "list"], "", &environment);
        assert!(ran.stdout.lines().count() > 2, "{}", ran.stdout);
        assert!(
            ran.stdout.lines().all(|line| line.chars().count() <= 60),
            "{}",
            ran.stdout
        );
    }
}
