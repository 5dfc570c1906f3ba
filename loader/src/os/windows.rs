//! Windows: the open file. Owners and access lists are not looked at.

use std::{
    fs::{self, File},
    io,
    path::Path,
};

use crate::{ImageError, image};

/// An open file.
pub(crate) struct Handles {
    pub(crate) file: File,
}

/// Opens the file that `path` names or leads to.
pub(crate) fn open(path: &Path) -> Result<Handles, ImageError> {
    let real = fs::canonicalize(path).map_err(|source| match (source.kind(), fs::read_link(path)) {
        (io::ErrorKind::NotFound, Ok(target)) => ImageError::DanglingLink { target },
        (io::ErrorKind::NotFound, Err(_)) => ImageError::NotFound,
        _ => ImageError::Io { action: "open", source },
    })?;
    let before = fs::symlink_metadata(&real).map_err(ImageError::io("examine"))?;
    if !before.is_file() {
        return Err(ImageError::NotAFile { found: image::kind(before.file_type()) });
    }
    Ok(Handles { file: File::open(real).map_err(ImageError::io("open"))? })
}
