use super::*;
use crate::api::telemetry::Telemetry;

#[test]
fn every_obstacle_to_a_child_has_its_reason() {
    let plain = Telemetry::builder("tool", "1").build();
    let settings = &plain.context().settings;
    assert_eq!(decide(settings, true, 2, false), None);
    assert!(decide(settings, true, 1, false).is_some_and(|why| why.contains("number 1")));
    assert!(decide(settings, false, 2, false).is_some_and(|why| why.contains("jackfield::init();")));
    assert!(decide(settings, true, 2, true).is_some_and(|why| why.contains("does not name a backend")));
    let elsewhere = Telemetry::builder("tool", "1").file_system(crate::spool::disk::Disk).build();
    assert!(
        decide(&elsewhere.context().settings, true, 2, false).is_some_and(|why| why.contains("file system"))
    );
}
