//! How fast a spool empties into a plugin that does nothing.

use std::{ffi::OsString, time::Duration};

use jackfield::{Config, Deliver, EventKind, Telemetry, spool::Limits};
use jackfield_tests::Build;

use crate::rows::{Rows, median, time};

const ROUNDS: usize = 9;
const EVENTS: u32 = 50_000;
/// Events a second.
const LEAST: f64 = 500_000.0;

pub(crate) fn measure(rows: &mut Rows) {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let plugin = Build::package("fixture-minimal").release().library();
    let config = format!("[[backend]]\nplugin = {plugin:?}\n");
    let mut limits = Limits::default();
    (limits.max_bytes, limits.max_events) = (1 << 30, 10_000_000);
    let telemetry = Telemetry::builder("tool", "1.4.0")
        .environment(|_: &str| None::<OsString>)
        .force_enabled(true)
        .data_folder(folder.join("data"))
        .ops_file(folder.join("ops.toml"))
        .config(Config::parse(&config, &folder.join("tool.toml")).unwrap_or_else(|error| panic!("{error}")))
        .limits(limits)
        .deliver(Deliver::ByHand)
        .build();
    let pairs = [("format", "pdf"), ("pages", "12"), ("cache", "warm")];
    let took: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            for _ in 0..EVENTS {
                telemetry.track(EventKind::FEATURE_USED, "export", &pairs);
            }
            let (took, flushed) = time(|| telemetry.flush(Duration::from_secs(60)));
            assert_eq!((flushed.delivered, flushed.emptied), (u64::from(EVENTS), true));
            took
        })
        .collect();
    let rate = f64::from(EVENTS) / median(took).as_secs_f64();
    let met = if rate >= LEAST { "met" } else { "missed" };
    rows.figure(
        "a spool of 50,000 events into a plugin that does nothing",
        format!("{:.0},000 events/s", rate / 1e3),
        format!("at least 500,000: {met}"),
    );
}
