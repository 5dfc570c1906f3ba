//! The right to deliver: one process at a time has it.

use std::{collections::BTreeSet, sync::Arc};

use crate::error::error::Error;
use crate::spool::cursor::{Cursors, Loaded};
use crate::spool::fs::{File, Folder};
use crate::spool::reader::Deliverer;
use crate::spool::spool::Spool;

const FILE: &str = "claim.v1.lock";

/// The lock, and the folder that it was taken in.
#[derive(Debug)]
pub(crate) struct Claim {
    spool: Spool,
    folder: Arc<dyn Folder>,
    lock: Box<dyn File>,
    process: u32,
}

impl Claim {
    fn take(spool: &Spool) -> Result<Option<Self>, Error> {
        let store = &spool.shared.store;
        let Some(folder) = store.folder("claim")? else { return Ok(None) };
        let failed = |source| store.error("claim", source);
        let lock = folder.open_or_create(FILE).map_err(failed)?;
        if !lock.try_lock().map_err(failed)? || !lock.facts().map_err(failed)?.linked {
            return Ok(None);
        }
        Ok(Some(Self { spool: spool.clone(), folder, lock, process: store.fs.process() }))
    }

    /// Fails when the lock stands for nothing any more.
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

impl Spool {
    /// Takes the right to deliver to these backends, or `None` when another process has it or there is no folder yet.
    /// The system gives it back when the process dies.
    ///
    /// `backends` are all that are configured: a segment leaves when each of them is done with it. One that is new starts
    /// at the oldest event that is still there. What others had in the spool is forgotten.
    pub fn try_claim<S: AsRef<str>>(&self, backends: &[S]) -> Result<Option<Deliverer>, Error> {
        let Some(claim) = Claim::take(self)? else { return Ok(None) };
        if let Err(error) = self.enforce_limits() {
            tracing::warn!(%error, "telemetry spool");
        }
        let cursors = match Cursors::load(claim.folder()) {
            Ok(Loaded::Whole(cursors)) => cursors,
            Ok(Loaded::Missing) => Cursors::default(),
            Ok(Loaded::Damaged) => {
                tracing::warn!("telemetry spool: the cursors are damaged, events may be delivered again");
                Cursors::default()
            }
            Err(source) => return Err(self.shared.store.error("read", source)),
        };
        let mut deliverer = Deliverer::new(claim, cursors);
        deliverer.retain_backends(backends)?;
        Ok(Some(deliverer))
    }
}

/// The set of names.
pub(crate) fn names<S: AsRef<str>>(backends: &[S]) -> BTreeSet<String> {
    backends.iter().map(|name| name.as_ref().to_owned()).collect()
}
