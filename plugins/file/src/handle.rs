//! One open file: it is opened, locked, repaired and written to here. The system calls of a write are in one table, so
//! that tests can count them and make them fail.

use std::{
    fs::{self, File, Metadata, OpenOptions, TryLockError},
    io::{self, ErrorKind, Read as _, Seek as _, SeekFrom, Write as _},
    path::Path,
    thread,
    time::Duration,
};

/// Calls into the system.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Disk {
    /// Writes the beginning of the bytes, and returns how many.
    pub(crate) write: fn(&mut File, &[u8]) -> io::Result<usize>,
    /// Waits until the file's content is on the disk.
    pub(crate) sync: fn(&File) -> io::Result<()>,
    /// Waits until the names in a folder are on the disk.
    pub(crate) sync_folder: fn(&Path) -> io::Result<()>,
}

/// The real system calls.
pub(crate) const SYSTEM: Disk = Disk {
    write: |file, bytes| {
        below_size_limit(file)?;
        file.write(bytes)
    },
    sync: File::sync_data,
    sync_folder: |folder| File::open(folder)?.sync_all(),
};

/// Refuses a write at the limit on the size of a file (`ulimit -f`) as the kernel does, but without its signal `SIGXFSZ`,
/// which would end the tool. What the signal does is the tool's to say, and no plugin's.
#[cfg(unix)]
fn below_size_limit(file: &File) -> io::Result<()> {
    use rustix::{
        io::Errno,
        process::{Resource, getrlimit},
    };
    let Some(limit) = getrlimit(Resource::Fsize).current else { return Ok(()) };
    let metadata = file.metadata()?;
    if metadata.is_file() && metadata.len() >= limit { Err(Errno::FBIG.into()) } else { Ok(()) }
}

#[cfg(not(unix))]
fn below_size_limit(_file: &File) -> io::Result<()> {
    Ok(())
}

impl Disk {
    /// Writes `bytes`. The error says how many of them have arrived.
    pub(crate) fn write_all(self, file: &mut File, bytes: &[u8]) -> (usize, io::Result<()>) {
        let mut written = 0;
        while written < bytes.len() {
            match (self.write)(file, &bytes[written..]) {
                Ok(0) => return (written, Err(io::ErrorKind::WriteZero.into())),
                Ok(count) => written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return (written, Err(error)),
            }
        }
        (written, Ok(()))
    }
}

/// The error of a write that wrote nothing, or not everything.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The path can't be used for a file of lines.
    Path(&'static str),
    /// Another writer kept the lock until the call's deadline.
    Locked,
    /// Rotation failed.
    Rotate(io::Error),
    /// The system refused something else.
    Io(io::Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Path(why) => f.write_str(why),
            Self::Locked => f.write_str("another writer holds the lock"),
            Self::Rotate(error) => write!(f, "rotation failed: {error}"),
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl Failure {
    /// Whether a later try may succeed without any change by the user.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Path(_) => false,
            Self::Locked => true,
            Self::Rotate(error) | Self::Io(error) => matches!(
                error.kind(),
                ErrorKind::StorageFull
                    | ErrorKind::QuotaExceeded
                    | ErrorKind::FileTooLarge
                    | ErrorKind::OutOfMemory
                    | ErrorKind::Interrupted
                    | ErrorKind::WouldBlock
            ),
        }
    }
}

/// A write that failed. This many of its first bytes stay in the file.
#[derive(Debug)]
pub(crate) struct Short {
    pub(crate) kept: usize,
    pub(crate) error: io::Error,
}

/// An open file at the path.
pub(crate) struct Handle {
    file: File,
    disk: Disk,
    /// Whether it is a file with a size, not a device or a FIFO.
    regular: bool,
    /// Length in bytes. Right while the lock is held.
    size: u64,
    /// The length at which the file is known to end with a line feed.
    clean_at: Option<u64>,
}

impl Handle {
    /// Opens what is at `path`, or makes a file there.
    pub(crate) fn open(path: &Path, disk: Disk) -> Result<Self, Failure> {
        let regular = match fs::symlink_metadata(path) {
            Ok(found) if found.is_symlink() => {
                return Err(Failure::Path("is a symbolic link; name the file itself"));
            }
            Ok(found) if found.is_dir() => return Err(Failure::Path("is a folder; name a file in it")),
            Ok(found) => found.is_file(),
            Err(_) => true,
        };
        Self::open_as(path, regular, disk)
    }

