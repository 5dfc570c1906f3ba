//! Writes files: a file changes as a whole, so that a reader sees the old file or the new one.

use std::fs::{self, File, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use super::facts::Facts;
use super::judge::{Owner, judge_link};
use super::open::{Access, FileError, MOST_LINKS, open};
use super::size_limit::write;
use crate::boundary::text;

/// Owner and permissions of a new file.
#[derive(Debug, Clone, Copy)]
pub enum Mode<'a> {
    /// Only the user may read and write it.
    Private,
    /// Everybody may read it.
    Public,
    /// Mode and owner of the file that it replaces.
    Like(&'a Metadata),
}

/// Which failures a new file survives, once it is in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Survives {
    /// The end of the process. A power failure may leave an empty file, so its content must be dispensable.
    Crash,
    /// Also a power failure.
    PowerFailure,
}

const TRIES: u32 = 100;

/// Replaces the file at `path`, or creates it.
///
/// # Errors
/// The old file is unchanged then.
pub fn replace(path: &Path, bytes: &[u8], mode: Mode<'_>, survives: Survives) -> io::Result<()> {
    Replacement::prepare(path, bytes, mode, survives)?.publish()
}

/// Creates a file.
///
/// # Errors
/// Also if the file exists. No new file is left.
pub fn create(path: &Path, bytes: &[u8], mode: Mode<'_>, survives: Survives) -> io::Result<()> {
    let file = open(path, Access::New)?;
    fill(&file, bytes, mode, path, survives).inspect_err(|_| drop(fs::remove_file(path)))
}

/// Creates a file of the user's own. As long as the handle that this gives is open, nobody can write, rename or remove it.
///
/// # Errors
/// Also if the file exists.
#[cfg(windows)]
pub(crate) fn create_held(path: &Path, bytes: &[u8]) -> io::Result<File> {
    use std::os::windows::fs::OpenOptionsExt as _;
    use windows_sys::Win32::Foundation::GENERIC_WRITE;
    use windows_sys::Win32::Storage::FileSystem::{CREATE_NEW, FILE_SHARE_READ, FILE_SHARE_WRITE};
    let file = super::security::open_private(path, GENERIC_WRITE, FILE_SHARE_READ, CREATE_NEW, 0)?;
    write_all(&file, bytes)?;
    // Whoever opens a file has to share what others may do with it already. So two handles follow the one that writes: the first
    // shares writes with it, the second shares them with nobody.
    let read = |share| fs::OpenOptions::new().read(true).share_mode(share).open(path);
    let beside_writer = read(FILE_SHARE_READ | FILE_SHARE_WRITE)?;
    drop(file);
    let held = read(FILE_SHARE_READ);
    drop(beside_writer);
    held
}

fn fill(file: &File, bytes: &[u8], mode: Mode<'_>, path: &Path, survives: Survives) -> io::Result<()> {
    write_all(file, bytes)?;
    set_mode(file, mode, path)?;
    if survives == Survives::PowerFailure { file.sync_all() } else { Ok(()) }
}

