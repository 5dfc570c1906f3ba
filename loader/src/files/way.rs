//! The folders that decide which file a path leads to.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, openat, readlinkat};
use rustix::io::Errno;

use super::judge::{Owner, judge};
use super::open::{FileError, MOST_LINKS};
use crate::boundary::text;

/// An open folder.
#[derive(Debug)]
pub struct Folder {
    /// On Linux an `O_PATH` descriptor, by which metadata can be read and files in the folder opened.
    pub handle: File,
    /// The path, without links.
    pub path: PathBuf,
}

/// The folders that decide which file a path leads to, and the file's name.
#[derive(Debug)]
pub struct Way {
    /// The folder of the path, then the folder of each link's target. The last folder contains the file.
    pub folders: Vec<Folder>,
    /// The file's name in the last folder.
    pub name: OsString,
}

#[cfg(target_os = "linux")]
const FOLDER: OFlags = OFlags::PATH;
#[cfg(not(target_os = "linux"))]
const FOLDER: OFlags = OFlags::RDONLY;

/// Follows the links from `path`, and reads each one in its open folder.
///
/// # Errors
/// [`FileError::DanglingLink`]; [`FileError::NotAFile`] for a path that can only be a folder, such as `..`.
pub fn way(path: &Path) -> Result<Way, FileError> {
    let mut folders = Vec::new();
    let mut next = path.to_owned();
    let mut first_target = None;
    while folders.len() <= MOST_LINKS {
        let step = step(&next).map_err(|error| match &first_target {
            Some(target) if error.kind() == io::ErrorKind::NotFound => {
                FileError::DanglingLink { target: PathBuf::clone(target) }
            }
            _ => error.into(),
        })?;
        let Some((folder, name, target)) = step else {
            return Err(FileError::NotAFile { found: "a folder" });
        };
        let Some(target) = target else {
            let name = name.to_owned();
            folders.push(folder);
            return Ok(Way { folders, name });
        };
        let lead = folder.path.join(&target);
        folders.push(folder);
        first_target.get_or_insert(target);
        next = lead;
    }
    Err(io::Error::from(Errno::LOOP).into())
}

/// Opens the folder of a path. Returns the folder, the path's last part, and the target if that is a link.
/// `None` for a path without a last part, which is a folder.
fn step(path: &Path) -> io::Result<Option<(Folder, &OsStr, Option<PathBuf>)>> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return fs::canonicalize(path).map(|_| None);
    };
    let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    let real = fs::canonicalize(parent)?;
    let handle = openat(CWD, &real, FOLDER | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let target = match readlinkat(&handle, name, Vec::new()) {
        Ok(target) => Some(OsString::from_vec(target.into_bytes()).into()),
        // It is not a link.
        Err(Errno::INVAL) => None,
        Err(error) => return Err(error.into()),
    };
    Ok(Some((Folder { handle: handle.into(), path: real }, name, target)))
}

/// Judges an open file, its folder, and the folders of the links from `path` to it.
///
/// # Errors
/// [`FileError::Untrusted`].
pub fn judge_with_folders(file: &File, path: &Path) -> Result<(), FileError> {
    let untrusted = |what: String| move |reason| FileError::Untrusted { what, reason };
    judge(&file.metadata()?, Owner::UserOrRoot, path).map_err(untrusted("the file".to_owned()))?;
    let folders = way(path)?.folders;
    for folder in &folders {
        let name = match folders.len() {
            1 => "its folder".to_owned(),
            _ => format!("the folder {} on the way to it", text::show(&folder.path)),
        };
        judge(&folder.handle.metadata()?, Owner::UserOrRoot, &folder.path).map_err(untrusted(name))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn the_folder_of_each_link_on_the_way_is_judged() {
        let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        let (file, link) = (second.path().join("file"), first.path().join("link"));
        fs::write(&file, "").unwrap();
        mode(&file, 0o600);
        symlink(&file, &link).unwrap();
        let judged =
            || judge_with_folders(&File::open(&link).unwrap(), &link).map_err(|error| error.to_string());
        assert_eq!(judged(), Ok(()));
        for folder in [&first, &second] {
            mode(folder.path(), 0o770);
            let refusal = judged().unwrap_err();
            let shown = fs::canonicalize(folder.path()).unwrap();
            let expected = format!("the folder {} on the way to it must not be writable", shown.display());
            let advice = format!("0770: chmod go-w {}", shown.display());
            assert!(refusal.starts_with(&expected) && refusal.ends_with(&advice), "{refusal}");
            mode(folder.path(), 0o700);
        }
        mode(&file, 0o620);
        assert!(judged().unwrap_err().starts_with("the file must not be writable"));
    }
}
