//! Small files of the user's: read with suspicion, replaced whole, written by one process at a time.
//!
//! # Platform
//! Unix checks owner and mode and keeps them; elsewhere the folder's access list is what protects a file.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// Longest file that is read, in bytes.
pub(crate) const LARGEST: u64 = 1 << 20;

/// How long another process may hold the lock.
const PATIENCE: Duration = Duration::from_secs(2);

/// What tells one content of a file from another, without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    len: u64,
    modified: (i64, i64),
    changed: (i64, i64),
    inode: (u64, u64),
    access: (u32, u32),
}

impl Stamp {
    #[cfg(unix)]
    pub(crate) fn of(metadata: &fs::Metadata) -> Self {
        use std::os::unix::fs::MetadataExt as _;
        Self {
            len: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
            inode: (metadata.dev(), metadata.ino()),
            access: (metadata.mode(), metadata.uid()),
        }
    }

    #[cfg(not(unix))]
    pub(crate) fn of(metadata: &fs::Metadata) -> Self {
        let since = |time: io::Result<std::time::SystemTime>| {
            let time = time.ok().and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
            time.map_or((0, 0), |time| (time.as_secs().cast_signed(), time.subsec_nanos().into()))
        };
        let modified = since(metadata.modified());
        Self { len: metadata.len(), modified, changed: modified, inode: (0, 0), access: (0, 0) }
    }

    /// Whether a write at `now`, in seconds since 1970, would show in the times, however coarse the clock of the file
    /// system. A file "from the future" never tells.
    pub(crate) fn tells_from(&self, now: i64) -> bool {
        const COARSEST: i64 = 2;
        self.changed.0.max(self.modified.0) + COARSEST < now
    }
}

/// Seconds since 1970.
pub(crate) fn now() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    now.as_secs().cast_signed()
}

/// Why the word of a file is not to be taken: somebody else could have written it.
#[cfg(unix)]
pub(crate) fn distrust(metadata: &fs::Metadata) -> Option<String> {
    use std::os::unix::fs::MetadataExt as _;
    let (owner, me) = (metadata.uid(), rustix::process::geteuid().as_raw());
    if owner != me && owner != 0 {
        return Some(format!("expected a file of user {me}, found one of user {owner}"));
    }
    let mode = metadata.mode() & 0o7777;
    (mode & 0o002 != 0).then(|| format!("expected a file that only its owner can write, found mode {mode:o}"))
}

/// Why a link is not to be followed by who writes: somebody else has made it, who so chooses what is overwritten.
#[cfg(unix)]
pub(crate) fn distrust_link(metadata: &fs::Metadata) -> Option<String> {
    use std::os::unix::fs::MetadataExt as _;
    link_of(metadata.uid(), rustix::process::geteuid().as_raw())
}

#[cfg(unix)]
pub(crate) fn link_of(owner: u32, me: u32) -> Option<String> {
    (owner != me && owner != 0).then(|| format!("expected a link of user {me}, found one of user {owner}"))
}

#[cfg(not(unix))]
pub(crate) fn distrust_link(_metadata: &fs::Metadata) -> Option<String> {
    None
}

#[cfg(not(unix))]
pub(crate) fn distrust(_metadata: &fs::Metadata) -> Option<String> {
    None
}

/// The text of the regular file at `path`, and its metadata as of the open handle. A pipe does not make it wait.
pub(crate) fn read(path: &Path) -> io::Result<(String, fs::Metadata)> {
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed());
    }
    let file = options.open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    let mut text = String::new();
    file.take(LARGEST + 1).read_to_string(&mut text)?;
    if text.len() as u64 > LARGEST {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("more than {LARGEST} bytes")));
    }
    Ok((text, metadata))
}

/// Creates the folders that are missing, for the user alone.
pub(crate) fn create_folder(folder: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt as _;
        builder.mode(0o700);
    }
    builder.create(folder)
}

/// Writes `text` to a new file beside `path`, for [`Replacement::publish`] to put in its place. The mode and the owner
/// are those of `old`, or the user's alone.
pub(crate) fn prepare(path: &Path, text: &str, old: Option<&fs::Metadata>) -> io::Result<Replacement> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temp = folder.join(format!(".{name}.{}-{:08x}.tmp", std::process::id(), fastrand::u32(..)));
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    let mut file = options.open(&temp)?;
    let replacement = Replacement { temp, path: path.to_owned(), published: false };
    file.write_all(text.as_bytes())?;
    #[cfg(unix)]
    if let Some(old) = old {
        use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, fchown};
        let new = file.metadata()?;
        if (new.uid(), new.gid()) != (old.uid(), old.gid()) {
            // Another group may be refused, another user may not: that would take the file away from its owner.
            let done = fchown(&file, Some(old.uid()), Some(old.gid()));
            if new.uid() != old.uid() {
                done?;
            }
        }
        file.set_permissions(fs::Permissions::from_mode(old.mode() & 0o7777))?;
    }
    #[cfg(not(unix))]
    let _ = old;
    file.sync_all()?;
    Ok(replacement)
}

/// A file written and not yet in its place; removed when it never gets there.
#[derive(Debug)]
pub(crate) struct Replacement {
    temp: PathBuf,
    path: PathBuf,
    published: bool,
}

impl Replacement {
    /// For a file that is nobody's secret.
    pub(crate) fn let_everybody_read(&self) -> io::Result<()> {
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            fs::set_permissions(&self.temp, fs::Permissions::from_mode(0o644))?;
        }
        Ok(())
    }

    pub(crate) fn publish(mut self) -> io::Result<()> {
        fs::rename(&self.temp, &self.path)?;
        self.published = true;
        // The rename is on the disk when the folder is. Some file systems can't say so.
        #[cfg(unix)]
        if let Ok(folder) = File::open(self.path.parent().unwrap_or(Path::new("."))) {
            let _ = folder.sync_all();
        }
        Ok(())
    }
}

impl Drop for Replacement {
    fn drop(&mut self) {
        if !self.published {
            let _ = fs::remove_file(&self.temp);
        }
    }
}

/// The right to replace a file, held by one process at a time through a file beside it that stays.
///
/// A file system that knows no locks grants it to everybody.
#[derive(Debug)]
pub(crate) struct Lock {
    /// Held by being open.
    file: Option<File>,
}

impl Lock {
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt as _;
            let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
            options.mode(0o600).custom_flags(flags.bits().cast_signed());
        }
        let file = options.open(path.with_file_name(format!(".{name}.lock")))?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self { file: Some(file) }),
                Err(fs::TryLockError::WouldBlock) if Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(2));
                }
                Err(fs::TryLockError::WouldBlock) => {
                    return Err(io::Error::new(
                        io::ErrorKind::TimedOut,
                        "another process has held its lock for 2 s: try again",
                    ));
                }
                Err(fs::TryLockError::Error(_)) => return Ok(Self { file: None }),
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing it would leave the lock to a child that was forked meanwhile.
        if let Some(file) = &self.file {
            let _ = file.unlock();
        }
    }
}
