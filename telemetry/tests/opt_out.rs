//! Not a byte leaves once the user has said no.
//!
//! Several processes of a tool, services and short runs, track and deliver to a backend that writes into one log that all
//! share, before and after whatever it does: `begin NAME ...` and `end`. One process opts out, and writes `disabled` into
//! the log when `disable` has returned. The lines stand in the order of time, so behind that one no `begin` may stand, and
//! no `end`, whose call would have been under way.

mod common;

use std::{
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use common::{KIND, Killed, LONG, Log, Send0, track};
use jackfield::{Builder, Deliver, DeliveryMode, Discarded};
use jackfield_loader::plugin_api::Outcome;
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
    let times = (prop_oneof![Just(0), 1..5_u64, 5..60_u64], prop_oneof![1..20_u64, 50..500_u64]);
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
    let log = Log::at(&home.join("log"));
    Box::new(move |batch, _| {
        let names: Vec<&str> = batch.iter().map(|event| event.name()).collect();
        log.line(&format!("begin {}", names.join(" ")));
        thread::sleep(takes);
        log.line("end");
        Outcome::Delivered.into()
    })
}

/// Does its work only as a child of the tests below.
#[test]
fn child() {
    let Some((role, home, number)) = common::role() else { return };
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
    common::wait_for("the first call", || fs::metadata(&log).is_ok_and(|found| found.len() > 0));
    thread::sleep(Duration::from_micros(plan.after_us));
    if plan.by_a_service {
        track(&own, 5_000..5_010);
    }

    let disabled = own.disable().expect("writable");
    Log::at(&log).line("disabled");
    assert_eq!(disabled.pending, Discarded::All);
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
