//! Folders and files by their paths, with the standard library alone.

use std::{
    ffi::OsString,
    fs,
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    sync::Mutex,
};

use jackfield_loader::files::{Access, create_folder, open, try_lock};

use crate::spool::fs::{Entry, Facts, File, Folder, FolderError};

#[derive(Debug)]
pub(super) struct PathFolder(PathBuf);

#[derive(Debug)]
struct PathFile {
    path: PathBuf,
    file: Mutex<fs::File>,
    lock: Mutex<Option<fs::File>>,
}

pub(super) fn open_folder(path: &Path, create: bool) -> Result<PathFolder, FolderError> {
    if create {
        create_folder(path).map_err(FolderError::Io)?;
    }
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => Ok(PathFolder(path.to_owned())),
        Ok(_) => Err(FolderError::Refused("expected a folder, found a file or a symbolic link".into())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(FolderError::Missing),
        Err(error) => Err(FolderError::Io(error)),
    }
}

fn lock_path(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".lock");
    name.into()
}

fn held<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl PathFolder {
    fn open_with(&self, name: &str, access: Access) -> io::Result<Box<dyn File>> {
        let path = self.0.join(name);
        let file = open(&path, access)?;
        Ok(Box::new(PathFile { path, file: Mutex::new(file), lock: Mutex::new(None) }))
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

    #[allow(
        clippy::disallowed_methods,
        reason = "one step of the spool, which knows what a crash after it leaves"
    )]
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.0.join(from), self.0.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let path = self.0.join(name);
        fs::remove_file(&path)?;
        _ = fs::remove_file(lock_path(&path));
        Ok(())
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
        held(&self.file).set_len(len)
    }

    fn try_lock(&self) -> io::Result<bool> {
        let beside = open(&lock_path(&self.path), Access::Write)?;
        let ours = try_lock(&beside)?;
        if ours {
            *held(&self.lock) = Some(beside);
        }
        Ok(ours)
    }

    fn unlock(&self) -> io::Result<()> {
        held(&self.lock).take().map_or(Ok(()), |beside| beside.unlock())
    }

    fn facts(&self) -> io::Result<Facts> {
        let len = held(&self.file).metadata()?.len();
        Ok(Facts { len, linked: self.path.exists() })
    }
}
