//! A candidate's bytes, taken once: inspection, verification and loading all concern what was read here.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _},
    path::Path,
    sync::Arc,
};

use super::{
    error::{ImageError, SIZE_LIMIT},
    os,
};
use crate::files::open::kind;

/// How much of a file is looked at before it is copied, in bytes.
const HEAD: u64 = 4096;

/// The open file, its folder, and a copy of its bytes that nothing can change.
pub(crate) struct LibraryFile {
    pub(crate) handles: os::Handles,
    pub(crate) content: Arc<os::Content>,
}

impl LibraryFile {
    /// Opens a file and copies it, if `accept` accepts its first bytes. Never waits: a FIFO or device is refused.
    pub(crate) fn open<E: From<ImageError>>(
        path: &Path,
        accept: impl FnOnce(&[u8]) -> Result<(), E>,
    ) -> Result<Self, E> {
        let handles = os::open(path)?;
        let size = regular_size(&handles.file)?;
        accept(&head(&handles.file).map_err(ImageError::io("read"))?)?;
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