#[cfg(unix)]
fn set_mode(file: &File, mode: Mode<'_>, _path: &Path) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, fchown};
    let bits = match mode {
        Mode::Private => return Ok(()),
        Mode::Public => 0o644,
        Mode::Like(old) => {
            let new = file.metadata()?;
            if (new.uid(), new.gid()) != (old.uid(), old.gid()) {
                // A wrong group is accepted. A wrong user is not: the owner would lose the file.
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

/// The file that is replaced is at `path`.
#[cfg(windows)]
fn set_mode(file: &File, mode: Mode<'_>, path: &Path) -> io::Result<()> {
    use super::security::{Descriptor, For, set_access};
    match mode {
        Mode::Private => Ok(()),
        Mode::Public => set_access(file, For::Everybody),
        Mode::Like(_) => Descriptor::of(&open(path, Access::Read)?)?.give_list(file),
    }
}

/// A file that is written, and not yet in its place. Dropping the value removes the file.
#[derive(Debug)]
pub struct Replacement {
    temporary: PathBuf,
    path: PathBuf,
    #[cfg(unix)]
    survives: Survives,
    published: bool,
}

impl Replacement {
    /// Writes a new file beside `path`.
    ///
    /// # Errors
    /// No new file is left.
    pub fn prepare(path: &Path, bytes: &[u8], mode: Mode<'_>, survives: Survives) -> io::Result<Self> {
        let (temporary, file) = temporary(path)?;
        let replacement = Self {
            temporary,
            path: path.to_owned(),
            #[cfg(unix)]
            survives,
            published: false,
        };
        fill(&file, bytes, mode, path, survives)?;
        Ok(replacement)
    }

    /// Moves the file to its place.
    ///
    /// # Errors
    /// The old file is unchanged then.
    pub fn publish(mut self) -> io::Result<()> {
        rename(&self.temporary, &self.path)?;
        self.published = true;
        // Writing the folder to disk makes the rename permanent. Some file systems can't do that.
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

/// Creates a file beside `path`. Another process may have left a file with one of the first names.
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

/// Renames a file in an open folder, and replaces the file that has the new name.
#[cfg(unix)]
pub fn rename_at(folder: impl std::os::fd::AsFd, from: &str, to: &str) -> io::Result<()> {
    Ok(rustix::fs::renameat(&folder, from, &folder, to)?)
}

/// Exchanges two files, which needs no room on the disk, or replaces `to` where the system can't.
pub fn exchange(from: &Path, to: &Path) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        if renameat_with(CWD, from, CWD, to, RenameFlags::EXCHANGE).is_ok() {
            return Ok(());
        }
    }
    rename(from, to)
}

/// Renames a file, and replaces the file that has the new name.
///
/// # Platform
/// Windows refuses this while another program, such as a virus scanner, has one of the files open and does not share it.
/// Such a program is done soon, so this tries again for a while.
pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
    #[cfg(windows)]
    for pause in (0..8).map(|power| std::time::Duration::from_millis(1 << power)) {
        match fs::rename(from, to) {
            Err(error) if is_in_use(&error) => std::thread::sleep(pause),
            done => return done,
        }
    }
    fs::rename(from, to)
}

#[cfg(windows)]
fn is_in_use(error: &io::Error) -> bool {
    use windows_sys::Win32::Foundation::{
        ERROR_ACCESS_DENIED, ERROR_LOCK_VIOLATION, ERROR_SHARING_VIOLATION,
    };
    let code = error.raw_os_error().map(i32::cast_unsigned);
    matches!(code, Some(ERROR_ACCESS_DENIED | ERROR_LOCK_VIOLATION | ERROR_SHARING_VIOLATION))
}

/// Follows the links from `file` to the path to replace, which need not exist. If a writer replaced the link
/// instead, readers by another path would keep the old file.
///
/// # Errors
/// [`FileError::Untrusted`] for a link of another user, who would choose the file; too many links.
pub fn behind_links(file: &Path) -> Result<PathBuf, FileError> {
    let mut place = file.to_owned();
    for _ in 0..MOST_LINKS {
        let Ok(target) = fs::read_link(&place) else { return Ok(place) };
        judge_link(&Facts::of_link(&place)?, Owner::UserOrRoot).map_err(|reason| FileError::Untrusted {
            what: format!("the link {}", text::show(&place)),
            reason,
        })?;
        place = place.parent().unwrap_or(Path::new(".")).join(target);
    }
    Err(io::Error::other("a link that leads to itself, or too many links").into())
}

/// Calls `write` until it has taken all of `bytes`. Returns how many bytes were written, and the error that
/// ended the writing. `write` returns how many bytes it took.
pub fn write_counted(
    bytes: &[u8],
    mut write: impl FnMut(&[u8]) -> io::Result<usize>,
) -> (usize, io::Result<()>) {
    let mut written = 0;
    while written < bytes.len() {
        match write(&bytes[written..]) {
            Ok(0) => return (written, Err(io::ErrorKind::WriteZero.into())),
            Ok(count) => written += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (written, Err(error)),
        }
    }
    (written, Ok(()))
}

/// Writes `bytes`.
///
/// # Errors
/// `FileTooLarge` if the limit on the size of files is reached.
pub fn write_all(file: &File, bytes: &[u8]) -> io::Result<()> {
    write_counted(bytes, |rest| write(file, rest)).1
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

    use super::*;

    fn names(folder: &Path) -> Vec<std::ffi::OsString> {
        let entries = fs::read_dir(folder).expect("a folder");
        entries.map(|entry| entry.expect("readable").file_name()).collect()
    }

    #[test]
    fn a_new_file_has_its_mode_without_a_temporary_file() {
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
    fn an_unpublished_file_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        drop(Replacement::prepare(&path, b"text", Mode::Private, Survives::Crash).unwrap());
        fs::create_dir(&path).unwrap();
        replace(&path, b"text", Mode::Private, Survives::Crash).unwrap_err();
        assert_eq!(names(folder.path()), ["file"]);
        let there = create(&path, b"", Mode::Private, Survives::Crash).unwrap_err();
        assert_eq!(there.kind(), io::ErrorKind::AlreadyExists);
    }

    #[test]
    fn behind_links_finds_the_path_of_a_missing_file_too() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        symlink("second", at("first")).unwrap();
        symlink(at("file"), at("second")).unwrap();
        symlink("loop", at("loop")).unwrap();
        for name in ["first", "second", "file"] {
            assert_eq!(behind_links(&at(name)).unwrap(), at("file"));
        }
        assert!(behind_links(&at("loop")).unwrap_err().to_string().contains("leads to itself"));
    }

    #[test]
    fn write_counted_writes_all_and_counts_up_to_a_failure() {
        let mut out = Vec::new();
        let mut room = 5;
        let mut write = |bytes: &[u8]| match bytes.len().min(2).min(room) {
            0 => Err(io::ErrorKind::StorageFull.into()),
            count => {
                room -= count;
                out.extend_from_slice(&bytes[..count]);
                Ok(count)
            }
        };
        assert!(matches!(write_counted(b"abc", &mut write), (3, Ok(()))));
        let (written, error) = write_counted(b"defg", &mut write);
        assert_eq!((written, error.unwrap_err().kind()), (2, io::ErrorKind::StorageFull));
        assert!(matches!(write_counted(b"x", |_| Ok(0)), (0, Err(_))));
        assert_eq!(out, b"abcde");
    }
}
