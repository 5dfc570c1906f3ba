use std::{collections::BTreeMap, fs, sync::Arc, time::Duration};

use jackfield_loader::{BackendOptions, plugin_api::Outcome};

use super::{Scripted, failure};
use crate::delivery::backend_state::{BackendState, States, due};
use crate::delivery::outage::OutageNews;
use crate::delivery::settle::Settlement;

#[cfg(unix)]
#[test]
fn fifos_instead_of_the_files_are_not_waited_for() {
    use crate::delivery::in_flight_lock::InFlightLock;
    use std::{process::Command, time::Instant};
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["backends.v1.json", "sending.lock"] {
        let made = Command::new("mkfifo").arg(folder.path().join(name)).status();
        assert!(made.expect("mkfifo").success());
    }
    assert!(States::new(folder.path(), &Arc::default()).load().is_empty());
    let lock = InFlightLock::new(folder.path());
    assert!(lock.wait_for_end(Instant::now()));
}

#[test]
fn states_come_back_and_a_damaged_file_is_none() {
    let folder = tempfile::tempdir().expect("a folder");
    let states = States::new(folder.path(), &Arc::default());
    assert!(states.load().is_empty());
    let mut known = BTreeMap::new();
    let state = BackendState { delivered: 3, last_delivery_ms: Some(7), ..BackendState::default() };
    known.insert("a".to_owned(), state);
    states.keep(&known);
    assert_eq!(states.load(), known);
    fs::write(folder.path().join("backends.v1.json"), "{\"a\":").expect("writable");
    assert!(states.load().is_empty());
    states.forget().expect("removable");
    states.forget().expect("gone already");
}

#[test]
fn states_that_another_process_has_written_are_seen() {
    let folder = tempfile::tempdir().expect("a folder");
    let [ours, theirs] = [(); 2].map(|()| States::new(folder.path(), &Arc::default()));
    assert!(ours.load().is_empty() && ours.load_if_changed().is_none());
    let known = BTreeMap::from([("a".to_owned(), BackendState { delivered: 1, ..BackendState::default() })]);
    theirs.keep(&known);
    assert_eq!(ours.load_if_changed(), Some(known.clone()));
    ours.keep(&known);
    assert_eq!(ours.load_if_changed(), None, "it has written that itself");
}

#[test]
fn states_that_can_not_be_written_hold_in_this_process() {
    let folder = tempfile::tempdir().expect("a folder");
    let unwritten = Arc::default();
    let [one, other] = [(); 2].map(|()| States::new(folder.path(), &unwritten));
    let known = BTreeMap::from([("a".to_owned(), BackendState { delivered: 1, ..BackendState::default() })]);
    let obstacle = folder.path().join("backends.v1.json");
    fs::create_dir(&obstacle).expect("writable");
    one.keep(&known);
    assert_eq!(other.load(), known);
    fs::remove_dir(&obstacle).expect("empty");
    assert!(other.load().is_empty(), "somebody else has changed the file");
    fs::create_dir(&obstacle).expect("writable");
    one.keep(&known);
    fs::remove_dir(&obstacle).expect("empty");
    other.keep_changes(&known, &known);
    assert_eq!(States::new(folder.path(), &Arc::default()).load(), known, "written once it could be");
}

#[test]
fn an_open_circuit_holds_until_the_configuration_changes() {
    let folder = tempfile::tempdir().expect("a folder");
    let states = States::new(folder.path(), &Arc::default());
    let target = |name: &str| {
        let takes_all = Scripted::new(|_| Outcome::Delivered.into());
        super::target(BackendOptions::new(name), move |options| takes_all.open(options))
    };
    let targets = [target("down"), target("up"), target("new"), target("changed")];
    let mut known = BTreeMap::new();
    for name in ["down", "up", "changed"] {
        let mut state = BackendState::default();
        if name != "up" {
            state.circuit.settled(&failure(None), 1_000_000, Duration::from_secs(900));
        }
        if name == "changed" {
            state.fingerprint = "of another".to_owned();
        }
        known.insert(name.to_owned(), state);
    }
    states.keep(&known);
    assert_eq!(due(&targets, &states, 1_000_001), ["up", "new", "changed"]);
    assert_eq!(due(&targets, &states, 2_000_000), ["down", "up", "new", "changed"]);
}

#[test]
fn a_backend_that_takes_some_events_is_neither_down_nor_back() {
    let settled = |state: &mut BackendState, delivered, failed: bool| {
        let failure = if failed { failure(None).failure } else { None };
        let settlement = Settlement { delivered, failure, ..Settlement::default() };
        state.settled(&settlement, 1_000_000, Duration::from_secs(60))
    };
    let mut state = BackendState::default();
    assert_eq!(settled(&mut state, 1, true), OutageNews::Nothing);
    assert!(matches!(settled(&mut state, 0, true), OutageNews::Down { is_new: true, .. }));
    assert_eq!(settled(&mut state, 1, true), OutageNews::Nothing, "it is not back");
    assert_eq!(settled(&mut state, 0, true), OutageNews::Nothing, "the log has it once a minute");
    assert_eq!(settled(&mut state, 1, false), OutageNews::Back { away_ms: 0, settled: 1 });
}
