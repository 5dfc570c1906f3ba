//! How fast a spool empties into a plugin that does nothing.

use std::{ffi::OsString, fs, hint::black_box, path::Path, time::Duration};

use jackfield::{Config, Deliver, EventKind, Telemetry, spool::Limits};
use jackfield_tests::Build;

use crate::rows::{Rows, goal, median, time};

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
    let (mut drains, mut parses) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        for _ in 0..EVENTS {
            telemetry.track(EventKind::FEATURE_USED, "export", &pairs);
        }
        let (took, lines) = time(|| parse(&folder.join("data/spool")));
        assert_eq!(lines, EVENTS);
        parses.push(took);
        let (took, flushed) = time(|| telemetry.flush(Duration::from_secs(60)));
        assert_eq!((flushed.delivered, flushed.emptied), (u64::from(EVENTS), true));
        drains.push(took);
    }
    let drain = median(drains);
    let what = "a spool of 50,000 events into a plugin that does nothing";
    rows.ratio(what, drain, ("serde_json parses the same files", median(parses)), Some(1.5));
    let rate = f64::from(EVENTS) / drain.as_secs_f64();
    rows.figure(what, format!("{:.0},000 events/s", rate / 1e3), goal("at least 500,000", rate >= LEAST));
}

/// Reads every line of a spool's segments, and gives their number.
fn parse(spool: &Path) -> u32 {
    let mut lines = 0;
    for file in fs::read_dir(spool).expect("there").flatten().map(|entry| entry.path()) {
        let is_segment = file.to_str().is_some_and(|path| path.ends_with(".v1.jsonl"));
        for line in fs::read(file).expect("readable").split(|byte| *byte == b'\n').filter(|_| is_segment) {
            if !line.is_empty() {
                black_box(serde_json::from_slice::<serde_json::Value>(line).expect("JSON"));
                lines += 1;
            }
        }
    }
    lines
}