    /// Opens the file that was seen at `path`. Another file that has taken its place since is refused, not followed.
    fn open_as(path: &Path, regular: bool, disk: Disk) -> Result<Self, Failure> {
        let mut options = OpenOptions::new();
        // The file is opened for reading, too, to check its last byte. A FIFO is not: this process would become its own
        // reader.
        options.append(true).read(regular).create(regular);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt as _;

            use rustix::fs::OFlags;
            options.mode(0o600).custom_flags((OFlags::NOFOLLOW | OFlags::NOCTTY).bits().cast_signed());
        }
        let file = options.open(path).map_err(|error| match error.kind() {
            ErrorKind::NotFound => Failure::Path("its folder does not exist; make it"),
            ErrorKind::NotADirectory => Failure::Path("its folder is a file"),
            _ => Failure::Io(error),
        })?;
        let metadata = file.metadata()?;
        if metadata.is_file() != regular {
            return Err(Failure::Io(io::Error::other("it was replaced while it was being opened")));
        }
        Ok(Self { file, disk, regular, size: metadata.len(), clean_at: None })
    }

    /// Syncs the folder, so that the name of a new file survives a power failure.
    pub(crate) fn sync_name(&self, path: &Path) -> io::Result<()> {
        if cfg!(unix) && self.regular {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            (self.disk.sync_folder)(folder.unwrap_or(Path::new(".")))?;
        }
        Ok(())
    }

    /// Length in bytes while the lock is held; `None` for a device or a FIFO.
    pub(crate) fn size(&self) -> Option<u64> {
        self.regular.then_some(self.size)
    }

    /// Waits for the lock while `go_on` allows. It polls, because no wait for a file lock can be ended. On a file system without locks the file is not locked.
    pub(crate) fn lock(&self, go_on: &dyn Fn() -> bool) -> Result<(), Failure> {
        if !self.regular {
            return Ok(());
        }
        let mut pause = Duration::from_micros(100);
        loop {
            match self.file.try_lock() {
                Ok(()) => return Ok(()),
                Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => return Ok(()),
                Err(TryLockError::Error(error)) => return Err(error.into()),
                Err(TryLockError::WouldBlock) if !go_on() => return Err(Failure::Locked),
                Err(TryLockError::WouldBlock) => thread::sleep(pause),
            }
            pause = (pause * 2).min(Duration::from_millis(5));
        }
    }

    /// Releases the lock.
    pub(crate) fn unlock(&self) -> io::Result<()> {
        if self.regular { self.file.unlock() } else { Ok(()) }
    }

    /// Whether `path` still leads to this file; also reads the file's size. Call it under the lock.
    pub(crate) fn is_at(&mut self, path: &Path) -> io::Result<bool> {
        if !self.regular {
            return Ok(true);
        }
        let found = match fs::symlink_metadata(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            found => found?,
        };
        let open = self.file.metadata()?;
        self.size = open.len();
        Ok(same_file(&found, &open))
    }

    /// Ends an incomplete last line, which a crashed writer has left. Call it under the lock.
    pub(crate) fn end_torn_line(&mut self) -> io::Result<()> {
        if !self.regular || self.size == 0 || self.clean_at == Some(self.size) {
            return Ok(());
        }
        let mut last = [0];
        self.file.seek(SeekFrom::Start(self.size - 1))?;
        self.file.read_exact(&mut last)?;
        if last != *b"\n" {
            self.disk.write_all(&mut self.file, b"\n").1?;
            self.size += 1;
        }
        self.clean_at = Some(self.size);
        Ok(())
    }

    /// Appends `bytes`, which are whole lines, and with `fsync` waits until they are on the disk. Call it under the
    /// lock.
    ///
    /// When the write fails, the written part is cut off again. If that fails, too, or is impossible, the error says
    /// how many bytes stay.
    pub(crate) fn write(&mut self, bytes: &[u8], fsync: bool) -> Result<(), Short> {
        let (written, mut result) = self.disk.write_all(&mut self.file, bytes);
        if fsync && self.regular && result.is_ok() {
            result = (self.disk.sync)(&self.file);
        }
        match result {
            Ok(()) => {
                self.size += bytes.len() as u64;
                self.clean_at = Some(self.size);
                Ok(())
            }
            Err(error) => {
                let cut = self.regular && self.cut_off(written as u64).is_ok();
                // Bytes that stay but may not be on the disk do not count as delivered.
                let kept = if cut || (fsync && self.regular) { 0 } else { written };
                Err(Short { kept, error })
            }
        }
    }

    /// Cuts off the last `written` bytes, if they are the last.
    fn cut_off(&mut self, written: u64) -> io::Result<()> {
        if self.file.metadata()?.len() != self.size + written {
            return Err(io::Error::other("somebody writes to the file without its lock"));
        }
        self.file.set_len(self.size)
    }
}

