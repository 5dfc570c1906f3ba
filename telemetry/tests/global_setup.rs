//! A global telemetry that a function has set up. On its own, because a process has one.

mod common;

use common::{KIND, arrived_once};

#[test]
fn a_global_telemetry_without_clones_is_closed_by_its_own_close() {
    let home = tempfile::tempdir().expect("a folder");
    let log = home.path().join("arrived");
    let telemetry = common::tool(home.path()).backend("a", common::to_file(&log)).build();
    assert!(telemetry.make_global());
    drop(telemetry);
    assert!(jackfield::global().track(KIND, "late", &[]).is_some());
    assert!(arrived_once(&log).is_empty());
    jackfield::global().close();
    assert_eq!(arrived_once(&log), ["late"]);
}
