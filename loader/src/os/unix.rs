//! Unix: a file is opened in its open folder, and both stay open for verification.

use std::{
    fs::{self, File},
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, openat, statat};

use crate::{ImageError, image};

/// An open file and its open folder.
pub(crate) struct Handles {
    pub(crate) file: File,
    pub(crate) folder: OwnedFd,
    pub(crate) file_path: PathBuf,
    pub(crate) folder_path: PathBuf,
}

#[cfg(target_os = "linux")]
const FOLDER: OFlags = OFlags::PATH;
#[cfg(not(target_os = "linux"))]
const FOLDER: OFlags = OFlags::RDONLY;

/// Opens `real`, a path without links, and its folder.
pub(crate) fn open(real: &Path) -> Result<Handles, ImageError> {
    let (Some(folder_path), Some(name)) = (real.parent(), real.file_name()) else {
        return Err(ImageError::NotAFile { found: "a folder" });
    };
    let folder = openat(CWD, folder_path, FOLDER | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|e| ImageError::io("open its folder")(e.into()))?;
    // To open a FIFO wakes its writer and to open a device may do anything, so what it is comes first. The open file is
    // examined again: this look is a courtesy.
    let before =
        statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW).map_err(|e| ImageError::io("examine")(e.into()))?;
    if FileType::from_raw_mode(before.st_mode) != FileType::RegularFile {
        let found = fs::symlink_metadata(real)
            .map_or("no regular file", |metadata| image::kind(metadata.file_type()));
        return Err(ImageError::NotAFile { found });
    }
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = openat(&folder, name, flags, Mode::empty()).map_err(|e| ImageError::io("open")(e.into()))?;
    Ok(Handles { file: file.into(), folder, file_path: real.to_owned(), folder_path: folder_path.to_owned() })
}
