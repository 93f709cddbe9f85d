//! One file for each command.

pub(crate) mod backup;
pub(crate) mod bars;
pub(crate) mod catalog;
pub(crate) mod completions;
pub(crate) mod decision;
pub(crate) mod demo;
pub(crate) mod document;
pub(crate) mod init;
pub(crate) mod repair;
pub(crate) mod restore;
pub(crate) mod series;
pub(crate) mod ticks;
pub(crate) mod verify;
