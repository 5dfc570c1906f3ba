//! Whether any process is inside a backend's call, for whoever has to know that none is.
//!
//! The claim of the spool does not tell: a call that takes longer than it may is left behind, and its pass ends. So the
//! batch of every call holds a *slot*, a share of the lock on `sending.lock` in the data folder, and lets go of it when the call has
//! returned. The system does so when the process dies.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use jackfield_loader::files::{self, Access};

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
        let file = files::open(&self.file, Access::Write)?;
        let has = files::try_lock_shared(&file)?;
        Ok(has.then(|| Arc::new(Slot { file, process: std::process::id() })))
    }

    /// Waits until no call is under way; `false` when one still is at `deadline`. Whoever asks has seen to it that none
    /// begins.
    pub(crate) fn wait_for_end(&self, deadline: Instant) -> bool {
        // A call can't be under way where nothing has ever been sent.
        let Ok(file) = files::open(&self.file, Access::Read) else { return true };
        let ended = files::lock_until(&file, deadline).unwrap_or(false);
        if ended {
            let _ = file.unlock();
        }
        ended
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
