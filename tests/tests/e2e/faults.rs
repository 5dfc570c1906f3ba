//! `jackfield send` with backends that fail: what is tried again, what is left over, and that nothing is lost or doubled.

use std::{
    collections::BTreeSet,
    fs,
    io::{Read as _, Write as _},
    time::Duration,
};

use jackfield_tests::{c_fixture, fixture, text_file};

use crate::site::{Site, backend, events, hostile, id, ids, start, to_file};

/// Far more than any of these runs takes, and far less than it would take to wait for a plugin that hangs.
const IN_TIME: Duration = Duration::from_secs(30);

/// The ids that the fixture wrote down, in their order.
fn recorded(site: &Site) -> Vec<String> {
    site.read("record").lines().map(str::to_owned).collect()
}

fn all(count: usize) -> Vec<String> {
    (0..count).map(id).collect()
}

#[test]
fn events_to_be_retried_are_sent_until_they_are_delivered() {
    let site = Site::new(&[
        hostile("5s", "outcome = \"retry\"\nuntil = \"up\"\nrecord = \"record\""),
        to_file("healthy", "healthy.jsonl"),
    ]);
    let mut running =
        start(site.command(&["send", "--json", "--batch-events", "10"]).stdin(std::process::Stdio::piped()));
    running.feed(events(0..10).into_bytes());
    running.until("a second attempt", || recorded(&site).len() >= 20);
    site.write("up", "");
    let ended = running.end().with_code(0);
    let attempts = recorded(&site).len() as u64 / 10;
    assert_eq!(ended.counts("hostile"), [10, (attempts - 1) * 10, 0, 0, 0]);
    assert_eq!(ended.counts("healthy"), [10, 0, 0, 0, 0]);
    assert_eq!(recorded(&site)[..10], all(10));
    assert!(site.files(".undelivered.jsonl").is_empty());
}

#[test]
fn a_backend_that_takes_nothing_is_given_up_in_time() {
    let site = Site::new(&[hostile("5s", "outcome = \"retry\""), to_file("healthy", "healthy.jsonl")]);
    let ended = site.send(events(0..5000), &["--give-up-after", "1s", "--batch-events", "100"]).with_code(6);
    assert!(ended.took < IN_TIME && ended.took >= Duration::from_secs(1), "{:?}", ended.took);
    let [delivered, retried, rejected, undelivered, lost] = ended.counts("hostile");
    assert_eq!([delivered, rejected, undelivered, lost], [0, 0, 5000, 0]);
    assert!(retried >= 100, "tried again within the time: {retried}");
    assert_eq!(site.kept(".hostile.undelivered.jsonl"), events(0..5000));
    assert_eq!(site.read("healthy.jsonl"), events(0..5000), "the backend beside it is held up by nothing");
    let reasons = ended.summary()["backends"][0]["reasons"].clone();
    assert!(reasons.to_string().contains("hostile by configuration"), "{reasons}");
}

#[test]
fn a_pause_beyond_the_deadline_is_not_waited_for() {
    let site = Site::new(&[hostile("5s", "outcome = \"retry\"\nretry_after_ms = 600000")]);
    let ended = site.send(events(0..10), &["--give-up-after", "60s"]).with_code(6);
    assert!(ended.took < IN_TIME, "{:?}", ended.took);
    assert_eq!(ended.counts("hostile"), [0, 0, 0, 10, 0]);
}

