//! Why a file is not what it has to be. The caller's error names the file.

use std::{io, path::PathBuf};

use super::judge::Untrusted;
use crate::boundary::text;

/// Why a file can't be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// Something else has its name.
    #[error("expected a regular file, found {found}")]
    NotAFile {
        /// What it is.
        found: &'static str,
    },
    /// It is no folder.
    #[error("expected a folder, found a file or a symbolic link")]
    NotAFolder,
    /// It is a link that leads nowhere.
    #[error("a symbolic link to {}, which does not exist: correct or remove the link", text::show(.target))]
    DanglingLink {
        /// Where it leads.
        target: PathBuf,
    },
    /// It is longer than what is read.
    #[error("larger than {}", size(*.limit))]
    TooLarge {
        /// Limit in bytes.
        limit: u64,
    },
    /// Somebody else could have written it.
    #[error("{what} {reason}")]
    Untrusted {
        /// The file or a folder, in the words of the message.
        what: String,
        /// Why.
        reason: Untrusted,
    },
    /// The system refuses.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl From<FileError> for io::Error {
    fn from(error: FileError) -> Self {
        let kind = match error {
            FileError::Io(error) => return error,
            FileError::NotAFile { .. } => io::ErrorKind::InvalidInput,
            FileError::NotAFolder => io::ErrorKind::NotADirectory,
            FileError::DanglingLink { .. } => io::ErrorKind::NotFound,
            FileError::TooLarge { .. } => io::ErrorKind::FileTooLarge,
            FileError::Untrusted { .. } => io::ErrorKind::PermissionDenied,
        };
        Self::new(kind, error)
    }
}

fn size(bytes: u64) -> String {
    match bytes {
        _ if bytes >= 1 << 20 && bytes.is_multiple_of(1 << 20) => format!("{} MiB", bytes >> 20),
        _ if bytes >= 1 << 10 && bytes.is_multiple_of(1 << 10) => format!("{} KiB", bytes >> 10),
        _ => format!("{bytes} bytes"),
    }
}
