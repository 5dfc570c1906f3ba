//! Regular files as the input of a run: followed by name, and compressed by gzip.

use std::{
    collections::BTreeSet,
    fs::{self, OpenOptions},
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use crate::site::{Running, Site, events, start, to_file};

fn append(site: &Site, name: &str, text: &str) {
    let mut file = OpenOptions::new().append(true).create(true).open(site.path(name)).expect("room");
    file.write_all(text.as_bytes()).expect("room");
}

fn follow(site: &Site, input: &str) -> Running {
    start(site.command(&["run", "--state", "state", input]).stdin(Stdio::null()))
}

fn gzip(path: &Path) {
    assert!(Command::new("gzip").arg(path).status().expect("gzip runs").success());
}

/// The names of the events in lines. A line that is being written, or was cut off by a kill, has none.
fn names(text: &str) -> Vec<String> {
    let name = |line: &str| {
        serde_json::from_str::<serde_json::Value>(line).ok()?["name"].as_str().map(str::to_owned)
    };
    text.lines().filter_map(name).collect()
}

/// Whether exactly these events have arrived, in this order.
fn has_arrived(site: &Site, from: usize, to: usize) -> bool {
    names(&site.read("out.jsonl")) == names(&events(from..to))
}

/// Whether these events have arrived, in this order, some of them twice: a backend gets a batch again if a kill comes
/// before its outcome was stored.
fn has_arrived_at_least_once(site: &Site, from: usize, to: usize) -> bool {
    let mut seen = BTreeSet::new();
    let mut arrived = names(&site.read("out.jsonl"));
    arrived.retain(|name| seen.insert(name.clone()));
    arrived == names(&events(from..to))
}

#[test]
fn a_file_is_followed_over_rename_truncation_and_removal() {
    let site = Site::new(&[to_file("main", "out.jsonl")]);
    append(&site, "in.jsonl", &events(0..10));
    let mut run = follow(&site, "in.jsonl");
    run.until("the lines that were there", || has_arrived(&site, 0, 10));
    let text = events(10..12);
    let (half, rest) = text.split_at(text.len() - 5);
    append(&site, "in.jsonl", half);
    run.until("a whole line", || has_arrived(&site, 0, 11));
    append(&site, "in.jsonl", rest);
    run.until("the rest of a line", || has_arrived(&site, 0, 12));
    fs::rename(site.path("in.jsonl"), site.path("in.jsonl.1")).expect("renamed");
    append(&site, "in.jsonl.1", &events(12..13));
    append(&site, "in.jsonl", &events(13..20));
    run.until("the rest of the old file, and the new one", || has_arrived(&site, 0, 20));
    // As `copytruncate` of logrotate does.
    OpenOptions::new().write(true).open(site.path("in.jsonl")).expect("there").set_len(0).expect("room");
    run.until_said("in.jsonl was truncated: it is read from its start");
    append(&site, "in.jsonl", &events(20..25));
    run.until("what came after the truncation", || has_arrived(&site, 0, 25));
    fs::remove_file(site.path("in.jsonl")).expect("removed");
    append(&site, "in.jsonl", &events(25..30));
    run.until("the file that came back", || has_arrived(&site, 0, 30));
    run.signal("TERM");
    let ended = run.end().with_code(0);
    assert!(ended.stderr.contains("main: 30 delivered"), "{ended:#?}");
}

#[test]
fn a_new_file_that_can_not_be_opened_yet_does_not_end_the_run() {
    let site = Site::new(&[to_file("main", "out.jsonl")]);
    append(&site, "in.jsonl", &events(0..10));
    let mut run = follow(&site, "in.jsonl");
    run.until("the lines that were there", || has_arrived(&site, 0, 10));
    fs::rename(site.path("in.jsonl"), site.path("in.jsonl.1")).expect("renamed");
    fs::create_dir(site.path("in.jsonl")).expect("room");
    run.until_said("in.jsonl: expected a file, found a folder: the new file is read once it can be opened");
    append(&site, "in.jsonl.1", &events(10..20));
    run.until("what was appended to the old file meanwhile", || has_arrived(&site, 0, 20));
    fs::remove_dir(site.path("in.jsonl")).expect("empty");
    append(&site, "in.jsonl", &events(20..30));
    run.until("the new file", || has_arrived(&site, 0, 30));
    run.signal("TERM");
    let ended = run.end().with_code(0);
    assert_eq!(ended.stderr.matches("expected a file").count(), 1, "{ended:#?}");
}

#[test]
fn a_run_reads_on_where_the_last_one_has_stopped() {
    let site = Site::new(&[to_file("main", "out.jsonl")]);
    append(&site, "in.jsonl", &events(0..10));
    let mut run = follow(&site, "in.jsonl");
    run.until("the lines that were there", || has_arrived(&site, 0, 10));
    run.signal("KILL");
    drop(run);
    append(&site, "in.jsonl", &events(10..20));
    let mut run = follow(&site, "in.jsonl");
    run.until("the lines that came meanwhile", || has_arrived_at_least_once(&site, 0, 20));
    run.signal("TERM");
    run.end().with_code(0);
    // Renamed between two runs.
    append(&site, "in.jsonl", &events(20..30));
    fs::rename(site.path("in.jsonl"), site.path("in.jsonl.1")).expect("renamed");
    append(&site, "in.jsonl", &events(30..40));
    let mut run = follow(&site, "in.jsonl");
    run.until_said("in.jsonl.1, which is read first");
    run.until("both files", || has_arrived_at_least_once(&site, 0, 40));
    run.signal("TERM");
    run.end().with_code(0);
}

#[test]
fn a_followed_file_is_read_on_after_kills_without_a_loss() {
    const EVENTS: usize = 20_000;
    let site = Site::new(&[to_file("main", "out.jsonl")]);
    append(&site, "in.jsonl", "");
    let writer = {
        let path = site.path("in.jsonl");
        std::thread::spawn(move || {
            let mut file = OpenOptions::new().append(true).open(path).expect("there");
            for event in events(0..EVENTS).lines() {
                file.write_all(format!("{event}\n").as_bytes()).expect("room");
            }
        })
    };
    for kill in 1..=5 {
        let mut run = follow(&site, "in.jsonl");
        run.until("some events", || site.lines("out.jsonl") >= kill * EVENTS / 10);
        run.signal("KILL");
    }
    let mut run = follow(&site, "in.jsonl");
    writer.join().expect("no panic");
    let arrived = || BTreeSet::from_iter(names(&site.read("out.jsonl"))).len();
    run.until("every event", || arrived() == EVENTS);
    run.signal("TERM");
    run.end().with_code(0);
    let files = fs::read_dir(site.path("state")).expect("there").flatten();
    let bad: Vec<_> = files.filter(|file| file.file_name().to_string_lossy().contains("bad-lines")).collect();
    assert!(bad.is_empty(), "{bad:?}");
}

#[test]
fn a_compressed_file_is_read_once_to_its_end() {
    let site = Site::new(&[to_file("main", "out.jsonl")]);
    // Two members, as `cat a.gz b.gz` makes them, and a last line without its end.
    site.write("one", events(0..5_000));
    site.write("two", events(5_000..6_000).trim_end());
    gzip(&site.path("one"));
    gzip(&site.path("two"));
    let both = [fs::read(site.path("one.gz")).expect("there"), fs::read(site.path("two.gz")).expect("there")]
        .concat();
    site.write("in.gz", &both);
    let ended = follow(&site, "in.gz").end().with_code(0);
    assert!(has_arrived(&site, 0, 6_000), "{ended:#?}");
    follow(&site, "in.gz").end().with_code(0);
    assert!(has_arrived(&site, 0, 6_000), "the second run has nothing to read");
    site.write("cut.gz", &both[..both.len() / 2]);
    // Without the state of the run before, so that the file is read from its start.
    let cut = || start(site.command(&["run", "--state", "cut", "cut.gz"]).stdin(Stdio::null()));
    fs::remove_file(site.path("out.jsonl")).expect("there");
    let ended = cut().end().with_code(7);
    assert_eq!(ended.stderr.matches("could be decompressed").count(), 1, "{ended:#?}");
    let taken = site.lines("out.jsonl");
    assert!(taken > 1_000 && has_arrived(&site, 0, taken), "{taken}: {ended:#?}");
    cut().end().with_code(7);
    assert_eq!(site.lines("out.jsonl"), taken, "the second run has nothing to read");
    // `send` takes the same files.
    fs::remove_file(site.path("out.jsonl")).expect("there");
    site.run(&["send", "in.gz"]).with_code(0);
    assert!(has_arrived(&site, 0, 6_000));
    let ended = site.run(&["send", "cut.gz"]).with_code(7);
    assert!(ended.stderr.contains("input cut.gz: line "), "{ended:#?}");
    assert_eq!(site.lines("out.jsonl"), 6_000 + taken, "the same lines");
}
