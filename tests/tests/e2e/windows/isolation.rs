//! Plugins in processes of their own: what ends them ends nothing else, and they end with the command.

use std::{fs, path::Path, process::Stdio};

use jackfield_loader::MOST_CRASHES;
use jackfield_test_support::{LONG, wait_until};
use jackfield_tests::{c_fixture_for_windows, events::events};
use serde_json::Value;

use super::{Windows, backend, built, delivery::file, processes};
use crate::site::start;

/// Puts a copy of a library there whose bytes no other file has: crashes are counted by these, in the home that all tests have.
fn put_own(site: &Windows, library: &Path, name: &str) {
    let mut bytes = fs::read(library).expect("built by scripts/test --windows");
    bytes.extend(format!("{} {name}", site.path("").display()).bytes());
    fs::write(site.path(&format!("plugins/{name}.dll")), bytes).expect("writable");
}

/// A backend with this name in a process of its own.
fn alone(plugin: &str, name: &str, rest: &str) -> String {
    backend(plugin, &format!("name = {name:?}\nisolation = \"process\"\n{rest}"))
}

fn hostile(plugin: &str, name: &str, config: &str) -> String {
    alone(plugin, name, &format!("[backend.config]\n{config}"))
}

/// The numbers of the children of a backend with this name.
fn children(name: &str) -> Vec<u32> {
    processes(&["jackfield:child", name])
}

/// A name that no other test's backend has.
fn unique(word: &str) -> String {
    format!("{word}-{}-windows", std::process::id())
}

#[test]
#[ignore = "scripts/test --windows runs it"]
fn a_plugin_in_a_process_of_its_own_delivers_and_its_words_reach_the_log() {
    let name = unique("words");
    let hostile =
        hostile("hostile", &name, "print = 200000\nlog = \"a word to the log\"\nrecord = \"record\"");
    let written = alone("file", "written", "config = { path = \"öut.jsonl\" }");
    let site = Windows::new(&["hostile", "file"], &[hostile, written]);
    let ended = site.send(&events(0..20), &[]).with_code(0);
    assert_eq!(ended.counts(&name), [20, 0, 0, 0, 0], "{ended:#?}");
    assert_eq!(site.read("öut.jsonl"), events(0..20));
    assert_eq!(site.lines("record"), 20);
    for said in ["a word to the log", "the plugin makes noise", "more bytes"] {
        assert!(ended.stderr.contains(said), "{said}: {ended:#?}");
    }
    assert!(!ended.stdout.contains("noise"), "{ended:#?}");
    wait_until("it ends with the command", || children(&name).is_empty());
}

#[test]
#[ignore = "scripts/test --windows runs it"]
fn a_crash_or_a_hang_ends_the_process_of_its_plugin_alone() {
    let site = Windows::new(&["file"], &[]);
    for (name, config, said) in [
        ("access", "", "ended by the exception 0xC0000005 (a forbidden access"),
        ("abort", "crash = \"send\"\ncrash_by = \"abort\"", "the exception 0xC0000409"),
        ("exit", "crash = \"send\"\ncrash_by = \"exit\"", "exit code 0 inside a call"),
        ("hang", "hang = \"send\"", "no answer within"),
    ] {
        let library =
            if name == "access" { c_fixture_for_windows("CRASHES") } else { built().join("hostile.dll") };
        put_own(&site, &library, name);
        let rest = format!("timeout = \"5s\"\n[backend.config]\n{config}");
        site.configure("", &[alone(name, &unique(name), &rest), file("good", &format!("{name}.jsonl"))]);
        let ended = site.send(&events(0..3), &["--give-up-after", "1s"]);
        assert_eq!(ended.counts("good"), [3, 0, 0, 0, 0], "{name}: {ended:#?}");
        assert!(ended.stderr.contains(said), "{name}: {ended:#?}");
        assert!(ended.took < LONG / 2, "{name}: {ended:#?}");
        wait_until("the process has ended", || children(&unique(name)).is_empty());
    }
}

#[test]
#[ignore = "scripts/test --windows runs it"]
fn a_fresh_process_delivers_what_the_crashed_one_did_not() {
    let config = "crash = \"send\"\ncrash_by = \"abort\"\nuntil = \"mended\"\nrecord = \"record\"";
    let site = Windows::new(&[], &[hostile("crashing", "main", config)]);
    put_own(&site, &built().join("hostile.dll"), "crashing");
    let mut running = site.runs(&[]);
    running.feed(events(0..10).into());
    running.until_said("ended by the exception");
    site.write("mended", "");
    assert!(running.end().with_code(0).stderr.contains("crash"));
    let mut found = site.read("record").lines().map(str::to_owned).collect::<Vec<_>>();
    found.sort();
    found.dedup();
    assert_eq!(found.len(), 10, "{found:?}");
}

