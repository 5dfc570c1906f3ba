//! Unix: a file is opened in its open folder, and both stay open for verification.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use rustix::fs::{AtFlags, FileType, statat};

use crate::{
    files::{
        error::FileError,
        open::{Access, kind, open_at},
        way::{Folder, Way, way},
    },
    library::error::ImageError,
};

/// An open file, and the open folders that decide which file it is.
pub(crate) struct Handles {
    pub(crate) file: File,
    pub(crate) file_path: PathBuf,
    /// Those of the way to the file, with the one that it is in last.
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
        let file = open_in(folder, name).map_err(|error| match error {
            ImageError::Io { error, .. } if error.kind() == io::ErrorKind::NotFound => ImageError::NotFound,
            error => error,
        })?;
        let found = file.metadata().map_err(ImageError::io("examine"))?.file_type();
        if found.is_file() { Ok(file) } else { Err(ImageError::NotAFile { found: kind(found) }) }
    }
}

/// Opens the file that `path` names or leads to. Each link is read in its open folder.
pub(crate) fn open(path: &Path) -> Result<Handles, ImageError> {
    let Way { folders, name } = way(path).map_err(|error| match error {
        FileError::NotAFile { found } => ImageError::NotAFile { found },
        FileError::DanglingLink { target } => ImageError::DanglingLink { target },
        error => match io::Error::from(error) {
            error if error.kind() == io::ErrorKind::NotFound => ImageError::NotFound,
            error => ImageError::Io { action: "open", error },
        },
    })?;
    let Some(folder) = folders.last() else { return Err(ImageError::NotFound) };
    let (file, file_path) = (open_in(folder, &name)?, folder.path.join(&name));
    Ok(Handles { file, file_path, folders })
}

/// Opens a regular file that is in an open folder.
fn open_in(folder: &Folder, name: &OsStr) -> Result<File, ImageError> {
    // To open a FIFO wakes its writer and to open a device may do anything, so what it is comes first. The open file is
    // examined again: this look is a courtesy.
    let before = statat(&folder.handle, name, AtFlags::SYMLINK_NOFOLLOW)
        .map_err(|e| ImageError::io("examine")(e.into()))?;
    if FileType::from_raw_mode(before.st_mode) != FileType::RegularFile {
        let found = fs::symlink_metadata(folder.path.join(name))
            .map_or("no regular file", |metadata| kind(metadata.file_type()));
        return Err(ImageError::NotAFile { found });
    }
    open_at(&folder.handle, name, Access::Read).map_err(ImageError::io("open"))
}

#[cfg(test)]
mod tests {
    use std::{os::unix::fs::symlink, sync::mpsc, time::Duration};

    use rustix::{
        fs::{CWD, Mode, mknodat},
        io::Errno,
    };

    use super::*;

    #[test]
    fn what_takes_a_files_place_after_the_look_at_it_is_neither_followed_nor_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("file"), "x").unwrap();
        symlink("file", folder.path().join("link")).unwrap();
        mknodat(CWD, folder.path().join("fifo"), FileType::Fifo, Mode::RWXU, 0).unwrap();
        let handle = File::open(folder.path()).unwrap();
        assert!(open_at(&handle, "file", Access::Read).is_ok());
        assert_eq!(
            open_at(&handle, "link", Access::Read).unwrap_err().raw_os_error(),
            Some(Errno::LOOP.raw_os_error())
        );

        let (answer, answered) = mpsc::channel();
        std::thread::Builder::new()
            .spawn(move || answer.send(open_at(&handle, "fifo", Access::Read).is_ok()))
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
