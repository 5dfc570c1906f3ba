use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

use jackfield_test_support::wait_until;
use rustix::process::kill_process;

use super::*;
use crate::detached::lock::{self, LockAttempt, Mark};

const MARK: Mark = *b"0123456789abcdef";

/// A lock that this script holds by its standard output, in a process group of its own.
fn held_by(script: &str) -> (tempfile::TempDir, Child) {
    let folder = tempfile::tempdir().expect("a folder");
    let LockAttempt::Taken(held) = take(&folder) else { panic!("nobody has it") };
    let copy = held.try_clone().expect("a descriptor");
    let command = Command::new("sh")
        .args(["-c", script])
        .process_group(0)
        .stdout(Stdio::from(copy))
        .stderr(Stdio::null())
        .spawn();
    (folder, command.expect("a shell"))
}

fn take(folder: &tempfile::TempDir) -> LockAttempt {
    lock::take(folder.path(), false, &MARK).expect("writable")
}

fn record(folder: &tempfile::TempDir, process: u32, until: u64) {
    let path = folder.path().join("delivering.lock");
    write(&files::open(&path, files::Access::Write).expect("a file"), process, until).expect("room");
}

/// Whether the next child gets the lock of a holder that should have ended.
fn is_replaced(folder: &tempfile::TempDir) {
    let LockAttempt::Awaited(next) = take(folder) else { panic!("held or free") };
    wait_until("the lock is free", || lock::take_again(&next).expect("a lock"));
}

#[test]
fn a_stopped_holder_is_killed_after_its_lifetime() {
    let (folder, mut holder) = held_by("exec sleep 60");
    let pid = Pid::from_child(&holder);
    kill_process(pid, Signal::STOP).expect("it is ours");
    assert!(matches!(take(&folder), LockAttempt::Held), "without a record");
    record(&folder, holder.id(), now() + 60_000);
    assert!(matches!(take(&folder), LockAttempt::Held), "within its lifetime");
    // This process has the file open as well, and is not of that group.
    record(&folder, 1, 0);
    assert!(matches!(take(&folder), LockAttempt::Held), "another process");
    assert!(holder.try_wait().expect("ours").is_none());
    record(&folder, holder.id(), 0);
    is_replaced(&folder);
    assert!(!holder.wait().expect("ours").success());
}

#[test]
fn a_fork_that_keeps_the_lock_is_killed() {
    let (folder, mut holder) = held_by("sleep 60 &");
    assert!(holder.wait().expect("ours").success());
    record(&folder, holder.id(), now() + 60_000);
    assert!(matches!(take(&folder), LockAttempt::Held), "within its lifetime");
    record(&folder, holder.id(), 0);
    is_replaced(&folder);
}

#[test]
fn what_is_no_record_ends_nobody() {
    let file = tempfile::tempfile().expect("a file");
    for text in ["", "0123456789abcdef", "0123456789abcdef\n-000000001 00000000000000000000\n"] {
        files::write_all(&file, text.as_bytes()).expect("room");
        assert!(!end_overdue(&file), "{text}");
    }
    sign(&file, Duration::ZERO).expect("room");
    assert_eq!(read(&file).map(|(pid, _)| pid), Some(rustix::process::getpid()));
    assert!(!end_overdue(&file), "it may still end by itself");
}
