//! The two spools of a data folder: one for events that may leave the machine, one for events that may not.

use std::{path::Path, sync::Arc};

use crate::error::error::Error;
use crate::spool::fs::Fs;
use crate::spool::handle::Spool;
use crate::spool::limits::Limits;
use crate::spool::trusted_fs::Trusted;

/// The spools of one data folder.
#[derive(Debug)]
pub(crate) struct Spools {
    /// For events that may be sent.
    ordinary: Spool,
    /// For events that were recorded under `TELEMETRY_LOCAL`: only a run under it delivers them, into the local log.
    local: Spool,
}

impl Spools {
    pub(crate) fn open(data: &Path, limits: &Limits, fs: &Arc<dyn Fs>) -> Self {
        let trusted: Arc<dyn Fs> = Arc::new(Trusted { data: data.to_owned(), fs: Arc::clone(fs) });
        let open = |name: &str| Spool::open(data.join(name), limits.clone(), Arc::clone(&trusted));
        Self { ordinary: open("spool"), local: open("local-spool") }
    }

    /// The spool for events that stay on the machine, or the other one.
    pub(crate) fn get(&self, local: bool) -> &Spool {
        if local { &self.local } else { &self.ordinary }
    }

    pub(crate) fn both(&self) -> [&Spool; 2] {
        [&self.ordinary, &self.local]
    }

    /// Drops what waits in both.
    ///
    /// # Errors
    /// The first one; the other spool is emptied all the same.
    pub(crate) fn drop_pending(&self) -> Result<(), Error> {
        let [ordinary, local] = self.both().map(Spool::drop_pending);
        ordinary.and(local).map(drop)
    }

    /// # Errors
    /// The first one.
    pub(crate) fn enforce_limits(&self) -> Result<(), Error> {
        let [ordinary, local] = self.both().map(Spool::enforce_limits);
        ordinary.and(local)
    }
}
