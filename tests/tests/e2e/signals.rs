//! Signals to `jackfield send` and `jackfield run`, as users, process managers and wrappers send them.

use std::{
    fs,
    io::Write as _,
    process::{Command, Stdio},
};

use jackfield_test_support::wait_until;
use jackfield_tests::cli;

use crate::site::{Running, Site, events, hostile, id, ids, start, to_file};

/// A backend that takes nothing, and whose calls are noted in `record`.
fn dead() -> String {
    hostile("60s", "outcome = \"retry\"\nrecord = \"record\"\n")
}

/// The command behind another program, which starts it with these arguments of its own.
fn behind(site: &Site, wrapper: &[&str], arguments: &[&str]) -> Command {
    let cli = cli();
    let rest = [&wrapper[1..], &[cli.to_str().expect("UTF-8")], arguments].concat();
    let mut command = site.command_of(wrapper[0].as_ref(), &rest);
    command.stdin(Stdio::piped());
    command
}

/// Runs Python code that ends with the command in its place.
fn by_python(site: &Site, code: &str, arguments: &[&str]) -> Running {
    let code = format!("import os, signal, sys\n{code}\nos.execv(sys.argv[1], sys.argv[1:])");
    start(&mut behind(site, &["python3", "-c", &code], arguments))
}

/// The signals in a line of `/proc/PID/status`, as bits.
fn signals(process: u32, line: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let found = status.lines().find_map(|found| found.strip_prefix(line)?.strip_prefix(":\t"));
    found.map_or(0, |bits| u64::from_str_radix(bits, 16).expect("hexadecimal"))
}

const HANGUP: u64 = 1;

#[test]
fn timeout_which_signals_twice_costs_nothing_of_what_was_read() {
    for _ in 0..10 {
        let site = Site::new(&[dead()]);
        let arguments = ["send", "--json", "--give-up-after", "1h", "--batch-events", "100"];
        let mut running = start(&mut behind(&site, &["timeout", "1h"], &arguments));
        let mut stdin = running.stdin();
        // All that is read fits into the queue of the backend.
        stdin.write_all(events(0..300).as_bytes()).expect("read");
        running.until("an attempt", || !site.read("record").is_empty());
        running.until("all is read", || rustix::io::ioctl_fionread(&stdin).expect("a pipe") == 0);
        // `timeout` passes it on to its child, and then to the child's group.
        running.signal("TERM");
        let ended = running.end().with_code(130);
        drop(stdin);
        assert_eq!(ended.counts("hostile"), [0, ended.counts("hostile")[1], 0, 300, 0]);
        assert_eq!(site.kept(".hostile.undelivered.jsonl"), events(0..300));
    }
}

#[test]
fn two_signals_milliseconds_apart_are_one_request() {
    // The call goes on after the first signal.
    let site = Site::new(&[hostile("3s", "hang = \"send\"\nrecord = \"record\"\n")]);
    let mut running = start(site.command(&["send", "--json", "--give-up-after", "1h"]).stdin(Stdio::piped()));
    let mut stdin = running.stdin();
    stdin.write_all(events(0..3).as_bytes()).expect("read");
    running.until("the call", || !site.read("record").is_empty());
    let twice = format!("kill -s TERM {0}; sleep 0.02; kill -s TERM {0}", running.id());
    assert!(Command::new("sh").args(["-c", &twice]).status().expect("sh runs").success());
    let ended = running.end().with_code(130);
    assert_eq!(ended.counts("hostile"), [0, 0, 0, 3, 0]);
    assert_eq!(site.kept(".hostile.undelivered.jsonl"), events(0..3));
}

