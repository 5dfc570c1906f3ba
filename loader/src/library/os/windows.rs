//! Windows: the open file. Owners and access lists are not looked at.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use crate::{
    files::open::{Access, kind, open as open_file},
    library::error::ImageError,
};

/// An open file.
pub(crate) struct Handles {
    pub(crate) file: File,
    file_path: PathBuf,
}

impl Handles {
    /// Where the file is whose name is this one's and `ending`.
    pub(crate) fn path_beside(&self, ending: &str) -> PathBuf {
        let mut path = self.file_path.clone().into_os_string();
        path.push(ending);
        path.into()
    }

    /// Opens the regular file of that name.
    pub(crate) fn open_beside(&self, ending: &str) -> Result<File, ImageError> {
        Ok(open(&self.path_beside(ending))?.file)
    }
}

/// Opens the file that `path` names or leads to.
pub(crate) fn open(path: &Path) -> Result<Handles, ImageError> {
    let real = fs::canonicalize(path).map_err(|error| match (error.kind(), fs::read_link(path)) {
        (io::ErrorKind::NotFound, Ok(target)) => ImageError::DanglingLink { target },
        (io::ErrorKind::NotFound, Err(_)) => ImageError::NotFound,
        _ => ImageError::Io { action: "open", error },
    })?;
    let before = fs::symlink_metadata(&real).map_err(ImageError::io("examine"))?;
    if !before.is_file() {
        return Err(ImageError::NotAFile { found: kind(before.file_type()) });
    }
    let file = open_file(&real, Access::Read).map_err(|error| ImageError::io("open")(error.into()))?;
    Ok(Handles { file, file_path: real })
}
