//! Whether any process is inside a backend's call, for whoever has to know that none is.
//!
//! The claim of the spool does not tell: a call that takes longer than it may is left behind, and its pass ends. So the
//! batch of every call holds a *slot*, a share of the lock on `sending.lock` in the data folder, and lets go of it when the call has
//! returned. The system does so when the process dies.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use crate::process::deadline::left;

/// Between two looks at the lock: the system tells nobody that other processes have let go of it.
const TICK: Duration = Duration::from_millis(2);

/// The lock of one data folder.
#[derive(Debug)]
pub(crate) struct InFlightLock {
    file: PathBuf,
}

/// A share of it: calls may be under way as long as it lives.
#[derive(Debug)]
pub(crate) struct Slot {
    file: File,
    process: u32,
}

impl InFlightLock {
    pub(crate) fn new(folder: &Path) -> Self {
        Self { file: folder.join("sending.lock") }
    }

    /// A slot, unless somebody looks at this very moment whether there is one.
    pub(super) fn slot(&self) -> io::Result<Option<Arc<Slot>>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt as _;
            let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
            options.mode(0o600).custom_flags(flags.bits().cast_signed());
        }
        let file = options.open(&self.file)?;
        match file.try_lock_shared() {
            Ok(()) => Ok(Some(Arc::new(Slot { file, process: std::process::id() }))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Waits until no call is under way; `false` when one still is at `deadline`. Whoever asks has seen to it that none
    /// begins.
    pub(crate) fn wait_for_end(&self, deadline: Instant) -> bool {
        // A call can't be under way where nothing has ever been sent.
        let Ok(file) = jackfield_loader::open_regular(&self.file) else { return true };
        loop {
            match file.try_lock() {
                Ok(()) => {
                    let _ = file.unlock();
                    return true;
                }
                Err(TryLockError::WouldBlock) if !left(deadline).is_zero() => thread::sleep(TICK),
                Err(_) => return false,
            }
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        // A forked child has a copy of the handle: closing this one alone would leave the lock to it, and its closing ends
        // no call of its parent.
        if self.process == std::process::id() {
            let _ = self.file.unlock();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_the_last_call_is_waited_for() {
        let folder = tempfile::tempdir().expect("a folder");
        let lock = InFlightLock::new(folder.path());
        let now = Instant::now();
        assert!(lock.wait_for_end(now), "nothing was ever sent");
        let slots = [(); 2].map(|()| lock.slot().expect("room").expect("nobody looks"));
        assert!(!lock.wait_for_end(now));
        let [first, second] = slots;
        let batch = Arc::clone(&first);
        drop((first, second));
        assert!(!lock.wait_for_end(now), "a batch still has it");
        drop(batch);
        assert!(lock.wait_for_end(now));
        assert!(lock.slot().expect("room").is_some(), "looking leaves no lock behind");
    }
}
