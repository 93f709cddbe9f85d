//! Durable file primitives.
//!
//! | what | how |
//! | --- | --- |
//! | whole files | [`replace`], [`create_new`], [`rename`], [`rename_new`], [`remove`], [`remove_below`], [`read`], [`create_dir_all`] |
//! | a log of lines that processes share | [`AppendLog`], read by [`LineReader`] and [`ReverseLines`] |
//! | what changed in a directory | [`Fs::watch_dir`] |
//! | names and paths | [`names`], [`Root`] |
//! | left-overs of crashes | [`is_temporary`], [`stray_temporaries`], [`remove_stray_temporaries`] |
//! | the disk itself | [`Fs`] with [`OsFs`] and, for tests, [`SimFs`] |
//! | crash tests | [`crash::enumerate`] |
//! | blocking work in asynchronous code | [`task::blocking`] |
//!
//! What `Ok` promises is chosen by [`Durability`]; what an error means is said by [`FsError::applied`]. Failed calls
//! leave no temporary file behind, and nothing here follows a symbolic link in a file's place.
//!
//! The simulated disk is part of the crate, behind no feature: it has no dependencies, and tests of applications need it too.

mod append;
mod atomic;
pub mod crash;
mod durability;
mod error;
mod fs;
mod lines;
pub mod names;
mod os;
mod root;
mod sim;
pub mod task;
mod temp;
mod watch;

pub use append::{
    AppendLog, AppendOptions, Appended, Expecting, Locked, TornTail, complete_len, torn_tail,
};
pub use atomic::{
    Created, create_dir_all, create_new, create_seen, read, read_seen, remove, remove_below,
    rename, rename_new, replace, replace_dated, replace_link, replace_seen,
};
pub use durability::Durability;
pub use error::{Applied, FsError};
pub use fs::{
    DirEntry, FileId, FileKind, Fs, FsDir, FsFile, Identity, Locality, LockGuard, LockMode,
    LockWait, Metadata, OpenMode,
};
pub use lines::{Item, Line, LineOptions, LineReader, ReverseLines};
pub use os::OsFs;
pub use root::Root;
pub use sim::{Fault, Image, Images, OpEvent, OpKind, SimFs, Torn};
pub use temp::{is_temporary, remove_stray_temporaries, stray_temporaries};
pub use watch::DirWatch;
