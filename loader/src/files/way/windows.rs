//! A walk by paths. Each folder stays open without the right of others to delete it, so that a path leads to the same folder
//! until the walk is dropped.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::windows::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use windows_sys::Win32::Foundation::ERROR_CANT_RESOLVE_FILENAME;
use windows_sys::Win32::Storage::FileSystem::{
    FILE_FLAG_BACKUP_SEMANTICS, FILE_FLAG_OPEN_REPARSE_POINT, FILE_READ_ATTRIBUTES, FILE_SHARE_READ,
    FILE_SHARE_WRITE, READ_CONTROL,
};

pub(super) fn open_root(root: &OsStr) -> io::Result<File> {
    open(Path::new(root))
}

/// Opens the folder at `path`.
pub(super) fn open_folder_in(_folder: &File, path: &Path) -> io::Result<File> {
    open(path)
}

fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options
        .access_mode(READ_CONTROL | FILE_READ_ATTRIBUTES)
        .share_mode(FILE_SHARE_READ | FILE_SHARE_WRITE)
        .custom_flags(FILE_FLAG_BACKUP_SEMANTICS | FILE_FLAG_OPEN_REPARSE_POINT);
    let folder = options.open(path)?;
    match folder.metadata()?.is_dir() {
        true => Ok(folder),
        false => Err(io::ErrorKind::NotADirectory.into()),
    }
}

/// The absolute target of a symbolic link or a junction; `None` for anything else that is there.
pub(super) fn read_link(_folder: &File, folder: &Path, name: &OsStr) -> io::Result<Option<PathBuf>> {
    let path = folder.join(name);
    match fs::symlink_metadata(&path)?.file_type().is_symlink() {
        // A target may begin with the root of the same drive.
        true => Ok(Some(folder.join(fs::read_link(&path)?))),
        false => Ok(None),
    }
}

pub(super) fn too_many_links() -> io::Error {
    io::Error::from_raw_os_error(ERROR_CANT_RESOLVE_FILENAME.cast_signed())
}
