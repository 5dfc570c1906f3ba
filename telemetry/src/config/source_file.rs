//! Opening the file of a configuration, and reading it with a limit.

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use jackfield_loader::files::{self, Access, FileError};

use crate::error::Error;

/// Largest configuration, in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// A configuration file that has been opened, and is not read yet. What is examined of it, such as its owner, is of the very
/// file that is read.
#[derive(Debug)]
pub struct ConfigFile {
    path: PathBuf,
    handle: File,
    /// Whether it is used although others than root and the user can write it.
    pub(super) is_trusted: bool,
}

impl ConfigFile {
    /// Opens a regular file. A FIFO or device is refused, and not waited for.
    ///
    /// # Errors
    /// [`Error::ReadConfig`].
    pub fn open(file: &Path) -> Result<Self, Error> {
        let refusal = |error: FileError| Error::ReadConfig { file: file.to_owned(), error: error.into() };
        let handle = files::open(file, Access::ReadLinked).map_err(refusal)?;
        Ok(Self { path: file.to_owned(), handle, is_trusted: false })
    }

    /// The open file.
    #[must_use]
    pub fn handle(&self) -> &File {
        &self.handle
    }

    /// Whether only root and the user could have written it: it decides which code runs.
    ///
    /// # Errors
    /// [`Error::ReadConfig`]: the file, its folder or that of a link which leads to it belongs to somebody else, or group or
    /// others can write to it.
    ///
    /// # Platform
    /// On Windows, root is SYSTEM, the Administrators and TrustedInstaller.
    pub fn check_owner(&self) -> Result<(), Error> {
        files::judge_with_folders(&self.handle, &self.path)
            .map_err(|error| Error::ReadConfig { file: self.path.clone(), error: error.into() })
    }

    /// Like [`check_owner`](Self::check_owner), but only warns of a file that is `trusted`. The files of its values are then
    /// not judged either.
    ///
    /// # Errors
    /// Those of `check_owner`, unless the file is `trusted`.
    pub fn check_owner_unless(self, trusted: bool) -> Result<Self, Error> {
        match self.check_owner() {
            Err(refusal) if trusted => {
                tracing::warn!("{refusal}; it is used all the same, because the check is turned off");
            }
            judged => judged?,
        }
        Ok(Self { is_trusted: trusted, ..self })
    }

    /// The name by which the file was opened.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Its text, whatever it is written in.
    ///
    /// # Errors
    /// [`Error::ReadConfig`], also for a file of more than 1 MiB.
    pub fn text(self) -> Result<String, Error> {
        let Self { path, handle, .. } = self;
        files::read_open(&handle, MAX_BYTES)
            .map_err(|error| Error::ReadConfig { file: path, error: error.into() })
    }
}

#[cfg(all(test, unix))]
#[path = "source_file_tests.rs"]
mod tests;
