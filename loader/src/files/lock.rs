//! Advisory locks, which the system gives back when the process ends, however it does.

use std::{
    fs::{File, TryLockError},
    io,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use super::open::{Access, open};

/// Between two looks at a lock: no system tells when one is given back.
const TICK: Duration = Duration::from_millis(2);

/// How long another process may hold the right to replace a file.
const PATIENCE: Duration = Duration::from_secs(2);

/// Takes the exclusive lock of an open file, unless somebody has it; answers whether it is this file's now. It lasts until
/// the last copy of the handle is closed.
///
/// # Errors
/// The file system knows no locks.
pub fn try_lock(file: &File) -> io::Result<bool> {
    is_taken(file.try_lock())
}

/// Takes a share of the lock of an open file, unless somebody has it for himself alone.
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

/// As [`try_lock`], and waits until `deadline` for whoever has it.
///
/// # Errors
/// As [`try_lock`].
pub fn lock_until(file: &File, deadline: Instant) -> io::Result<bool> {
    while !try_lock(file)? {
        if Instant::now() >= deadline {
            return Ok(false);
        }
        thread::sleep(TICK);
    }
    Ok(true)
}

/// Whether somebody has the exclusive lock of the file at `path`. Nobody has that of a file that can't be opened.
#[must_use]
pub fn is_held(path: &Path) -> bool {
    open(path, Access::Read).is_ok_and(|file| matches!(try_lock_shared(&file), Ok(false)))
}

/// The right to replace a file, held by one process at a time through a file beside it that stays.
///
/// A file system that knows no locks grants it to everybody.
#[derive(Debug)]
pub struct ReplaceLock {
    /// Held by being open.
    file: Option<File>,
}

impl ReplaceLock {
    /// Waits for the right to replace the file at `path`, for two seconds at most.
    ///
    /// # Errors
    /// Another process has it for longer, or the file beside it can't be opened.
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
        // Closing it would leave the lock to a child that was forked meanwhile.
        if let Some(file) = &self.file {
            let _ = file.unlock();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_seen_by_others_until_it_is_given_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        assert!(!is_held(&path), "it is not there");
        let [first, second] = [(); 2].map(|()| open(&path, Access::Write).unwrap());
        assert!(!is_held(&path));
        assert!(try_lock(&first).unwrap() && is_held(&path));
        assert!(!try_lock_shared(&second).unwrap() && !lock_until(&second, Instant::now()).unwrap());
        drop(first);
        assert!(!is_held(&path) && lock_until(&second, Instant::now()).unwrap());
    }
}
