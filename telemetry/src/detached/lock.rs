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

use std::path::{Path, PathBuf};
#[cfg(unix)]
use std::{fs::File, io};

use jackfield_loader::files;
#[cfg(unix)]
use jackfield_loader::files::Access;

#[cfg(unix)]
use crate::detached::holder;

fn file(data: &Path, local: bool) -> PathBuf {
    data.join(if local { "delivering-local.lock" } else { "delivering.lock" })
}

/// The mark of a job.
#[cfg(unix)]
pub(super) type Mark = [u8; 16];

/// The result of an attempt to take the lock.
#[cfg(unix)]
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
#[cfg(unix)]
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
#[cfg(unix)]
pub(super) fn is_marked(file: &File, mark: &Mark) -> bool {
    use std::os::unix::fs::FileExt as _;
    let mut found = Mark::default();
    file.read_exact_at(&mut found, 0).is_ok() && found == *mark
}

/// Takes the lock for an inherited file. Returns whether the file has the lock.
///
/// # Errors
/// As [`take`].
#[cfg(unix)]
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