#[cfg(unix)]
fn same_file(a: &Metadata, b: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    (a.dev(), a.ino()) == (b.dev(), b.ino())
}

/// `std` has no file number here. While the lock prevents changes, another file differs in one of these values.
#[cfg(not(unix))]
fn same_file(a: &Metadata, b: &Metadata) -> bool {
    a.len() == b.len() && a.modified().ok() == b.modified().ok() && a.created().ok() == b.created().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file that holds `text`, open and locked.
    fn locked(text: &str) -> (tempfile::TempDir, std::path::PathBuf, Handle) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        fs::write(&path, text).expect("writable");
        let mut handle = Handle::open(&path, SYSTEM).expect("opens");
        handle.lock(&|| false).expect("free");
        assert!(handle.is_at(&path).expect("readable"));
        handle.end_torn_line().expect("writable");
        (folder, path, handle)
    }

    #[test]
    fn the_rest_of_a_failed_write_is_cut_off() {
        let (_folder, path, mut handle) = locked("a\n");
        handle.file.write_all(b"b\nhalf").expect("writable");
        handle.cut_off(6).expect("nobody else writes");
        handle.write(b"c\n", false).expect("writable");
        assert_eq!(fs::read_to_string(path).expect("readable"), "a\nc\n");
    }

    #[test]
    fn bytes_of_another_writer_are_never_cut_off() {
        let (_folder, path, mut handle) = locked("a\n");
        handle.file.write_all(b"half").expect("writable");
        OpenOptions::new().append(true).open(&path).expect("opens").write_all(b"theirs\n").expect("writable");
        assert!(handle.cut_off(4).is_err());
        assert_eq!(fs::read_to_string(path).expect("readable"), "a\nhalftheirs\n");
    }

    #[test]
    fn the_end_is_checked_again_after_another_writer() {
        let (_folder, path, mut handle) = locked("a\n");
        handle.write(b"b\n", false).expect("writable");
        OpenOptions::new().append(true).open(&path).expect("opens").write_all(b"torn").expect("writable");
        assert!(handle.is_at(&path).expect("readable"));
        handle.end_torn_line().expect("writable");
        handle.write(b"c\n", false).expect("writable");
        assert_eq!(fs::read_to_string(path).expect("readable"), "a\nb\ntorn\nc\n");
    }

    #[cfg(unix)]
    #[test]
    fn a_link_that_replaces_the_file_is_not_followed() {
        let folder = tempfile::tempdir().expect("a folder");
        let (target, link) = (folder.path().join("target"), folder.path().join("log"));
        std::os::unix::fs::symlink(&target, &link).expect("ours");
        assert!(Handle::open_as(&link, true, SYSTEM).is_err());
        assert!(!target.exists(), "nothing is made behind it");
        fs::write(&target, "theirs\n").expect("writable");
        let refusal = Handle::open_as(&link, true, SYSTEM).err().expect("refused").to_string();
        assert!(refusal.contains("symbolic links"), "{refusal}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_real_system_calls_are_made() {
        // The system refuses, because these files have nothing to synchronise.
        let null = File::options().write(true).open("/dev/null").expect("opens");
        assert_eq!((SYSTEM.sync)(&null).expect_err("no disk").kind(), io::ErrorKind::InvalidInput);
        let error = (SYSTEM.sync_folder)(Path::new("/proc")).expect_err("no disk");
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }
}
