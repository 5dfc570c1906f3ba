//! Why a file can't be read as a library.

use std::error::Error as _;
use std::io;
use std::path::{Path, PathBuf};

use crate::boundary::text;

/// Largest file that is accepted as a library, in bytes.
pub(crate) const SIZE_LIMIT: u64 = 512 << 20;

/// Why a file can't be read as a library.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// The file does not exist.
    #[error("no such file: correct the path, or install the plugin")]
    NotFound,
    /// A symbolic link to a file that does not exist.
    #[error("a symbolic link to {}, which does not exist: correct the link, or install what it names", text::show(.target))]
    DanglingLink {
        /// The link's target.
        target: PathBuf,
    },
    /// Not a regular file.
    #[error("is {found}, expected a regular file")]
    NotAFile {
        /// The kind of the file.
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
    /// Headers, symbols and metadata exceed the limit.
    #[error(
        "its headers, symbols and metadata take more than {} MiB: strip the plugin, or get the file again",
        limit >> 20
    )]
    TablesTooLarge {
        /// Limit in bytes.
        limit: u64,
    },
    /// Larger than a file that this process may write, as which the copy in memory counts.
    #[error(
        "is {size} bytes, but this process may write files of at most {limit} bytes, and a library is copied before it is loaded: raise the limit (ulimit -f)"
    )]
    FileSizeLimit {
        /// Its size in bytes.
        size: u64,
        /// Limit in bytes.
        limit: u64,
    },
    /// The system allows no copy in executable memory, from which a library is loaded.
    #[error(
        "can't be copied into executable memory, from which plugins are loaded: {error}: allow it (the sysctl vm.memfd_noexec is below 2, and no filter of system calls forbids memfd_create)"
    )]
    NoExecutableMemory {
        /// The error of the system.
        error: io::Error,
    },
    /// An error of the system.
    #[error("can't {action}: {error}")]
    Io {
        /// The failed action.
        action: &'static str,
        /// The error of the system.
        error: io::Error,
    },
}

impl ImageError {
    pub(crate) fn io(action: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |error| match error.kind() {
            io::ErrorKind::NotFound => Self::NotFound,
            _ => Self::Io { action, error },
        }
    }
}

/// The message of the dynamic linker.
pub(crate) struct LinkerError(pub(crate) String);

impl LinkerError {
    /// The message of `error`, with `path` in place of the path of the copy.
    pub(crate) fn new(error: &libloading::Error, copy: &str, path: &Path) -> Self {
        let message = error.source().map_or_else(|| error.to_string(), ToString::to_string);
        Self(message.replace(copy, text::show(path).as_raw()))
    }
}
