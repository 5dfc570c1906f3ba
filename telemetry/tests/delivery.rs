//! Backends that hang, fail, refuse, ask for time, or are not there.

mod common;

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use common::{Clocked, LONG, Send0, arrived_once, dropped, hangs, names, scripted, to_file, track};
use jackfield::{
    Builder, Deliver, DeliveryMode, MemoryBackend, Telemetry,
    spool::{DropReason, Limits},
};
use jackfield_loader::plugin_api::{Outcome, Outcomes};

/// What a backend that failed once is left alone for, at most.
const PAUSE: Duration = Duration::from_secs(2);

/// Does its work only as a child of the tests below.
#[test]
fn child() {
    let Some((_, home, _)) = common::role() else { return };
    let telemetry = beside_a_hung_one(&home).build();
    track(&telemetry, 0..10);
    println!("leaving");
    drop(telemetry);
}

/// What the end of a tool may take, and a busy machine besides.
const BOUND: Duration = Duration::from_secs(1);
const AND_A_BIT: Duration = Duration::from_secs(3);

fn beside_a_hung_one(home: &Path) -> Builder {
    common::tool(home)
        .deliver(Deliver::AtExit { within: BOUND })
        .backend("hung", hangs())
        .backend("healthy", to_file(&home.join("healthy")))
}

#[test]
fn beside_a_hung_backend_a_healthy_one_gets_all_within_the_bound_and_the_others_events_wait() {
    let home = tempfile::tempdir().expect("a folder");
    let home = home.path();
    let clock = Clocked::new();
    let telemetry = beside_a_hung_one(home).file_system(clock.clone()).build();
    track(&telemetry, 0..10);
    let started = Instant::now();
    let flushed = telemetry.close();
    let took = started.elapsed();
    assert_eq!((flushed.delivered, flushed.emptied), (10, false));
    assert!(took < AND_A_BIT, "{BOUND:?} were allowed, it took {took:?}");
    assert_eq!(arrived_once(&home.join("healthy")), names(0..10));
    let waiting = |telemetry: &Telemetry| {
        let backends = telemetry.status().backends;
        backends.into_iter().map(|backend| (backend.name, backend.waiting)).collect::<Vec<_>>()
    };
    assert_eq!(waiting(&telemetry), [("hung".to_owned(), 10), ("healthy".to_owned(), 0)]);

    // The next run does not wait for it at all.
    let telemetry = beside_a_hung_one(home).file_system(clock.clone()).build();
    track(&telemetry, 10..20);
    let started = Instant::now();
    assert_eq!(telemetry.close().delivered, 10);
    assert!(started.elapsed() < BOUND, "{:?}", started.elapsed());

    // It is mended.
    clock.forward(PAUSE);
    let telemetry = common::tool(home)
        .file_system(clock)
        .backend("hung", to_file(&home.join("hung")))
        .backend("healthy", to_file(&home.join("healthy")))
        .build();
    assert!(telemetry.flush(LONG).emptied);
    assert_eq!(arrived_once(&home.join("hung")), names(0..20));
    assert_eq!(arrived_once(&home.join("healthy")), names(0..20));
}

#[test]
fn a_process_with_a_call_inside_a_hung_backend_ends_within_the_bound() {
    let home = tempfile::tempdir().expect("a folder");
    let mut child = common::child("tool", home.path(), 0).stdout(Stdio::piped()).spawn().expect("it starts");
    let output = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut lines = output.lines().map(|line| line.expect("text"));
    assert!(lines.any(|line| line.ends_with("leaving")), "it ended early");
    let started = Instant::now();
    let status = child.wait().expect("it ends");
    let took = started.elapsed();
    assert!(status.success());
    assert!(took < AND_A_BIT, "{BOUND:?} were allowed, it took {took:?}");
    assert_eq!(arrived_once(&home.path().join("healthy")), names(0..10));
}

#[test]
fn a_service_goes_on_beside_a_hung_backend() {
    /// How long a backend may take without a configuration that says so.
    const TIMEOUT: Duration = Duration::from_secs(5);
    let home = tempfile::tempdir().expect("a folder");
    let interval = Duration::from_millis(5);
    let deliver = Deliver::InBackground { interval, events: 10, within: BOUND };
    let telemetry = beside_a_hung_one(home.path()).deliver(deliver).build();
    let healthy = home.path().join("healthy");
    let started = Instant::now();
    track(&telemetry, 0..10);
    common::wait_for("the first events arrive", || common::arrived(&healthy).len() == 10);
    // These come while the hung one is being called, one batch after the other.
    for first in [10, 13, 16] {
        track(&telemetry, first..first + 3);
        let all = usize::try_from(first).expect("small") + 3;
        common::wait_for("the next events arrive", || common::arrived(&healthy).len() == all);
    }
    track(&telemetry, 19..20);
    common::wait_for("the last event arrives", || common::arrived(&healthy).len() == 20);
    let took = started.elapsed();
    assert!(took < TIMEOUT / 2, "they waited for the hung one: {took:?}");
    track(&telemetry, 20..30);
    let started = Instant::now();
    drop(telemetry);
    assert!(started.elapsed() < AND_A_BIT, "{:?}", started.elapsed());
    let telemetry = common::tool(home.path())
        .backend("healthy", to_file(&healthy))
        .backend("hung", to_file(&home.path().join("hung")))
        .build();
    // The hung one was left alone, which a flush does not wait for.
    common::wait_for("all is delivered", || telemetry.flush(LONG).emptied);
    assert_eq!(arrived_once(&healthy), names(0..30));
    assert_eq!(arrived_once(&home.path().join("hung")), names(0..30));
}

