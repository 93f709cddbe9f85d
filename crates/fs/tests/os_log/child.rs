//! Child processes: this test program again, running one of the ignored tests below.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use minutebook_fs::Durability;

use super::{line, open};

const DIR: &str = "MINUTEBOOK_FS_TEST_DIR";
const WRITER: &str = "MINUTEBOOK_FS_TEST_WRITER";

pub(crate) fn dir() -> PathBuf {
    std::env::var_os(DIR)
        .expect("run by a test of this program, as a process of its own")
        .into()
}

/// The arguments that run one ignored test.
pub(crate) fn args(test: &str) -> [String; 4] {
    [test, "--exact", "--ignored", "--nocapture"].map(str::to_owned)
}

pub(crate) fn command(test: &str, dir: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(args(test)).env(DIR, dir);
    command
}

/// Says on the standard output what was acknowledged, at once.
pub(crate) fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("ok {text}\n").as_bytes()).unwrap();
    out.flush().unwrap();
}

/// A writer in a process of its own, and what it acknowledged so far.
pub(crate) struct Writer {
    child: Child,
    out: BufReader<ChildStdout>,
    pub(crate) acknowledged: Vec<usize>,
}

impl Writer {
    pub(crate) fn start(dir: &Path, writer: usize) -> Self {
        let mut command = command("child::append_for_ever", dir);
        let mut child = command
            .env(WRITER, writer.to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        Self {
            child,
            out,
            acknowledged: Vec::new(),
        }
    }

    /// Waits for an acknowledgement; `false` when there are no more.
    pub(crate) fn wait(&mut self) -> bool {
        let mut text = String::new();
        while self.out.read_line(&mut text).unwrap() > 0 {
            // The last one may be cut short by the kill: then nobody heard it.
            if let Some(n) = text.strip_prefix("ok ").and_then(|n| n.strip_suffix('\n')) {
                self.acknowledged.push(n.parse().unwrap());
                return true;
            }
            text.clear();
        }
        false
    }

    /// Kills it, and returns all that it acknowledged.
    pub(crate) fn kill(mut self) -> Vec<usize> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        while self.wait() {}
        self.acknowledged
    }
}

#[test]
#[ignore = "run by other tests, as a process of its own"]
fn append_for_ever() {
    let writer = std::env::var(WRITER).unwrap().parse().unwrap();
    let log = open(&dir());
    for n in 0..1_000_000 {
        log.append(
            &line(writer, n),
            if n % 8 == 0 {
                Durability::Synced
            } else {
                Durability::Buffered
            },
        )
        .unwrap();
        say(&n.to_string());
    }
}
