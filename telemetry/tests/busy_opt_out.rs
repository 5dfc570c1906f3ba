//! What other processes record before they notice an opt-out does not stay.

mod common;

use std::{
    thread,
    time::{Duration, Instant},
};

use common::{KIND, Killed, LONG};
use jackfield::{Deliver, Discarded, MemoryBackend};

/// Does its work only as a child of the test below.
#[test]
fn child() {
    let Some((_, home, _)) = common::role() else { return };
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
        common::wait_for("an event", || telemetry.status().events > 0);
        assert_eq!(telemetry.disable().expect("writable").pending, Discarded::All);
        assert_eq!(telemetry.status().events, 0);
        thread::sleep(Duration::from_millis(200));
        assert_eq!(telemetry.status().events, 0, "it stays so");
        telemetry.enable().expect("writable");
    }
}
