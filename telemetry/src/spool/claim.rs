//! The claim: the right to deliver, which one process has at a time.

use std::sync::Arc;

use crate::error::error::Error;
use crate::spool::fs::{File, Folder};
use crate::spool::handle::Spool;

const FILE: &str = "claim.v1.lock";

/// The lock, and the folder that holds its file.
#[derive(Debug)]
pub(crate) struct Claim {
    spool: Spool,
    folder: Arc<dyn Folder>,
    lock: Box<dyn File>,
    process: u32,
}

impl Claim {
    pub(super) fn take(spool: &Spool) -> Result<Option<Self>, Error> {
        let store = &spool.shared.store;
        let Some(folder) = store.folder("claim")? else { return Ok(None) };
        let failed = |source| store.error("claim", source);
        let lock = folder.open_or_create(FILE).map_err(failed)?;
        if !lock.try_lock().map_err(failed)? || !lock.facts().map_err(failed)?.linked {
            return Ok(None);
        }
        Ok(Some(Self { spool: spool.clone(), folder, lock, process: store.fs.process() }))
    }

    /// Fails when the lock's file is gone or the process has forked: this claim is then no right to deliver.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let ours = self.process == self.spool.shared.store.fs.process();
        if ours && self.lock.facts().is_ok_and(|facts| facts.linked) {
            return Ok(());
        }
        Err(Error::ClaimLost { folder: self.spool.shared.store.path.clone() })
    }

    pub(crate) fn spool(&self) -> &Spool {
        &self.spool
    }

    pub(crate) fn folder(&self) -> &dyn Folder {
        &*self.folder
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // A forked child has a copy of the handle, and its parent still delivers.
        if self.process == self.spool.shared.store.fs.process() {
            _ = self.lock.unlock();
        }
    }
}
