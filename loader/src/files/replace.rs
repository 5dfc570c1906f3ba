//! A file changes whole: whoever reads it sees the old one or the new one.

use std::{
    fs::{self, File, Metadata},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use super::open::{Access, open};

/// Who may do what with a new file.
#[derive(Debug, Clone, Copy)]
pub enum Mode<'a> {
    /// The user alone reads and writes it.
    Private,
    /// Everybody may read it.
    Public,
    /// The mode and the owner of the file that it replaces.
    Like(&'a Metadata),
}

/// What a new file outlasts, from the moment on at which it is in place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Survives {
    /// The end of the process. After a power failure the file may be empty: enough for what is a memory aid.
    Crash,
    /// A power failure, too.
    PowerFailure,
}

/// How many names are tried for a temporary file.
const TRIES: u32 = 100;

/// Replaces the file at `path`, or makes it.
///
/// # Errors
/// What the system says. The old file stays then.
pub fn replace(path: &Path, bytes: &[u8], mode: Mode<'_>, survives: Survives) -> io::Result<()> {
    Replacement::prepare(path, bytes, mode, survives)?.publish()
}

/// Makes a file that is not there.
///
/// # Errors
/// What the system says, also for a file that is there. Nothing is left then.
pub fn create(path: &Path, bytes: &[u8], mode: Mode<'_>, survives: Survives) -> io::Result<()> {
    let file = open(path, Access::New)?;
    fill(file, bytes, mode, survives).inspect_err(|_| drop(fs::remove_file(path)))
}

fn fill(mut file: File, bytes: &[u8], mode: Mode<'_>, survives: Survives) -> io::Result<()> {
    file.write_all(bytes)?;
    set_mode(&file, mode)?;
    if survives == Survives::PowerFailure { file.sync_all() } else { Ok(()) }
}

#[cfg(unix)]
fn set_mode(file: &File, mode: Mode<'_>) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, fchown};
    let bits = match mode {
        Mode::Private => return Ok(()),
        Mode::Public => 0o644,
        Mode::Like(old) => {
            let new = file.metadata()?;
            if (new.uid(), new.gid()) != (old.uid(), old.gid()) {
                // Another group may be refused, another user may not: that would take the file away from its owner.
                let done = fchown(file, Some(old.uid()), Some(old.gid()));
                if new.uid() != old.uid() {
                    done?;
                }
            }
            old.mode() & 0o7777
        }
    };
    file.set_permissions(fs::Permissions::from_mode(bits))
}

#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "the other platforms' form")]
fn set_mode(_file: &File, _mode: Mode<'_>) -> io::Result<()> {
    Ok(())
}

/// A file written and not yet in its place; removed when it never gets there.
#[derive(Debug)]
pub struct Replacement {
    temporary: PathBuf,
    path: PathBuf,
    survives: Survives,
    published: bool,
}

impl Replacement {
    /// Writes a new file beside `path`.
    ///
    /// # Errors
    /// What the system says. Nothing is left then.
    pub fn prepare(path: &Path, bytes: &[u8], mode: Mode<'_>, survives: Survives) -> io::Result<Self> {
        let (temporary, file) = temporary(path)?;
        let replacement = Self { temporary, path: path.to_owned(), survives, published: false };
        fill(file, bytes, mode, survives)?;
        Ok(replacement)
    }

    /// Puts the file in its place.
    ///
    /// # Errors
    /// What the system says. The old file stays then.
    pub fn publish(mut self) -> io::Result<()> {
        fs::rename(&self.temporary, &self.path)?;
        self.published = true;
        // The rename is on the disk when the folder is. Some file systems can't say so.
        #[cfg(unix)]
        if self.survives == Survives::PowerFailure
            && let Ok(folder) = File::open(folder(&self.path))
        {
            let _ = folder.sync_all();
        }
        Ok(())
    }
}

impl Drop for Replacement {
    fn drop(&mut self) {
        if !self.published {
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

#[cfg(unix)]
fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A new file beside `path`. Names that are taken, by whoever died or by a process of another container, are passed over.
fn temporary(path: &Path) -> io::Result<(PathBuf, File)> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let mut tries = 0;
    loop {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let temporary = path.with_file_name(format!(".{name}.{}-{number}.tmp", std::process::id()));
        match open(&temporary, Access::New).map_err(io::Error::from) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && tries < TRIES => tries += 1,
            file => return Ok((temporary, file?)),
        }
    }
}

/// Gives a file in an open folder another name, in place of the file that has it.
///
/// # Errors
/// What the system says.
#[cfg(unix)]
pub fn rename_at(folder: impl std::os::fd::AsFd, from: &str, to: &str) -> io::Result<()> {
    Ok(rustix::fs::renameat(&folder, from, &folder, to)?)
}

/// Lets two files change places, so that neither needs room. Where the system can't, `from` is put in the place of `to`.
///
/// # Errors
/// What the system says.
pub fn exchange(from: &Path, to: &Path) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        if renameat_with(CWD, from, CWD, to, RenameFlags::EXCHANGE).is_ok() {
            return Ok(());
        }
    }
    fs::rename(from, to)
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    use super::*;

    fn names(folder: &Path) -> Vec<std::ffi::OsString> {
        let entries = fs::read_dir(folder).expect("a folder");
        entries.map(|entry| entry.expect("readable").file_name()).collect()
    }

    #[test]
    fn a_new_file_has_the_mode_that_is_asked_for_and_nothing_temporary_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let mode = || fs::metadata(&path).unwrap().mode() & 0o7777;
        for (given, expected) in [(Mode::Private, 0o600), (Mode::Public, 0o644)] {
            replace(&path, b"text", given, Survives::Crash).unwrap();
            assert_eq!((mode(), fs::read(&path).unwrap().as_slice()), (expected, &b"text"[..]));
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let old = fs::metadata(&path).unwrap();
        replace(&path, b"", Mode::Like(&old), Survives::PowerFailure).unwrap();
        assert_eq!((mode(), old.ino() == fs::metadata(&path).unwrap().ino()), (0o640, false));
        assert_eq!(names(folder.path()), ["file"]);
    }

    #[test]
    fn what_does_not_get_into_its_place_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        drop(Replacement::prepare(&path, b"text", Mode::Private, Survives::Crash).unwrap());
        fs::create_dir(&path).unwrap();
        replace(&path, b"text", Mode::Private, Survives::Crash).unwrap_err();
        assert_eq!(names(folder.path()), ["file"]);
        let there = create(&path, b"", Mode::Private, Survives::Crash).unwrap_err();
        assert_eq!(there.kind(), io::ErrorKind::AlreadyExists);
    }
}