#[test]
fn a_panicking_backend_harms_neither_the_tool_nor_a_healthy_one_and_gets_its_events_later() {
    let home = tempfile::tempdir().expect("a folder");
    let home = home.path();
    let clock = Clocked::new();
    let broken = Arc::new(AtomicBool::new(true));
    let (is_broken, log) = (Arc::clone(&broken), common::Log::at(&home.join("panicking")));
    let panicking: Send0 = Box::new(move |batch, _| {
        assert!(!is_broken.load(Ordering::Relaxed), "on purpose");
        log.line(&common::ids(batch));
        Outcome::Delivered.into()
    });
    let tool = common::tool(home)
        .file_system(clock.clone())
        .backend("panicking", scripted(panicking))
        .backend("healthy", to_file(&home.join("healthy")));
    let telemetry = tool.build();
    track(&telemetry, 0..5);
    // It takes a while to print where it panicked.
    let flushed = telemetry.flush(Duration::from_secs(3));
    assert_eq!((flushed.delivered, flushed.emptied), (5, false));
    assert_eq!(arrived_once(&home.join("healthy")), names(0..5));
    let status = telemetry.status();
    let error = status.backends[0].last_error.clone().expect("an error");
    assert!(error.contains("panic"), "{error}");
    broken.store(false, Ordering::Relaxed);
    clock.forward(PAUSE);
    assert!(telemetry.flush(LONG).emptied);
    assert_eq!(arrived_once(&home.join("panicking")), names(0..5));
    assert_eq!(arrived_once(&home.join("healthy")), names(0..5));
}

/// The plugin `file`, built as the tests are.
fn file_plugin() -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("in a workspace");
    let built = Command::new(env!("CARGO"))
        .args(["build", "--package", "jackfield-file", "--message-format", "json", "--quiet"])
        .current_dir(workspace)
        .output()
        .expect("cargo starts");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let messages = String::from_utf8(built.stdout).expect("JSON is UTF-8");
    let mut files = messages.lines().filter_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        let is_it = message["target"]["name"] == "file" && message["target"]["kind"][0] == "cdylib";
        is_it.then(|| PathBuf::from(message["filenames"][0].as_str().unwrap_or_default()))
    });
    files.next_back().expect("cargo says what it has built")
}

#[test]
fn events_for_a_plugin_that_is_gone_after_an_upgrade_wait_until_it_is_back() {
    let home = tempfile::tempdir().expect("a folder");
    let home = home.path();
    let built = file_plugin();
    let plugin = home.join("plugins").join(built.file_name().expect("a file"));
    fs::create_dir(home.join("plugins")).expect("room");
    let events = home.join("events.jsonl");
    let config = format!(
        "[plugins]\npath = [{:?}]\n[[backend]]\nplugin = \"file\"\nconfig = {{ path = {events:?} }}\n",
        home.join("plugins")
    );
    fs::write(home.join("ops.toml"), config).expect("room");
    let arrived = || {
        let lines = fs::read_to_string(&events).unwrap_or_default();
        let name = |line: &str| {
            let event: serde_json::Value = serde_json::from_str(line).expect("JSON");
            event["name"].as_str().expect("text").to_owned()
        };
        lines.lines().map(name).collect::<Vec<_>>()
    };
    let clock = Clocked::new();
    let run = |mode: DeliveryMode, numbers: std::ops::Range<u32>| {
        let builder = common::tool(home).file_system(clock.clone()).delivery_mode(mode);
        let telemetry = builder.deliver(Deliver::AtExit { within: Duration::from_secs(20) }).build();
        track(&telemetry, numbers);
        telemetry.close();
        clock.forward(Duration::from_secs(3600));
        telemetry.status()
    };
    fs::copy(&built, &plugin).expect("room");
    run(DeliveryMode::AtLeastOnce, 0..3);
    assert_eq!(arrived(), names(0..3));

    fs::remove_file(&plugin).expect("there");
    for (mode, numbers) in [(DeliveryMode::AtLeastOnce, 3..6), (DeliveryMode::AtMostOnce, 6..9)] {
        let status = run(mode, numbers.clone());
        assert_eq!(arrived(), names(0..3));
        assert_eq!(status.events, u64::from(numbers.end - 3), "{status}");
        let backend = &status.backends[0];
        let error = backend.last_error.as_deref().expect("an error");
        assert!(error.contains("file") && error.contains("plugins"), "what is missing, and where: {error}");
        assert_eq!(backend.lost, 0, "{status}");
    }

    fs::copy(&built, &plugin).expect("room");
    let status = run(DeliveryMode::AtLeastOnce, 9..12);
    assert_eq!(arrived(), names(0..12));
    assert_eq!((status.events, &status.backends[0].last_error), (0, &None), "{status}");
}

