//! The open file of a candidate. Its bytes are copied once, after its owner was judged. The folders that decide which file a path
//! leads to stay open for verification.

use std::ffi::OsStr;
#[cfg(unix)]
use std::fs;
use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::path::{Path, PathBuf};

#[cfg(unix)]
use rustix::fs::{AtFlags, FileType, statat};

use super::content::Content;
use super::error::{ImageError, SIZE_LIMIT};
#[cfg(unix)]
use crate::files::open::open_at;
use crate::files::open::{Access, FileError, kind};
use crate::files::way::{Folder, Way, way};

/// A regular file that may be a library.
pub(crate) struct LibraryFile {
    /// Where the file was found.
    pub(crate) path: PathBuf,
    pub(crate) handles: Handles,
    /// Its size when it was opened, in bytes.
    pub(crate) size: u64,
}

impl LibraryFile {
    /// Opens a file. Refuses a FIFO or device at once.
    pub(crate) fn open(path: &Path) -> Result<Self, ImageError> {
        let handles = Handles::open(path)?;
        let metadata = handles.file.metadata().map_err(ImageError::io("examine"))?;
        if !metadata.is_file() {
            return Err(ImageError::NotAFile { found: kind(metadata.file_type()) });
        }
        check_size(metadata.len())?;
        Ok(Self { path: path.to_owned(), handles, size: metadata.len() })
    }

    /// Copies the bytes.
    pub(crate) fn copy(&self) -> Result<Content, ImageError> {
        let mut file = &self.handles.file;
        file.rewind().map_err(ImageError::io("read"))?;
        let content = Content::copy(file, &self.path, self.size)?;
        check_size(content.bytes().len() as u64)?;
        Ok(content)
    }

    /// Whether the file has exactly these bytes.
    pub(crate) fn has(&self, bytes: &[u8]) -> bool {
        let mut file = &self.handles.file;
        if self.size != bytes.len() as u64 || file.rewind().is_err() {
            return false;
        }
        let mut block = [0; 16 << 10];
        let is_same = |part: &[u8]| {
            let block = &mut block[..part.len()];
            file.read_exact(block).is_ok() && block == part
        };
        bytes.chunks(16 << 10).all(is_same)
    }
}

fn check_size(size: u64) -> Result<(), ImageError> {
    match size {
        0 => Err(ImageError::Empty),
        size if size > SIZE_LIMIT => Err(ImageError::TooLarge { size, limit: SIZE_LIMIT }),
        _ => Ok(()),
    }
}

/// An open file, and the open folders that decide which file it is.
pub(crate) struct Handles {
    pub(crate) file: File,
    pub(crate) file_path: PathBuf,
    /// The folders on the way to the file. The last one contains the file.
    pub(crate) folders: Vec<Folder>,
}

impl Handles {
    /// The path of the file with this file's name and `ending`.
    pub(crate) fn path_beside(&self, ending: &str) -> PathBuf {
        let mut path = self.file_path.clone().into_os_string();
        path.push(ending);
        path.into()
    }
}

impl Handles {
    /// Opens the file that `path` leads to, and reads each link in its open folder.
    fn open(path: &Path) -> Result<Self, ImageError> {
        let Way { folders, name } = way(path).map_err(|error| match error {
            FileError::NotAFile { found } => ImageError::NotAFile { found },
            FileError::DanglingLink { target } => ImageError::DanglingLink { target },
            error => ImageError::io("open")(error.into()),
        })?;
        let Some(folder) = folders.last() else { return Err(ImageError::NotFound) };
        let (file, file_path) = (open_in(folder, &name)?, folder.path.join(&name));
        Ok(Self { file, file_path, folders })
    }

    /// Opens the regular file at [`path_beside`](Self::path_beside) in this file's folder. Refuses a link.
    pub(crate) fn open_beside(&self, ending: &str) -> Result<File, ImageError> {
        let path = self.path_beside(ending);
        let (Some(folder), Some(name)) = (self.folders.last(), path.file_name()) else {
            return Err(ImageError::NotFound);
        };
        let file = open_in(folder, name)?;
        let found = file.metadata().map_err(ImageError::io("examine"))?.file_type();
        if found.is_file() { Ok(file) } else { Err(ImageError::NotAFile { found: kind(found) }) }
    }
}

/// Opens a regular file in an open folder. The caller examines the open file again.
#[cfg(unix)]
fn open_in(folder: &Folder, name: &OsStr) -> Result<File, ImageError> {
    // Opening a FIFO wakes its writer, and opening a device may do anything.
    let before = statat(&folder.handle, name, AtFlags::SYMLINK_NOFOLLOW)
        .map_err(|e| ImageError::io("examine")(e.into()))?;
    if FileType::from_raw_mode(before.st_mode) != FileType::RegularFile {
        let found = fs::symlink_metadata(folder.path.join(name))
            .map_or("no regular file", |metadata| kind(metadata.file_type()));
        return Err(ImageError::NotAFile { found });
    }
    open_at(&folder.handle, name, Access::Read).map_err(ImageError::io("open"))
}

/// Opens a regular file in a folder that nobody can rename meanwhile. The caller examines the open file again.
#[cfg(windows)]
fn open_in(folder: &Folder, name: &OsStr) -> Result<File, ImageError> {
    crate::files::open::open(&folder.path.join(name), Access::Read).map_err(|error| match error {
        FileError::NotAFile { found } => ImageError::NotAFile { found },
        error => ImageError::io("open")(error.into()),
    })
}

#[cfg(all(test, unix))]
mod tests {
    use std::{os::unix::fs::symlink, sync::mpsc, time::Duration};

    use rustix::fs::{CWD, Mode, mknodat};
    use rustix::io::Errno;

    use super::*;

    #[test]
    fn a_link_or_fifo_is_not_followed_or_waited_for() {
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
    fn every_folder_on_the_way_stays_open() {
        let [search, middle, real] = [(); 3].map(|()| tempfile::tempdir().unwrap());
        let at = |folder: &tempfile::TempDir, name: &str| fs::canonicalize(folder.path()).unwrap().join(name);
        fs::write(at(&real, "libx.so.1"), "x").unwrap();
        symlink(at(&real, "libx.so.1"), at(&middle, "b")).unwrap();
        let relative = Path::new("..").join(middle.path().file_name().unwrap()).join("b");
        symlink(relative, at(&search, "libx.so")).unwrap();
        let handles = Handles::open(&search.path().join("libx.so")).unwrap();
        let ours = [&search, &middle, &real].map(|folder| fs::canonicalize(folder.path()).unwrap());
        let folders: Vec<_> = handles.folders.iter().map(|folder| folder.path.clone()).collect();
        let (above, folders): (Vec<_>, Vec<_>) = folders.into_iter().partition(|path| !ours.contains(path));
        assert_eq!(folders, ours);
        assert!(ours[0].ancestors().skip(1).all(|ancestor| above.iter().any(|path| path == ancestor)));
        assert_eq!(handles.file_path, at(&real, "libx.so.1"));
    }
}
