//! Plugins in processes of their own: the same outcomes as in a thread, and what ends them ends nothing else.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use jackfield_loader::{
    Backend, BackendOptions, Candidate, Error, Failure, Isolation, OpenFailure, ProcessOptions, Program,
    Report, Trust, crashes, plugin_api::Outcome,
};
use jackfield_tests::{c_fixture, cli, fixture, panic_abort, plugin};
use serde_json::{Value, json};

use crate::common::{MS, batch, lines, one_line, options, scratch};

/// Children are the command's: the tests' own `main` is not theirs.
fn isolated() -> ProcessOptions {
    ProcessOptions::new().program(Program::At(cli()))
}

fn try_open(path: &Path, options: &BackendOptions) -> Result<Backend, Error> {
    let verified = Candidate::open(path)?.verify_for(&options.isolation, Trust::Owner)?;
    Backend::open_verified(&verified, options)
}

fn open(path: &Path, config: &Value) -> Backend {
    let options = options(config).isolation(Isolation::Process(isolated()));
    try_open(path, &options).unwrap_or_else(|error| panic!("{error}"))
}

fn is_alive(process: u32) -> bool {
    // A zombie has an end that somebody has not asked for yet.
    fs::read_to_string(format!("/proc/{process}/stat"))
        .is_ok_and(|stat| !stat.rsplit_once(')').is_some_and(|(_, rest)| rest.starts_with(" Z")))
}

/// Waits until `done`; what was waited for does not come otherwise.
fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::sleep(2 * MS);
    }
}

#[test]
fn a_batch_is_delivered_by_a_process_that_ends_with_its_backend() {
    let (_folder, record) = scratch("record");
    let backend = open(&fixture("hostile"), &json!({ "record": record }));
    let report = backend.send(&batch(3));
    assert_eq!(report.uniform(), Some(&Outcome::Delivered), "{report:?}");
    assert_eq!(lines(&record), ["0", "1", "2"]);
    let process = backend.stats().process.expect("a process of its own");
    assert_ne!(process.id, std::process::id());
    assert!(is_alive(process.id) && process.resident.is_some_and(|bytes| bytes > 0));
    let mapped = fs::read_to_string("/proc/self/maps").expect("readable");
    backend.close(2000 * MS).expect("closes");
    assert!(!is_alive(process.id));
    drop(mapped);
}
