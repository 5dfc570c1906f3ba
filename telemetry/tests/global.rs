//! The global telemetry. On its own, because a process has one.

mod common;

use common::{KIND, arrived_once};

#[test]
fn the_global_telemetry_is_the_first_one_and_its_owner_closes_it() {
    assert_eq!(jackfield::global().track(KIND, "before", &[]), None);
    assert!(!jackfield::global().is_offered());
    let home = tempfile::tempdir().expect("a folder");
    let log = home.path().join("arrived");
    let telemetry = common::tool(home.path()).backend("a", common::to_file(&log)).build();
    assert!(telemetry.make_global());
    assert!(jackfield::global().track(KIND, "global", &[]).is_some());
    let (other, memory) = jackfield::Telemetry::for_tests();
    assert!(!other.make_global());
    jackfield::global().clone().track(KIND, "clone", &[]);
    assert!(memory.events().is_empty() && arrived_once(&log).is_empty());
    drop(telemetry);
    assert_eq!(arrived_once(&log), ["global", "clone"]);
}
