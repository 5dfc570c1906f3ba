//! Folders and files by their handles.

use std::{
    fs::{self, DirBuilder, TryLockError},
    io,
    os::{
        fd::OwnedFd,
        unix::fs::{DirBuilderExt as _, FileExt as _},
    },
    path::Path,
};

use rustix::{
    fs::{AtFlags, Dir, FileType, Mode, OFlags, fchmod, fstat, open, openat, renameat, statat, unlinkat},
    io::Errno,
    process::geteuid,
};

use crate::spool::fs::{Entry, Facts, File, Folder, FolderError};

#[derive(Debug)]
pub(super) struct UnixFolder(OwnedFd);

#[derive(Debug)]
struct UnixFile(fs::File);

pub(super) fn open_folder(path: &Path, create: bool) -> Result<UnixFolder, FolderError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut opened = open(path, flags, Mode::empty());
    if create && matches!(opened, Err(Errno::NOENT)) {
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(FolderError::Io)?;
        opened = open(path, flags, Mode::empty());
    }
    let folder = opened.map_err(|error| match error {
        Errno::NOENT => FolderError::Missing,
        Errno::NOTDIR | Errno::LOOP => {
            FolderError::Refused("expected a folder, found a file or a symbolic link".into())
        }
        other => FolderError::Io(other.into()),
    })?;
    let found = fstat(&folder).map_err(|error| FolderError::Io(error.into()))?;
    let user = geteuid().as_raw();
    if found.st_uid != user {
        return Err(FolderError::Refused(format!("expected owner {user}, found {}", found.st_uid)));
    }
    let mode = found.st_mode & 0o7777;
    if mode & 0o022 != 0 {
        return Err(FolderError::Refused(format!(
            "expected a folder that only its owner can write to, found mode {mode:04o}; run chmod 700 on it"
        )));
    }
    if mode & 0o055 != 0 {
        // The files in it are private anyway; their names and sizes need not be public either.
        _ = fchmod(&folder, Mode::RWXU);
    }
    Ok(UnixFolder(folder))
}

impl UnixFolder {
    fn open_with(&self, name: &str, more: OFlags) -> io::Result<Box<dyn File>> {
        let flags = OFlags::RDWR | OFlags::APPEND | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC | more;
        let file = openat(&self.0, name, flags, Mode::RUSR | Mode::WUSR)?;
        Ok(Box::new(UnixFile(file.into())))
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
        self.open_with(name, OFlags::empty())
    }

    fn open_or_create(&self, name: &str) -> io::Result<Box<dyn File>> {
        self.open_with(name, OFlags::CREATE)
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn File>> {
        self.open_with(name, OFlags::CREATE | OFlags::EXCL)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        Ok(renameat(&self.0, from, &self.0, to)?)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        Ok(unlinkat(&self.0, name, AtFlags::empty())?)
    }
}

impl File for UnixFile {
    fn append(&self, bytes: &[u8]) -> io::Result<usize> {
        io::Write::write(&mut &self.0, bytes)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read_at(buffer, offset)
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn try_lock(&self) -> io::Result<bool> {
        match self.0.try_lock() {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn unlock(&self) -> io::Result<()> {
        self.0.unlock()
    }

    fn facts(&self) -> io::Result<Facts> {
        let found = fstat(&self.0)?;
        Ok(Facts { len: u64::try_from(found.st_size).unwrap_or(0), linked: found.st_nlink > 0 })
    }
}
