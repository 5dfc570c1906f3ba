//! Unix: a file is opened in its open folder, and both stay open for verification.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::ffi::OsStringExt as _,
    },
    path::{Path, PathBuf},
};

use rustix::{
    fs::{AtFlags, CWD, FileType, Mode, OFlags, openat, readlinkat, statat},
    io::Errno,
};

use crate::library::error::{ImageError, kind};

/// How many links lead from one to the next at most, as the kernel has it.
const MOST_LINKS: usize = 40;

/// An open folder.
pub(crate) struct Folder {
    pub(crate) handle: OwnedFd,
    pub(crate) path: PathBuf,
}

/// An open file, and the open folders that decide which file it is.
pub(crate) struct Handles {
    pub(crate) file: File,
    pub(crate) file_path: PathBuf,
    /// The folder that the path names, those of the links that lead on from there, and last the one that the file is in.
    pub(crate) folders: Vec<Folder>,
}

impl Handles {
    /// Where the file is whose name is this one's and `ending`.
    pub(crate) fn path_beside(&self, ending: &str) -> PathBuf {
        let mut path = self.file_path.clone().into_os_string();
        path.push(ending);
        path.into()
    }

    /// Opens the regular file of that name in the open folder of this one. Follows no link and waits for nothing.
    pub(crate) fn open_beside(&self, ending: &str) -> Result<File, ImageError> {
        let path = self.path_beside(ending);
        let (Some(folder), Some(name)) = (self.folders.last(), path.file_name()) else {
            return Err(ImageError::NotFound);
        };
        let file = open_in(&folder.handle, name, &path).map_err(|error| match error {
            ImageError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => ImageError::NotFound,
            error => error,
        })?;
        let found = file.metadata().map_err(ImageError::io("examine"))?.file_type();
        if found.is_file() { Ok(file) } else { Err(ImageError::NotAFile { found: kind(found) }) }
    }
}

#[cfg(target_os = "linux")]
const FOLDER: OFlags = OFlags::PATH;
#[cfg(not(target_os = "linux"))]
const FOLDER: OFlags = OFlags::RDONLY;

/// Opens the file that `path` names or leads to. Each link is read in its open folder.
pub(crate) fn open(path: &Path) -> Result<Handles, ImageError> {
    let mut folders = Vec::new();
    let mut next = path.to_owned();
    let mut first_target = None;
    while folders.len() <= MOST_LINKS {
        let step = step(&next).map_err(|source| match (source.kind(), &first_target) {
            (io::ErrorKind::NotFound, Some(target)) => {
                ImageError::DanglingLink { target: PathBuf::clone(target) }
            }
            (io::ErrorKind::NotFound, None) => ImageError::NotFound,
            _ => ImageError::Io { action: "open", source },
        })?;
        let Some(Step { folder, name, target }) = step else {
            return Err(ImageError::NotAFile { found: "a folder" });
        };
        let entry = folder.path.join(&name);
        let Some(target) = target else {
            let file = open_in(&folder.handle, &name, &entry)?;
            folders.push(folder);
            return Ok(Handles { file, file_path: entry, folders });
        };
        next = folder.path.join(&target);
        first_target.get_or_insert(target);
        folders.push(folder);
    }
    Err(ImageError::Io { action: "open", source: Errno::LOOP.into() })
}

/// A path's last part in its open folder, and where it leads if it is a link.
struct Step {
    folder: Folder,
    name: std::ffi::OsString,
    target: Option<PathBuf>,
}

/// Opens the folder of a path's last part. `None`: the path has no last part, so it names a folder.
fn step(path: &Path) -> io::Result<Option<Step>> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return fs::canonicalize(path).map(|_| None);
    };
    let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    let real = fs::canonicalize(parent)?;
    let handle = openat(CWD, &real, FOLDER | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let target = match readlinkat(&handle, name, Vec::new()) {
        Ok(target) => Some(std::ffi::OsString::from_vec(target.into_bytes()).into()),
        // No link.
        Err(Errno::INVAL) => None,
        Err(error) => return Err(error.into()),
    };
    Ok(Some(Step { folder: Folder { handle, path: real }, name: name.to_owned(), target }))
}

/// Opens a regular file that is in an open folder; `path` is for messages.
fn open_in(folder: &OwnedFd, name: &OsStr, path: &Path) -> Result<File, ImageError> {
    // To open a FIFO wakes its writer and to open a device may do anything, so what it is comes first. The open file is
    // examined again: this look is a courtesy.
    let before =
        statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).map_err(|e| ImageError::io("examine")(e.into()))?;
    if FileType::from_raw_mode(before.st_mode) != FileType::RegularFile {
        let found =
            fs::symlink_metadata(path).map_or("no regular file", |metadata| kind(metadata.file_type()));
        return Err(ImageError::NotAFile { found });
    }
    open_entry(folder, name).map_err(|e| ImageError::io("open")(e.into()))
}

/// Opens whatever stands in a folder by now, without following a link and without waiting.
fn open_entry(folder: impl AsFd, name: &OsStr) -> Result<File, Errno> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    openat(folder, name, flags, Mode::empty()).map(File::from)
}

#[cfg(test)]
mod tests {
    use std::{os::unix::fs::symlink, sync::mpsc, time::Duration};

    use rustix::fs::mknodat;

    use super::*;

    #[test]
    fn what_takes_a_files_place_after_the_look_at_it_is_neither_followed_nor_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("file"), "x").unwrap();
        symlink("file", folder.path().join("link")).unwrap();
        mknodat(CWD, folder.path().join("fifo"), FileType::Fifo, Mode::RWXU, 0).unwrap();
        let handle = File::open(folder.path()).unwrap();
        assert!(open_entry(&handle, OsStr::new("file")).is_ok());
        assert_eq!(open_entry(&handle, OsStr::new("link")).unwrap_err(), Errno::LOOP);

        let (answer, answered) = mpsc::channel();
        std::thread::Builder::new()
            .spawn(move || answer.send(open_entry(&handle, OsStr::new("fifo")).is_ok()))
            .unwrap();
        assert_eq!(answered.recv_timeout(Duration::from_secs(10)), Ok(true), "nobody writes to the FIFO");
    }

    #[test]
    fn every_folder_on_the_way_to_a_file_is_kept_open() {
        let [search, middle, real] = [(); 3].map(|()| tempfile::tempdir().unwrap());
        let at = |folder: &tempfile::TempDir, name: &str| fs::canonicalize(folder.path()).unwrap().join(name);
        fs::write(at(&real, "libx.so.1"), "x").unwrap();
        symlink(at(&real, "libx.so.1"), at(&middle, "b")).unwrap();
        let relative = Path::new("..").join(middle.path().file_name().unwrap()).join("b");
        symlink(relative, at(&search, "libx.so")).unwrap();
        let handles = open(&search.path().join("libx.so")).unwrap();
        let folders: Vec<_> = handles.folders.iter().map(|folder| folder.path.clone()).collect();
        assert_eq!(folders, [&search, &middle, &real].map(|folder| fs::canonicalize(folder.path()).unwrap()));
        assert_eq!(handles.file_path, at(&real, "libx.so.1"));
    }
}
