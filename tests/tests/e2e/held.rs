//! `jackfield run` where there is no room for what it reads: its writer waits, and nothing is lost. Of Linux, where what is
//! in a pipe stays there until it is stored.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use jackfield_test_support::wait_until;
use jackfield_tests::{
    peers::http::{HttpServer, Reply},
    plugin,
};
use serde_json::Value;

use crate::site::{Running, Site, backend, event, events, hostile, id, ids, start, to_file};

/// A FIFO that is open for both, so that what is in it stays while nobody reads.
fn fifo(site: &Site) -> File {
    let path = site.path("fifo");
    assert!(Command::new("mkfifo").arg(&path).status().expect("mkfifo").success());
    File::options().read(true).write(true).open(&path).expect("it is there")
}

/// Writes a text from a thread, in pieces that end where no line does. Gives how many bytes are in the pipe or through it.
fn feed(mut into: File, text: String) -> Arc<AtomicUsize> {
    let written = Arc::new(AtomicUsize::new(0));
    let of_thread = Arc::clone(&written);
    let write = move || {
        for piece in text.as_bytes().chunks(1000) {
            into.write_all(piece).expect("a reader");
            of_thread.fetch_add(piece.len(), Ordering::SeqCst);
        }
        // What is in a FIFO goes with the last who has it open.
        thread::sleep(jackfield_test_support::LONG);
    };
    thread::Builder::new().spawn(write).expect("a thread");
    written
}

/// Waits until a run says that it holds its writer back, and the writer stands still.
fn until_held(
    running: &mut Running,
    reason: &str,
    written: &AtomicUsize,
    status: impl Fn() -> Value,
) -> usize {
    running.until("the hold", || status()["holding"]["reason"] == reason);
    loop {
        let before = written.load(Ordering::SeqCst);
        thread::sleep(Duration::from_millis(300));
        if written.load(Ordering::SeqCst) == before {
            return before;
        }
    }
}

/// A backend that takes nothing before there is a file `mended`.
fn broken() -> String {
    hostile("60s", "hang = \"send\"\nuntil = \"mended\"\nrecord = \"record\"\n")
}

fn mend(site: &Site) {
    site.write("mended", "");
}

/// That, after the end of a run whose last call never came to one: what that was asked counts for nothing.
fn mend_after(site: &Site) {
    fs::remove_file(site.path("record")).expect("it was asked");
    mend(site);
}

/// The ids that [`broken`] has got, in their order.
fn got(site: &Site) -> Vec<String> {
    site.read("record").lines().map(str::to_owned).collect()
}

/// Fails unless these are the ids of all these events, once and in their order.
fn assert_all(ids: &[String], numbers: std::ops::Range<usize>) {
    let (wanted, got) = (numbers.len(), ids.len());
    let wrong = ids.iter().cloned().zip(numbers.map(id)).enumerate().find(|(_, (got, wanted))| got != wanted);
    assert!(got == wanted && wrong.is_none(), "{got} of {wanted}; the first that is wrong: {wrong:?}");
}

/// A run whose state is on a disk of its own, of a mebibyte, and where others see that folder. `before` is what is run there
/// before it, by the name `$0`.
fn on_a_small_disk(site: &Site, before: &str) -> (Running, PathBuf) {
    let script = format!("{before}\nexec \"$0\" run --start-anyway --state state fifo");
    let mut running = start(site.with_a_small_disk("state", "1m", &script).stdin(Stdio::null()));
    // Without the right to mount, root's or that of user namespaces, this fails, rather than pass untried.
    let state = PathBuf::from(format!("/proc/{}/root{}", running.id(), site.path("state").display()));
    running.until("a status (needs the right to mount)", || site.status_in(&state)["state"] == "running");
    (running, state)
}

/// Fills the disk below a folder to its last byte, and gives the file that does.
fn fill(folder: &Path) -> PathBuf {
    let filler = folder.join("filler");
    let mut file = File::create(&filler).expect("room for a name");
    let error = loop {
        if let Err(error) = file.write_all(&[0; 512]) {
            break error;
        }
    };
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    filler
}

