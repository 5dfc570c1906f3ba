//! Backends that hang, fail, refuse, ask for time, or are not there.
#![allow(clippy::disallowed_methods, reason = "a test makes the files that it needs")]

#[path = "../common/mod.rs"]
mod common;

mod at_most_once;
mod circuit;
mod hung;
mod outcomes;
mod upgrade;

use std::time::Duration;

use common::track;

/// What a backend that failed once is left alone for, at most.
const PAUSE: Duration = Duration::from_secs(2);
const HOUR: Duration = Duration::from_secs(3600);

#[test]
#[ignore = "run by the other tests, in a process of its own"]
fn child() {
    let (_, home, _) = common::role();
    let telemetry = hung::beside_a_hung_one(&home).build();
    track(&telemetry, 0..10);
    println!("leaving");
    drop(telemetry);
}
