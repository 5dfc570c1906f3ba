//! The lock that one detached child for each spool holds while it delivers.
//!
//! Each spool has a lock file in the data folder. The tool takes the lock, and its child inherits the descriptor. A lock of
//! `flock` belongs to the open file: it lasts until the child ends, and the system releases it however the child ends.
//!
//! A tool that finds the lock held by a child with the same job starts none: the child looks at the spool once more after
//! it has released the lock.
//!
//! The file holds the *mark* of the job in force: 16 hexadecimal digits. A tool with another job writes its own mark and
//! starts a second child, which waits for the lock. The first child ends as soon as it sees the new mark. So a changed
//! configuration counts from the next run of the tool on. Behind the mark the holder writes itself down ([`holder`]).
//!
//! # Platform
//! A lock of Windows belongs to a process. So the tool releases it, and the child takes it: see [`hand_over`].

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use jackfield_loader::files;
use jackfield_loader::files::Access;
use jackfield_loader::reexec::OwnedHandle;

use crate::detached::holder;

fn file(data: &Path, local: bool) -> PathBuf {
    data.join(if local { "delivering-local.lock" } else { "delivering.lock" })
}

/// The mark of a job.
pub(super) type Mark = [u8; 16];

/// The result of an attempt to take the lock.
#[derive(Debug)]
pub(super) enum LockAttempt {
    /// This process has the lock, and so has every process that inherits the file.
    Taken(File),
    /// A child with another job has the lock, and ends; or one was killed, because its lifetime had ended.
    Awaited(File),
    /// A child with the same job has the lock.
    Held,
}

/// Takes the lock, unless a child with the same job holds it within its lifetime. The lock lasts as long as the file, or a
/// copy of its descriptor, is open.
///
/// # Errors
/// When the file can't be opened, locked or written.
pub(super) fn take(data: &Path, local: bool, mark: &Mark) -> io::Result<LockAttempt> {
    let file = files::open(&file(data, local), Access::Write)?;
    let ours = take_again(&file)?;
    // It is gone in a moment, and the next child waits for the lock.
    let ends = !ours && holder::end_overdue(&file);
    if !ends && is_marked(&file, mark) {
        return Ok(if ours { LockAttempt::Taken(file) } else { LockAttempt::Held });
    }
    files::write_all(&file, mark)?;
    Ok(if ours { LockAttempt::Taken(file) } else { LockAttempt::Awaited(file) })
}

/// Whether the job of this mark is in force.
pub(super) fn is_marked(file: &File, mark: &Mark) -> bool {
    let mut found = Mark::default();
    read_start(file, &mut found).is_ok() && found == *mark
}

#[cfg(unix)]
fn read_start(file: &File, bytes: &mut [u8]) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, 0)
}

/// A read of this length comes back whole, or from the end of the file.
#[cfg(windows)]
fn read_start(file: &File, bytes: &mut [u8]) -> io::Result<()> {
    match std::os::windows::fs::FileExt::seek_read(file, bytes, 0)? {
        count if count == bytes.len() => Ok(()),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// What a child gets of the lock, for [`handed_over`]. On Unix the lock itself. A lock of Windows belongs to the process that
/// has taken it: it is released, and the child takes it. A tool that ends meanwhile finds it free and starts another child, which
/// waits until the first one has delivered.
#[cfg(unix)]
#[expect(clippy::unnecessary_wraps, reason = "on Windows it can fail")]
pub(super) fn hand_over(held: File) -> io::Result<Option<OwnedHandle>> {
    Ok(Some(held.into()))
}

#[cfg(windows)]
pub(super) fn hand_over(held: File) -> io::Result<Option<OwnedHandle>> {
    // One that this process only awaits is not its own, and can't be released.
    let _ = files::unlock(&held);
    drop(held);
    Ok(None)
}

/// In the child, the file of the lock, which on Windows has to be [taken again](take_again).
#[cfg(unix)]
pub(super) fn handed_over(held: Option<OwnedHandle>, _data: &Path, _local: bool) -> Option<File> {
    held.map(File::from)
}

#[cfg(windows)]
pub(super) fn handed_over(_held: Option<OwnedHandle>, data: &Path, local: bool) -> Option<File> {
    files::open(&file(data, local), Access::Write).ok()
}

/// Takes the lock for an inherited file. Returns whether the file has the lock.
///
/// # Errors
/// As [`take`].
pub(super) fn take_again(file: &File) -> io::Result<bool> {
    files::try_lock(file)
}

/// Whether a child delivers this spool now. A tool that takes the lock during this look may find it held, and then starts no
/// child; its events wait for the next run.
pub(crate) fn is_delivering(data: &Path, local: bool) -> bool {
    files::is_held(&file(data, local))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    const MARK: Mark = *b"0123456789abcdef";

    fn take(data: &Path, local: bool) -> LockAttempt {
        crate::detached::lock::take(data, local, &MARK).expect("writable")
    }

    #[test]
    fn the_last_copy_of_a_descriptor_holds_the_lock() {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path();
        assert!(!is_delivering(data, false));
        let LockAttempt::Taken(held) = take(data, false) else { panic!("nobody has it") };
        let copy = held.try_clone().expect("a descriptor");
        assert!(take_again(&copy).expect("a lock"), "a copy has it as well");
        drop(held);
        assert!(matches!(take(data, false), LockAttempt::Held) && is_delivering(data, false));
        assert!(matches!(take(data, true), LockAttempt::Taken(_)), "the other spool has one of its own");
        drop(copy);
        assert!(!is_delivering(data, false), "looking leaves no lock behind");
        assert!(matches!(take(data, false), LockAttempt::Taken(_)));
    }

    #[test]
    fn a_child_sees_that_another_job_is_in_force() {
        let folder = tempfile::tempdir().expect("a folder");
        let LockAttempt::Taken(first) = take(folder.path(), false) else { panic!("nobody has it") };
        let other: Mark = *b"fedcba9876543210";
        let LockAttempt::Awaited(second) =
            crate::detached::lock::take(folder.path(), false, &other).expect("writable")
        else {
            panic!("another job")
        };
        assert!(!is_marked(&first, &MARK) && is_marked(&second, &other));
        assert!(!take_again(&second).expect("a lock"), "the first one is not gone yet");
        assert!(
            matches!(crate::detached::lock::take(folder.path(), false, &other), Ok(LockAttempt::Held)),
            "one waits already"
        );
        drop(first);
        assert!(take_again(&second).expect("a lock"));
    }
}