#[test]
fn a_full_disk_holds_the_writer_back() {
    const EVENTS: usize = 3000;
    let site = Site::new(&[to_file("one", "one.jsonl")]);
    let both = fifo(&site);
    let (mut running, state) = on_a_small_disk(&site, "");
    let mut into = both.try_clone().expect("a copy");
    into.write_all(events(0..10).as_bytes()).expect("room");
    running.until("the first events", || site.read("one.jsonl") == events(0..10));
    let filler = fill(&state);
    let written = feed(both, events(10..EVENTS));
    let stood = until_held(&mut running, "disk full", &written, || site.status_in(&state));
    assert!(stood < events(10..EVENTS).len(), "its writer waits");
    let now = site.status_in(&state);
    assert_eq!((&now["not_stored"], &now["alive"]), (&0.into(), &true.into()), "{now:#}");
    assert_eq!(now["spools"][0]["dropped"], serde_json::json!({}), "{now:#}");
    let text = || site.run(&["status", "--state", state.to_str().expect("UTF-8")]).with_code(0).stdout;
    running.until("the problem", || text().contains(" is full; the input waits: make room on that disk\n"));
    let text = text();
    assert!(
        text.contains("not been read for ") && text.contains("s: disk full; its writers wait\n"),
        "{text}"
    );
    assert!(!text.contains("lost"), "{text}");
    fs::remove_file(filler).expect("it is there");
    running.until("all events", || site.read("one.jsonl").lines().count() >= EVENTS);
    running.until("the end of the hold", || site.status_in(&state)["holding"].is_null());
    running.signal("TERM");
    let ended = running.end().with_code(0);
    assert_eq!(site.read("one.jsonl"), events(0..EVENTS));
    assert_eq!(ended.stderr.matches("the spool takes no events: disk full; ").count(), 1, "{ended:#?}");
    assert_eq!(ended.stderr.matches("the spool takes events again after ").count(), 1, "{ended:#?}");
}

#[test]
fn a_full_disk_changes_no_pause_and_no_reason() {
    // The first request has no answer before the disk is full, the next ones are refused, the last one is not.
    const WAITS: usize = 0;
    const REFUSES: usize = 1;
    const TAKES: usize = 2;
    let (stage, asked) = <(Arc<AtomicUsize>, Arc<AtomicUsize>)>::default();
    let of_server = (Arc::clone(&stage), Arc::clone(&asked));
    let server = HttpServer::start(Reply::with(move |_| {
        let (stage, asked) = &of_server;
        asked.fetch_add(1, Ordering::SeqCst);
        wait_until("the disk is full", || stage.load(Ordering::SeqCst) != WAITS);
        Reply::status(if stage.load(Ordering::SeqCst) == REFUSES { 503 } else { 200 })
    }));
    let options = format!("timeout = \"60s\"\nconfig = {{ url = {:?} }}", server.url("/"));
    let site = Site::new(&[backend("server", &plugin("http"), &options)]);
    let mut both = fifo(&site);
    let (mut running, state) = on_a_small_disk(&site, "");
    both.write_all(events(0..10).as_bytes()).expect("room");
    running.until("the first request", || asked.load(Ordering::SeqCst) == 1);
    fill(&state);
    stage.store(REFUSES, Ordering::SeqCst);
    running.until_said("backend server is down");
    let of_backend = || site.status_in(&state)["spools"][0]["backends"][0].clone();
    running.until("a pause that has grown", || of_backend()["paused_s"].as_u64() >= Some(3));
    let reason = of_backend()["last_error"].as_str().expect("a reason").to_owned();
    stage.store(TAKES, Ordering::SeqCst);
    site.run(&["retry", "--state", state.to_str().expect("UTF-8")]).with_code(0);
    running.until("the delivery", || of_backend()["delivered"] == 10);
    running.signal("TERM");
    let ended = running.end().with_code(0);
    let told: Vec<_> = ended.stderr.lines().filter(|line| line.contains("server is down")).collect();
    assert!(matches!(told[..], [line] if line.ends_with(&format!(": {reason}"))), "{reason}: {ended:#?}");
    assert!(ended.stderr.contains("server: 10 delivered\n"), "{ended:#?}");
}

#[test]
fn a_full_spool_holds_the_writer_back() {
    const EVENTS: usize = 3000;
    let site = Site::new(&[broken()]);
    let both = fifo(&site);
    let mut running = site.runs(&["fifo", "--spool-size", "256KiB"]);
    let written = feed(both, events(0..EVENTS));
    let stood = until_held(&mut running, "spool full (bytes)", &written, || site.status());
    assert!(stood < events(0..EVENTS).len(), "its writer waits");
    let now = site.status();
    assert_eq!(now["spools"][0]["dropped"], serde_json::json!({}), "{now:#}");
    mend(&site);
    running.until("all events", || got(&site).len() >= EVENTS);
    running.signal("TERM");
    let ended = running.end().with_code(0);
    assert_all(&got(&site), 0..EVENTS);
    // However often it had to wait meanwhile.
    assert_eq!(ended.stderr.matches("the spool takes no events: ").count(), 1, "{ended:#?}");
}

