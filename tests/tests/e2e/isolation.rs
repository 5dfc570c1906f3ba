//! Plugins in processes of their own: the same outcomes as in a thread, and what ends them ends nothing else.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use jackfield_loader::{
    Backend, BackendOptions, Backoff, Batch, Candidate, Error, EventFields, Failure, Isolation, MOST_CRASHES,
    OpenFailure, Plugin, ProcessOptions, Program, Report, Trust, crashes, plugin_api::Outcome,
};
use jackfield_test_support::wait_until;
use jackfield_tests::{c_conduct, c_fixture, cli, faults, fixture, panic_abort, plugin};
use serde_json::{Value, json};

use crate::{
    common::{MS, batch, lines, one_line, options, scratch},
    site::Site,
};

/// Children are the command's: the tests' own `main` is not theirs.
fn isolated() -> ProcessOptions {
    ProcessOptions::new().program(Program::At(cli()))
}

fn try_open(path: &Path, options: &BackendOptions) -> Result<Backend, Error> {
    let verified = Candidate::open(path)?.verify_for(&options.isolation, Trust::Owner)?;
    Backend::open_verified(&verified, options)
}

fn open(path: &Path, config: &Value) -> Backend {
    let options = options(config).isolation(Isolation::Process(isolated()));
    try_open(path, &options).unwrap_or_else(|error| panic!("{error}"))
}

fn is_alive(process: u32) -> bool {
    // A zombie has an end that somebody has not asked for yet.
    fs::read_to_string(format!("/proc/{process}/stat"))
        .is_ok_and(|stat| !stat.rsplit_once(')').is_some_and(|(_, rest)| rest.starts_with(" Z")))
}

/// What is told of a report, times aside.
fn told(report: &Report) -> String {
    let failure = match report.failure() {
        Some(Failure::TimedOut { .. }) => "timed out".to_owned(),
        Some(failure) => failure.to_string(),
        None => String::new(),
    };
    let outcomes: Vec<_> = report
        .outcomes()
        .map(|outcome| match outcome {
            Outcome::Retry { reason, .. } if reason.starts_with("no answer within") => "no answer".to_owned(),
            outcome => format!("{outcome:?}"),
        })
        .collect();
    format!("{failure}: {outcomes:?}")
}

#[test]
fn a_missing_helper_program_is_named_and_is_no_crash() {
    let (_folder, memory) = scratch("crashes");
    for (helper, part) in [("/no/such/helper", "No such file"), ("/bin/true", "ended at once")] {
        let process = ProcessOptions::new().program(Program::At(helper.into())).crashes(&memory);
        let options = options(&json!({})).isolation(Isolation::Process(process));
        let error = try_open(&fixture("minimal"), &options).expect_err("there is no child").to_string();
        assert!(
            error.contains("`plugins.helper`: ") && error.contains(helper) && error.contains(part),
            "{error}"
        );
    }
    assert!(crashes(&memory).is_empty(), "the plugin has done nothing");
}

