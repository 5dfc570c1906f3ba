//! The errors of this crate, and the reasons why events are dropped.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use jackfield_loader::{ForeignText, show_path};
use serde::{Deserialize, Serialize};

/// Why a line is not an event, or a configuration or a file can't be used. Each error is one line.
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
    #[error("configuration {}: can't be read: {error}", show_path(file))]
    ReadConfig {
        /// The file.
        file: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// The configuration file is wrong in one place.
    #[error("configuration {at}: {reason}")]
    Config {
        /// Where.
        at: Place,
        /// The key, what was expected and what was found.
        reason: ForeignText,
    },
    /// A file that a value of the configuration is in can't be used.
    #[error("configuration {at}: {reason}")]
    ConfigValue {
        /// Where.
        at: Place,
        /// The file.
        file: PathBuf,
        /// The key, the file, and why not.
        reason: ForeignText,
    },
    /// The file with the user's consent can't be read.
    #[error("consent file {}: can't be read: {error}", show_path(file))]
    ReadConsent {
        /// The file.
        file: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// The file with the user's consent is wrong in one place.
    #[error("consent file {at}: {reason}")]
    Consent {
        /// Where.
        at: Place,
        /// The key, what was expected and what was found.
        reason: ForeignText,
    },
    /// The lock file can't be read, or can't be trusted.
    #[error("lock {}: can't be read: {error}{}", show_path(file), how_to_get(error))]
    ReadLock {
        /// The file.
        file: PathBuf,
        /// Why not.
        error: io::Error,
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
    /// The spool can't be read or written.
    #[error("spool {}: can't {doing} it: {error}", show_path(folder))]
    Spool {
        /// What was tried.
        doing: &'static str,
        /// The folder.
        folder: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// The dead letters have reached their limit, so no more events that a backend rejects are taken out of the spool.
    #[error(
        "spool {}: its dead letters have reached their limit of {limit} bytes: send them again or drop them, or raise \
         the limit",
        show_path(folder)
    )]
    DeadLettersFull {
        /// The folder.
        folder: PathBuf,
        /// The limit, in bytes.
        limit: u64,
    },
    /// This process may no longer deliver the spool: the folder was deleted, or this is a forked child.
    #[error("spool {}: the claim on its delivery is lost; claim it again", show_path(folder))]
    ClaimLost {
        /// The folder.
        folder: PathBuf,
    },
    /// The event can never be stored in the spool.
    #[error("the event can't be stored: {reason}")]
    Unstored {
        /// Why not.
        reason: DropReason,
    },
    /// A backend can't be opened, or can't show what it would send.
    #[error("{reason}")]
    Preview {
        /// What the loader or the plugin says.
        reason: ForeignText,
    },
    /// The configuration can't be used, so a reload changes no backend.
    #[error("all backends stay as they are: {reason}")]
    Reload {
        /// What is wrong with it.
        reason: ForeignText,
    },
    /// A small file of the user, such as the file with their consent, can't be written.
    #[error("{what} {}: can't be written: {error}", show_path(file))]
    Write {
        /// What the file holds.
        what: &'static str,
        /// The file.
        file: PathBuf,
        /// Why not.
        error: io::Error,
    },
}

impl Error {
    pub(crate) fn event(reason: impl Into<String>) -> Self {
        Self::Event { reason: reason.into().into() }
    }

    /// The place in a file that the error is about.
    #[must_use]
    pub fn place(&self) -> Option<&Place> {
        match self {
            Self::Config { at, .. }
            | Self::ConfigValue { at, .. }
            | Self::Consent { at, .. }
            | Self::Lock { at, .. } => Some(at),
            _ => None,
        }
    }
}

fn how_to_get(lock: &io::Error) -> &'static str {
    if lock.kind() == io::ErrorKind::NotFound { ": make it with jackfield lock" } else { "" }
}

/// A line of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The file.
    pub file: PathBuf,
    /// The number of the line, from 1.
    pub line: usize,
}

impl Place {
    /// The line of the byte `at` of `text`, the content of `file`.
    pub(crate) fn of(file: &Path, text: &str, at: usize) -> Self {
        let before = text.as_bytes().get(..at).unwrap_or_default();
        Self { file: file.to_owned(), line: 1 + memchr::memchr_iter(b'\n', before).count() }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", show_path(&self.file), self.line)
    }
}

/// Why events were lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DropReason {
    /// The spool reached [`Limits::max_bytes`](crate::spool::Limits::max_bytes).
    Size,
    /// The spool reached [`Limits::max_events`](crate::spool::Limits::max_events).
    Count,
    /// The event was older than [`Limits::max_age`](crate::spool::Limits::max_age).
    Age,
    /// The disk is full, or this user's quota is used up.
    DiskFull,
    /// The disk can't be written, for another reason than its size.
    Unwritable,
    /// The line is not an event: a crash tore it, somebody overwrote it, or it contains a line feed.
    Damaged,
    /// The line is longer than allowed.
    TooLong,
    /// The folder belongs to another user, or others can write to it.
    FolderRefused,
    /// Somebody deleted the file of the event.
    Deleted,
    /// The dead letter was older than [`Limits::dead_letter_age`](crate::spool::Limits::dead_letter_age).
    DeadLetters,
}

impl DropReason {
    pub(crate) const ALL: [Self; 10] = [
        Self::Size,
        Self::Count,
        Self::Age,
        Self::DiskFull,
        Self::Unwritable,
        Self::Damaged,
        Self::TooLong,
        Self::FolderRefused,
        Self::Deleted,
        Self::DeadLetters,
    ];

    /// Whether the number of such events is the least possible: a file that was cut has lost lines beside the one that the
    /// cut went through.
    pub(crate) fn is_at_least(self) -> bool {
        self == Self::Damaged
    }

    /// Every reason.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter()
    }
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Size => "spool full (bytes)",
            Self::Count => "spool full (events)",
            Self::Age => "too old",
            Self::DiskFull => "disk full",
            Self::Unwritable => "disk not writable",
            Self::Damaged => "damaged line",
            Self::TooLong => "line too long",
            Self::FolderRefused => "folder refused",
            Self::Deleted => "file deleted by others",
            Self::DeadLetters => "dead letter too old",
        })
    }
}
