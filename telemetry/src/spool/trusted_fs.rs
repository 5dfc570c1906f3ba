//! The file system of spools in a data folder that has to be trusted.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::files::data_refusal;
use crate::spool::fs::{Folder, FolderError, Fs};

/// A file system for spools in a data folder: they can be had as long as that folder can be trusted.
#[derive(Debug)]
pub(crate) struct Trusted {
    pub(crate) data: PathBuf,
    pub(crate) fs: Arc<dyn Fs>,
}

impl Fs for Trusted {
    fn folder(&self, path: &Path, create: bool) -> Result<Arc<dyn Folder>, FolderError> {
        match data_refusal(&self.data) {
            Some(reason) => Err(FolderError::Refused(reason)),
            None => self.fs.folder(path, create),
        }
    }

    fn now_ms(&self) -> u64 {
        self.fs.now_ms()
    }

    fn process(&self) -> u32 {
        self.fs.process()
    }

    fn random(&self) -> u32 {
        self.fs.random()
    }

    fn pause(&self) {
        self.fs.pause();
    }
}
