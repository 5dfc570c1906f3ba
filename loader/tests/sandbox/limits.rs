//! Children with limits of memory, processor time, files and core dumps.

use std::{
    io::Write as _,
    os::unix::process::ExitStatusExt as _,
    path::Path,
    process::{Command, ExitStatus, Stdio},
    time::Duration,
};

use jackfield_loader::Limits;
use jackfield_test_support::{Test, tests};

use super::parent::{attempts, confined};
use super::{Order, common};

pub(super) const TESTS: &[Test] = tests![
    a_child_that_eats_memory_ends_at_its_limit,
    a_limit_without_room_for_a_plugin_is_an_error,
    a_child_that_spins_ends_at_its_processor_limit,
    a_child_opens_no_more_files_than_its_limit,
    a_crash_leaves_a_core_dump_only_where_that_is_configured,
    limits_are_only_ever_lowered,
];

fn limited(change: impl FnOnce(&mut Limits), attempt: &str) -> (Vec<String>, ExitStatus) {
    let folder = common::folder();
    let mut limits = Limits::default();
    change(&mut limits);
    let order = Order { limits, attempts: attempts(&[(attempt, Path::new(""))]), ..Order::default() };
    confined(&order, folder.path())
}

fn a_child_that_eats_memory_ends_at_its_limit() {
    let (said, status) = limited(|limits| limits.memory = Some(256 << 20), "hunger");
    assert_eq!((said.len(), status.signal()), (0, Some(libc::SIGABRT)), "{said:?} {status}");
}

fn a_limit_without_room_for_a_plugin_is_an_error() {
    let (said, status) = limited(|limits| limits.memory = Some(64 << 10), "read");
    assert_eq!(status.code(), Some(2));
    assert!(said[0].starts_with("sandbox: `limits.memory`: 65536 bytes of address space, "), "{said:?}");
    let (said, status) = limited(|limits| limits.files = Some(3), "read");
    assert_eq!(status.code(), Some(2));
    assert!(
        said[0].starts_with("sandbox: `limits.files`: 3 open files, of which the child has 3"),
        "{said:?}"
    );
}

fn a_child_that_spins_ends_at_its_processor_limit() {
    let (_, status) = limited(|limits| limits.cpu = Some(Duration::from_millis(300)), "spin");
    assert_eq!(status.signal(), Some(libc::SIGXCPU), "{status}");
}

fn a_child_opens_no_more_files_than_its_limit() {
    assert_eq!(limited(|limits| limits.files = Some(20), "open-many").0, ["EMFILE 20"]);
}

fn a_crash_leaves_a_core_dump_only_where_that_is_configured() {
    let (_, status) = limited(|limits| limits.core_dumps = true, "abort");
    assert!(
        status.core_dumped(),
        "the hard limit of core dumps keeps this test from its comparison: {status}"
    );
    let (_, status) = limited(|_| {}, "abort");
    assert_eq!((status.signal(), status.core_dumped()), (Some(libc::SIGABRT), false));
}

fn limits_are_only_ever_lowered() {
    let folder = common::folder();
    let order = |files| {
        let mut limits = Limits::default();
        limits.files = Some(files);
        Order { limits, attempts: attempts(&[("open-many", Path::new(""))]), ..Order::default() }
    };
    let order = serde_json::to_string(&order(500)).unwrap();
    let script =
        format!("ulimit -n 30; exec '{}' jackfield:confined 0", std::env::current_exe().unwrap().display());
    let mut child = Command::new("sh")
        .args(["-c", &script])
        .current_dir(folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(order.as_bytes()).unwrap();
    assert_eq!(String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap(), "EMFILE 30\n");
}