#[test]
fn leftovers_are_sent_again_to_their_backend_and_arrive_once() {
    let site = Site::new(&[
        hostile("5s", "outcome = \"each\"\nuntil = \"up\"\nrecord = \"record\""),
        to_file("healthy", "healthy.jsonl"),
    ]);
    // Of three events one is delivered, one to be sent again and one rejected, until the rest is a single event: delivered.
    let ended = site.send(events(0..300), &["--give-up-after", "100ms"]).with_code(6);
    let [delivered, _, rejected, undelivered, lost] = ended.counts("hostile");
    assert_eq!((delivered + rejected + undelivered, lost), (300, 0));
    assert!(delivered > 0 && rejected > 0, "{ended:#?}");
    let summary = ended.summary();
    let rejected_ids = ids(&site.kept(".hostile.rejected.jsonl"));
    assert_eq!(rejected_ids.len() as u64, rejected);
    assert!(
        summary["backends"][0]["rejected_file"]
            .as_str()
            .is_some_and(|file| site.read(file).lines().count() as u64 == rejected)
    );

    fs::remove_file(site.path("record")).expect("there");
    site.write("up", "");
    let left = &site.files(".hostile.rejected.jsonl")[0];
    let ended = site.run(&["send", "--json", "--only", "hostile", left]).with_code(0);
    assert_eq!(ended.counts("hostile"), [rejected, 0, 0, 0, 0]);
    assert_eq!(recorded(&site), rejected_ids);
    assert_eq!(site.read("healthy.jsonl"), events(0..300), "the other backend has its events already");
}

#[test]
fn what_was_undelivered_arrives_byte_for_byte_by_another_run() {
    let site = Site::new(&[hostile("5s", "outcome = \"half\"\nuntil = \"up\"\nrecord = \"record\"")]);
    // Of each attempt the first half is delivered, so that the last event of each batch is never.
    let ended =
        site.send(events(0..1000), &["--give-up-after", "200ms", "--batch-events", "250"]).with_code(6);
    let [delivered, _, rejected, undelivered, lost] = ended.counts("hostile");
    assert_eq!((delivered + undelivered, rejected, lost), (1000, 0, 0));
    assert!(delivered > 0 && undelivered > 0, "{ended:#?}");
    let left = site.kept(".hostile.undelivered.jsonl");
    assert_eq!(left.lines().count() as u64, undelivered);
    let sent = events(0..1000);
    let known: BTreeSet<&str> = sent.lines().collect();
    assert!(left.lines().all(|line| known.contains(line)), "the lines are as they were");

    fs::remove_file(site.path("record")).expect("there");
    site.write("up", "");
    let file = site.files(".hostile.undelivered.jsonl").remove(0);
    site.run(&["send", "--only", "hostile", &file]).with_code(0);
    assert_eq!(recorded(&site), ids(&left), "each of them, once");
}

#[test]
fn a_large_batch_is_split_until_it_fits() {
    let site = Site::new(&[hostile("5s", "too_large_above = 7\nrecord = \"record\"")]);
    let ended = site.send(events(0..1000), &["--batch-events", "100"]).with_code(0);
    let [delivered, _, rejected, undelivered, lost] = ended.counts("hostile");
    assert_eq!([delivered, rejected, undelivered, lost], [1000, 0, 0, 0]);
    let reached: BTreeSet<String> = recorded(&site).into_iter().collect();
    assert_eq!(reached.into_iter().collect::<Vec<_>>(), all(1000));
}

#[test]
fn a_single_event_that_is_too_large_is_rejected() {
    let site = Site::new(&[hostile("5s", "outcome = \"too_large\"")]);
    let ended = site.send(events(0..10), &[]).with_code(6);
    let [delivered, _, rejected, undelivered, lost] = ended.counts("hostile");
    assert_eq!([delivered, rejected, undelivered, lost], [0, 10, 0, 0]);
    assert_eq!(site.kept(".hostile.rejected.jsonl"), events(0..10));
    assert!(ended.stdout.contains("too large even alone: hostile by configuration"), "{}", ended.stdout);
}

#[test]
fn a_hang_in_send_costs_only_its_own_backend() {
    let site = Site::new(&[
        hostile("300ms", "hang = \"send\"\nreport_first = 3"),
        to_file("healthy", "healthy.jsonl"),
    ]);
    let ended = site.send(events(0..5000), &["--give-up-after", "1s", "--batch-events", "100"]).with_code(6);
    assert!(ended.took < IN_TIME, "{:?}", ended.took);
    let [delivered, _, rejected, undelivered, lost] = ended.counts("hostile");
    assert_eq!((delivered + undelivered, rejected, lost), (5000, 0, 0));
    assert!(delivered >= 3, "what was reported before the deadline stands: {delivered}");
    let left = site.kept(".hostile.undelivered.jsonl");
    let sent = events(0..5000);
    let mut expected: BTreeSet<&str> = sent.lines().collect();
    for line in left.lines() {
        assert!(expected.remove(line), "not sent, or twice in the file: {line}");
    }
    assert_eq!(expected.len() as u64, delivered, "all that was not delivered is left");
    assert_eq!(site.read("healthy.jsonl"), events(0..5000));
}

