//! What can go wrong before a backend is asked.

use std::{fmt, io, path::PathBuf};

use jackfield_loader::{ForeignText, show_path};
use serde::{Deserialize, Serialize};

/// Why a line is not an event, or a configuration can't be used. Each says so in one line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The line is not an event.
    #[error("{reason}")]
    Event {
        /// The member, what was expected and what was found.
        reason: ForeignText,
    },
    /// The configuration file can't be read.
    #[error("configuration {}: can't be read: {source}", show_path(file))]
    ReadConfig {
        /// The file.
        file: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The configuration file is wrong in one place.
    #[error("configuration {at}: {reason}")]
    Config {
        /// Where.
        at: Place,
        /// The key, what was expected and what was found.
        reason: ForeignText,
    },
    /// The lock file can't be read, or can't be trusted.
    #[error("lock {}: can't be read: {source}{}", show_path(file), how_to_get(source))]
    ReadLock {
        /// The file.
        file: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The lock file is wrong in one place.
    #[error("lock {at}: {reason}")]
    Lock {
        /// Where.
        at: Place,
        /// The key, what was expected and what was found.
        reason: ForeignText,
    },
    /// The spool's folder can't be trusted.
    #[error("spool {}: {reason}", show_path(folder))]
    SpoolFolder {
        /// The folder.
        folder: PathBuf,
        /// What was expected and what was found.
        reason: ForeignText,
    },
    /// The spool can't be read or written to.
    #[error("spool {}: can't {doing} it: {source}", show_path(folder))]
    Spool {
        /// What was tried.
        doing: &'static str,
        /// The folder.
        folder: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A delivery from the spool is not this process's any more: the folder was deleted, or this is a forked child.
    #[error("spool {}: the claim on its delivery is lost; claim it again", show_path(folder))]
    ClaimLost {
        /// The folder.
        folder: PathBuf,
    },
    /// The event can never be stored in the spool.
    #[error("the event can't be stored: {reason}")]
    Unstored {
        /// Why not.
        reason: crate::error::drop_reason::DropReason,
    },
    /// The configuration can't be used, so the backends are those of before.
    #[error("all backends stay as they are: {reason}")]
    Reload {
        /// What is wrong with it.
        reason: ForeignText,
    },
    /// A small file of the user's, such as the one that holds their consent, can't be written.
    #[error("{what} {}: can't be written: {source}", show_path(file))]
    Write {
        /// What is kept in it.
        what: &'static str,
        /// The file.
        file: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

fn how_to_get(lock: &io::Error) -> &'static str {
    if lock.kind() == io::ErrorKind::NotFound { ": make it with jackfield lock" } else { "" }
}

/// A line of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The file.
    pub file: PathBuf,
    /// Its line, from 1.
    pub line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", show_path(&self.file), self.line)
    }
}

impl Error {
    pub(crate) fn event(reason: impl Into<String>) -> Self {
        Self::Event { reason: reason.into().into() }
    }
}