#[test]
fn bytes_after_a_signal_stay_in_the_pipe() {
    let site = Site::new(&[dead()]);
    let (mut reader, mut writer) = std::io::pipe().expect("a pipe");
    let mut command = site.command(&["send", "--json", "--give-up-after", "1h"]);
    let mut running = start(command.stdin(reader.try_clone().expect("a copy")));
    let text = events(0..30_000);
    let feed = std::thread::Builder::new().spawn(move || writer.write_all(text.as_bytes()));
    running.until("an attempt", || !site.read("record").is_empty());
    running.signal("TERM");
    let ended = running.end().with_code(130);
    let mut rest = String::new();
    std::io::Read::read_to_string(&mut reader, &mut rest).expect("text");
    feed.expect("a thread").join().expect("no panic").expect("the pipe has a reader");
    // The line that was torn apart by the signal is in two places.
    let bad = ended.summary()["bad_lines"].as_u64().expect("a count");
    let kept = site.kept(".hostile.undelivered.jsonl");
    let torn = if bad > 0 { site.kept(".bad-lines.txt").trim_end().to_owned() } else { String::new() };
    assert!(kept + &torn + &rest == events(0..30_000), "{ended:#?}");
    assert_eq!(bad > 0, ended.stderr.contains(": cut off by the request to end"), "{ended:#?}");
}

#[test]
fn a_third_signal_ends_a_run_at_once() {
    let site = Site::new(&[hostile("60s", "hang = \"send\"\nrecord = \"record\"\n")]);
    let mut running =
        start(site.command(&["run", "--state", "state", "--grace", "1h"]).stdin(Stdio::piped()));
    let mut stdin = running.stdin();
    stdin.write_all(events(0..10).as_bytes()).expect("read");
    running.until("the call", || !site.read("record").is_empty());
    let twice = format!("kill -s TERM {0}; kill -s TERM {0}", running.id());
    assert!(Command::new("sh").args(["-c", &twice]).status().expect("sh runs").success());
    running.until_said("stopping: ");
    assert!(running.goes_on(), "two signals are one request");
    while running.goes_on() {
        running.signal("TERM");
    }
    running.end().with_code(130);
}

#[test]
fn a_mask_that_the_parent_has_left_is_undone() {
    let block = "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT, signal.SIGHUP})";
    let site = Site::new(&[dead()]);
    let mut running = by_python(&site, block, &["send", "--json", "--give-up-after", "1h"]);
    let mut stdin = running.stdin();
    stdin.write_all(events(0..3).as_bytes()).expect("read");
    running.until("an attempt", || !site.read("record").is_empty());
    assert_eq!(signals(running.id(), "SigBlk"), 0);
    running.signal("TERM");
    running.end().with_code(130);
    assert_eq!(site.kept(".hostile.undelivered.jsonl"), events(0..3));
}

#[test]
fn a_signal_ends_the_opening_of_backends() {
    let hangs = hostile("1h", "hang = \"open\"\ntrace = \"trace\"\n");
    let site = Site::new(&[to_file("one", "one.jsonl"), hangs]);
    for (arguments, code) in
        [(&["send"][..], 130), (&["run", "--json", "--state", "state", "--grace", "1h"], 0)]
    {
        let _ = fs::remove_file(site.path("trace"));
        let mut running = start(site.command(arguments).stdin(Stdio::piped()));
        let mut stdin = running.stdin();
        stdin.write_all(events(0..3).as_bytes()).expect("the pipe has room");
        running.until("the backend to be opened", || site.path("trace").exists());
        running.signal("TERM");
        let ended = running.end().with_code(code);
        if code == 0 {
            assert_eq!(ended.summary()["waiting"], 0);
            let status = site.read("state/status.v1.json");
            assert!(status.contains("\"state\":\"ended\"") && status.contains("\"lines\":0"), "{status}");
        } else {
            assert!(ended.stderr.contains("interrupted; nothing was read"), "{ended:#?}");
        }
        assert_eq!(site.read("one.jsonl"), "");
    }
}

