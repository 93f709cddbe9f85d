//! A process that may not write, or not as much as it wants.

use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output};

use minutebook_fs::{Durability, OsFs, create_dir_all, create_new, read, remove, replace};

use super::child::{args, command, dir, say};
use super::{line, lines, open};

fn assert_ran(output: &Output) {
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(
        output.status.success() && out.contains("ok done\n"),
        "{out}\n{err}"
    );
}

#[test]
#[ignore = "run by other tests, as a process of its own"]
fn append_up_to_a_limit() {
    let log = open(&dir());
    let mut n = 6; // lines of less than 100 bytes, to come close to the limit
    let error = loop {
        match log.append(&line(0, n), Durability::Synced) {
            Ok(_) => n += 1,
            Err(error) => break error,
        }
    };
    assert!(
        matches!(
            error.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::FileTooLarge
        ),
        "{error:?}"
    );
    assert!(error.nothing_applied());
    let (whole, damaged) = lines(&log);
    assert_eq!((&whole[&0], damaged), (&(6..n).collect(), 0));
    assert!(std::fs::read(log.path()).unwrap().ends_with(b"\n"));
    // Documents too: the old content stays.
    let doc = dir().join("doc");
    replace(&OsFs, &doc, b"old", Durability::Synced).unwrap();
    assert!(
        replace(&OsFs, &doc, &vec![0; 1 << 20], Durability::Synced)
            .unwrap_err()
            .nothing_applied()
    );
    assert_eq!(read(&OsFs, &doc, 10).unwrap().unwrap(), b"old");
    assert_eq!(std::fs::read_dir(dir()).unwrap().count(), 3);
    say("done");
}

#[test]
fn a_limit_of_the_system_cuts_no_line() {
    let place = tempfile::tempdir().unwrap();
    let exe = std::env::current_exe().unwrap();
    // The limit is in blocks; the signal is ignored, so that the write fails instead.
    let mut shell = Command::new("sh");
    shell
        .args(["-c", "trap '' XFSZ; ulimit -f 32; exec \"$0\" \"$@\""])
        .arg(exe)
        .args(args("refusals::append_up_to_a_limit"));
    let envs: Vec<_> = command("", place.path())
        .get_envs()
        .map(|(k, v)| (k.to_owned(), v.unwrap().to_owned()))
        .collect();
    assert_ran(&shell.envs(envs).output().unwrap());
}

#[test]
#[ignore = "run by other tests, as a process of its own"]
fn fail_in_a_read_only_directory() {
    let dir = dir();
    assert_eq!(
        std::fs::metadata(&dir).unwrap().permissions().mode() & 0o777,
        0o555
    );
    let denied = |error: minutebook_fs::FsError| {
        assert_eq!(
            (error.kind(), error.nothing_applied()),
            (io::ErrorKind::PermissionDenied, true),
            "{error:?}"
        );
    };
    denied(replace(&OsFs, &dir.join("doc"), b"x", Durability::Synced).unwrap_err());
    denied(replace(&OsFs, &dir.join("old"), b"x", Durability::Synced).unwrap_err());
    denied(create_new(&OsFs, &dir.join("doc"), b"x", Durability::Synced).unwrap_err());
    denied(create_dir_all(&OsFs, &dir.join("a/b"), Durability::Synced).unwrap_err());
    denied(remove(&OsFs, &dir.join("old"), Durability::Synced).unwrap_err());
    denied(open(&dir).append(b"x\n", Durability::Synced).unwrap_err());
    assert!(open(&dir).reader().unwrap().is_none());
    assert_eq!(read(&OsFs, &dir.join("old"), 10).unwrap().unwrap(), b"old");
    say("done");
}

#[test]
fn a_directory_without_permission_is_an_error_that_changes_nothing() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("dir");
    std::fs::create_dir(&dir).unwrap();
    std::fs::write(dir.join("old"), "old").unwrap();
    for (path, mode) in [
        (place.path(), 0o755),
        (&dir.join("old"), 0o644),
        (&dir, 0o555),
    ] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    let mut child = command("refusals::fail_in_a_read_only_directory", &dir);
    if std::fs::metadata(&dir).unwrap().uid() == 0 {
        // Permissions do not bind the superuser: the child is somebody else, who may not reach this program's directory.
        let copy = place.path().join("program");
        std::fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
        std::fs::set_permissions(&copy, std::fs::Permissions::from_mode(0o755)).unwrap();
        let mut other = Command::new(copy);
        other
            .args(child.get_args())
            .envs(child.get_envs().filter_map(|(k, v)| Some((k, v?))));
        other.uid(65534).gid(65534).current_dir(Path::new("/"));
        child = other;
    }
    let output = loop {
        match child.output() {
            // A test beside this one has started a program while the copy was being written, which holds it open for a moment.
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy => {
                std::thread::yield_now();
            }
            ran => break ran.unwrap(),
        }
    };
    assert_ran(&output);
    std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 1);
}

#[test]
fn of_pieces_one_of_which_cannot_be_made_none_stays() {
    #[derive(Debug)]
    enum Failed {
        Made(&'static str),
        Fs(minutebook_fs::FsError),
    }
    impl From<minutebook_fs::FsError> for Failed {
        fn from(error: minutebook_fs::FsError) -> Self {
            Self::Fs(error)
        }
    }
    let place = tempfile::tempdir().unwrap();
    let log = open(place.path());
    log.append(b"first\n", Durability::Buffered).unwrap();
    let append = |pieces: Vec<Result<&'static str, &'static str>>| {
        log.with_lock(Durability::Buffered, |log| {
            log.append_made(pieces.into_iter().map(|piece| piece.map_err(Failed::Made)))
        })
    };
    let made = append(vec![Ok("a\nb\n"), Ok("c\n"), Err("no third"), Ok("d\n")]);
    assert!(matches!(made, Err(Failed::Made("no third"))), "{made:?}");
    for torn in ["c", "", "c\nd"] {
        let made = append(vec![Ok("a\n"), Ok(torn), Ok("d\n")]);
        let Err(Failed::Fs(error)) = made else {
            panic!("{made:?}")
        };
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert!(error.nothing_applied(), "{error:?}");
    }
    let made = append(Vec::new());
    assert!(matches!(made, Err(Failed::Fs(_))), "{made:?}");
    assert_eq!(std::fs::read(log.path()).unwrap(), b"first\n");
    let appended = append(vec![Ok("a\nb\n"), Ok("c\n")]).unwrap();
    assert_eq!((appended.offset, appended.len), (6, 6));
    assert_eq!(std::fs::read(log.path()).unwrap(), b"first\na\nb\nc\n");
    let next = log.append(b"d\n", Durability::Synced).unwrap();
    assert_eq!(next.offset, 12);
}
