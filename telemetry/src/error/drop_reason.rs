//! Why events are dropped.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why events were lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DropReason {
    /// The spool had [`Limits::max_bytes`](crate::spool::Limits::max_bytes).
    Size,
    /// The spool had [`Limits::max_events`](crate::spool::Limits::max_events).
    Count,
    /// The event was older than [`Limits::max_age`](crate::spool::Limits::max_age).
    Age,
    /// No room on the disk, or none left for this user.
    DiskFull,
    /// The disk can't be written to, for another reason than its size.
    Unwritable,
    /// The line is no event: torn by a crash, overwritten, or with a line feed inside.
    Damaged,
    /// The line is longer than a line may be.
    TooLong,
    /// The folder belongs to somebody else, or others can write to it.
    FolderRefused,
    /// Somebody deleted the file that it was in.
    Deleted,
    /// The dead letters had [`Limits::dead_letter_bytes`](crate::spool::Limits::dead_letter_bytes) or [`Limits::dead_letter_events`](crate::spool::Limits::dead_letter_events).
    #[serde(rename = "quarantine")]
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
            Self::DeadLetters => "quarantine full",
        })
    }
}
