//! A walk by open folders: `openat` and `readlinkat`.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, openat, readlinkat};
use rustix::io::Errno;

#[cfg(target_os = "linux")]
const FOLDER: OFlags = OFlags::PATH;
#[cfg(not(target_os = "linux"))]
const FOLDER: OFlags = OFlags::RDONLY;

pub(super) fn open_root(root: &OsStr) -> io::Result<File> {
    Ok(openat(CWD, root, FOLDER | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?.into())
}

/// Opens the folder at `path`, which is in the open folder.
pub(super) fn open_folder_in(folder: &File, path: &Path) -> io::Result<File> {
    let flags = FOLDER | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(openat(folder, path.file_name().unwrap_or_default(), flags, Mode::empty())?.into())
}

/// The target of a link; `None` for anything else that is there.
pub(super) fn read_link(folder: &File, _path: &Path, name: &OsStr) -> io::Result<Option<PathBuf>> {
    match readlinkat(folder, name, Vec::new()) {
        Ok(target) => Ok(Some(OsString::from_vec(target.into_bytes()).into())),
        Err(Errno::INVAL) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

pub(super) fn too_many_links() -> io::Error {
    Errno::LOOP.into()
}
