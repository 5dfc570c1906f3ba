//! What other processes record before they notice an opt-out does not stay.

mod common;

use std::{
    thread,
    time::{Duration, Instant},
};

use common::{KIND, Killed};
use jackfield::{Deliver, Discarded, MemoryBackend};
use jackfield_test_support::{LONG, wait_until};

#[test]
#[ignore = "run by the other tests, in a process of its own"]
fn child() {
    let (_, home, _) = common::role();
    let telemetry = common::tool_as_is(&home).deliver(Deliver::ByHand);
    let telemetry = telemetry.backend("memory", MemoryBackend::new().maker()).build();
    let started = Instant::now();
    while started.elapsed() < LONG {
        telemetry.track(KIND, "x", &[]);
        thread::sleep(Duration::from_micros(200));
    }
}

#[test]
fn after_an_opt_out_nothing_waits_although_another_process_is_busy() {
    let home = tempfile::tempdir().expect("a folder");
    common::consent(home.path());
    let _child = Killed(common::child("busy", home.path(), 1).spawn().expect("this binary starts"));
    let telemetry = common::tool_as_is(home.path()).backend("memory", MemoryBackend::new().maker()).build();
    for _ in 0..5 {
        wait_until("an event", || telemetry.status().events > 0);
        assert_eq!(telemetry.disable().expect("writable").pending, Discarded::All);
        assert_eq!(telemetry.status().events, 0);
        thread::sleep(Duration::from_millis(200));
        assert_eq!(telemetry.status().events, 0, "it stays so");
        telemetry.enable().expect("writable");
    }
}
