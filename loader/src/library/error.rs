//! Why a file can't be read as a library.

use std::{io, path::PathBuf};

use crate::boundary::text;

/// Largest file that is taken for a library, in bytes.
pub(crate) const SIZE_LIMIT: u64 = 512 << 20;

/// Why a file can't be read as a library.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// No such file.
    #[error("no such file: correct the path, or install the plugin")]
    NotFound,
    /// A symbolic link that leads nowhere.
    #[error("a symbolic link to {}, which does not exist: correct the link, or install what it names", text::show(.target))]
    DanglingLink {
        /// Where it leads.
        target: PathBuf,
    },
    /// Not a regular file.
    #[error("is {found}, expected a regular file")]
    NotAFile {
        /// What it is.
        found: &'static str,
    },
    /// An empty file.
    #[error("is empty, expected a dynamic library: get the file again")]
    Empty,
    /// Too large for a library.
    #[error("file too large: {size} bytes, limit {limit}")]
    TooLarge {
        /// Its size in bytes.
        size: u64,
        /// Limit in bytes.
        limit: u64,
    },
    /// Larger than what this process may write: the copy that is loaded counts as a file.
    #[error(
        "is {size} bytes, but this process may write files of at most {limit} bytes, and a library is copied before it is loaded: raise the limit (ulimit -f)"
    )]
    FileSizeLimit {
        /// Its size in bytes.
        size: u64,
        /// Limit in bytes.
        limit: u64,
    },
    /// The operating system refused.
    #[error("can't {action}: {error}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// Why it failed.
        error: io::Error,
    },
}

impl ImageError {
    pub(crate) fn io(action: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::Io { action, error }
    }
}

/// What the dynamic linker says, in its own words.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct LinkerError(pub(crate) String);
