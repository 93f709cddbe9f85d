//! Files below a directory are removed without following a link, whoever swaps directories meanwhile.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    reason = "a test stops where something is not as it should be"
)]

use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use minutebook_fs::{Durability, Fs, OsFs, Root, SimFs, remove_below};

fn removed(fs: &dyn Fs, root: &Path, below: &str) -> Result<bool, ErrorKind> {
    remove_below(fs, root, Path::new(below), Durability::Synced).map_err(|error| {
        assert!(error.nothing_applied(), "{error:?}");
        error.kind()
    })
}

#[test]
fn both_file_systems_remove_what_is_below_and_nothing_else() {
    let place = tempfile::tempdir().unwrap();
    let real = place.path().canonicalize().unwrap().join("root");
    let sim = SimFs::new();
    let simulated = Path::new("/root");
    for path in ["a/b/file", "file", "a/other", "dir/file"] {
        let at = real.join(path);
        std::fs::create_dir_all(at.parent().unwrap()).unwrap();
        std::fs::write(at, "x").unwrap();
        sim.put(simulated.join(path), b"x").unwrap();
    }
    for (fs, root) in [(&OsFs as &dyn Fs, real.as_path()), (&sim, simulated)] {
        for (below, expected) in [
            ("a/b/file", Ok(true)),
            ("a/b/file", Ok(false)),
            ("not/there/file", Ok(false)),
            ("file", Ok(true)),
            ("dir", Err(ErrorKind::IsADirectory)),
            ("a/other/file", Err(ErrorKind::NotADirectory)),
            ("", Err(ErrorKind::InvalidInput)),
            ("..", Err(ErrorKind::InvalidInput)),
            ("a/../dir/file", Err(ErrorKind::InvalidInput)),
            ("/root/dir/file", Err(ErrorKind::InvalidInput)),
        ] {
            assert_eq!(removed(fs, root, below), expected, "{fs:?} {below}");
        }
        assert!(fs.metadata(&root.join("dir/file")).is_ok());
    }
}

#[test]
fn no_component_may_be_a_link() {
    let place = tempfile::tempdir().unwrap();
    let place = place.path().canonicalize().unwrap();
    let (root, outside) = (place.join("root"), place.join("outside"));
    for dir in [&root, &outside] {
        std::fs::create_dir_all(dir.join("sub")).unwrap();
        std::fs::write(dir.join("sub/file"), "x").unwrap();
    }
    symlink(&outside, root.join("out")).unwrap();
    symlink(root.join("sub"), root.join("in")).unwrap();
    symlink(outside.join("sub/file"), root.join("sub/link")).unwrap();
    symlink(&root, place.join("also")).unwrap();
    for below in ["out/sub/file", "in/file"] {
        assert_eq!(removed(&OsFs, &root, below), Err(ErrorKind::NotADirectory));
    }
    assert_eq!(
        removed(&OsFs, &root, "sub/link"),
        Err(ErrorKind::InvalidInput)
    );
    let also = place.join("also");
    assert_eq!(
        removed(&OsFs, &also, "sub/file"),
        Err(ErrorKind::NotADirectory)
    );
    // A root follows what stays in it.
    let same = Root::open(Arc::new(OsFs), &also).unwrap();
    let told = |path: &Path| same.remove(path, Durability::Synced).map_err(|e| e.kind());
    assert_eq!(
        told(&root.join("out/sub/file")),
        Err(ErrorKind::PermissionDenied)
    );
    assert_eq!(
        told(&outside.join("sub/file")),
        Err(ErrorKind::InvalidInput)
    );
    assert_eq!(told(&root.join("not/file")), Ok(false));
    std::fs::write(root.join("sub/second"), "x").unwrap();
    assert_eq!(told(&root.join("in/second")), Ok(true));
    assert_eq!(told(&root.join("in/second")), Ok(false));
    assert!(root.join("sub/link").is_symlink());
    assert!(outside.join("sub/file").exists() && root.join("sub/file").exists());
}

#[test]
fn swapped_for_a_link_meanwhile_nothing_outside_goes() {
    let place = tempfile::tempdir().unwrap();
    let place = place.path().canonicalize().unwrap();
    let (inside, outside) = (place.join("root/a/b"), place.join("outside"));
    let root = Root::open_or_create(Arc::new(OsFs), &place.join("root"), Durability::Buffered);
    let root = root.unwrap();
    let names: Vec<_> = (0..500).map(|n| format!("file{n}")).collect();
    for dir in [&inside, &outside.join("b")] {
        std::fs::create_dir_all(dir).unwrap();
        for name in &names {
            std::fs::write(dir.join(name), "x").unwrap();
        }
        std::fs::create_dir(dir.join("empty")).unwrap();
    }
    let (a, aside) = (root.path().join("a"), root.path().join("aside"));
    let over = AtomicBool::new(false);
    let mut refused = 0;
    thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                std::fs::rename(&a, &aside).unwrap();
                symlink(&outside, &a).unwrap();
                std::fs::remove_file(&a).unwrap();
                std::fs::rename(&aside, &a).unwrap();
            }
        });
        for name in &names {
            // Until it was met in its place.
            while !match root.remove(&inside.join(name), Durability::Buffered) {
                Ok(removed) => removed,
                Err(error) => {
                    let kinds = [ErrorKind::NotADirectory, ErrorKind::PermissionDenied];
                    assert!(kinds.contains(&error.kind()), "{error:?}");
                    refused += 1;
                    false
                }
            } {}
        }
        while root.remove_dir(&inside.join("empty")).is_err() {}
        // Until it was met swapped, too.
        while refused == 0 {
            let gone = root.remove(&inside.join("file0"), Durability::Buffered);
            refused += u32::from(gone.is_err());
        }
        over.store(true, Ordering::Relaxed);
    });
    assert_eq!(std::fs::read_dir(&inside).unwrap().count(), 0);
    assert_eq!(std::fs::read_dir(outside.join("b")).unwrap().count(), 501);
}