#[test]
fn at_most_once_never_sends_again_what_may_have_arrived() {
    let home = tempfile::tempdir().expect("a folder");
    let clock = Clocked::new();
    let seen = common::Log::at(&home.path().join("seen"));
    let calls = AtomicUsize::new(0);
    // The first batch may have arrived when the backend fails, the second has.
    let fails_first: Send0 = Box::new(move |batch, _| {
        seen.line(&common::ids(batch));
        match calls.fetch_add(1, Ordering::Relaxed) {
            0 => Outcome::retry("the line went dead").into(),
            _ => Outcome::Delivered.into(),
        }
    });
    let telemetry = common::tool(home.path())
        .delivery_mode(DeliveryMode::AtMostOnce)
        .file_system(clock.clone())
        .backend("a", scripted(fails_first))
        .build();
    track(&telemetry, 0..3);
    telemetry.flush(Duration::ZERO);
    telemetry.flush(Duration::from_millis(100));
    track(&telemetry, 3..6);
    clock.forward(PAUSE);
    assert!(telemetry.flush(LONG).emptied);
    assert_eq!(arrived_once(&home.path().join("seen")), names(0..6));
    let status = telemetry.status();
    assert_eq!((status.backends[0].lost, status.backends[0].delivered), (3, 3), "{status}");
}

#[test]
fn at_most_once_loses_nothing_to_a_backend_that_is_not_called_since_it_hung() {
    let home = tempfile::tempdir().expect("a folder");
    let clock = Clocked::new();
    let seen = common::Log::at(&home.path().join("seen"));
    let calls = AtomicUsize::new(0);
    let hangs_first: Send0 = Box::new(move |batch, _| {
        if calls.fetch_add(1, Ordering::Relaxed) == 0 {
            loop {
                std::thread::park();
            }
        }
        seen.line(&common::ids(batch));
        Outcome::Delivered.into()
    });
    let telemetry = common::tool(home.path())
        .delivery_mode(DeliveryMode::AtMostOnce)
        .file_system(clock.clone())
        .backend("a", scripted(hangs_first))
        .backend("healthy", to_file(&home.path().join("healthy")))
        .build();
    track(&telemetry, 0..3);
    telemetry.flush(Duration::from_millis(300));
    assert_eq!(telemetry.status().backends[0].lost, 3, "they may have arrived");
    // By its clock the circuit lets it be tried, while the guard, by the machine's, lets nothing in.
    track(&telemetry, 3..6);
    common::wait_for("the second call", || {
        clock.forward(PAUSE * 100);
        telemetry.flush(LONG).emptied
    });
    let status = telemetry.status();
    assert_eq!((status.backends[0].lost, status.backends[0].delivered), (3, 3), "{status}");
    assert_eq!(arrived_once(&home.path().join("seen")), names(3..6));
    assert_eq!(arrived_once(&home.path().join("healthy")), names(0..6));
}

#[test]
fn rejected_events_go_to_the_quarantine_with_their_reasons_and_no_more_than_it_may_hold() {
    let home = tempfile::tempdir().expect("a folder");
    let mut limits = Limits::default();
    limits.quarantine_events = 8;
    let odd: Send0 = Box::new(|batch, _| {
        let outcome = |number: u32| match number % 2 {
            0 => Outcome::Delivered,
            _ => Outcome::rejected(format!("{number} is odd")),
        };
        Outcomes::Each(batch.iter().map(|event| outcome(event.name().parse().expect("a number"))).collect())
    });
    let telemetry = common::tool(home.path()).limits(limits).backend("even", scripted(odd)).build();
    track(&telemetry, 0..10);
    let flushed = telemetry.flush(LONG);
    assert_eq!((flushed.delivered, flushed.rejected, flushed.emptied), (5, 5, true));
    let kept = || {
        let rejected = common::spool(home.path()).rejected().expect("readable");
        let kept = rejected.iter().map(|rejected| {
            let event: serde_json::Value = serde_json::from_str(rejected.event.get()).expect("JSON");
            let name = event["name"].as_str().expect("text").to_owned();
            assert_eq!((&*rejected.backend, &*rejected.reason), ("even", &*format!("{name} is odd")));
            name
        });
        kept.collect::<Vec<_>>()
    };
    assert_eq!(kept(), names([1, 3, 5, 7, 9]));
    assert_eq!(telemetry.status().quarantined, 5);

    track(&telemetry, 10..40);
    assert_eq!(telemetry.flush(LONG).rejected, 15);
    let kept = kept();
    assert!((1..=8).contains(&kept.len()), "{kept:?}");
    assert!(kept.ends_with(&names([37, 39])), "the newest stay: {kept:?}");
    let stats = common::spool(home.path()).stats();
    assert_eq!(dropped(&stats, DropReason::Quarantine) + kept.len() as u64, 20, "{stats:?}");
}

