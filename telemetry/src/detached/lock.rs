//! Whose turn it is to deliver a spool when its tools have ended.
//!
//! A lock file a spool in the data folder. The tool takes the lock and hands the descriptor to its child: a lock of
//! `flock` belongs to what was opened, so it lasts until the child ends, and the system gives it back whatever ends it.
//!
//! A tool that finds it taken leaves, for the child that has it looks at the spool once more after giving it back.
//!
//! The file holds the *mark* of the orders that are in force: 16 hexadecimal digits. A tool whose backends are others than
//! the child's writes its own there and starts a second child, which waits: the first one goes as soon as it sees that it
//! is not meant any more. So a configuration counts from the next run on, and not from the end of a lifetime.

use std::path::{Path, PathBuf};
#[cfg(unix)]
use std::{fs::File, io};

use jackfield_loader::files;
#[cfg(unix)]
use jackfield_loader::files::Access;

fn file(data: &Path, local: bool) -> PathBuf {
    data.join(if local { "delivering-local.lock" } else { "delivering.lock" })
}

/// Which orders a turn is about.
#[cfg(unix)]
pub(super) type Mark = [u8; 16];

/// What a tool finds.
#[cfg(unix)]
#[derive(Debug)]
pub(super) enum Turn {
    /// It is this process's, and whose it hands the file to.
    Ours(File),
    /// A child has it by other orders, and goes.
    Awaited(File),
    /// A child has it, by the same orders.
    Theirs,
}

/// The turn, unless somebody has it by the same orders. It lasts as long as the file, or a copy of its descriptor, is open.
///
/// # Errors
/// When the lock can't be had at all.
#[cfg(unix)]
pub(super) fn take(data: &Path, local: bool, mark: &Mark) -> io::Result<Turn> {
    use std::os::unix::fs::FileExt as _;
    let file = files::open(&file(data, local), Access::Write)?;
    let ours = take_again(&file)?;
    if is_marked(&file, mark) {
        return Ok(if ours { Turn::Ours(file) } else { Turn::Theirs });
    }
    file.write_all_at(mark, 0)?;
    Ok(if ours { Turn::Ours(file) } else { Turn::Awaited(file) })
}

/// Whether these are the orders in force.
#[cfg(unix)]
pub(super) fn is_marked(file: &File, mark: &Mark) -> bool {
    use std::os::unix::fs::FileExt as _;
    let mut found = Mark::default();
    file.read_exact_at(&mut found, 0).is_ok() && found == *mark
}

/// Whether the turn is this file's now, or was already.
///
/// # Errors
/// As [`take`].
#[cfg(unix)]
pub(super) fn take_again(file: &File) -> io::Result<bool> {
    files::try_lock(file)
}

/// Whether a child delivers this spool now. Who looks while a tool takes its turn may be what the tool takes for a child;
/// its events wait for the next run then.
pub(crate) fn is_delivering(data: &Path, local: bool) -> bool {
    files::is_held(&file(data, local))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    const MARK: Mark = *b"0123456789abcdef";

    fn take(data: &Path, local: bool) -> Turn {
        crate::detached::lock::take(data, local, &MARK).expect("writable")
    }

    #[test]
    fn one_has_the_turn_until_the_last_copy_of_its_descriptor_is_closed() {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path();
        assert!(!is_delivering(data, false));
        let Turn::Ours(turn) = take(data, false) else { panic!("nobody has it") };
        let copy = turn.try_clone().expect("a descriptor");
        assert!(take_again(&copy).expect("a lock"), "a copy has it as well");
        drop(turn);
        assert!(matches!(take(data, false), Turn::Theirs) && is_delivering(data, false));
        assert!(matches!(take(data, true), Turn::Ours(_)), "the other spool has one of its own");
        drop(copy);
        assert!(!is_delivering(data, false), "looking leaves no lock behind");
        assert!(matches!(take(data, false), Turn::Ours(_)));
    }

    #[test]
    fn who_has_the_turn_by_other_orders_sees_that_it_is_not_meant_any_more() {
        let folder = tempfile::tempdir().expect("a folder");
        let Turn::Ours(first) = take(folder.path(), false) else { panic!("nobody has it") };
        let other: Mark = *b"fedcba9876543210";
        let Turn::Awaited(second) =
            crate::detached::lock::take(folder.path(), false, &other).expect("writable")
        else {
            panic!("by other orders")
        };
        assert!(!is_marked(&first, &MARK) && is_marked(&second, &other));
        assert!(!take_again(&second).expect("a lock"), "the first one is not gone yet");
        assert!(
            matches!(crate::detached::lock::take(folder.path(), false, &other), Ok(Turn::Theirs)),
            "one waits already"
        );
        drop(first);
        assert!(take_again(&second).expect("a lock"));
    }
}
