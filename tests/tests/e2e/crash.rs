//! `jackfield send` when the machine or the user ends it: full disks, signals, readers that go away.
#![cfg(unix)]

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead as _, BufReader, Seek as _, SeekFrom, Write as _},
    path::Path,
    process::{Command, Stdio},
};

use jackfield_tests::{fixture, plugin};
use serde_json::Value;

use crate::site::{Site, backend, event, events, hostile, id, ids, start, start_with_output, to_file};

/// The size that no file may exceed in [`with_file_limit`]: a plugin that is loaded is copied, and must fit.
fn file_limit(plugin: &Path) -> u64 {
    (fs::metadata(plugin).expect("there").len() / BLOCK + 100) * BLOCK
}

/// What `ulimit -f` counts in, in a POSIX shell.
const BLOCK: u64 = 512;

/// `jackfield send` that can't make any file larger than [`file_limit`].
fn with_file_limit(site: &Site, plugin: &Path, arguments: &[&str]) -> Command {
    let blocks = file_limit(plugin) / BLOCK;
    let script = format!("ulimit -f {blocks}; exec \"$0\" \"$@\"");
    let cli = jackfield_tests::cli();
    let program = ["-c", &script, cli.to_str().expect("UTF-8"), "send", "--json"];
    site.command_of("sh".as_ref(), &[&program, arguments].concat())
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_of_the_backend_keeps_its_events() {
    let site = Site::new(&[to_file("full", "/dev/full"), to_file("healthy", "healthy.jsonl")]);
    let ended = site.send(events(0..1000), &["--give-up-after", "300ms"]).with_code(6);
    let [delivered, _, rejected, undelivered, lost] = ended.counts("full");
    assert_eq!([delivered, rejected, undelivered, lost], [0, 0, 1000, 0]);
    assert!(ended.stdout.contains("/dev/full: No space left on device"), "{}", ended.stdout);
    assert_eq!(site.kept(".full.undelivered.jsonl"), events(0..1000));
    assert_eq!(site.read("healthy.jsonl"), events(0..1000));
}

#[test]
fn a_disk_that_fills_up_loses_and_doubles_nothing() {
    let site = Site::new(&[to_file("main", "out.jsonl")]);
    // What is there leaves room for ten events and a half; what is left over has room in a file of its own.
    let before = file_limit(&plugin("file")) - (10 * (event(0).len() + 1) + event(0).len() / 2) as u64;
    let mut out = fs::File::create(site.path("out.jsonl")).expect("made");
    out.set_len(before - 1)
        .and_then(|()| out.seek(SeekFrom::End(0)))
        .and_then(|_| out.write_all(b"\n"))
        .expect("writable");
    let mut running = start(
        with_file_limit(&site, &plugin("file"), &["--give-up-after", "300ms", "--batch-events", "4"])
            .stdin(Stdio::piped()),
    );
    running.feed(events(0..40).into_bytes());
    let ended = running.end().with_code(6);
    let [delivered, _, rejected, undelivered, lost] = ended.counts("main");
    assert_eq!((delivered + undelivered, rejected, lost), (40, 0, 0));
    let written = ids(&site.read("out.jsonl")[usize::try_from(before).expect("small")..]);
    assert_eq!(written.len() as u64, delivered, "no more is called delivered than is there, whole");
    assert!((8..=10).contains(&delivered), "{delivered}");
    let left = ids(&site.kept(".main.undelivered.jsonl"));
    assert_eq!([written, left].concat(), (0..40).map(id).collect::<Vec<_>>());
    assert!(ended.stdout.contains("out.jsonl: File too large"), "{}", ended.stdout);
}

#[test]
fn leftovers_that_can_not_be_written_stop_reading() {
    const EVENTS: usize = 80_000;
    let site = Site::new(&[hostile("5s", "outcome = \"retry\"")]);
    let hostile = fixture("hostile");
    site.write("in.jsonl", events(0..EVENTS));
    assert!(EVENTS * event(0).len() > 2 * usize::try_from(file_limit(&hostile)).expect("small"));
    let arguments = ["--give-up-after", "50ms", "--batch-events", "100", "in.jsonl"];
    let ended = start(with_file_limit(&site, &hostile, &arguments).stdin(Stdio::null())).end().with_code(7);
    let [delivered, _, rejected, undelivered, lost] = ended.counts("hostile");
    let read = ended.summary()["events"].as_u64().expect("a count");
    assert_eq!((delivered, rejected, undelivered), (0, 0, read));
    assert!(read < EVENTS as u64, "reading was stopped");
    let kept = site.kept(".hostile.undelivered.jsonl");
    assert!(kept.ends_with('\n') && lost > 0, "the line that did not fit is cut off");
    let whole = (0..EVENTS).map(id).take(ids(&kept).len()).collect::<Vec<_>>();
    assert_eq!(ids(&kept), whole);
    assert_eq!(whole.len() as u64 + lost, undelivered, "what is lost is in no file, and the rest is");
    let told = ended.stderr.lines().find(|line| line.starts_with("error: ")).unwrap_or_default();
    assert!(
        told.contains("File too large") && told.contains(&format!("lost: {lost} events")),
        "{}",
        ended.stderr
    );
}

#[test]
fn bad_lines_that_can_not_be_kept_are_told() {
    let site = Site::new(&[to_file("main", "out.jsonl")]);
    let mut running = start(with_file_limit(&site, &plugin("file"), &[]).stdin(Stdio::piped()));
    let size = usize::try_from(file_limit(&plugin("file"))).expect("small");
    let line = "x".repeat(1000) + "\n";
    // The last line, in pieces, is what does not fit.
    let long = "y".repeat(3_000_000) + "\n";
    let input = [line.repeat(size / 1001 - 2000), long, line, events(0..2)].concat();
    running.feed(input.into_bytes());
    let ended = running.end().with_code(7);
    let kept = site.kept(".bad-lines.txt");
    assert!(kept == ("x".repeat(1000) + "\n").repeat(size / 1001 - 2000), "whole lines only: {}", kept.len());
    assert!(ended.stderr.contains("; lost: 2 bad lines"), "{}", ended.stderr);
    assert!(ended.stderr.contains("File too large") && ended.stderr.contains("; lost: "), "{}", ended.stderr);
    assert_eq!(ended.counts("main"), [2, 0, 0, 0, 0]);
}

#[test]
fn a_kill_tears_at_most_one_line() {
    const RUNS: usize = 20;
    const EVENTS: usize = 8000;
    let site = Site::new(&[to_file("main", "out.jsonl")]);
    site.write("in.jsonl", events(0..EVENTS));
    let size = fs::metadata(site.path("in.jsonl")).expect("there").len();
    let length = || fs::metadata(site.path("out.jsonl")).map_or(0, |file| file.len());
    let mut torn = 0;
    // Moments that differ from run to run, the same in every run of this test.
    let mut moment = 12345_u64;
    for run in 0..RUNS {
        moment = moment.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let enough = length() + (moment >> 33) % (size * 8 / 10);
        let mut running = start(site.command(&["send", "in.jsonl"]).stdin(Stdio::null()));
        running.until("the file to grow", || length() > enough);
        running.signal("KILL");
        assert_eq!(running.end().code, None, "killed");
        if run % 4 == 0 {
            // The kernel rarely stops within a write: here is a tear for certain.
            let mut file = fs::OpenOptions::new().append(true).open(site.path("out.jsonl")).expect("opens");
            file.write_all(&event(run).as_bytes()[..100]).expect("writable");
            torn += 1;
        }
    }
    site.send(events(EVENTS..EVENTS + 1), &[]).with_code(0);
    let text = site.read("out.jsonl");
    let broken: Vec<_> = text.lines().filter(|line| serde_json::from_str::<Value>(line).is_err()).collect();
    assert!((torn..=torn + RUNS).contains(&broken.len()), "{} torn lines", broken.len());
    for line in broken {
        assert!(event_begins_with(line), "more than the beginning of one event: {line}");
    }
    assert!(text.ends_with(&format!("\n{}\n", event(EVENTS))), "the last event stands on a line of its own");
}

/// Whether `line` is the beginning of one event, and nothing is joined to it.
fn event_begins_with(line: &str) -> bool {
    (0..8000).any(|number| event(number).starts_with(line))
}

#[test]
fn two_runs_at_once_append_whole_lines_to_one_file() {
    let site = Site::new(&[to_file("main", "out.jsonl")]);
    let runs = [0..3000, 3000..6000].map(|numbers| {
        let mut command = site.command(&["send", "--json", "--batch-events", "7"]);
        let mut running = start(command.stdin(Stdio::piped()));
        running.feed(events(numbers).into_bytes());
        running
    });
    for running in runs {
        assert_eq!(running.end().with_code(0).counts("main"), [3000, 0, 0, 0, 0]);
    }
    let mut arrived = ids(&site.read("out.jsonl"));
    arrived.sort();
    assert_eq!(arrived, (0..6000).map(id).collect::<Vec<_>>());
}

#[test]
fn an_interrupt_does_not_wait_for_a_hanging_plugin() {
    let site = Site::new(&[hostile("1s", "hang = \"send\"\nrecord = \"record\"")]);
    let mut running = start(site.command(&["send", "--json", "--give-up-after", "1h"]).stdin(Stdio::piped()));
    running.feed(events(0..3).into_bytes());
    running.until("the call", || !site.read("record").is_empty());
    running.signal("INT");
    let ended = running.end().with_code(130);
    assert_eq!(ended.counts("hostile"), [0, 0, 0, 3, 0]);
    assert_eq!(site.kept(".hostile.undelivered.jsonl"), events(0..3));
}

#[test]
fn a_third_interrupt_ends_at_once() {
    let site = Site::new(&[hostile("1h", "hang = \"send\"\nrecord = \"record\"")]);
    let mut running = start(site.command(&["send"]).stdin(Stdio::piped()));
    running.feed(events(0..3).into_bytes());
    running.until("the call", || !site.read("record").is_empty());
    // Two that come together are one.
    while running.goes_on() {
        running.signal("INT");
    }
    let ended = running.end().with_code(130);
    assert!(ended.stderr.contains("or a third one, ends at once"), "{}", ended.stderr);
}

#[test]
fn an_interrupt_keeps_what_was_read_and_not_delivered() {
    let site = Site::new(&[
        hostile("5s", "sleep_ms = 20\nrecord = \"record\""),
        to_file("healthy", "healthy.jsonl"),
    ]);
    let mut running = start(site.command(&["send", "--json", "--batch-events", "10"]).stdin(Stdio::piped()));
    // More than fits: the input is open and unfinished when the signal comes.
    running.feed(events(0..100_000).into_bytes());
    running.until("a few batches", || site.read("record").lines().count() >= 30);
    running.signal("INT");
    let ended = running.end().with_code(130);
    let summary = ended.summary();
    assert_eq!(summary["interrupted"], true);
    let read = usize::try_from(summary["events"].as_u64().expect("a count")).expect("small");
    assert!(read < 100_000);
    let [delivered, _, rejected, undelivered, lost] = ended.counts("hostile");
    assert_eq!((delivered + undelivered, rejected, lost), (read as u64, 0, 0));
    assert!(undelivered > 0, "it came too late: {summary}");
    let arrived: Vec<_> = site.read("record").lines().map(str::to_owned).collect();
    assert_eq!(arrived.len() as u64, delivered);
    let left = ids(&site.kept(".hostile.undelivered.jsonl"));
    assert_eq!([arrived, left].concat(), (0..read).map(id).collect::<Vec<_>>());
    // The other backend's files complete each other in the same way.
    let healthy: BTreeSet<_> = ids(&site.read("healthy.jsonl")).into_iter().collect();
    assert_eq!(healthy.len() as u64, ended.counts("healthy")[0]);
    assert!(ended.stderr.contains("interrupted: events that were read"), "{}", ended.stderr);
}

#[test]
fn an_interrupt_ends_a_wait_for_input_or_a_retry() {
    let site = Site::new(&[hostile("5s", "outcome = \"retry\"\nrecord = \"record\"")]);
    let mut running = start(site.command(&["send", "--json", "--give-up-after", "1h"]).stdin(Stdio::piped()));
    let mut stdin = running.stdin();
    stdin.write_all(events(0..3).as_bytes()).expect("read");
    running.until("an attempt", || site.read("record").lines().count() >= 3);
    running.signal("TERM");
    let ended = running.end().with_code(130);
    drop(stdin);
    assert_eq!(ended.counts("hostile")[3], 3);
    assert_eq!(site.kept(".hostile.undelivered.jsonl"), events(0..3));
}

/// Standard output without a reader.
fn closed() -> Stdio {
    std::io::pipe().expect("a pipe").1.into()
}

#[test]
fn events_are_kept_when_the_reader_of_standard_output_leaves() {
    let lines = backend("lines", &plugin("stdout"), "config = { format = \"lines\" }");
    let site = Site::new(&[lines, to_file("main", "out.jsonl")]);
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let mut running = start_with_output(
        site.command(&["send", "--batch-events", "10"]).stdin(Stdio::piped()).stdout(writer),
    );
    let mut stdin = running.stdin();
    stdin.write_all(events(0..10).as_bytes()).expect("read");
    let mut first = String::new();
    BufReader::new(reader).read_line(&mut first).expect("readable");
    assert_eq!(first, event(0) + "\n");
    // The reader is gone, like `head -n 1`.
    stdin.write_all(events(10..1000).as_bytes()).expect("read");
    drop(stdin);
    let ended = running.end().with_code(6);
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
    assert!(ended.stderr.contains("the reader of standard output is gone"), "{}", ended.stderr);
    assert!(ended.took < std::time::Duration::from_secs(20), "nobody comes back: {:?}", ended.took);
    assert_eq!(ids(&site.kept(".lines.undelivered.jsonl")), (10..1000).map(id).collect::<Vec<_>>());
    assert!(site.files(".rejected.jsonl").is_empty(), "nothing was refused for good");
    assert_eq!(site.read("out.jsonl"), events(0..1000), "the other backend goes on");
}

#[test]
fn commands_without_a_reader_end_in_silence() {
    let site = Site::new(&[to_file("main", "out.jsonl")]);
    let file = plugin("file");
    let file = file.to_str().expect("UTF-8");
    for arguments in [
        &["inspect", file][..],
        &["inspect", "--json", file],
        &["plugins", "--json"],
        &["completions", "bash"],
        &["--help"],
        &["send", "--json", "/dev/null"],
    ] {
        let ended = start_with_output(site.command(arguments).stdin(Stdio::null()).stdout(closed())).end();
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{arguments:?}");
    }
}

#[test]
fn messages_without_a_reader_change_nothing_else() {
    let site = Site::new(&[to_file("main", "out.jsonl")]);
    let input = site.write("in.jsonl", events(0..2) + "bad\n");
    let mut command = site.command(&["send", input.to_str().expect("UTF-8")]);
    let status = command.stdin(Stdio::null()).stderr(closed()).status().expect("runs");
    assert_eq!(status.code(), Some(5));
    assert_eq!(site.read("out.jsonl"), events(0..2));
}

#[cfg(target_os = "linux")]
#[test]
fn a_summary_that_can_not_be_written_is_an_error() {
    let site = Site::new(&[to_file("main", "out.jsonl")]);
    let full = fs::OpenOptions::new().write(true).open("/dev/full").expect("opens");
    let ended =
        start_with_output(site.command(&["plugins", "--json"]).stdin(Stdio::null()).stdout(full)).end();
    assert_eq!(ended.code, Some(7), "{ended:#?}");
    assert!(ended.stderr.contains("standard output can't be written: No space left"), "{}", ended.stderr);
}
