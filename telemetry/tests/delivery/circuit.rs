//! Backends that ask for time.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use jackfield::{
    MemoryBackend,
    spool::{Disk, Folder, FolderError, Fs},
};
use jackfield_loader::plugin_api::Outcome;
use jackfield_test_support::LONG;

use super::{
    HOUR,
    common::{self, Clocked, Send0, scripted, track},
};

/// A backend that counts its calls and asks for an hour until it is told otherwise.
struct Busy {
    calls: Arc<AtomicUsize>,
    is_busy: Arc<AtomicBool>,
    memory: MemoryBackend,
    clock: Clocked,
}

impl Busy {
    fn new() -> Self {
        Self {
            calls: Arc::default(),
            is_busy: Arc::new(AtomicBool::new(true)),
            memory: MemoryBackend::new(),
            clock: Clocked::new(),
        }
    }

    /// A run of the tool, which delivers what there is.
    fn run(&self, home: &Path) -> u64 {
        let (calls, is_busy) = (Arc::clone(&self.calls), Arc::clone(&self.is_busy));
        let send: Send0 = Box::new(move |_, _| {
            calls.fetch_add(1, Ordering::Relaxed);
            if is_busy.load(Ordering::Relaxed) {
                Outcome::Retry { after: Some(HOUR), reason: "busy".into() }.into()
            } else {
                Outcome::Delivered.into()
            }
        });
        let telemetry =
            common::tool(home).file_system(self.clock.clone()).backend("busy", scripted(send)).build();
        track(&telemetry, [0]);
        telemetry.close().delivered
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }
}

#[test]
fn a_backend_that_asks_for_an_hour_is_left_alone() {
    let home = tempfile::tempdir().expect("a folder");
    let busy = Busy::new();
    assert_eq!((busy.run(home.path()), busy.calls()), (0, 1));
    busy.is_busy.store(false, Ordering::Relaxed);
    let started = Instant::now();
    for _ in 0..5 {
        assert_eq!((busy.run(home.path()), busy.calls()), (0, 1));
    }
    assert!(started.elapsed() < LONG / 4, "5 runs took {:?}", started.elapsed());
    busy.clock.forward(HOUR - Duration::from_secs(1));
    assert_eq!((busy.run(home.path()), busy.calls()), (0, 1));
    busy.clock.forward(Duration::from_secs(2));
    assert_eq!((busy.run(home.path()), busy.calls()), (8, 2));
    assert_eq!(busy.memory.events().len(), 0);
}

#[test]
fn a_clock_that_jumps_back_ends_the_wait_for_a_backend() {
    let home = tempfile::tempdir().expect("a folder");
    let busy = Busy::new();
    assert_eq!((busy.run(home.path()), busy.calls()), (0, 1));
    busy.is_busy.store(false, Ordering::Relaxed);
    busy.clock.back(24 * HOUR);
    assert_eq!((busy.run(home.path()), busy.calls()), (2, 2));
}

#[test]
fn a_circuit_that_another_process_opened_meanwhile_is_seen() {
    /// Opens the circuit, as another process would, when the claim is about to be taken.
    #[derive(Debug)]
    struct Between {
        clock: Clocked,
        state: PathBuf,
        armed: Arc<AtomicBool>,
    }
    impl Fs for Between {
        fn folder(&self, path: &Path, create: bool) -> Result<Arc<dyn Folder>, FolderError> {
            if !create && self.armed.swap(false, Ordering::Relaxed) {
                fs::copy(self.state.with_extension("open"), &self.state).expect("room");
            }
            Disk.folder(path, create)
        }
        fn now_ms(&self) -> u64 {
            self.clock.now_ms()
        }
        fn process(&self) -> u32 {
            Disk.process()
        }
        fn random(&self) -> u32 {
            Disk.random()
        }
        fn pause(&self) {
            Disk.pause();
        }
    }
    let home = tempfile::tempdir().expect("a folder");
    let busy = Busy::new();
    assert_eq!((busy.run(home.path()), busy.calls()), (0, 1));
    let state = home.path().join("data/backends.v1.json");
    fs::rename(&state, state.with_extension("open")).expect("it is kept");

    let armed = Arc::new(AtomicBool::new(false));
    let fs = Between { clock: busy.clock.clone(), state, armed: Arc::clone(&armed) };
    let memory = MemoryBackend::new();
    let telemetry = common::tool(home.path()).file_system(fs).backend("busy", memory.maker()).build();
    armed.store(true, Ordering::Relaxed);
    telemetry.flush(Duration::ZERO);
    telemetry.flush(LONG);
    assert!(!armed.load(Ordering::Relaxed), "the claim was not taken");
    assert!(memory.events().is_empty(), "sent within the hour that the backend has asked for");
}
