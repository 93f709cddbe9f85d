//! What differs between platforms: modes, links, identity, positioned reads, directory syncs.

#[cfg(unix)]
pub(super) use unix::*;

#[cfg(not(unix))]
pub(super) use other::*;

#[cfg(unix)]
mod unix {
    use std::fs::{self, DirBuilder, File, OpenOptions};
    use std::io;
    use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
    use std::path::Path;
    use std::time::SystemTime;

    use rustix::fs::OFlags;

    use crate::fs::{FileId, FileKind, Identity, Locality, Metadata};

    pub(crate) fn open(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
        // NONBLOCK: a pipe under a document's name must give an error, not hang the process.
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
        options
            .mode(0o600)
            .custom_flags(flags.bits().cast_signed())
            .open(path)
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub(crate) fn open_unnamed(dir: &Path) -> io::Result<File> {
        use rustix::fs::{Mode, open};
        use rustix::io::Errno;
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::APPEND | OFlags::CLOEXEC;
        match open(dir, flags, Mode::RUSR | Mode::WUSR) {
            Ok(file) => Ok(file.into()),
            // What systems and file systems say that have no such files.
            Err(Errno::ISDIR | Errno::OPNOTSUPP | Errno::INVAL) => {
                Err(io::ErrorKind::Unsupported.into())
            }
            Err(error) => Err(error.into()),
        }
    }

    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    pub(crate) fn open_unnamed(_: &Path) -> io::Result<File> {
        Err(io::ErrorKind::Unsupported.into())
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub(crate) fn link_to(file: &File, path: &Path) -> io::Result<()> {
        use rustix::fs::{AtFlags, CWD, linkat};
        use std::os::fd::AsRawFd;
        // Through the file's entry in /proc: without it only the superuser may.
        let open = format!("/proc/self/fd/{}", file.as_raw_fd());
        Ok(linkat(CWD, open, CWD, path, AtFlags::SYMLINK_FOLLOW)?)
    }

    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    pub(crate) fn link_to(_: &File, _: &Path) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub(crate) fn sync_file_system(path: &Path) -> io::Result<()> {
        Ok(rustix::fs::syncfs(File::open(path)?)?)
    }

    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    pub(crate) fn sync_file_system(_: &Path) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Telling Linux that bytes are not needed in memory makes it begin to write out those that are dirty. It keeps what it is writing, so what was written
    /// a moment ago stays in memory for readers.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub(crate) fn write_out(file: &File, offset: u64, len: u64) {
        use rustix::fs::{Advice, fadvise};
        if let Some(len) = std::num::NonZeroU64::new(len)
            && let Err(error) = fadvise(file, offset, Some(len), Advice::DontNeed)
        {
            tracing::debug!(%error, "nothing is written out before it is synced");
        }
    }

    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    pub(crate) fn write_out(_: &File, _: u64, _: u64) {}

    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub(crate) fn rename_no_replace(from: &Path, to: &Path) -> io::Result<()> {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        use rustix::io::Errno;
        match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            Ok(()) => Ok(()),
            // EINVAL is how a file system says that it does not know the flag.
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
                Err(io::ErrorKind::Unsupported.into())
            }
            Err(e) => Err(e.into()),
        }
    }

    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    pub(crate) fn rename_no_replace(_: &Path, _: &Path) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(crate) fn create_dir(path: &Path) -> io::Result<()> {
        DirBuilder::new().mode(0o700).create(path)
    }

    pub(crate) fn sync_dir(path: &Path) -> io::Result<()> {
        OpenOptions::new()
            .read(true)
            .custom_flags(OFlags::DIRECTORY.bits().cast_signed())
            .open(path)?
            .sync_all()
    }

    pub(crate) fn read_at(file: &File, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        file.read_at(buf, offset)
    }

    pub(crate) fn write_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<usize> {
        file.write_at(bytes, offset)
    }

    pub(crate) fn set_mode(file: &File, mode: u32) -> io::Result<()> {
        file.set_permissions(fs::Permissions::from_mode(mode))
    }

    pub(crate) fn metadata(m: &fs::Metadata) -> Metadata {
        Metadata {
            kind: crate::os::kind_of(m.file_type()),
            len: m.len(),
            modified: m.modified().unwrap_or(SystemTime::UNIX_EPOCH),
            changed_ns: i128::from(m.ctime()) * 1_000_000_000 + i128::from(m.ctime_nsec()),
            id: FileId {
                device: m.dev(),
                inode: m.ino(),
            },
            mode: Some(m.mode() & 0o7777),
        }
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub(crate) fn identify(path: &Path) -> io::Result<Identity> {
        use rustix::fs::{AtFlags, CWD, FileType, StatxFlags, makedev, statx};
        let wanted = StatxFlags::TYPE | StatxFlags::INO | StatxFlags::SIZE;
        let found = statx(CWD, path, AtFlags::SYMLINK_NOFOLLOW, wanted)?;
        let kind = match FileType::from_raw_mode(found.stx_mode.into()) {
            FileType::RegularFile => FileKind::File,
            FileType::Directory => FileKind::Dir,
            FileType::Symlink => FileKind::Symlink,
            _ => FileKind::Other,
        };
        let device = makedev(found.stx_dev_major, found.stx_dev_minor);
        Ok(Identity {
            kind,
            len: found.stx_size,
            id: FileId {
                device,
                inode: found.stx_ino,
            },
        })
    }

    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    pub(crate) fn identify(path: &Path) -> io::Result<Identity> {
        let found = metadata(&fs::symlink_metadata(path)?);
        Ok(Identity {
            kind: found.kind,
            len: found.len,
            id: found.id,
        })
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub(crate) fn locality(path: &Path) -> io::Result<Locality> {
        // The magic numbers of statfs(2).
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        // the type's width differs by platform
        let magic = rustix::fs::statfs(path)?.f_type as u32;
        Ok(match magic {
            0x6969 => Locality::Network("nfs"),
            0x517B => Locality::Network("smb"),
            0xFF53_4D42 => Locality::Network("cifs"),
            0xFE53_4D42 => Locality::Network("smb2"),
            0x0102_1997 => Locality::Network("9p"),
            0x00C3_6400 => Locality::Network("ceph"),
            0x5346_414F => Locality::Network("afs"),
            0x0BD0_0BD0 => Locality::Network("lustre"),
            0x4750_4653 => Locality::Network("gpfs"),
            0x6573_5546 => Locality::Unknown, // FUSE may be anything
            _ => Locality::Local,
        })
    }

    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    pub(crate) fn locality(_: &Path) -> io::Result<Locality> {
        Ok(Locality::Unknown)
    }
}

#[cfg(not(unix))]
mod other {
    use std::fs::{self, File, OpenOptions};
    use std::io;
    use std::path::Path;
    use std::time::{SystemTime, UNIX_EPOCH};

    use crate::fs::{FileId, Identity, Locality, Metadata};

    pub(crate) fn open(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
        if fs::symlink_metadata(path).is_ok_and(|m| m.is_symlink()) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "is a symbolic link",
            ));
        }
        options.open(path)
    }

    pub(crate) fn open_unnamed(_: &Path) -> io::Result<File> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(crate) fn link_to(_: &File, _: &Path) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(crate) fn sync_file_system(_: &Path) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(crate) fn write_out(_: &File, _: u64, _: u64) {}

    pub(crate) fn rename_no_replace(_: &Path, _: &Path) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(crate) fn create_dir(path: &Path) -> io::Result<()> {
        fs::create_dir(path)
    }

    pub(crate) fn sync_dir(path: &Path) -> io::Result<()> {
        // There is no call for it; NTFS journals its directories.
        fs::metadata(path).map(drop)
    }

    #[cfg(windows)]
    pub(crate) fn read_at(file: &File, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        std::os::windows::fs::FileExt::seek_read(file, buf, offset)
    }

    #[cfg(not(windows))]
    pub(crate) fn read_at(_: &File, _: &mut [u8], _: u64) -> io::Result<usize> {
        Err(io::ErrorKind::Unsupported.into())
    }

    #[cfg(windows)]
    pub(crate) fn write_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<usize> {
        std::os::windows::fs::FileExt::seek_write(file, bytes, offset)
    }

    #[cfg(not(windows))]
    pub(crate) fn write_at(_: &File, _: &[u8], _: u64) -> io::Result<usize> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(crate) fn set_mode(_: &File, _: u32) -> io::Result<()> {
        Ok(())
    }

    pub(crate) fn metadata(m: &fs::Metadata) -> Metadata {
        let modified = m.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        let nanos = |t: SystemTime| t.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos());
        Metadata {
            kind: crate::os::kind_of(m.file_type()),
            len: m.len(),
            modified,
            changed_ns: i128::try_from(nanos(modified)).unwrap_or(0),
            id: FileId {
                device: 0,
                inode: m.created().map_or(0, |t| nanos(t) as u64),
            },
            mode: None,
        }
    }

    pub(crate) fn identify(path: &Path) -> io::Result<Identity> {
        let found = metadata(&fs::symlink_metadata(path)?);
        Ok(Identity {
            kind: found.kind,
            len: found.len,
            id: found.id,
        })
    }

    pub(crate) fn locality(_: &Path) -> io::Result<Locality> {
        Ok(Locality::Unknown)
    }
}
