//! Advisory locks, which the system releases when the process ends.

use std::fs::{File, TryLockError};
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
    is_taken(file.try_lock())
}

/// Takes a shared lock of an open file; `false` if another handle has the exclusive lock.
///
/// # Errors
/// As [`try_lock`].
pub fn try_lock_shared(file: &File) -> io::Result<bool> {
    is_taken(file.try_lock_shared())
}

fn is_taken(result: Result<(), TryLockError>) -> io::Result<bool> {
    match result {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
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
            let _ = file.unlock();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_see_a_lock_until_it_is_released() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        assert!(!is_held(&path), "the file does not exist");
        let [first, second] = [(); 2].map(|()| open(&path, Access::Write).unwrap());
        assert!(!is_held(&path));
        assert!(try_lock(&first).unwrap() && is_held(&path));
        assert!(!try_lock_shared(&second).unwrap() && !lock_until(&second, Instant::now()).unwrap());
        drop(first);
        assert!(!is_held(&path) && lock_until(&second, Instant::now()).unwrap());
    }
}