#[test]
#[ignore = "scripts/test --windows runs it"]
fn a_process_ends_with_a_command_that_is_killed_and_a_killed_one_is_replaced() {
    let name = unique("killed");
    let site = Windows::new(&["file"], &[alone("file", &name, "config = { path = \"out.jsonl\" }")]);
    let mut running = site.runs(&[]);
    let mut stdin = running.stdin();
    let mut write =
        |range| std::io::Write::write_all(&mut stdin, events(range).as_bytes()).expect("writable");
    write(0..10);
    running.until("the first events", || site.lines("out.jsonl") == 10);
    let first = children(&name);
    let [process] = first[..] else { panic!("{first:?}") };
    let kill = std::process::Command::new("kill").args(["-KILL", &process.to_string()]).status();
    assert!(kill.expect("there is such a program").success());
    write(10..20);
    running.until("the others", || site.lines("out.jsonl") >= 20);
    let second = children(&name);
    assert!(second.len() == 1 && second != first, "{first:?} {second:?}");
    running.signal("KILL");
    running.end();
    wait_until("the process has ended", || children(&name).is_empty());
}

#[test]
#[ignore = "scripts/test --windows runs it"]
fn a_limit_that_windows_lacks_is_refused_with_its_key() {
    let site = Windows::new(&["file"], &[]);
    for (table, said) in [
        ("limits]\nfiles = 9", "limits.files`"),
        ("limits]\nmemory = \"1MiB\"", "limits.memory`: 1048576 bytes of committed memory"),
        ("sandbox]", "sandbox`: expected Linux"),
        ("limits]\nmemory = \"1GiB\"\ncpu = \"60s\"", ""),
    ] {
        let rest = format!("config = {{ path = \"out.jsonl\" }}\n[backend.{table}");
        site.configure("", &[alone("file", "it", &rest)]);
        let ended = site.send(&events(0..1), &["--give-up-after", "1s"]);
        assert!(ended.stderr.contains(said), "{table}: {ended:#?}");
        assert_eq!(ended.code == Some(0), said.is_empty(), "{table}: {ended:#?}");
        assert_eq!(Path::new(&site.path("out.jsonl")).exists(), said.is_empty(), "{table}");
    }
}

#[test]
#[ignore = "scripts/test --windows runs it"]
fn a_plugin_that_crashes_five_times_in_a_row_is_left_alone_until_its_file_changes() {
    let crashing = alone("hostile", "main", "[backend.config]\ncrash = \"open\"\ncrash_by = \"abort\"");
    let site = Windows::new(&["hostile"], &[crashing]);
    site.write("in.jsonl", events(0..1));
    let send = || {
        let send = ["send", "--give-up-after", "1s", "in.jsonl"];
        start(site.with_own_folders(&built().join("jackfield.exe"), &send).stdin(Stdio::null())).end()
    };
    let record = || {
        let folder = site.path("localappdata/jackfield/run/crashes");
        let records: Vec<_> =
            fs::read_dir(folder).expect("made").map(|entry| entry.expect("readable").path()).collect();
        let [record] = &records[..] else { panic!("{records:?}") };
        let text = fs::read_to_string(record).expect("readable");
        (record.clone(), serde_json::from_str::<Value>(&text).expect("JSON"))
    };
    for count in 1..=MOST_CRASHES {
        let ended = send();
        assert!(ended.stderr.contains("ended by the exception 0xC0000409"), "{count}: {ended:#?}");
        let (file, mut crash) = record();
        assert_eq!(crash["count"], count, "{ended:#?}");
        // As if the pause before the next one were over.
        crash["time"] = 0.into();
        fs::write(file, crash.to_string()).expect("writable");
    }
    let ended = send();
    let said = "crashed 5 times in a row (ended by the exception 0xC0000409 (an abort)";
    assert!(ended.stderr.contains(said) && ended.stderr.contains("until it changes"), "{ended:#?}");
    assert_eq!(record().1["count"], MOST_CRASHES, "it was not started");

    let mut bytes = fs::read(site.path("plugins/hostile.dll")).expect("copied");
    bytes.push(0);
    fs::write(site.path("plugins/hostile.dll"), bytes).expect("writable");
    let ended = send();
    assert!(!ended.stderr.contains("until it changes") && ended.stderr.contains("0xC0000409"), "{ended:#?}");
}

#[test]
#[ignore = "scripts/test --windows runs it"]
fn a_plugin_that_hangs_gets_no_call_until_its_pause_is_over() {
    let config =
        "timeout = \"500ms\"\n[backend.config]\nhang = \"send\"\nuntil = \"mended\"\nrecord = \"record\"";
    let site = Windows::new(&["hostile"], &[backend("hostile", &format!("name = \"main\"\n{config}"))]);
    let mut running = site.runs(&[]);
    running.feed(events(0..10).into());
    running.until_said("circuit opened");
    site.write("mended", "");
    let ended = running.end().with_code(0);
    assert!(ended.stderr.contains("no answer within"), "{ended:#?}");
    let mut found: Vec<_> = site.read("record").lines().map(str::to_owned).collect();
    found.sort();
    found.dedup();
    assert_eq!(found.len(), 10, "{found:?}");
}
