//! The folder of a spool, its limits, and the file system that it is on.

use std::{path::PathBuf, sync::Arc};

use crate::error::error::Error;
use crate::spool::counters::Pending;
use crate::spool::fs::{Folder, FolderError, Fs};
use crate::spool::limits::Limits;

/// Where a spool is, and what it may hold.
#[derive(Debug)]
pub(crate) struct Store {
    pub(super) path: PathBuf,
    pub(super) limits: Limits,
    pub(super) fs: Arc<dyn Fs>,
}

impl Store {
    /// The folder, or `None` when there is none.
    pub(super) fn folder(&self, doing: &'static str) -> Result<Option<Arc<dyn Folder>>, Error> {
        match self.fs.folder(&self.path, false) {
            Ok(folder) => Ok(Some(folder)),
            Err(FolderError::Missing) => Ok(None),
            Err(FolderError::Refused(reason)) => {
                Err(Error::SpoolFolder { folder: self.path.clone(), reason: reason.into() })
            }
            Err(FolderError::Io(source)) => Err(self.error(doing, source)),
        }
    }

    /// Writes losses down that are not in the file yet, where the folder can be had.
    pub(super) fn flush_drops(&self, drops: &Pending) {
        if drops.is_empty() {
            return;
        }
        if let Ok(folder) = self.fs.folder(&self.path, false) {
            drops.flush(&*self.fs, &*folder);
        }
    }

    pub(super) fn error(&self, doing: &'static str, source: std::io::Error) -> Error {
        Error::Spool { doing, folder: self.path.clone(), source }
    }
}
