//! Watching a directory through inotify.

use std::ffi::OsStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;

use crate::watch::DirWatch;

/// Room for some hundred events of a read.
const BUFFER: usize = 16 << 10;
/// overlayfs and FUSE: what happens beneath them, or on another machine, is not told.
const NOT_TOLD: [u32; 2] = [0x794C_7630, 0x6573_5546];

#[derive(Debug)]
struct Watch {
    queue: OwnedFd,
    lost: bool,
}

pub(crate) fn watch_dir(path: &Path) -> io::Result<Box<dyn DirWatch>> {
    // The type's width differs by platform.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let magic = rustix::fs::statfs(path)?.f_type as u32;
    let local = super::platform::locality(path)? == crate::fs::Locality::Local;
    if !local || NOT_TOLD.contains(&magic) {
        return Err(io::ErrorKind::Unsupported.into());
    }
    let queue = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
    let wanted = WatchFlags::CREATE
        | WatchFlags::DELETE
        | WatchFlags::MODIFY
        | WatchFlags::ATTRIB
        | WatchFlags::MOVE
        | WatchFlags::DELETE_SELF
        | WatchFlags::MOVE_SELF
        | WatchFlags::ONLYDIR;
    inotify::add_watch(&queue, path, wanted)?;
    Ok(Box::new(Watch { queue, lost: false }))
}

impl DirWatch for Watch {
    fn changes(&mut self, changed: &mut dyn FnMut(&OsStr)) -> io::Result<bool> {
        let mut buffer = [const { MaybeUninit::uninit() }; BUFFER];
        let mut events = Reader::new(&self.queue, &mut buffer);
        let lost = ReadFlags::QUEUE_OVERFLOW
            | ReadFlags::IGNORED
            | ReadFlags::UNMOUNT
            | ReadFlags::DELETE_SELF
            | ReadFlags::MOVE_SELF;
        loop {
            match events.next() {
                Ok(event) => {
                    self.lost |= event.events().intersects(lost);
                    if let Some(name) = event.file_name() {
                        changed(OsStr::from_bytes(name.to_bytes()));
                    }
                }
                Err(Errno::AGAIN) => return Ok(!self.lost),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}
