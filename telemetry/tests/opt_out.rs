//! Not a byte leaves once the user has said no.
//!
//! Several processes of a tool, services and short runs, track and deliver to a backend that writes into one log that all
//! share, before and after whatever it does: `begin NAME ...` and `end`. One process opts out, and writes `disabled` into
//! the log when `disable` has returned. The lines stand in the order of time, so behind that one no `begin` may stand, and
//! no `end`, whose call would have been under way.
#![allow(clippy::disallowed_methods, reason = "a test makes the files that it needs")]

mod common;

use std::{
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use common::{KIND, Killed, Log, Send0, track};
use jackfield::{Builder, Deliver, DeliveryMode, Discarded, Telemetry};
use jackfield_loader::plugin_api::Outcome;
use jackfield_test_support::{LONG, wait_until};
use proptest::{prelude::*, test_runner::FileFailurePersistence};

/// What the processes do.
#[derive(Clone, Copy, Debug)]
struct Plan {
    services: u32,
    tools: u32,
    /// Events in the spool before they start.
    spooled: u32,
    /// How long a call of the backend takes, in milliseconds.
    send_ms: u64,
    /// How long a delivery may take; shorter than a call, it leaves the call behind.
    within_ms: u64,
    at_most_once: bool,
    /// When the user opts out, in microseconds after the first call.
    after_us: u64,
    /// Whether a process that delivers itself does it, or one that has done nothing so far.
    by_a_service: bool,
}

fn plans() -> impl Strategy<Value = Plan> {
    let processes = (0..3_u32, 0..3_u32, 0..700_u32);
    let times = (prop_oneof![Just(0), 1..5_u64, 5..60_u64], prop_oneof![10..40_u64, 50..500_u64]);
    (processes, times, any::<bool>(), 0..60_000_u64, any::<bool>()).prop_map(
        |((services, tools, spooled), (send_ms, within_ms), at_most_once, after_us, by_a_service)| Plan {
            // Somebody has to deliver.
            services: services + u32::from(tools == 0 && services == 0),
            tools,
            spooled,
            send_ms,
            within_ms,
            at_most_once,
            after_us,
            by_a_service,
        },
    )
}

impl Plan {
    /// The two numbers that the children need.
    fn write(&self, home: &Path) {
        let text = format!("{} {} {}", self.send_ms, self.within_ms, u8::from(self.at_most_once));
        fs::write(home.join("plan"), text).expect("room");
    }

    fn tool(home: &Path, deliver: impl Fn(Duration) -> Deliver) -> Builder {
        let text = fs::read_to_string(home.join("plan")).expect("written before");
        let numbers: Vec<u64> = text.split(' ').map(|number| number.parse().expect("a number")).collect();
        let [send_ms, within_ms, at_most_once] = numbers[..] else { panic!("{text}") };
        let mode = if at_most_once == 1 { DeliveryMode::AtMostOnce } else { DeliveryMode::AtLeastOnce };
        common::tool_as_is(home)
            .delivery_mode(mode)
            .deliver(deliver(Duration::from_millis(within_ms)))
            .backend("watched", common::scripted(watched(home, Duration::from_millis(send_ms))))
    }

    fn service(home: &Path) -> Builder {
        let interval = Duration::from_millis(2);
        Self::tool(home, |within| Deliver::InBackground { interval, events: 3, within })
    }
}

fn watched(home: &Path, takes: Duration) -> Send0 {
    let log = home.join("log");
    Box::new(move |batch, _| {
        let log = Log::at(&log);
        let names: Vec<&str> = batch.iter().map(|event| event.name()).collect();
        log.line(&format!("begin {}", names.join(" ")));
        thread::sleep(takes);
        log.line("end");
        Outcome::Delivered.into()
    })
}

#[test]
#[ignore = "run by the other tests, in a process of its own"]
fn child() {
    let (role, home, number) = common::role();
    let started = Instant::now();
    let mut events = number * 1_000_000..;
    match &*role {
        "service" => {
            let telemetry = Plan::service(&home).build();
            while started.elapsed() < LONG {
                track(&telemetry, events.by_ref().take(2));
                thread::sleep(Duration::from_millis(1));
                if fastrand::u8(..8) == 0 {
                    telemetry.flush(Duration::from_millis(fastrand::u64(..30)));
                }
            }
        }
        "tool" => {
            while started.elapsed() < LONG {
                let telemetry = Plan::tool(&home, |within| Deliver::AtExit { within }).build();
                track(&telemetry, events.by_ref().take(3));
            }
        }
        other => panic!("no such role: {other}"),
    }
}

fn run(plan: Plan) {
    let home = tempfile::tempdir().expect("a folder");
    let home = home.path();
    common::consent(home);
    plan.write(home);
    let log = home.join("log");
    let own = if plan.by_a_service { Plan::service(home) } else { Plan::tool(home, |_| Deliver::ByHand) };
    let own = own.build();
    track(&own, 0..plan.spooled);
    let start = |role: &'static str, number: u32| {
        Killed(common::child(role, home, number).spawn().expect("this binary starts"))
    };
    let services = (1..=plan.services).map(|number| start("service", number));
    let tools = (101..101 + plan.tools).map(|number| start("tool", number));
    let children: Vec<_> = services.chain(tools).collect();
    // Where a delivery has too little time for its first call, there is none to wait for.
    let started = Instant::now();
    while fs::metadata(&log).is_err() && started.elapsed() < Duration::from_secs(2) {
        thread::sleep(Duration::from_millis(1));
    }
    thread::sleep(Duration::from_micros(plan.after_us));
    if plan.by_a_service {
        track(&own, 5_000..5_010);
    }

    let disabled = own.disable().expect("writable");
    Log::at(&log).line("disabled");
    let expected =
        if disabled.unconfirmed.is_empty() { Discarded::All } else { Discarded::ExceptUnconfirmed };
    assert_eq!(disabled.pending, expected);
    assert!(!disabled.consent.is_enabled());
    // Time for whoever has something left to send it, and to track more.
    thread::sleep(Duration::from_millis(150));
    track(&own, 6_000..6_010);
    own.flush(Duration::from_millis(20));
    drop(children);
    drop(own);
    let after = || -> Vec<String> {
        let lines = Log::lines(&log).into_iter().map(|(line, _)| line);
        lines.skip_while(|line| line != "disabled").skip(1).collect()
    };
    assert_eq!(after(), Vec::<String>::new(), "behind the opt-out");

    // What was recorded before or meanwhile does not come back with consent either.
    let again = Plan::tool(home, |_| Deliver::ByHand).build();
    again.enable().expect("writable");
    again.track(KIND, "new", &[]);
    again.flush(LONG);
    assert_eq!(after(), ["begin new", "end"], "after the next consent");
}

