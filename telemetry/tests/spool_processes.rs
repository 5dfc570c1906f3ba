//! Real processes on one spool: the test binary starts itself again, as a test that does what the environment says.
#![allow(clippy::disallowed_methods, reason = "a test makes the files that it needs")]

mod common;

use std::{
    collections::HashMap,
    env,
    fs::{self, File, OpenOptions},
    io::Write as _,
    path::Path,
    process::Child,
    thread,
    time::Duration,
};

use jackfield::spool::{Limits, Settle, Spool};
use jackfield_test_support::wait_until;

#[test]
#[ignore = "run by the other tests, in a process of its own"]
fn child() {
    let (role, home, number) = common::role();
    let (home, number) = (&*home, number.to_string());
    let spool = Spool::on_disk(home.join("spool"), Limits::default());
    match &*role {
        "track and deliver" => track_and_deliver(&spool, home, &number),
        "track for ever" => track_for_ever(&spool, home, &number),
        other => panic!("no such role: {other}"),
    }
}

fn start(role: &str, home: &Path, number: u32) -> Child {
    common::child(role, home, number).spawn().expect("this binary starts")
}

/// A sink that any process may append to at once.
fn sink(home: &Path, name: &str) -> File {
    OpenOptions::new().create(true).append(true).open(home.join(name)).expect("a sink")
}

fn deliver(spool: &Spool, home: &Path, backends: &[&str]) {
    let Some(mut deliverer) = spool.try_claim(backends).expect("a healthy disk") else { return };
    for backend in backends {
        let mut sink = sink(home, backend);
        while let Some(chunk) = deliverer.next(backend, 50, 100_000).expect("a healthy disk") {
            let text: String = chunk.lines().map(|line| format!("{line}\n")).collect();
            sink.write_all(text.as_bytes()).expect("room");
            deliverer.commit(&chunk, &vec![Settle::Done; chunk.len()]).expect("a healthy disk");
        }
    }
}

fn track_and_deliver(spool: &Spool, home: &Path, number: &str) {
    for event in 0..300 {
        spool.append(format!("{{\"id\":\"{number}-{event}\"}}").as_bytes()).expect("a healthy disk");
        if event % 20 == 0 {
            deliver(spool, home, &["a", "b"]);
        }
        if event % 70 == 0 {
            spool.seal();
        }
    }
}

/// Says in a file of its own what it has appended, after each event.
fn track_for_ever(spool: &Spool, home: &Path, number: &str) {
    let mut said = sink(home, &format!("said-{number}"));
    for event in 0.. {
        let id = format!("{number}-{event}");
        let line = format!("{{\"id\":\"{id}\",\"pad\":\"{}\"}}", "x".repeat(200));
        spool.append(line.as_bytes()).expect("a healthy disk");
        said.write_all(format!("{id}\n").as_bytes()).expect("room");
    }
}

/// How often each id arrived.
fn arrived(home: &Path, backend: &str) -> HashMap<String, u32> {
    let mut ids = HashMap::new();
    for line in fs::read_to_string(home.join(backend)).expect("a sink").lines() {
        let id = line.split('"').nth(3).expect("a whole event").to_owned();
        *ids.entry(id).or_default() += 1;
    }
    ids
}

#[test]
fn eight_processes_deliver_each_event_once() {
    let home = tempfile::tempdir().expect("a temporary folder");
    let children: Vec<_> = (0..8).map(|number| start("track and deliver", home.path(), number)).collect();
    for mut child in children {
        assert!(child.wait().expect("it ends").success());
    }
    let spool = Spool::on_disk(home.path().join("spool"), Limits::default());
    deliver(&spool, home.path(), &["a", "b"]);
    for backend in ["a", "b"] {
        let arrived = arrived(home.path(), backend);
        assert_eq!(arrived.len(), 8 * 300);
        assert!(arrived.values().all(|times| *times == 1), "{backend}");
    }
    let stats = spool.stats();
    assert_eq!((stats.events, stats.segments, stats.drops.len()), (0, 0, 0), "{stats:?}");
}

#[test]
fn a_kill_at_any_moment_loses_no_event_that_was_appended() {
    let home = tempfile::tempdir().expect("a temporary folder");
    let runs = env::var("SPOOL_KILLS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(60);
    let spool = Spool::on_disk(home.path().join("spool"), Limits::default());
    let mut said = Vec::new();
    for run in 0..runs {
        let mut child = start("track for ever", home.path(), run);
        let path = home.path().join(format!("said-{run}"));
        wait_until("the child says something", || fs::metadata(&path).is_ok_and(|found| found.len() > 0));
        thread::sleep(Duration::from_micros(fastrand::u64(..4_000)));
        child.kill().expect("it runs");
        child.wait().expect("it is dead");
        let text = fs::read_to_string(&path).expect("it said something");
        said.extend(text.lines().map(str::to_owned));
        if run % 3 == 0 {
            deliver(&spool, home.path(), &["a"]);
        }
    }
    deliver(&spool, home.path(), &["a"]);
    let arrived = arrived(home.path(), "a");
    assert!(said.len() >= runs as usize);
    assert_eq!(said.iter().find(|id| !arrived.contains_key(*id)), None, "of {} events", said.len());
    assert!(arrived.values().all(|times| *times == 1));
    assert_eq!(spool.stats().segments, 0);
}