#[test]
fn a_hanging_plugin_does_not_keep_the_process() {
    for (place, code) in [("send", 6), ("close", 6), ("drop", 6)] {
        let site = Site::new(&[hostile("200ms", &format!("hang = {place:?}"))]);
        let ended = site.send(events(0..10), &["--give-up-after", "200ms"]).with_code(code);
        assert!(ended.took < IN_TIME, "{place}: {:?}", ended.took);
        let delivered = if place == "send" { 0 } else { 10 };
        assert_eq!(ended.counts("hostile")[0], delivered, "{place}");
        assert_eq!(ended.counts("hostile")[3], 10 - delivered, "{place}");
    }
}

#[test]
fn a_hanging_destructor_does_not_keep_the_process() {
    let site = Site::new(&[backend("c", &c_fixture("DESTRUCTOR_HANGS"), ""), to_file("main", "out.jsonl")]);
    let ended = site.send(events(0..10), &[]).with_code(0);
    assert!(ended.took < IN_TIME, "{:?}", ended.took);
    assert_eq!(ended.counts("c"), [10, 0, 0, 0, 0], "and the summary is written");
    assert_eq!(site.read("out.jsonl"), events(0..10));

    // Nor when the second interrupt ends it, in the middle of a call.
    let site = Site::new(&[
        backend("c", &c_fixture("DESTRUCTOR_HANGS"), ""),
        hostile("60s", "hang = \"send\"\nrecord = \"record\""),
    ]);
    let mut running = start(site.command(&["send", "--json"]).stdin(std::process::Stdio::piped()));
    let mut stdin = running.stdin();
    stdin.write_all(events(0..1).as_bytes()).expect("read");
    running.until("the call", || !recorded(&site).is_empty());
    while running.goes_on() {
        running.signal("INT");
    }
    assert!(running.end().with_code(130).took < IN_TIME);
}

#[test]
fn a_hang_in_open_makes_a_backend_unusable() {
    let site = Site::new(&[hostile("200ms", "hang = \"open\"")]);
    let ended = site.send(events(0..10), &[]).with_code(4);
    assert!(ended.took < IN_TIME, "{:?}", ended.took);
    assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    assert!(ended.stderr.contains("backend `hostile` does not open: no answer within"), "{}", ended.stderr);
}

#[test]
fn a_panic_in_send_is_retried_with_a_fresh_instance() {
    let site = Site::new(&[
        hostile("5s", "panic = \"send\"\nuntil = \"up\"\ntrace = \"trace\"\nrecord = \"record\""),
        to_file("healthy", "healthy.jsonl"),
    ]);
    let mut running = start(site.command(&["send", "--json"]).stdin(std::process::Stdio::piped()));
    running.feed(events(0..100).into_bytes());
    running.until("the first call", || !recorded(&site).is_empty());
    site.write("up", "");
    let ended = running.end().with_code(0);
    let [delivered, retried, ..] = ended.counts("hostile");
    assert_eq!(delivered, 100);
    let opens = site.read("trace").lines().filter(|line| *line == "open").count();
    // The file may have been there before the first call got as far as its panic.
    assert_eq!((opens >= 2), (retried > 0), "{opens} instances, {retried} retried");
    assert_eq!(ended.counts("healthy"), [100, 0, 0, 0, 0]);
}