/// A tool whose backend takes half a second for a call.
fn slow(home: &Path, within_ms: u64) -> Telemetry {
    let plan = Plan {
        services: 0,
        tools: 0,
        spooled: 0,
        send_ms: 500,
        within_ms,
        at_most_once: false,
        after_us: 0,
        by_a_service: false,
    };
    common::consent(home);
    plan.write(home);
    Plan::tool(home, |_| Deliver::ByHand).build()
}

/// It sends, and leaves that call behind.
fn leaves_a_call_behind(home: &Path) -> Telemetry {
    let telemetry = slow(home, 1);
    track(&telemetry, 0..3);
    let log = home.join("log");
    // A busy machine may take longer than that to open it, and leaves it alone for a while then.
    wait_until("a call", || {
        telemetry.flush(Duration::from_millis(100));
        log.exists()
    });
    assert_eq!(Log::lines(&log).len(), 1, "a call is under way");
    telemetry
}

#[test]
fn disable_waits_for_a_call_that_its_delivery_has_left_behind() {
    for by_itself in [true, false] {
        let home = tempfile::tempdir().expect("a folder");
        let telemetry = leaves_a_call_behind(home.path());
        let other = Plan::tool(home.path(), |_| Deliver::ByHand).build();
        let disables = if by_itself { &telemetry } else { &other };
        let disabled = disables.disable().expect("writable");
        assert_eq!(disabled.pending, Discarded::ExceptUnconfirmed);
        assert_eq!(disabled.unconfirmed[0].events, 3);
        let lines = Log::lines(&home.path().join("log"));
        assert_eq!(lines.len(), 2, "it had not ended: {lines:?}");
    }
}

#[test]
fn disable_drops_the_events_of_a_killed_process() {
    let home = tempfile::tempdir().expect("a folder");
    let home = home.path();
    let other = slow(home, 10_000);
    let mut child = Killed(common::child("tool", home, 1).spawn().expect("this binary starts"));
    let log = home.join("log");
    wait_until("a call of the child", || !Log::lines(&log).is_empty());
    child.0.kill().expect("it runs");
    child.0.wait().expect("it is dead");
    assert_eq!(Log::lines(&log).len(), 1);
    // The dead hold no lock: there is nothing to wait for.
    let started = Instant::now();
    assert_eq!(other.disable().expect("writable").pending, Discarded::ExceptUnconfirmed);
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    assert_eq!(other.status().events, 0);
    other.enable().expect("writable");
    other.flush(Duration::from_millis(700));
    assert_eq!(Log::lines(&log).len(), 1, "an event came back");
    assert_eq!(other.status().events, 0);
}

#[test]
fn disable_ends_a_delivery_before_its_next_batch() {
    let home = tempfile::tempdir().expect("a folder");
    let telemetry = slow(home.path(), 0);
    track(&telemetry, 0..3_000);
    let log = home.path().join("log");
    thread::scope(|scope| {
        scope.spawn(|| telemetry.flush(LONG));
        wait_until("the first call", || !Log::lines(&log).is_empty());
        let other = Plan::tool(home.path(), |_| Deliver::ByHand).build();
        assert_eq!(other.disable().expect("writable").pending, Discarded::ExceptUnconfirmed);
    });
    let lines = Log::lines(&log);
    let calls = lines.iter().filter(|(line, _)| line.starts_with("begin")).count();
    // The one that was under way, and on a slow machine one that began before the file was written.
    assert!((1..=2).contains(&calls), "{calls} of at least 6 calls");
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 40,
        // A run takes a while, and a failure is a matter of moments: it is told as it is.
        max_shrink_iters: 0,
        failure_persistence: None::<Box<FileFailurePersistence>>.map(|it| it as _),
        ..ProptestConfig::default()
    })]

    #[test]
    fn once_disable_has_returned_no_process_sends_or_is_sending(plan in plans()) {
        run(plan);
    }
}
