//! Folders and files by their paths, with the standard library alone.

use std::{
    fs,
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    sync::Mutex,
};

use jackfield_loader::files::{self, Access, Owner, create_folder, judge, open, rename, try_lock, unlock};

use crate::spool::fs::{Entry, Facts, File, Folder, FolderError};

#[derive(Debug)]
pub(super) struct PathFolder(PathBuf);

#[derive(Debug)]
struct PathFile {
    path: PathBuf,
    file: Mutex<fs::File>,
}

pub(super) fn open_folder(path: &Path, create: bool) -> Result<PathFolder, FolderError> {
    if create {
        create_folder(path).map_err(FolderError::Io)?;
    }
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => {
            let facts = files::Facts::at(path).map_err(FolderError::Io)?;
            judge(&facts, Owner::User, path)
                .map_err(|untrusted| FolderError::Refused(untrusted.to_string()))?;
            Ok(PathFolder(path.to_owned()))
        }
        Ok(_) => Err(FolderError::Refused("expected a folder, found a file or a symbolic link".into())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(FolderError::Missing),
        Err(error) => Err(FolderError::Io(error)),
    }
}

fn held<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl PathFolder {
    fn open_with(&self, name: &str, access: Access) -> io::Result<Box<dyn File>> {
        let path = self.0.join(name);
        let file = open(&path, access)?;
        Ok(Box::new(PathFile { path, file: Mutex::new(file) }))
    }
}

impl Folder for PathFolder {
    fn list(&self) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for found in fs::read_dir(&self.0)? {
            let found = found?;
            let (Ok(name), Ok(facts)) = (found.file_name().into_string(), found.metadata()) else { continue };
            if facts.is_file() {
                entries.push(Entry { name, len: facts.len() });
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
        rename(&self.0.join(from), &self.0.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.0.join(name))
    }
}

impl File for PathFile {
    fn append(&self, bytes: &[u8]) -> io::Result<usize> {
        held(&self.file).write(bytes)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut file = held(&self.file);
        file.seek(SeekFrom::Start(offset))?;
        file.read(buffer)
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        // A handle for appending can't shorten a file of Windows.
        open(&self.path, Access::Write)?.set_len(len)
    }

    fn try_lock(&self) -> io::Result<bool> {
        try_lock(&held(&self.file))
    }

    fn unlock(&self) -> io::Result<()> {
        unlock(&held(&self.file))
    }

    fn facts(&self) -> io::Result<Facts> {
        let len = held(&self.file).metadata()?.len();
        Ok(Facts { len, linked: self.path.exists() })
    }
}
