//! Several processes of a tool at once.

mod common;

use std::{path::Path, time::Duration};

use common::{KIND, Killed, to_file};
use jackfield::{Builder, Deliver};
use jackfield_test_support::LONG;

const EVENTS: u32 = 200;

#[test]
#[ignore = "run by the other tests, in a process of its own"]
fn child() {
    let (_, home, number) = common::role();
    let telemetry = tool(&home, number).build();
    for event in 0..EVENTS {
        telemetry.track(KIND, &format!("{number}-{event}"), &[]);
        if event % 20 == number {
            // One delivers, and the others are turned away or wait.
            telemetry.flush(Duration::from_millis(100));
        }
    }
}

/// Half of the processes are services, the others deliver at their end.
fn tool(home: &Path, number: u32) -> Builder {
    let deliver = if number.is_multiple_of(2) {
        Deliver::InBackground { interval: Duration::from_millis(5), events: 10, within: LONG }
    } else {
        Deliver::AtExit { within: LONG }
    };
    common::tool_as_is(home)
        .deliver(deliver)
        .backend("a", to_file(&home.join("a")))
        .backend("b", to_file(&home.join("b")))
}

#[test]
fn eight_processes_deliver_each_event_once() {
    let home = tempfile::tempdir().expect("a folder");
    let home = home.path();
    common::consent(home);
    let start = |number| Killed(common::child("tool", home, number).spawn().expect("this binary starts"));
    let children: Vec<_> = (0..8).map(start).collect();
    for mut child in children {
        assert!(child.0.wait().expect("it ends").success());
    }
    let last = tool(home, 9).build();
    assert!(last.flush(LONG).emptied);
    let mut expected: Vec<_> =
        (0..8).flat_map(|number| (0..EVENTS).map(move |event| format!("{number}-{event}"))).collect();
    expected.sort_unstable();
    for backend in ["a", "b"] {
        let mut arrived = common::arrived_once(&home.join(backend));
        // Those of one process in their order.
        for number in 0..8 {
            let of_one: Vec<u32> = arrived
                .iter()
                .filter_map(|name| name.strip_prefix(&format!("{number}-"))?.parse().ok())
                .collect();
            assert!(of_one.is_sorted(), "{number} at {backend}: {of_one:?}");
        }
        arrived.sort_unstable();
        assert_eq!(arrived, expected, "{backend}");
    }
    let status = last.status();
    assert_eq!((status.events, status.dropped.len()), (0, 0), "{status}");
    assert!(status.backends.iter().all(|backend| backend.delivered == 8 * u64::from(EVENTS)), "{status}");
}
