//! Folders and files by their handles.

use std::{
    fs, io,
    os::unix::fs::{FileExt as _, MetadataExt as _},
    path::Path,
};

use jackfield_loader::files::{self, Access, Appended, FileError, Owner};
use rustix::{
    fs::{AtFlags, Dir, FileType, Mode, fchmod, fstat, statat, unlinkat},
    io::Errno,
};

use crate::spool::fs::{Entry, Facts, File, Folder, FolderError};

#[derive(Debug)]
pub(super) struct UnixFolder(fs::File);

#[derive(Debug)]
struct UnixFile(Appended);

pub(super) fn open_folder(path: &Path, create: bool) -> Result<UnixFolder, FolderError> {
    let is_missing =
        |error: &FileError| matches!(error, FileError::Io(error) if error.kind() == io::ErrorKind::NotFound);
    let mut opened = files::open_folder(path);
    if create && opened.as_ref().is_err_and(is_missing) {
        files::create_folder(path).map_err(FolderError::Io)?;
        opened = files::open_folder(path);
    }
    let folder = opened.map_err(|error| match error {
        error if is_missing(&error) => FolderError::Missing,
        FileError::Io(error) => FolderError::Io(error),
        error => FolderError::Refused(error.to_string()),
    })?;
    let found = folder.metadata().map_err(FolderError::Io)?;
    let facts = files::Facts::of_file(&folder).map_err(FolderError::Io)?;
    files::judge(&facts, Owner::User, path)
        .map_err(|untrusted| FolderError::Refused(untrusted.to_string()))?;
    if found.mode() & 0o055 != 0 {
        // The files in it are private anyway; their names and sizes need not be public either.
        _ = fchmod(&folder, Mode::RWXU);
    }
    Ok(UnixFolder(folder))
}

impl UnixFolder {
    fn open_with(&self, name: &str, access: Access) -> io::Result<Box<dyn File>> {
        Ok(Box::new(UnixFile(Appended::new(files::open_at(&self.0, name, access)?))))
    }
}

impl Folder for UnixFolder {
    fn list(&self) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for found in Dir::read_from(&self.0)? {
            let Ok(name) = found?.file_name().to_str().map(str::to_owned) else { continue };
            match statat(&self.0, &name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile => {
                    entries.push(Entry { name, len: u64::try_from(stat.st_size).unwrap_or(0) });
                }
                // Removed since, or something that is not ours.
                Ok(_) | Err(Errno::NOENT) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(entries)
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn File>> {
        self.open_with(name, Access::Append)
    }

    fn open_or_create(&self, name: &str) -> io::Result<Box<dyn File>> {
        self.open_with(name, Access::AppendOrMake)
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn File>> {
        self.open_with(name, Access::AppendNew)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        files::rename_at(&self.0, from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        Ok(unlinkat(&self.0, name, AtFlags::empty())?)
    }
}

impl File for UnixFile {
    fn append(&self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.file().read_at(buffer, offset)
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.0.file().set_len(len)
    }

    fn try_lock(&self) -> io::Result<bool> {
        files::try_lock(self.0.file())
    }

    fn unlock(&self) -> io::Result<()> {
        files::unlock(self.0.file())
    }

    fn facts(&self) -> io::Result<Facts> {
        let found = fstat(self.0.file())?;
        Ok(Facts { len: u64::try_from(found.st_size).unwrap_or(0), linked: found.st_nlink > 0 })
    }
}
