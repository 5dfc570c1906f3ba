//! Advisory locks, which the system releases when the process ends.
//!
//! # Platform
//! A lock of Windows keeps others from reading and writing what is locked. So the lock is that of one byte far behind the
//! end of every file.

use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};
use std::{io, thread};

use super::open::{Access, open};

/// The interval between two attempts to take a lock. No system reports that a lock is free.
const TICK: Duration = Duration::from_millis(2);

/// The longest wait for the right to replace a file.
const PATIENCE: Duration = Duration::from_secs(2);

/// Takes the exclusive lock of an open file, until its last handle is closed; `false` if another has one.
///
/// # Errors
/// The file system does not support locks.
pub fn try_lock(file: &File) -> io::Result<bool> {
    system::try_lock(file, true)
}

/// Takes a shared lock of an open file; `false` if another handle has the exclusive lock.
///
/// # Errors
/// As [`try_lock`].
pub fn try_lock_shared(file: &File) -> io::Result<bool> {
    system::try_lock(file, false)
}

/// Releases a lock of an open file.
pub fn unlock(file: &File) -> io::Result<()> {
    system::unlock(file)
}

#[cfg(unix)]
mod system {
    use std::fs::{File, TryLockError};
    use std::io;

    pub(super) fn try_lock(file: &File, exclusive: bool) -> io::Result<bool> {
        match if exclusive { file.try_lock() } else { file.try_lock_shared() } {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    pub(super) fn unlock(file: &File) -> io::Result<()> {
        file.unlock()
    }
}

#[cfg(windows)]
mod system {
    use std::fs::File;
    use std::io;
    use std::os::windows::io::AsRawHandle as _;

    use windows_sys::Win32::Foundation::{ERROR_IO_PENDING, ERROR_LOCK_VIOLATION};
    use windows_sys::Win32::Storage::FileSystem::{
        LOCKFILE_EXCLUSIVE_LOCK, LOCKFILE_FAIL_IMMEDIATELY, LockFileEx, UnlockFileEx,
    };
    use windows_sys::Win32::System::IO::{OVERLAPPED, OVERLAPPED_0, OVERLAPPED_0_0};

    /// No file is longer, and sums with it do not overflow.
    const PLACE: u64 = 1 << 62;

    fn place() -> OVERLAPPED {
        let at = OVERLAPPED_0_0 { Offset: PLACE as u32, OffsetHigh: (PLACE >> 32) as u32 };
        OVERLAPPED { Anonymous: OVERLAPPED_0 { Anonymous: at }, ..Default::default() }
    }

    pub(super) fn try_lock(file: &File, exclusive: bool) -> io::Result<bool> {
        let flags = LOCKFILE_FAIL_IMMEDIATELY | if exclusive { LOCKFILE_EXCLUSIVE_LOCK } else { 0 };
        let mut place = place();
        // SAFETY: the handle is open and was not opened for overlapped calls, so that the call is over when it returns.
        if unsafe { LockFileEx(file.as_raw_handle(), flags, 0, 1, 0, &raw mut place) } != 0 {
            return Ok(true);
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error().map(i32::cast_unsigned) {
            Some(ERROR_LOCK_VIOLATION | ERROR_IO_PENDING) => Ok(false),
            _ => Err(error),
        }
    }

    pub(super) fn unlock(file: &File) -> io::Result<()> {
        let mut place = place();
        // SAFETY: as above.
        match unsafe { UnlockFileEx(file.as_raw_handle(), 0, 1, 0, &raw mut place) } {
            0 => Err(io::Error::last_os_error()),
            _ => Ok(()),
        }
    }
}

/// As [`try_lock`], and waits for the lock until `deadline`.
pub fn lock_until(file: &File, deadline: Instant) -> io::Result<bool> {
    while !try_lock(file)? {
        if Instant::now() >= deadline {
            return Ok(false);
        }
        thread::sleep(TICK);
    }
    Ok(true)
}

/// Whether a handle has the exclusive lock of the file at `path`; `false` for a file that can't be opened.
#[must_use]
pub fn is_held(path: &Path) -> bool {
    open(path, Access::Read).is_ok_and(|file| matches!(try_lock_shared(&file), Ok(false)))
}

/// The right to replace a file: the lock of a file beside it, which is never removed. Where the file system
/// does not support locks, everyone has the right.
#[derive(Debug)]
pub struct ReplaceLock {
    file: Option<File>,
}

impl ReplaceLock {
    /// Waits for the right to replace the file at `path`, at most for two seconds.
    ///
    /// # Errors
    /// Another process has held it for longer, or the file beside it can't be opened.
    pub fn of(path: &Path) -> io::Result<Self> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let file = open(&path.with_file_name(format!(".{name}.lock")), Access::Write)?;
        match lock_until(&file, Instant::now() + PATIENCE) {
            Ok(true) => Ok(Self { file: Some(file) }),
            Ok(false) => Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "another process has held its lock for 2 s: try again",
            )),
            Err(_) => Ok(Self { file: None }),
        }
    }
}

impl Drop for ReplaceLock {
    fn drop(&mut self) {
        // Closing the handle would not be enough: a child that was forked meanwhile has a copy of it.
        if let Some(file) = &self.file {
            let _ = unlock(file);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::open::read;

    #[test]
    fn others_see_a_lock_until_it_is_released() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        assert!(!is_held(&path), "the file does not exist");
        let [first, second] = [(); 2].map(|()| open(&path, Access::Write).unwrap());
        assert!(!is_held(&path));
        assert!(try_lock(&first).unwrap() && is_held(&path));
        assert!(!try_lock_shared(&second).unwrap() && !lock_until(&second, Instant::now()).unwrap());
        assert_eq!(read(&path, Access::Read, 1).unwrap(), "", "a lock keeps nobody from reading");
        drop(first);
        assert!(!is_held(&path) && lock_until(&second, Instant::now()).unwrap());
    }
}
