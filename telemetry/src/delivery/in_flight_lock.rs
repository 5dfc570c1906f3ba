//! A lock that shows whether any process is inside a backend's call.
//!
//! The claim of the spool does not show it: a pass may end before a call that takes too long. So the batch of every call
//! holds a *slot*, a share of the lock on `sending.lock` in the data folder, until the call has returned. When a process
//! dies, the system releases its slots.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use jackfield_loader::files::{self, Access};

use crate::process::left;

/// The pause between two attempts to take a slot. The system does not report that another process has released a lock.
const POLL: Duration = Duration::from_millis(5);

/// The lock of one data folder.
#[derive(Debug)]
pub(crate) struct InFlightLock {
    file: PathBuf,
}

/// A share of the lock. Calls may run as long as it lives.
#[derive(Debug)]
pub(crate) struct Slot {
    file: File,
    process: u32,
}

impl InFlightLock {
    pub(crate) fn new(folder: &Path) -> Self {
        Self { file: folder.join("sending.lock") }
    }

    /// A slot; `None` when another process still checks for slots at `deadline`.
    pub(super) fn slot_until(&self, deadline: Instant) -> io::Result<Option<Arc<Slot>>> {
        let file = files::open(&self.file, Access::Write)?;
        while !files::try_lock_shared(&file)? {
            if left(deadline).is_zero() {
                return Ok(None);
            }
            thread::sleep(POLL.min(left(deadline)));
        }
        Ok(Some(Arc::new(Slot { file, process: std::process::id() })))
    }

    /// Waits until no call runs; `false` when one still runs at `deadline`. The caller has made sure that no call begins.
    pub(crate) fn wait_for_end(&self, deadline: Instant) -> bool {
        // The file is missing before the first call.
        let Ok(file) = files::open(&self.file, Access::Read) else { return true };
        let ended = files::lock_until(&file, deadline).unwrap_or(false);
        if ended {
            let _ = files::unlock(&file);
        }
        ended
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        // The process that took the slot unlocks it, because the copy of the handle in a forked child would keep the lock.
        // The child's copy must not: calls of its parent still run.
        if self.process == std::process::id() {
            let _ = files::unlock(&self.file);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_ends_with_the_last_slot() {
        let folder = tempfile::tempdir().expect("a folder");
        let lock = InFlightLock::new(folder.path());
        let now = Instant::now();
        assert!(lock.wait_for_end(now), "nothing was ever sent");
        let slots = [(); 2].map(|()| lock.slot_until(now).expect("room").expect("nobody looks"));
        assert!(!lock.wait_for_end(now));
        let [first, second] = slots;
        let batch = Arc::clone(&first);
        drop((first, second));
        assert!(!lock.wait_for_end(now), "a batch still has it");
        drop(batch);
        assert!(lock.wait_for_end(now));
        assert!(lock.slot_until(now).expect("room").is_some(), "looking leaves no lock behind");
    }
}