#[test]
fn a_spool_that_is_refused_later_is_not_called_full() {
    let site = Site::new(&[to_file("one", "one.jsonl")]);
    let mut running = site.runs(&["--grace", "1s"]);
    running.until("the start", || site.status()["state"] == "running");
    std::os::unix::fs::symlink("/etc", site.path("state/spool")).expect("free");
    running.feed(events(0..3).into());
    running.until_said("the spool takes no events: folder refused; stdin is not read until it does\n");
    fs::remove_file(site.path("state/spool")).expect("ours");
    running.until_said("the spool takes events again after ");
    running.end().with_code(0);
    assert_eq!(site.read("one.jsonl"), events(0..3));
}

#[test]
fn a_kill_of_a_waiting_run_loses_and_repeats_nothing() {
    const EVENTS: usize = 1000;
    let site = Site::new(&[broken()]);
    let both = fifo(&site);
    let written = feed(both, events(0..EVENTS));
    for _ in 0..3 {
        let mut running = site.runs(&["fifo", "--spool-size", "64KiB"]);
        until_held(&mut running, "spool full (bytes)", &written, || site.status());
        running.signal("KILL");
        assert_eq!(running.end().code, None);
    }
    mend_after(&site);
    let mut running = site.runs(&["fifo", "--spool-size", "64KiB"]);
    running.until("all events", || got(&site).len() >= EVENTS);
    running.signal("TERM");
    running.end().with_code(0);
    assert_all(&got(&site), 0..EVENTS);
}

#[test]
fn a_kill_on_a_full_disk_loses_and_repeats_nothing() {
    const EVENTS: usize = 1000;
    // Its folder is not there yet.
    let site = Site::new(&[to_file("one", "later/one.jsonl")]);
    let both = fifo(&site);
    let (mut running, state) = on_a_small_disk(&site, "\"$0\" run --start-anyway --state state fifo");
    let mut into = both.try_clone().expect("a copy");
    into.write_all(events(0..50).as_bytes()).expect("room");
    running.until("the first events", || site.status_in(&state)["events"] == 50);
    assert_eq!(site.status_in(&state)["spools"][0]["backends"][0]["delivered"], 0);
    let filler = fill(&state);
    let written = feed(both, events(50..EVENTS));
    until_held(&mut running, "disk full", &written, || site.status_in(&state));
    let first = site.status_in(&state)["pid"].clone();
    assert_ne!(first, running.id(), "the shell runs it");
    let killed = Command::new("kill").args(["-s", "KILL", &first.to_string()]).status();
    assert!(killed.expect("kill runs").success());
    let second = running.id();
    running.until("the next one", || site.status_in(&state)["pid"] == second);
    running.until("its hold", || site.status_in(&state)["holding"]["reason"] == "disk full");
    fs::remove_file(filler).expect("it is there");
    fs::create_dir(site.path("later")).expect("room");
    running.until("all events", || site.read("later/one.jsonl").lines().count() >= EVENTS);
    running.signal("TERM");
    running.end().with_code(0);
    assert_eq!(site.read("later/one.jsonl"), events(0..EVENTS));
}

#[test]
fn a_request_to_end_leaves_the_rest_in_the_fifo() {
    const EVENTS: usize = 1000;
    let site = Site::new(&[broken()]);
    let both = fifo(&site);
    let written = feed(both, events(0..EVENTS));
    let mut running = site.runs(&["fifo", "--spool-size", "64KiB", "--grace", "1s", "--json"]);
    until_held(&mut running, "spool full (bytes)", &written, || site.status());
    running.signal("TERM");
    let ended = running.end().with_code(7);
    assert!(ended.stderr.contains(": they stay in ") && ended.stderr.contains("fifo"), "{ended:#?}");
    let summary = ended.summary();
    assert!(summary["left_in_input"].as_u64() > Some(0) && summary["not_stored"] == 0, "{summary}");
    assert_eq!(site.status()["holding"]["reason"], "spool full (bytes)");
    mend_after(&site);
    let mut running = site.runs(&["fifo"]);
    running.until("all events", || got(&site).len() >= EVENTS);
    running.signal("TERM");
    running.end().with_code(0);
    assert_all(&got(&site), 0..EVENTS);
}

