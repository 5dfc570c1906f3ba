//! A candidate's bytes, taken once: inspection, verification and loading all concern what was read here.

use std::{
    fs,
    fs::File,
    io::{self, Read as _, Seek as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{InspectError, inspect::starts_like_a_library, os, text};

/// Largest file that is taken for a library, in bytes.
pub(crate) const SIZE_LIMIT: u64 = 512 << 20;

/// How much of a file is looked at before it is copied, in bytes.
const HEAD: u64 = 4096;

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
    #[error("can't {action}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// Why it failed.
        source: io::Error,
    },
}

impl ImageError {
    pub(crate) fn io(action: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, source }
    }
}

/// The open file, its folder, and a copy of its bytes that nothing can change.
pub(crate) struct Image {
    pub(crate) handles: os::Handles,
    pub(crate) content: Arc<os::Content>,
}

impl Image {
    /// Opens and copies. Never waits: a FIFO or device is refused. What is no library by its first bytes is not copied,
    /// and refused for what it is.
    pub(crate) fn open(path: &Path) -> Result<Self, InspectError> {
        let handles = os::open(path)?;
        let size = regular_size(&handles.file)?;
        let head = head(&handles.file).map_err(ImageError::io("read"))?;
        if !starts_like_a_library(&head) {
            return Err(InspectError::foreign(&head));
        }
        let content = os::copy(&handles.file, path, size)?;
        match content.bytes().len() as u64 {
            0 => Err(ImageError::Empty.into()),
            size if size > SIZE_LIMIT => Err(ImageError::TooLarge { size, limit: SIZE_LIMIT }.into()),
            _ => Ok(Self { handles, content: Arc::new(content) }),
        }
    }
}

/// The first bytes of an open file, which is left at its start.
fn head(mut file: &File) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    file.take(HEAD).read_to_end(&mut head)?;
    file.rewind()?;
    Ok(head)
}

/// The size of an open regular file within the limit.
fn regular_size(file: &File) -> Result<u64, ImageError> {
    let metadata = file.metadata().map_err(ImageError::io("examine"))?;
    match metadata.len() {
        _ if !metadata.is_file() => Err(ImageError::NotAFile { found: kind(metadata.file_type()) }),
        0 => Err(ImageError::Empty),
        size if size > SIZE_LIMIT => Err(ImageError::TooLarge { size, limit: SIZE_LIMIT }),
        size => Ok(size),
    }
}

/// What a file that is not a regular one is called.
pub(crate) fn kind(kind: fs::FileType) -> &'static str {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        if kind.is_fifo() {
            return "a FIFO";
        }
        if kind.is_char_device() || kind.is_block_device() {
            return "a device";
        }
        if kind.is_socket() {
            return "a socket";
        }
    }
    if kind.is_dir() {
        "a folder"
    } else if kind.is_symlink() {
        "a symbolic link"
    } else {
        "no regular file"
    }
}
