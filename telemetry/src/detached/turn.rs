//! Whose turn it is to deliver a spool when its tools have ended.
//!
//! A lock file a spool in the data folder. The tool takes the lock and hands the descriptor to its child: a lock of
//! `flock` belongs to what was opened, so it lasts until the child ends, and the system gives it back whatever ends it.
//!
//! A tool that finds it taken leaves, for the child that has it looks at the spool once more after giving it back.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
};

fn file(data: &Path, local: bool) -> PathBuf {
    data.join(if local { "delivering-local.lock" } else { "delivering.lock" })
}

fn open(path: &Path, create: bool) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(create).truncate(false);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
        options.mode(0o600).custom_flags(flags.bits().cast_signed());
    }
    options.open(path)
}

/// The turn, unless somebody has it. It lasts as long as the file, or a copy of its descriptor, is open.
///
/// # Errors
/// When the lock can't be had at all.
#[cfg(unix)]
pub(super) fn take(data: &Path, local: bool) -> io::Result<Option<File>> {
    let file = open(&file(data, local), true)?;
    Ok(take_again(&file)?.then_some(file))
}

/// Whether the turn is this file's now, or was already.
///
/// # Errors
/// As [`take`].
#[cfg(unix)]
pub(super) fn take_again(file: &File) -> io::Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Whether a child delivers this spool now. Who looks while a tool takes its turn may be what the tool takes for a child;
/// its events wait for the next run then.
pub(crate) fn is_delivering(data: &Path, local: bool) -> bool {
    let Ok(file) = open(&file(data, local), false) else { return false };
    matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn one_has_the_turn_until_the_last_copy_of_its_descriptor_is_closed() {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path();
        assert!(!is_delivering(data, false));
        let turn = take(data, false).expect("writable").expect("nobody has it");
        let copy = turn.try_clone().expect("a descriptor");
        assert!(take_again(&copy).expect("a lock"), "a copy has it as well");
        drop(turn);
        assert!(take(data, false).expect("writable").is_none() && is_delivering(data, false));
        assert!(take(data, true).expect("writable").is_some(), "the other spool has one of its own");
        drop(copy);
        assert!(!is_delivering(data, false), "looking leaves no lock behind");
        assert!(take(data, false).expect("writable").is_some());
    }
}