#[test]
fn a_panic_anywhere_ends_no_run_and_loses_no_event() {
    for (place, code, delivered, undelivered) in
        [("open", 4, 0, 50), ("send", 6, 0, 50), ("close", 6, 50, 0), ("drop", 6, 50, 0)]
    {
        for payload in ["text", "bomb"] {
            let site = Site::new(&[
                hostile("5s", &format!("panic = {place:?}\npayload = {payload:?}")),
                to_file("healthy", "healthy.jsonl"),
            ]);
            let ended = site.send(events(0..50), &["--give-up-after", "200ms"]).with_code(code);
            let [done, _, rejected, left, lost] = ended.counts("hostile");
            assert_eq!([done, rejected, left, lost], [delivered, 0, undelivered, 0], "{place}, {payload}");
            if undelivered > 0 {
                assert_eq!(site.kept(".hostile.undelivered.jsonl"), events(0..50), "{place}, {payload}");
            }
            assert_eq!(site.read("healthy.jsonl"), events(0..50), "{place}, {payload}");
            let told = &ended.summary()["backends"][0];
            let told =
                [&told["error"], &told["close_error"], &told["reasons"]].map(ToString::to_string).concat();
            assert!(told.contains("panic"), "{place}, {payload}: {told}");
        }
    }
}

#[test]
fn an_error_of_close_leaves_the_events_delivered() {
    let site = Site::new(&[hostile("5s", "fail = \"close\"")]);
    let ended = site.send(events(0..5), &[]).with_code(6);
    assert_eq!(ended.counts("hostile"), [5, 0, 0, 0, 0]);
    assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    assert!(
        ended.stderr.starts_with("warning: ") && ended.stderr.contains("hostile by configuration"),
        "{}",
        ended.stderr
    );
}

#[test]
fn the_events_of_an_unusable_backend_are_kept() {
    let broken = [
        backend("broken", &text_file(), ""),
        backend("broken", "missing".as_ref(), ""),
        backend("broken", &fixture("hostile"), "config = { fail = \"open\" }"),
        backend("broken", &fixture("hostile"), "config = { fail = \"open\", error = \"unavailable\" }"),
        backend("broken", &jackfield_tests::c_fixture("ABI_TOMORROW"), ""),
    ];
    for broken in broken {
        let site = Site::new(&[broken.clone(), to_file("healthy", "healthy.jsonl")]);
        let ended = site.send(events(0..100), &[]).with_code(4);
        assert_eq!(ended.stderr.lines().count(), 1, "{broken}{}", ended.stderr);
        assert!(ended.stderr.starts_with("error: ") && ended.stderr.contains("broken"), "{}", ended.stderr);
        assert_eq!(ended.counts("broken"), [0, 0, 0, 100, 0], "{broken}");
        assert_eq!(ended.counts("healthy"), [100, 0, 0, 0, 0], "{broken}");
        assert_eq!(site.kept(".broken.undelivered.jsonl"), events(0..100), "{broken}");
        let error = ended.summary()["backends"][0]["error"].clone();
        assert_eq!(ended.stderr, format!("error: {}\n", error.as_str().expect("told")));
    }
}

#[test]
fn without_a_backend_nothing_is_read() {
    let site = Site::new(&[
        backend("one", &text_file(), ""),
        backend("two", &fixture("hostile"), "config = { panic = \"open\" }"),
    ]);
    let (mut reader, mut writer) = std::io::pipe().expect("a pipe");
    writer.write_all(events(0..3).as_bytes()).expect("has room");
    drop(writer);
    let input = reader.try_clone().expect("another handle");
    let ended = start(site.command(&["send", "--json"]).stdin(input)).end().with_code(4);
    let told = serde_json::json!({ "error": "no backend can be used; nothing was read", "exit_code": 4 });
    assert_eq!(ended.json(), told);
    assert!(ended.stderr.contains("backend `one`") && ended.stderr.contains("two"), "{}", ended.stderr);
    assert!(ended.stderr.ends_with("no backend can be used; nothing was read\n"), "{}", ended.stderr);
    let mut left = String::new();
    reader.read_to_string(&mut left).expect("readable");
    assert_eq!(left, events(0..3), "the bytes are there for another run");
    assert!(site.files(".jsonl").is_empty());
}
