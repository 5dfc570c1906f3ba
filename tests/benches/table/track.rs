//! What an event costs the tool that tracks it.

use std::{
    fs::{self, OpenOptions},
    hint::black_box,
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use jackfield::{Deliver, EventKind, MemoryBackend, Telemetry, spool::Limits};

use crate::rows::{Rows, goal, median, time};

/// Rounds, each of which measures everything once, so that a slow spell of the machine hits all alike.
const ROUNDS: usize = 25;
/// Blocks in a round, and events in a block: so few that most blocks end before the machine turns to something else.
const BLOCKS: usize = 20;
const EVENTS: u32 = 200;
/// Calls in a block that do nothing.
const CALLS: u32 = 20_000;
/// The peers are processes of their own; one in so many rounds has a turn of theirs.
const PEERS_EVERY: usize = 5;
/// What a call may cost that does nothing: that many relaxed loads.
static GATES: [AtomicU64; 3] = [const { AtomicU64::new(1) }; 3];

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

/// The least that a gate can be: a call with these arguments that loads three values and returns.
#[inline(never)]
fn three_loads(kind: EventKind, name: &str, metadata: &[(&str, &str)]) -> bool {
    black_box((kind, name, metadata));
    GATES.iter().any(|gate| gate.load(Ordering::Relaxed) == 0)
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

/// Without the program of the peers, their rows are left out.
pub(crate) fn measure(rows: &mut Rows, peers: Option<&Path>) {
    let folder = tempfile::tempdir().expect("a folder");
    let place = |name: &str| -> PathBuf { folder.path().join(name) };
    let (consented, refused) = (tool(&place("yes"), true), tool(&place("no"), false));
    let shut = builder(&place("yes")).enabled(false).build();
    let line = [vec![b'x'; 299], vec![b'\n']].concat();
    track(&consented);
    assert!(place("yes/data/spool").exists(), "an event is on disk once it is tracked");

    let mut spool = fs::read_dir(place("yes/data/spool")).expect("there").flatten().map(|entry| entry.path());
    let segment = spool.find(|path| path.extension().is_some_and(|it| it == "jsonl"));
    let same = fs::read(segment.expect("a segment")).expect("readable");
    let (mut by_author, mut by_user, mut writes, mut tracks) = (vec![], vec![], vec![], vec![]);
    let (mut whole, mut loads, mut posthog, mut otel) = (vec![], vec![], vec![], vec![]);
    for round in 0..ROUNDS {
        by_author.extend(blocks(CALLS, || track(&shut)));
        by_user.extend(blocks(CALLS, || track(&refused)));
        loads.extend(blocks(CALLS, || {
            black_box(three_loads(EventKind::FEATURE_USED, black_box("export"), black_box(&METADATA)));
        }));
        let raw = OpenOptions::new().create_new(true).append(true).open(place(&format!("raw-{round}")));
        let mut raw = raw.expect("writable");
        writes.extend(blocks(EVENTS, || raw.write_all(black_box(&line)).expect("room")));
        whole.extend(blocks(EVENTS, || raw.write_all(black_box(&same)).expect("room")));
        tracks.extend(blocks(EVENTS, || track(&consented)));
        if let Some(peers) = peers.filter(|_| round % PEERS_EVERY == 0) {
            posthog.push(peer(peers, "posthog"));
            otel.push(peer(peers, "otel"));
        }
    }
    assert!(!place("no/data").exists(), "nothing is made without consent");

    let loads = middle(loads);
    for (what, samples) in
        [("the tool's author has shut it off", by_author), ("its user has not consented", by_user)]
    {
        let nanos = middle(samples);
        rows.compared(
            &format!("track while {what}"),
            format!("{nanos:.2} ns"),
            ("a call with three relaxed atomic loads", &format!("{loads:.2} ns")),
            nanos / loads,
            goal("at most 1.00", nanos <= loads),
        );
    }
    let ours = Duration::from_nanos(middle(tracks) as u64);
    let write = Duration::from_nanos(middle(writes) as u64);
    let what = "track with five attributes, safe against kill -9";
    let (raw, most) = if cfg!(windows) { ("WriteFile", 2.0) } else { ("write(2)", 1.5) };
    rows.ratio(what, ours, (&format!("{raw} of 300 bytes"), write), Some(most));
    let whole = Duration::from_nanos(middle(whole) as u64);
    rows.ratio(what, ours, (&format!("{raw} of the same {} bytes", same.len()), whole), None);
    if peers.is_some() {
        rows.ratio(what, ours, ("posthog-rs capture, in memory", median(posthog)), Some(1.0));
        rows.ratio(what, ours, ("opentelemetry emit, batch processor, in memory", median(otel)), None);
    }
}
