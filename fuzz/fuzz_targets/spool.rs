//! Whatever stands in a spool's segment, delivery ends, and takes out what is valid. The way is that of a tool: a segment is
//! made by an event, replaced by the input, and delivered.
#![no_main]

use std::{
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use jackfield::{Deliver, MemoryBackend, Telemetry};
use libfuzzer_sys::fuzz_target;

const LONG: Duration = Duration::from_secs(10);

fn telemetry(folder: &Path, memory: &MemoryBackend) -> Telemetry {
    Telemetry::builder("fuzz", "1")
        .force_enabled(true)
        .data_folder(folder)
        .deliver(Deliver::ByHand)
        .backend("memory", memory.maker())
        .build()
}

/// Every file below the folder, but locks and what is hidden.
fn segments(folder: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            segments(&path, found);
        } else if path.extension().is_none_or(|extension| extension != "lock") {
            found.push(path);
        }
    }
}

fn threads() -> usize {
    fs::read_dir("/proc/self/task").map_or(0, Iterator::count)
}

/// No thread outlives what has started it. A thread that is about to end has memory that nothing else leads to, which would
/// be a leak to the sanitizer.
fn wait_for_the_end_of_threads(before: usize) {
    let start = Instant::now();
    while threads() > before {
        assert!(start.elapsed() < LONG, "{} threads more than before", threads() - before);
        thread::sleep(Duration::from_micros(100));
    }
}

fuzz_target!(|bytes: &[u8]| {
    let before = threads();
    deliver(bytes);
    wait_for_the_end_of_threads(before);
});

fn deliver(bytes: &[u8]) {
    let folder = tempfile::tempdir().expect("a folder");
    let memory = MemoryBackend::new();
    let writer = telemetry(folder.path(), &memory);
    writer.track("a", "b", &[]);
    writer.close();
    drop(writer);
    let mut files = Vec::new();
    segments(folder.path(), &mut files);
    assert!(!files.is_empty(), "the event is in a file");
    for file in files {
        fs::write(file, bytes).expect("ours");
    }
    let reader = telemetry(folder.path(), &memory);
    let _ = reader.status();
    // Our own event, or what was put in its place, comes out; nothing hangs.
    reader.track("a", "last", &[]);
    let flushed = reader.flush(LONG);
    assert!(flushed.emptied, "{flushed:?}");
    assert!(memory.events().iter().any(|event| event["name"] == "last"), "what was damaged held it up");
}
