//! A file without some of its bytes: cut at its end, or written anew and renamed into place.

use std::path::{Path, PathBuf};
use std::time::Duration;

use minutebook_core::check::Finding;
use minutebook_fs::{
    Durability, Fs, FsFile, LockGuard, LockMode, LockWait, OpenMode, rename, torn_tail,
};

use super::quarantine::{Quarantine, copy_range};
use crate::check::Seen;
use crate::error::{fs as fs_error, io};
use crate::{Error, ErrorKind, Result};

const MARK: &[u8] = b"\xEF\xBB\xBF";
/// How long a step waits for a writer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Takes the writers' lock.
pub(super) fn locked(fs: &dyn Fs, lock: Option<&Path>) -> Result<Option<LockGuard>> {
    let Some(path) = lock else { return Ok(None) };
    match fs.lock(path, LockMode::Exclusive, LockWait::Timeout(PATIENCE)) {
        Ok(guard) => Ok(Some(guard)),
        Err(error) => Err(
            Error::new(ErrorKind::Locked, "a writer holds the lock for too long")
                .with_resource(path.display())
                .with_source(error),
        ),
    }
}

/// Moves stretches of a file to quarantine; everything else stays byte for byte. A stretch that is no longer what it was is left alone.
pub(super) fn take_out(
    quarantine: &mut Quarantine,
    seen: &Seen,
    path: &Path,
    lock: Option<&PathBuf>,
    stretches: &[(u64, Option<u64>)],
    finding: &Finding,
) -> Result<()> {
    let fs = std::sync::Arc::clone(&quarantine.fs);
    let _lock = locked(&*fs, lock.map(PathBuf::as_path))?;
    let failed = |error| io("read the file", path, error);
    let file = fs.open(path, OpenMode::Read).map_err(failed)?;
    let len = file.len().map_err(failed)?;
    let torn = torn_tail(&*file).map_err(failed)?;
    let mut ranges = Vec::new();
    for (from, to) in stretches {
        // Since it was judged the file may have been sealed, or another repair may have been here: then other bytes are there.
        if !seen.is_stretch(&*file, path, *from, *to).map_err(failed)? {
            continue;
        }
        let range = match to {
            Some(to) => is_line(&*file, *from, *to, len)
                .map_err(failed)?
                .then_some((*from, *to)),
            None => torn
                .filter(|torn| torn.offset == *from)
                .map(|_| (*from, len)),
        };
        ranges.extend(range);
    }
    ranges.sort_unstable();
    ranges.dedup();
    if ranges.len() < stretches.len() {
        return Err(changed(path));
    }
    quarantine.keep(finding, path, Some(ranges.clone()))?;
    if let [(from, to)] = ranges.as_slice()
        && *to == len
    {
        return cut(&*fs, path, *from, len);
    }
    without(&*fs, path, &*file, len, &ranges)
}

/// Something was put in the place of what was judged.
pub(super) fn changed(path: &Path) -> Error {
    Error::new(
        ErrorKind::Conflict,
        "it changed meanwhile; run the repair again",
    )
    .with_resource(path.display())
}

/// Whether a stretch is one whole line, or the byte order mark.
fn is_line(file: &dyn FsFile, from: u64, to: u64, len: u64) -> std::io::Result<bool> {
    if to > len || from >= to {
        return Ok(false);
    }
    let byte = |at: u64| -> std::io::Result<Option<u8>> {
        let mut one = [0];
        Ok((file.read_full_at(&mut one, at)? == 1).then_some(one[0]))
    };
    if from == 0 && to == MARK.len() as u64 {
        let mut start = [0; 3];
        if file.read_full_at(&mut start, 0)? == MARK.len() && start == MARK {
            return Ok(true);
        }
    }
    Ok((from == 0 || byte(from - 1)? == Some(b'\n')) && byte(to - 1)? == Some(b'\n'))
}

/// Cuts a file at its end, if nobody who takes no lock has appended to it.
fn cut(fs: &dyn Fs, path: &Path, to: u64, len: u64) -> Result<()> {
    let failed = |error| io("cut the file", path, error);
    let file = fs.open(path, OpenMode::AppendExisting).map_err(failed)?;
    if file.len().map_err(failed)? != len {
        return Err(changed(path));
    }
    file.set_len(to).map_err(failed)?;
    file.sync_all().map_err(failed)
}

/// Writes a file anew, without some stretches, and renames it into place.
fn without(
    fs: &dyn Fs,
    path: &Path,
    file: &dyn FsFile,
    len: u64,
    ranges: &[(u64, u64)],
) -> Result<()> {
    let failed = |error| io("write the file anew", path, error);
    let temporary = path.with_file_name(fs.temp_name());
    let target = fs.open(&temporary, OpenMode::CreateNew).map_err(failed)?;
    let written = (|| {
        // So that nobody takes it for a left-over.
        target.lock(LockMode::Exclusive, LockWait::Try)?;
        let mut at = 0;
        for (from, to) in ranges {
            copy_range(file, &*target, at, *from)?;
            at = (*to).max(at);
        }
        copy_range(file, &*target, at, len)?;
        if let Some(mode) = file.metadata()?.mode {
            target.set_mode(mode)?;
        }
        target.sync_all()
    })();
    let done = written.map_err(failed).and_then(|()| {
        // A program that takes no lock may have appended to it.
        if file.len().map_err(failed)? != len {
            return Err(changed(path));
        }
        rename(fs, &temporary, path, Durability::Synced)
            .map_err(|error| fs_error("write the file anew", path, error))
    });
    if done.is_err() {
        // What is left over is found by the next check.
        let _ = fs.remove_file(&temporary);
    }
    done
}

/// Ends the last line of a file, which lacks its newline alone.
pub(super) fn close_line(fs: &dyn Fs, path: &Path, lock: &Path) -> Result<()> {
    let _lock = locked(fs, Some(lock))?;
    let failed = |error| io("end the last line", path, error);
    let file = fs.open(path, OpenMode::AppendExisting).map_err(failed)?;
    if torn_tail(&*file).map_err(failed)?.is_none() {
        return Ok(());
    }
    file.write_all(b"\n").map_err(failed)?;
    file.sync_all().map_err(failed)
}

#[cfg(test)]
mod tests {
    use minutebook_fs::SimFs;

    use super::*;

    const PATH: &str = "/ticks/x.jsonl";

    /// A file of three lines, to which somebody without the lock has appended a fourth.
    fn appended() -> SimFs {
        let fs = SimFs::new();
        fs.put(PATH, b"1\n2\nx\n4\n").unwrap();
        fs
    }

    #[test]
    fn what_was_appended_without_the_lock_is_not_cut_away() {
        let fs = appended();
        let error = cut(&fs, Path::new(PATH), 4, 6).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert_eq!(fs.get(PATH).unwrap(), b"1\n2\nx\n4\n");
        cut(&fs, Path::new(PATH), 4, 8).unwrap();
        assert_eq!(fs.get(PATH).unwrap(), b"1\n2\n");
    }

    #[test]
    fn what_was_appended_without_the_lock_is_not_left_in_the_old_file() {
        let fs = appended();
        let path = Path::new(PATH);
        let file = fs.open(path, OpenMode::Read).unwrap();
        let error = without(&fs, path, &*file, 6, &[(2, 4)]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert_eq!(fs.get(PATH).unwrap(), b"1\n2\nx\n4\n");
        assert_eq!(fs.read_dir(Path::new("/ticks")).unwrap().len(), 1);
        without(&fs, path, &*file, 8, &[(2, 4)]).unwrap();
        assert_eq!(fs.get(PATH).unwrap(), b"1\nx\n4\n");
    }
}
