//! What an event costs the tool that tracks it.

use std::{
    fs::{self, OpenOptions},
    hint::black_box,
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use jackfield::{Deliver, EventKind, MemoryBackend, Telemetry, spool::Limits};

use crate::rows::{Rows, median, time};

/// Rounds, each of which measures everything once, so that a slow spell of the machine hits all alike.
const ROUNDS: usize = 25;
/// Blocks in a round, and events in a block: the peers' queues are measured in such blocks too.
const BLOCKS: usize = 10;
const EVENTS: u32 = 1_000;
/// Calls in a block that do nothing.
const CALLS: u32 = 100_000;
/// The peers are processes of their own; one in so many rounds has a turn of theirs.
const PEERS_EVERY: usize = 5;
/// Nanoseconds that a call may take that does nothing.
const MOST_DISABLED: f64 = 5.0;

/// The same that the peers capture.
const METADATA: [(&str, &str); 5] = [
    ("format", "pdf"),
    ("pages", "12"),
    ("template", "quarterly-report"),
    ("cache", "warm"),
    ("channel", "stable"),
];

/// A tool in a folder of its own whose user has answered `consent`.
fn tool(folder: &Path, consent: bool) -> Telemetry {
    fs::create_dir_all(folder).expect("writable");
    let answer = format!("[telemetry]\nenabled = {consent}\n");
    fs::write(folder.join("config.toml"), answer).expect("writable");
    builder(folder).build()
}

fn builder(folder: &Path) -> jackfield::Builder {
    // All that is tracked here stays, which is more than a tool keeps.
    let mut limits = Limits::default();
    (limits.max_bytes, limits.max_events) = (1 << 30, 10_000_000);
    Telemetry::builder("tool", "1.4.0")
        .environment(|_: &str| None::<std::ffi::OsString>)
        .consent_file(folder.join("config.toml"))
        .ops_file(folder.join("ops.toml"))
        .data_folder(folder.join("data"))
        .limits(limits)
        .deliver(Deliver::ByHand)
        .backend("memory", MemoryBackend::new().maker())
}

fn track(telemetry: &Telemetry) {
    black_box(telemetry).track(EventKind::FEATURE_USED, black_box("export"), black_box(&METADATA));
}

/// Nanoseconds of one call, in blocks of them.
fn blocks(calls: u32, mut call: impl FnMut()) -> Vec<f64> {
    let mut block = || time(|| (0..calls).for_each(|_| call())).0.as_nanos() as f64 / f64::from(calls);
    (0..BLOCKS).map(|_| block()).collect()
}

fn middle(mut samples: Vec<f64>) -> f64 {
    samples.sort_unstable_by(f64::total_cmp);
    samples[samples.len() / 2]
}

/// What a peer says that an event costs with it.
fn peer(peers: &Path, name: &str) -> Duration {
    let output = Command::new(peers).args([name, "track"]).output().expect("starts");
    let said = String::from_utf8_lossy(&output.stdout);
    let nanos = said.trim().parse();
    Duration::from_nanos(
        nanos.unwrap_or_else(|_| panic!("{said}{}", String::from_utf8_lossy(&output.stderr))),
    )
}

pub(crate) fn measure(rows: &mut Rows, peers: &Path) {
    let folder = tempfile::tempdir().expect("a folder");
    let place = |name: &str| -> PathBuf { folder.path().join(name) };
    let (consented, refused) = (tool(&place("yes"), true), tool(&place("no"), false));
    let shut = builder(&place("yes")).enabled(false).build();
    let line = [vec![b'x'; 299], vec![b'\n']].concat();
    track(&consented);
    assert!(place("yes/data/spool").exists(), "an event is on disk once it is tracked");

    let (mut by_author, mut by_user, mut writes, mut tracks) = (vec![], vec![], vec![], vec![]);
    let (mut posthog, mut otel) = (vec![], vec![]);
    for round in 0..ROUNDS {
        by_author.extend(blocks(CALLS, || track(&shut)));
        by_user.extend(blocks(CALLS, || track(&refused)));
        let raw = OpenOptions::new().create_new(true).append(true).open(place(&format!("raw-{round}")));
        let mut raw = raw.expect("writable");
        writes.extend(blocks(EVENTS, || raw.write_all(black_box(&line)).expect("room")));
        tracks.extend(blocks(EVENTS, || track(&consented)));
        if round % PEERS_EVERY == 0 {
            posthog.push(peer(peers, "posthog"));
            otel.push(peer(peers, "otel"));
        }
    }
    assert!(!place("no/data").exists(), "nothing is made without consent");

    for (what, samples) in
        [("the tool's author has shut it off", by_author), ("its user has not consented", by_user)]
    {
        let nanos = middle(samples);
        let met = if nanos < MOST_DISABLED { "met" } else { "missed" };
        rows.figure(
            &format!("track while {what}"),
            format!("{nanos:.2} ns"),
            format!("under {MOST_DISABLED} ns: {met}"),
        );
    }
    let ours = Duration::from_nanos(middle(tracks) as u64);
    let write = Duration::from_nanos(middle(writes) as u64);
    let what = "track with five attributes, safe against kill -9";
    rows.ratio(what, ours, ("write(2) of 300 bytes", write), Some(2.0));
    rows.ratio(what, ours, ("posthog-rs capture, in memory", median(posthog)), Some(1.0));
    rows.ratio(what, ours, ("opentelemetry emit, batch processor, in memory", median(otel)), None);
}
