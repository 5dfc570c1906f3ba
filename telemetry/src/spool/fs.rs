//! The file system as the spool needs it: a few operations, each of which is atomic for other processes.
//!
//! [`Disk`](super::Disk) is the real one. The tests have one in memory that crashes between any two operations.

use std::{fmt, io, path::Path, sync::Arc};

/// The folders of spools, the clock, and the id of the process.
pub trait Fs: fmt::Debug + Send + Sync {
    /// Opens a folder, and checks by the open handle that no other user can write to it. A missing folder is made, for the
    /// user alone, when `create` is set.
    fn folder(&self, path: &Path, create: bool) -> Result<Arc<dyn Folder>, FolderError>;
    /// Milliseconds since 1970, UTC.
    fn now_ms(&self) -> u64;
    /// The id of this process; another one after a fork.
    fn process(&self) -> u32;
    /// A random number for the names of files.
    fn random(&self) -> u32;
    /// Waits for about a millisecond, so that another process can release a lock.
    fn pause(&self);
}

/// An open folder. It stays the same folder when another one replaces it at its path.
pub trait Folder: fmt::Debug + Send + Sync {
    /// Every regular file, in no order.
    fn list(&self) -> io::Result<Vec<Entry>>;
    /// Opens an existing file, to read and to append.
    fn open(&self, name: &str) -> io::Result<Box<dyn File>>;
    /// Opens a file as [`open`](Self::open) does; makes it, readable by the user alone, when it is missing.
    fn open_or_create(&self, name: &str) -> io::Result<Box<dyn File>>;
    /// Makes a new file.
    fn create(&self, name: &str) -> io::Result<Box<dyn File>>;
    /// Gives a file another name, in place of the file that has it.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file. Open handles stay valid.
    fn remove(&self, name: &str) -> io::Result<()>;
}

/// An open file. Its drop closes it; the last handle releases the lock.
pub trait File: fmt::Debug + Send + Sync {
    /// One write at the current end of the file. Returns the number of written bytes.
    fn append(&self, bytes: &[u8]) -> io::Result<usize>;
    /// Reads at an offset. Returns the number of bytes; 0 at the end.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;
    /// Cuts the file off at `len` bytes.
    fn truncate(&self, len: u64) -> io::Result<()>;
    /// Takes the file's exclusive advisory lock, unless another handle has it. The system releases it when the process dies.
    fn try_lock(&self) -> io::Result<bool>;
    /// Releases the lock, also for the copies of the handle in forked children.
    fn unlock(&self) -> io::Result<()>;
    /// The length of the file, and whether it still has a name.
    fn facts(&self) -> io::Result<Facts>;
}

/// A file in a folder.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// Its length in bytes.
    pub len: u64,
}

/// Facts about an open file.
#[derive(Debug, Clone, Copy)]
pub struct Facts {
    /// Its length in bytes.
    pub len: u64,
    /// Whether it still has a name.
    pub linked: bool,
}

/// Why a folder can't be opened.
#[derive(Debug)]
pub enum FolderError {
    /// The folder is missing.
    Missing,
    /// The folder can't be trusted: the text says what was expected and found.
    Refused(String),
    /// The system reports an error.
    Io(io::Error),
}

/// A whole small file, or `None` when it is missing. More than `limit` bytes are an error.
pub(crate) fn read_whole(folder: &dyn Folder, name: &str, limit: usize) -> io::Result<Option<Vec<u8>>> {
    match folder.open(name) {
        Ok(file) => read_file(&*file, limit).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The content of an open file.
pub(crate) fn read_file(file: &dyn File, limit: usize) -> io::Result<Vec<u8>> {
    let expected = usize::try_from(file.facts()?.len).unwrap_or(usize::MAX);
    if expected > limit {
        return Err(io::Error::other(format!("file too large: {expected} bytes, limit {limit}")));
    }
    let mut bytes = vec![0; expected];
    let mut at = 0;
    while at < bytes.len() {
        match file.read_at(at as u64, &mut bytes[at..]) {
            Ok(0) => break,
            Ok(n) => at += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(at);
    Ok(bytes)
}

/// Replaces a file by one with these bytes. A reader sees the old file or the new one. No other process uses the name
/// `temporary` at the same time.
pub(crate) fn replace(folder: &dyn Folder, name: &str, temporary: &str, bytes: &[u8]) -> io::Result<()> {
    let file = match folder.create(temporary) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            // A process died here.
            folder.remove(temporary)?;
            folder.create(temporary)?
        }
        other => other?,
    };
    let mut rest = bytes;
    while !rest.is_empty() {
        match file.append(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => rest = &rest[n..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                // The rest of the file would take room on a full disk.
                _ = folder.remove(temporary);
                return Err(error);
            }
        }
    }
    folder.rename(temporary, name)
}

/// Writes a file of about the size of a few events, and removes it.
pub(crate) fn try_to_write(folder: &dyn Folder) -> io::Result<()> {
    const NAME: &str = "trial.v1.tmp";
    let file = folder.open_or_create(NAME)?;
    let written = file
        .append(&[b'\n'; 4096])
        .and_then(|written| if written == 4096 { Ok(()) } else { Err(io::ErrorKind::StorageFull.into()) });
    match folder.remove(NAME) {
        // Another process tries the same.
        Err(error) if error.kind() != io::ErrorKind::NotFound => written.and(Err(error)),
        _ => written,
    }
}

/// Text with a check sum, which shows whether a file is damaged.
pub(crate) fn with_sum(text: &str) -> Vec<u8> {
    format!("{text}\n{:016x}\n", sum(text)).into_bytes()
}

/// The text of [`with_sum`], unless the file is damaged.
pub(crate) fn without_sum(bytes: &[u8]) -> Option<&str> {
    let (text, found) = std::str::from_utf8(bytes).ok()?.strip_suffix('\n')?.rsplit_once('\n')?;
    (found == format!("{:016x}", sum(text))).then_some(text)
}

/// FNV-1a (Fowler, Noll and Vo): against accidents, not against attackers.
fn sum(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