#[test]
fn a_batch_that_is_too_large_is_split_and_one_event_that_is_too_large_rejected() {
    let home = tempfile::tempdir().expect("a folder");
    let log = common::Log::at(&home.path().join("small"));
    let small: Send0 = Box::new(move |batch, _| {
        if batch.len() > 7 || batch.iter().any(|event| event.name() == "13") {
            return Outcome::too_large("at most 7, and not 13").into();
        }
        log.line(&common::ids(batch));
        Outcome::Delivered.into()
    });
    let telemetry = common::tool(home.path()).backend("small", scripted(small)).build();
    track(&telemetry, 0..100);
    let flushed = telemetry.flush(LONG);
    assert_eq!((flushed.delivered, flushed.rejected, flushed.emptied), (99, 1, true));
    let expected = names((0..100).filter(|number| *number != 13));
    assert_eq!(arrived_once(&home.path().join("small")), expected, "all, once, in order");
    let rejected = common::spool(home.path()).rejected().expect("readable");
    assert_eq!(rejected.len(), 1);
    assert!(rejected[0].reason.contains("too large even alone"), "{}", rejected[0].reason);
}

/// A backend that counts its calls and asks for an hour until it is told otherwise.
struct Busy {
    calls: Arc<AtomicUsize>,
    is_busy: Arc<AtomicBool>,
    memory: MemoryBackend,
    clock: Clocked,
}

const HOUR: Duration = Duration::from_secs(3600);

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
fn a_backend_that_asks_for_an_hour_is_not_called_within_it_by_any_run() {
    let home = tempfile::tempdir().expect("a folder");
    let busy = Busy::new();
    assert_eq!((busy.run(home.path()), busy.calls()), (0, 1));
    busy.is_busy.store(false, Ordering::Relaxed);
    let started = Instant::now();
    for _ in 0..5 {
        assert_eq!((busy.run(home.path()), busy.calls()), (0, 1));
    }
    assert!(started.elapsed() < Duration::from_millis(500), "5 runs took {:?}", started.elapsed());
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
    use jackfield::spool::{Disk, Folder, FolderError, Fs};
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
    telemetry.flush(Duration::from_millis(50));
    assert!(!armed.load(Ordering::Relaxed), "the claim was not taken");
    assert!(memory.events().is_empty(), "sent within the hour that the backend has asked for");
}

#[test]
fn a_long_delivery_notes_what_arrived_while_it_goes_on_by_the_clock_that_status_reads() {
    let home = tempfile::tempdir().expect("a folder");
    let states = home.path().join("data/backends.v1.json");
    let calls = Arc::new(AtomicUsize::new(0));
    let noted = Arc::new(AtomicUsize::new(0));
    let (counted, found) = (Arc::clone(&calls), Arc::clone(&noted));
    let slow: Send0 = Box::new(move |_, _| {
        if counted.fetch_add(1, Ordering::Relaxed) == 0 {
            // Longer than a note takes to be due.
            std::thread::sleep(Duration::from_millis(300));
        } else {
            let text = fs::read_to_string(&states).unwrap_or_default();
            let states: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
            let delivered = states["slow"]["delivered"].as_u64().unwrap_or_default();
            found.fetch_max(usize::try_from(delivered).expect("few"), Ordering::Relaxed);
        }
        Outcome::Delivered.into()
    });
    let clock = Clocked::new();
    clock.back(HOUR);
    let tool = common::tool(home.path()).file_system(clock);
    let telemetry = tool.backend("slow", scripted(slow)).build();
    track(&telemetry, 0..1500);
    assert!(telemetry.flush(LONG).emptied);
    assert_eq!((calls.load(Ordering::Relaxed), noted.load(Ordering::Relaxed)), (2, 1000));
    let backend = &telemetry.status().backends[0];
    assert_eq!(backend.delivered, 1500);
    assert!(backend.last_delivery_s.is_some_and(|ago| ago < 60), "{backend:?}");
}