#[test]
fn lines_of_other_inputs_have_the_grace() {
    const EVENTS: usize = 150;
    let text = events(0..EVENTS);
    let run = |site: &Site, grace: &str| {
        let file = File::open(site.write("input", &text)).expect("it is there");
        let arguments = ["run", "--state", "state", "--spool-size", "16KiB", "--grace", grace, "--json"];
        let mut running = start(site.command(&arguments).stdin(file));
        running.until("the hold", || site.status()["holding"]["reason"] == "spool full (bytes)");
        running.signal("TERM");
        running
    };
    let site = Site::new(&[broken()]);
    let ended = run(&site, "1s").end().with_code(7);
    assert!(ended.stderr.contains(" lines could not be stored and will never be delivered"), "{ended:#?}");
    let summary = ended.summary();
    let [waiting, lost] = ["waiting", "not_stored"].map(|key| summary[key].as_u64().expect("a number"));
    assert!(waiting > 0 && lost > 0 && summary["left_in_input"] == 0, "{summary}");
    assert_eq!(waiting + lost, EVENTS as u64, "{summary}");
    // With room in time there is nothing to be counted.
    let site = Site::new(&[broken()]);
    let running = run(&site, "60s");
    mend(&site);
    running.end().with_code(0);
    assert_all(&got(&site), 0..EVENTS);
}

#[test]
fn the_grace_is_for_a_pipe_that_ends_too() {
    let run = |site: &Site, grace: &str| {
        let arguments = ["run", "--state", "state", "--spool-size", "16KiB", "--grace", grace, "--json"];
        let mut running = start(site.command(&arguments).stdin(Stdio::piped()));
        running.feed(events(0..150).into());
        running.until("the hold", || site.status()["holding"]["reason"] == "spool full (bytes)");
        running.signal("TERM");
        running
    };
    let site = Site::new(&[broken()]);
    let ended = run(&site, "1s").end().with_code(7);
    let summary = ended.summary();
    let [waiting, left] = ["waiting", "left_in_input"].map(|key| summary[key].as_u64().expect("a number"));
    assert!(waiting > 0 && left > 0 && summary["not_stored"] == 0, "{summary}");
    assert!(waiting + left <= 150, "{summary}");
    assert!(
        ended.stderr.contains("they stay in stdin, and are lost unless another process has it open"),
        "{ended:#?}"
    );
    let site = Site::new(&[broken()]);
    let running = run(&site, "60s");
    mend(&site);
    running.end().with_code(0);
    // What had been looked at arrives; there may be more in the pipe, of which nothing is known.
    let got = got(&site);
    assert_all(&got, 0..got.len());
}

#[test]
fn an_incomplete_line_stays_in_the_pipe() {
    let site = Site::new(&[to_file("one", "one.jsonl")]);
    let mut both = fifo(&site);
    let text = events(0..4);
    let cuts = [0, event(0).len() + 100, 2 * (event(0).len() + 1) + 200, text.len()];
    // One is killed, one is told to end, and the last one has the rest.
    for (run, signal) in ["KILL", "TERM", "TERM"].into_iter().enumerate() {
        let mut running = site.runs(&["fifo"]);
        both.write_all(&text.as_bytes()[cuts[run]..cuts[run + 1]]).expect("room");
        let whole = text[..cuts[run + 1]].rfind('\n').map_or("", |end| &text[..=end]);
        running.until("the whole lines", || site.read("one.jsonl") == whole);
        running.until("the status of it", || site.status()["spools"][0]["waiting"] == 0);
        running.signal(signal);
        running.end();
    }
    assert_eq!(site.read("one.jsonl"), text);
    // A line that is but a line feed short is no beginning.
    let mut running = site.runs(&["fifo"]);
    running.until("a status", || site.status()["state"] == "running");
    both.write_all(event(4).as_bytes()).expect("room");
    thread::sleep(Duration::from_millis(300));
    running.signal("TERM");
    running.end().with_code(0);
    assert_eq!(site.read("one.jsonl"), events(0..5));
}

#[test]
fn a_line_that_is_longer_than_a_pipe_holds_arrives() {
    let site = Site::new(&[to_file("one", "one.jsonl")]);
    let mut both = fifo(&site);
    let long = event(0).replace("build-0", &"x".repeat(300_000)) + "\n" + &events(1..3);
    let mut running = site.runs(&["fifo"]);
    both.write_all(long.as_bytes()).expect("a reader");
    running.until("all", || site.read("one.jsonl").len() >= long.len());
    running.signal("TERM");
    running.end().with_code(0);
    assert_eq!(site.read("one.jsonl"), long);
    assert_all(&ids(&site.read("one.jsonl")), 0..3);
}
