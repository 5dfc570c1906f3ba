//! What telemetry itself causes to be logged, by a subscriber of the whole process: nothing but that is entered again.
#![allow(clippy::disallowed_methods, reason = "a test makes the files that it needs")]

use std::{
    ffi::OsString,
    fmt,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::Duration,
};

use jackfield::{
    Deliver, MemoryBackend, Telemetry,
    spool::{Disk, Folder, FolderError, Fs},
};
use jackfield_loader::plugin_api::{Backend, Batch, Call, Error, Host, Outcomes, export::NoConfig};
use tracing::{info, info_span};
use tracing_subscriber::prelude::*;

const SOON: Duration = Duration::from_secs(30);

/// Says so, marked, wherever it is called from: in a span, too.
fn say(who: &'static str) {
    SAID.store(true, Ordering::Relaxed);
    let _span = info_span!(target: "telemetry", "said", who).entered();
    info!(target: "telemetry", name = "said", who);
}

static SAID: AtomicBool = AtomicBool::new(false);

fn said() -> bool {
    SAID.swap(false, Ordering::Relaxed)
}

/// The disk; the spool asks it for the time while it holds its lock.
#[derive(Debug)]
struct Chatty(Disk);

impl Fs for Chatty {
    fn folder(&self, path: &Path, create: bool) -> Result<Arc<dyn Folder>, FolderError> {
        say("the disk");
        self.0.folder(path, create)
    }

    fn now_ms(&self) -> u64 {
        say("the clock");
        self.0.now_ms()
    }

    fn process(&self) -> u32 {
        self.0.process()
    }

    fn random(&self) -> u32 {
        self.0.random()
    }

    fn pause(&self) {
        self.0.pause();
    }
}

struct ChattyBackend(MemoryBackend);

impl Backend for ChattyBackend {
    type Config = NoConfig;

    fn open(_: NoConfig, _: Host, _: &Call<'_>) -> Result<Self, Error> {
        unreachable!("it is made")
    }

    fn send(&self, batch: &Batch<'_>, call: &Call<'_>) -> Outcomes {
        say("the backend");
        self.0.send(batch, call)
    }

    fn close(&self, _: &Call<'_>) -> Result<(), Error> {
        say("the backend");
        Ok(())
    }
}

struct ChattyValue;

impl fmt::Debug for ChattyValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        say("a value");
        f.write_str("value")
    }
}

/// Stuck or in an endless loop, it fails by name.
fn in_time<T: Send + 'static>(what: &str, run: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, wait) = mpsc::channel();
    let thread = std::thread::Builder::new().spawn(move || done.send(run()).expect("waited for"));
    thread.expect("a thread");
    wait.recv_timeout(SOON).unwrap_or_else(|error| panic!("{what}: {error}"))
}

#[test]
fn records_of_telemetry_itself_do_not_become_telemetry() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("config.toml"), "[telemetry]\nenabled = true\n").expect("writable");
    let memory = MemoryBackend::new();
    let kept = memory.clone();
    let telemetry = Telemetry::builder("tool", "1.2.3")
        .environment(|name: &str| {
            // Looked at before recording as well as by it.
            say(if name.is_empty() { "nobody" } else { "the environment" });
            None::<OsString>
        })
        .consent_file(folder.path().join("config.toml"))
        .ops_file(folder.path().join("ops.toml"))
        .data_folder(folder.path().join("data"))
        .file_system(Chatty(Disk))
        .deliver(Deliver::InBackground { interval: Duration::from_millis(1), events: 1, within: SOON })
        .backend("memory", move || {
            say("the maker");
            ChattyBackend(kept.clone())
        })
        .build();
    tracing_subscriber::registry().with(telemetry.layer()).init();
    said();

    in_time("a marked event", || info!(target: "telemetry", name = "event", value = ?ChattyValue));
    assert!(said());
    in_time("a marked span", || {
        let span =
            info_span!(target: "telemetry", "span", value = ?ChattyValue, late = tracing::field::Empty);
        span.record("late", tracing::field::debug(ChattyValue));
    });
    assert!(said());
    let clone = telemetry.clone();
    in_time("track", move || clone.track("own.kind", "tracked", &[]));
    assert!(said());
    let clone = telemetry.clone();
    in_time("flush", move || while !clone.flush(SOON).emptied {});
    assert!(said());
    // Whatever delivery had said would have been recorded by now, and made the next round.
    std::thread::sleep(Duration::from_millis(50));
    in_time("close", move || telemetry.close());

    let events = memory.events();
    let by_us: Vec<_> = events.iter().filter(|event| event["name"] != "said").collect();
    let names: Vec<_> = by_us.iter().map(|event| event["name"].as_str().expect("a name")).collect();
    assert_eq!(names, ["event", "span", "tracked"]);
    // The environment alone is looked at by the tool's own calls before telemetry is at work.
    let others: Vec<_> = events
        .iter()
        .filter(|event| event["name"] == "said" && event["metadata"]["who"] != "the environment")
        .collect();
    assert!(others.is_empty(), "{others:?}");
    assert!(events.len() < 200, "{}", events.len());
}