#[test]
fn an_early_hangup_of_a_run_is_a_reload() {
    // The signal is pending when the program begins: no moment is earlier.
    let pending =
        "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})\nos.kill(os.getpid(), signal.SIGHUP)";
    let site = Site::new(&[to_file("one", "one.jsonl")]);
    let mut running = by_python(&site, pending, &["run", "--state", "state"]);
    running.until_said("reload: backend `one` unchanged");
    running.feed(events(0..3).into());
    running.end().with_code(0);
    assert_eq!(site.read("one.jsonl"), events(0..3));
    // Other commands have no use for it.
    let ended = by_python(&site, pending, &["plugins"]).end();
    assert_eq!(ended.code, None, "{ended:#?}");
}

#[test]
fn a_plugins_process_ignores_a_hangup() {
    let apart = to_file("one", "one.jsonl") + "isolation = \"process\"\n";
    let site = Site::new(&[apart]);
    let mut running = start(site.command(&["run", "--state", "state"]).stdin(Stdio::piped()));
    let mut stdin = running.stdin();
    stdin.write_all(events(0..3).as_bytes()).expect("read");
    running.until("the events", || site.read("one.jsonl") == events(0..3));
    let children = format!("/proc/{0}/task/{0}/children", running.id());
    let threads = fs::read_dir(format!("/proc/{}/task", running.id())).expect("Linux");
    let children: String = threads
        .map(|thread| fs::read_to_string(thread.expect("readable").path().join("children")).expect(&children))
        .collect();
    let child: u32 = children.trim().parse().expect("one child");
    wait_until("the job begins", || signals(child, "SigIgn") & HANGUP != 0 && signals(child, "SigBlk") == 0);
    let hangup = Command::new("kill").args(["-s", "HUP", &child.to_string()]).status();
    assert!(hangup.expect("kill runs").success());
    stdin.write_all(events(3..6).as_bytes()).expect("read");
    drop(stdin);
    running.end().with_code(0);
    assert_eq!(ids(&site.read("one.jsonl")), (0..6).map(id).collect::<Vec<_>>());
    assert!(fs::read_dir(site.path("state/crashes")).is_err(), "no child has crashed");
}

#[test]
fn a_small_disk_for_leftovers_is_told() {
    // What is on the disk of 64 KiB before.
    for (before, has_room) in [("", true), ("cat /dev/zero > small/filler 2> /dev/null", false)] {
        let site = Site::new(&[dead()]);
        fs::create_dir(site.path("kept")).expect("room");
        let script = format!(
            "{before}\n\
             sh -c 'echo $$ > pid; exec timeout 1h \"$0\" send --give-up-after 1h --leftovers small' \"$0\"\n\
             code=$?; rm -f small/filler; cp small/* kept/; exit $code"
        );
        let mut running = start(site.with_a_small_disk("small", "64k", &script).stdin(Stdio::piped()));
        running.feed(events(0..2000).into());
        running.until("an attempt (needs the right to mount)", || !site.read("record").is_empty());
        let timeout = site.read("pid");
        let term = Command::new("kill").args(["-s", "TERM", timeout.trim()]).status();
        assert!(term.expect("kill runs").success());
        let ended = running.end().with_code(7);
        let number_before = |word: &str| -> usize {
            let (before, _) = ended.stderr.split_once(word).unwrap_or_else(|| panic!("{word}: {ended:#?}"));
            before
                .rsplit(' ')
                .next()
                .expect("a word")
                .parse()
                .unwrap_or_else(|_| panic!("{word}: {ended:#?}"))
        };
        let (undelivered, lost) =
            (number_before(" undelivered, "), number_before(" of them lost (in no file)"));
        assert!(ended.stderr.contains("undelivered.jsonl can't be written: No space left"), "{ended:#?}");
        let kept: String = fs::read_dir(site.path("kept"))
            .expect("readable")
            .map(|file| fs::read_to_string(file.expect("readable").path()).expect("text"))
            .collect();
        let said = ended.stderr.contains("the rest is kept in small/jackfield-");
        assert_eq!((said, !kept.is_empty()), (has_room, has_room), "{ended:#?}");
        assert_eq!(
            ids(&kept),
            (0..undelivered - lost).map(id).collect::<Vec<_>>(),
            "the rest is there, whole"
        );
    }
}