#[test]
fn the_next_send_does_not_start_a_crashing_plugin() {
    let site = Site::new(&[]);
    let config = format!(
        "[[backend]]\nplugin = {:?}\nisolation = \"process\"\nconfig = {{ fault = \"segv\", at = \"open\" }}\n",
        faults()
    );
    site.write("config.toml", config);
    let send = || site.send(r#"{"type":"a","name":"b"}"#, &[]).with_code(4).stderr;
    let mut said = send();
    for _ in 0..MOST_CRASHES + 1 {
        assert!(said.contains("SIGSEGV"), "{said}");
        if said.contains("left alone") {
            return;
        }
        said = send();
    }
    panic!("it is tried again and again: {said}");
}

#[test]
fn a_plugin_for_standard_output_is_refused_a_process() {
    let options = options(&json!({})).isolation(Isolation::Process(isolated()));
    let error = try_open(&plugin("stdout"), &options).expect_err("it would print to nowhere");
    assert!(error.to_string().contains("isolation = \"thread\""), "{error}");
}

#[test]
fn a_plugin_whose_metadata_asks_for_a_process_gets_one() {
    let site = Site::new(&[]);
    let plugin = c_conduct("EXITS_ALONE");
    let table = |rest: &str| crate::site::backend("alone", &plugin, rest);
    let event = r#"{"type":"a","name":"b"}"#;
    site.write("config.toml", table("config = { url = 'x' }"));
    let sent = site.send(event, &[]);
    assert_ne!(sent.code, Some(3), "what the plugin ends its process with: {sent:?}");
    assert!(sent.stderr.contains("exit") && sent.stdout.contains("\"backends\""), "{sent:?}");

    site.write("config.toml", table("isolation = 'thread'\nconfig = { url = 'x' }"));
    let said =
        "can run only in a process of its own, as its metadata says: remove isolation = \"thread\" for it";
    let refused = site.send(event, &[]).with_code(4);
    assert!(refused.stderr.contains(said) && refused.stderr.lines().count() == 1, "{refused:?}");
    let checked = site.run(&["config", "check"]);
    assert_ne!(checked.code, Some(0));
    assert!(format!("{checked:?}").contains("can run only in a process of its own"), "{checked:?}");

    let file = plugin.to_str().expect("UTF-8");
    let inspected = site.run(&["inspect", file]).with_code(0).stdout;
    let row = |key: &str, value: &str| {
        inspected.lines().any(|line| line.strip_prefix(key).is_some_and(|rest| rest.trim() == value))
    };
    assert!(
        row("verdict", "compatible, in a process of its own") && row("isolation", "process"),
        "{inspected}"
    );
    let error = Plugin::load(plugin, Trust::Owner).expect_err("this is the tool's process").to_string();
    assert!(error.contains("can run only in a process of its own"), "{error}");
}

#[test]
fn a_process_delivers_and_ends_with_its_backend() {
    let (_folder, record) = scratch("record");
    let backend = open(&fixture("hostile"), &json!({ "record": record }));
    let report = backend.send(&batch(3));
    assert_eq!(report.uniform(), Some(&Outcome::Delivered), "{report:?}");
    assert_eq!(lines(&record), ["0", "1", "2"]);
    let process = backend.stats().process.expect("a process of its own");
    assert_ne!(process.id, std::process::id());
    assert!(is_alive(process.id) && process.resident.is_some_and(|bytes| bytes > 0));
    backend.close(2000 * MS).expect("closes");
    assert!(!is_alive(process.id));
}

#[test]
fn answers_are_the_same_in_a_process_and_a_thread() {
    for config in [
        json!({}),
        json!({"outcome": "retry", "retry_after_ms": 1500}),
        json!({"outcome": "rejected"}),
        json!({"outcome": "too_large"}),
        json!({"outcome": "each", "retry_after_ms": 7}),
        json!({"outcome": "half"}),
        json!({"outcome": "silent"}),
        json!({"too_large_above": 2}),
        json!({"panic": "send"}),
        json!({"panic": "send", "payload": "number", "report_first": 2}),
        json!({"panic": "send", "payload": "bomb"}),
        json!({"hang": "send", "report_first": 2}),
    ] {
        let path = fixture("hostile");
        let thread = crate::common::open(&path, &config);
        let process = open(&path, &config);
        for count in [5, 0, 1] {
            let batch = batch(count);
            let [thread, process] = [&thread, &process].map(|backend| backend.send_within(&batch, 400 * MS));
            let is_open = |report: &Report| matches!(report.failure(), Some(Failure::CircuitOpen { .. }));
            if is_open(&thread) && is_open(&process) {
                continue;
            }
            assert_eq!(told(&process), told(&thread), "{config} with {count} events");
        }
    }
}

#[test]
fn the_optional_tables_answer_as_in_a_thread() {
    let asked = |backend: &Backend| {
        let deletion = backend.request_deletion("machine", &batch(1), 2000 * MS);
        let preview = backend.preview(&batch(3), 20_000 * MS);
        format!("{deletion:?} {preview:?} {:?}", backend.probe(2000 * MS))
    };
    for config in [
        json!({}),
        json!({"deletion": "unsupported", "diagnostics": "unreachable"}),
        json!({"deletion": "failed", "diagnostics": "refused"}),
        json!({"deletion": "panic", "diagnostics": "flood"}),
        json!({"diagnostics": "panic"}),
    ] {
        let path = fixture("hostile");
        let (thread, process) = (crate::common::open(&path, &config), open(&path, &config));
        assert_eq!(asked(&process), asked(&thread), "{config}");
    }
    // A plugin without them.
    let path = fixture("minimal");
    assert_eq!(asked(&open(&path, &json!({}))), asked(&crate::common::open(&path, &json!({}))));
}

#[test]
fn a_refusal_to_open_reads_as_in_a_thread() {
    let tried = |path: &Path, config: &Value, isolation| {
        let options = options(config).isolation(isolation);
        let error = try_open(path, &options).expect_err("it is refused");
        one_line(&error, path)
    };
    let hostile = fixture("hostile");
    for (path, config) in [
        (&hostile, json!({"panic": "open"})),
        (&hostile, json!({"fail": "open"})),
        (&hostile, json!({"fail": "open", "error": "config"})),
        (&hostile, json!({"fail": "nonsense"})),
    ] {
        let process = tried(path, &config, Isolation::Process(isolated()));
        assert_eq!(process, tried(path, &config, Isolation::Thread));
    }
    // What hangs when it is loaded or unloaded must not get into the process of the tests: that would never end.
    let variants = jackfield_tests::C_VARIANTS;
    let left_out = ["GOOD", "PANIC_ABORT", "DESTRUCTOR_HANGS", "CONSTRUCTOR_HANGS"];
    for variant in variants.iter().filter(|variant| !left_out.contains(variant)) {
        let path = c_fixture(variant);
        let options_of = |isolation| options(&json!({})).isolation(isolation);
        let thread = try_open(&path, &options_of(Isolation::Thread));
        let process = try_open(&path, &options_of(Isolation::Process(isolated())));
        // Some of them are faulty only once they are called.
        let shown = |opened: Result<Backend, Error>| opened.map(drop).map_err(|error| error.to_string());
        assert_eq!(shown(process), shown(thread), "{variant}");
    }
}

#[test]
fn a_deadline_ends_the_process_and_keeps_earlier_outcomes() {
    let (_folder, until) = scratch("until");
    let backend = open(&fixture("hostile"), &json!({"hang": "send", "report_first": 2, "until": until}));
    let first = backend.stats().process.expect("a process").id;
    let started = Instant::now();
    let report = backend.send_within(&batch(3), 300 * MS);
    assert!(started.elapsed() < 5000 * MS, "{:?}", started.elapsed());
    assert!(matches!(report.failure(), Some(Failure::TimedOut { .. })), "{report:?}");
    assert_eq!(*report.outcome(1), Outcome::Delivered);
    assert!(matches!(report.outcome(2), Outcome::Retry { .. }));
    wait_until("the process ends", || !is_alive(first));
    wait_until("no call is stuck", || backend.stats().stuck_calls == 0);
    assert_eq!(backend.stats().crashes, 0, "the host has ended it");

    fs::write(&until, "").expect("writable");
    wait_until("a fresh process delivers", || backend.send(&batch(1)).uniform() == Some(&Outcome::Delivered));
    assert_ne!(backend.stats().process.expect("a process").id, first);
    assert_eq!(backend.stats().restarts, 1);
}

#[test]
fn a_crash_is_an_outcome_and_a_fresh_process_follows() {
    for (by, how) in [("segv", "SIGSEGV"), ("abort", "SIGABRT"), ("exit", "exit code 0 inside a call")] {
        let (_folder, until) = scratch("until");
        let config = json!({"crash": "send", "crash_by": by, "report_first": 2, "until": until});
        let backend = open(&fixture("hostile"), &config);
        let report = backend.send(&batch(3));
        let Some(Failure::Crashed { how: told }) = report.failure() else { panic!("{by}: {report:?}") };
        assert!(told.contains(how), "{told}");
        assert_eq!(*report.outcome(1), Outcome::Delivered, "{by}");
        assert!(matches!(report.outcome(2), Outcome::Retry { reason, .. } if reason.contains(how)), "{by}");
        assert_eq!(backend.stats().crashes, 1);
        fs::write(&until, "").expect("writable");
        wait_until("a fresh process", || backend.send(&batch(1)).uniform() == Some(&Outcome::Delivered));
        backend.close(2000 * MS).expect("closes");
    }
}

#[test]
fn a_crash_in_open_close_or_free_is_reported() {
    let options = |place| {
        options(&json!({"crash": place, "crash_by": "abort"})).isolation(Isolation::Process(isolated()))
    };
    match try_open(&fixture("hostile"), &options("open")) {
        Err(Error::Open(error)) => {
            let OpenFailure::Call(Failure::Crashed { how }) = &error.failure else { panic!("{error}") };
            assert!(how.contains("SIGABRT"), "{how}");
        }
        other => panic!("{other:?}"),
    }
    for place in ["close", "drop"] {
        let backend = try_open(&fixture("hostile"), &options(place)).expect("opens");
        assert_eq!(backend.send(&batch(1)).uniform(), Some(&Outcome::Delivered));
        let error = backend.close(5000 * MS).expect_err("it has crashed").to_string();
        assert!(error.contains("crashed") && error.contains("ended by SIGABRT"), "{place}: {error}");
    }
}

#[test]
fn a_file_that_keeps_crashing_is_refused_until_it_changes() {
    let folder = tempfile::tempdir().expect("a folder");
    let (memory, copy) = (folder.path().join("crashes"), folder.path().join("libcopy.so"));
    fs::copy(fixture("hostile"), &copy).expect("writable");
    let config = json!({"crash": "send", "crash_by": "abort"});
    let options = options(&config).isolation(Isolation::Process(isolated().crashes(&memory)));
    let mut runs = 0;
    let refusal = loop {
        match try_open(&copy, &options) {
            Ok(backend) => {
                runs += 1;
                assert!(runs <= 5, "it is tried without end");
                assert!(matches!(backend.send(&batch(1)).failure(), Some(Failure::Crashed { .. })));
            }
            Err(error) if error.to_string().contains("until it changes") => break error,
            Err(error) => {
                assert!(error.to_string().contains("left alone for another"), "{error}");
                std::thread::sleep(20 * MS);
            }
        }
    };
    let line = one_line(&refusal, &copy);
    assert!(
        line.starts_with("open: ") && line.contains("crashed 5 times in a row (ended by SIGABRT"),
        "{line}"
    );
    assert_eq!(crashes(&memory)[0].count, 5);

    let mut bytes = fs::read(&copy).expect("readable");
    bytes.push(0);
    let new = folder.path().join("new");
    fs::write(&new, bytes).expect("writable");
    fs::rename(new, &copy).expect("writable");
    try_open(&copy, &options).expect("it has changed");
}

#[test]
fn a_backend_that_keeps_crashing_is_given_up() {
    let pause = 10 * MS;
    let options = options(&json!({"crash": "send", "crash_by": "abort"}))
        .isolation(Isolation::Process(isolated()))
        .circuit_backoff(Backoff { first: pause, longest: pause });
    let backend = try_open(&fixture("hostile"), &options).unwrap_or_else(|error| panic!("{error}"));
    let mut crashed = 0;
    wait_until("it is given up", || {
        let report = backend.send(&batch(1));
        crashed += u32::from(matches!(report.failure(), Some(Failure::Crashed { .. })));
        crashed >= 5
    });
    std::thread::sleep(10 * pause);
    let report = backend.send(&batch(1));
    assert!(matches!(report.failure(), Some(Failure::CircuitOpen { .. })), "{report:?}");
    assert_eq!(backend.stats().crashes, 5);
}

#[test]
fn a_plugin_whose_panics_abort_is_for_processes_only() {
    let path = panic_abort("hostile");
    let config = json!({"panic": "send", "report_first": 1});
    let thread = options(&config);
    let error = try_open(&path, &thread).expect_err("a panic would end the tests");
    assert!(error.to_string().contains("process isolation only"), "{error}");
    let backend = open(&path, &config);
    let report = backend.send(&batch(2));
    assert!(
        matches!(report.failure(), Some(Failure::Crashed { how }) if how.contains("SIGABRT")),
        "{report:?}"
    );
    assert_eq!(*report.outcome(0), Outcome::Delivered);
}

#[test]
fn one_process_takes_parallel_calls_and_large_batches() {
    let backend = open(&fixture("hostile"), &json!({"outcome": "concurrency", "sleep_ms": 300}));
    let together = std::thread::scope(|scope| {
        let calls: Vec<_> = (0..4).map(|_| scope.spawn(|| backend.send(&batch(1)))).collect();
        calls.into_iter().any(|call| match call.join().expect("no panic").uniform() {
            Some(Outcome::Rejected { reason }) => reason != "1",
            other => panic!("{other:?}"),
        })
    });
    assert!(together, "they waited for one another");

    let (_folder, record) = scratch("record");
    let backend = open(&fixture("hostile"), &json!({ "record": record }));
    for count in [10_000, 1, 20_000] {
        assert_eq!(backend.send_within(&batch(count), 20_000 * MS).uniform(), Some(&Outcome::Delivered));
    }
    assert_eq!(lines(&record).len(), 30_001);
}

#[test]
fn a_batch_that_does_not_fit_ends_no_process() {
    let backend = open(&fixture("hostile"), &json!({}));
    let first = backend.stats().process;
    let text = "x".repeat(8 << 20);
    let large = Batch::build::<_, std::convert::Infallible>(text, |text, writer| {
        for error in [None, Some(&**text)] {
            writer.push(&EventFields { json: "{}", error, ..EventFields::default() });
        }
        Ok(())
    })
    .expect("infallible");
    for (batch, fits) in [(&large, false), (&large.select(&[1]), false), (&large.select(&[0]), true)] {
        let report = backend.send_within(batch, 20_000 * MS);
        assert_eq!(report.failure(), None);
        match report.uniform() {
            Some(Outcome::TooLarge { reason }) if !fits => assert!(reason.contains(" fit into "), "{reason}"),
            Some(Outcome::Delivered) if fits => {}
            outcome => panic!("{outcome:?}"),
        }
    }
    let error = backend.preview(&large, 20_000 * MS).expect_err("it does not fit").to_string();
    assert!(error.contains(" fit into "), "{error}");
    let stats = backend.stats();
    assert_eq!((stats.crashes, stats.restarts, stats.process.map(|it| it.id)), (0, 0, first.map(|it| it.id)));
}

#[test]
fn noise_on_both_streams_holds_nothing_up() {
    let backend = open(&fixture("hostile"), &json!({"print": 4 << 20}));
    let report = backend.send_within(&batch(1), 20_000 * MS);
    assert_eq!(report.uniform(), Some(&Outcome::Delivered), "{report:?}");
    backend.close(5000 * MS).expect("closes");
}

#[test]
fn a_program_without_init_says_which_line_to_add() {
    let options = options(&json!({})).isolation(Isolation::Process(ProcessOptions::new()));
    let path: PathBuf = plugin("file");
    let error = try_open(&path, &options).expect_err("the tests' main does not begin so");
    let line = one_line(&error, &path);
    assert!(line.starts_with("open: "), "{line}");
    for part in ["jackfield::init();", "plugins.helper"] {
        assert!(line.contains(part), "{line}");
    }
}
