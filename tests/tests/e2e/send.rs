//! `jackfield send` with backends that do what they should: what arrives, and where.

use std::{fs, io::Write as _, process::Stdio};

use jackfield_tests::{fixture, plugin, skewed_cli};
use serde_json::{Value, json};

use crate::site::{Site, backend, event, events, ids, start, to_file};

/// The search path of the shipped plugins, as a line of the configuration.
fn search_path() -> String {
    // Made one after the other, they lie in one folder.
    let (stdout, file) = (plugin("stdout"), plugin("file"));
    let folder = stdout.parent().expect("a folder");
    assert_eq!(file.parent(), Some(folder));
    format!("plugins.path = [{folder:?}]\n")
}

#[test]
fn one_changed_line_of_the_configuration_sends_through_another_plugin() {
    let site = Site::new(&[]);
    let before = search_path() + "backend = [{ plugin = \"stdout\", config = { format = \"lines\" } }]\n";
    let after = search_path() + "backend = [{ plugin = \"file\", config = { path = \"out.jsonl\" } }]\n";
    assert_eq!(before.lines().zip(after.lines()).filter(|(before, after)| before != after).count(), 1);
    let input = events(0..1200);
    site.write("in.jsonl", &input);

    site.write("config.toml", before);
    let ended = site.run(&["send", "in.jsonl"]).with_code(0);
    assert_eq!(ended.stdout, input);
    assert!(
        ended.stderr.contains("stdout: 1200 delivered, 0 retried, 0 rejected, 0 undelivered"),
        "{ended:#?}"
    );

    site.write("config.toml", after);
    let ended = site.run(&["send", "in.jsonl"]).with_code(0);
    assert_eq!(ended.stdout, "");
    assert!(ended.stderr.contains("file: 1200 delivered, 0 retried"), "{ended:#?}");
    assert_eq!(site.read("out.jsonl"), input);
    assert!(site.files(".undelivered.jsonl").is_empty());
}

#[test]
fn every_backend_gets_every_event() {
    let lines = backend("lines", &plugin("stdout"), "config = { format = \"lines\" }");
    let recorded = backend("recorded", &fixture("hostile"), "config = { record = \"record\", sleep_ms = 5 }");
    let site = Site::new(&[to_file("one", "one.jsonl"), lines, recorded, to_file("two", "two.jsonl")]);
    let input = events(0..2500);
    let ended = site.send(input.clone(), &["--batch-events", "100"]).with_code(0);
    for name in ["one", "lines", "recorded", "two"] {
        assert_eq!(ended.counts(name), [2500, 0, 0, 0, 0], "{name}");
    }
    assert_eq!(site.read("one.jsonl"), input);
    assert_eq!(site.read("two.jsonl"), input);
    assert!(ended.stdout.starts_with(&input));
    assert_eq!(site.read("record").lines().map(str::to_owned).collect::<Vec<_>>(), ids(&input));
}

#[test]
fn only_the_named_backends_get_events() {
    let site = Site::new(&["one", "two", "three"].map(|name| to_file(name, name)));
    site.send(events(0..3), &["--only", "one", "--only", "three"]).with_code(0);
    assert_eq!(["one", "two", "three"].map(|name| site.read(name).lines().count()), [3, 0, 3]);
    let ended = site.run(&["send", "--only", "on"]).with_code(2);
    assert!(
        ended.stderr.starts_with("error: --only: no backend \"on\"") && ended.stderr.contains("`two`"),
        "{ended:#?}"
    );
}

#[test]
fn missing_members_are_filled_in_and_the_others_stay() {
    let site = Site::new(&[to_file("main", "out.jsonl")]);
    let lines = [
        r#"{"type":"a","name":"b"}"#,
        r#"{"type":"a","name":"b","id":null,"os":null,"extra":{"deep":[1.50,1e3]}}"#,
        r#"{"name":"b","id":"mine","tool_name":"other","type":"a"}"#,
    ];
    site.send(lines.join("\n"), &[]).with_code(0);
    let written = site.read("out.jsonl");
    let out: Vec<Value> =
        written.lines().map(|line| serde_json::from_str(line).expect("whole JSON")).collect();
    assert_eq!(out.len(), 3);
    for event in &out {
        assert_eq!(
            (&event["os"], &event["arch"]),
            (&json!(std::env::consts::OS), &json!(std::env::consts::ARCH))
        );
        assert_eq!((&event["type"], &event["name"]), (&json!("a"), &json!("b")));
        let timestamp = event["timestamp"].as_str().expect("a string");
        assert!(
            timestamp.len() == 27 && timestamp.ends_with('Z') && timestamp.starts_with("20"),
            "{timestamp}"
        );
        let machine = event["machine_id"].as_str().expect("a string");
        assert!(machine.len() == 32 && machine.bytes().all(|byte| byte.is_ascii_hexdigit()), "{machine}");
        assert_ne!(event["os_version"], "");
    }
    let made: Vec<&str> = out[..2].iter().map(|event| event["id"].as_str().expect("a string")).collect();
    for id in &made {
        let parts: Vec<&str> = id.split('-').collect();
        assert_eq!(parts.iter().map(|part| part.len()).collect::<Vec<_>>(), [8, 4, 4, 4, 12], "{id}");
        assert!(parts[2].starts_with('7') && parts[3].starts_with(['8', '9', 'a', 'b']), "no UUIDv7: {id}");
    }
    assert!(made[0] < made[1], "ids in the order of the lines: {made:?}");
    assert_eq!(
        (&out[0]["tool_name"], &out[0]["version"]),
        (&json!("jackfield"), &json!(env!("CARGO_PKG_VERSION")))
    );
    assert_eq!(
        (&out[2]["tool_name"], &out[2]["version"]),
        (&json!("other"), &json!("")),
        "not ours to state"
    );
    assert_eq!(out[2]["id"], "mine");
    assert!(written.contains(r#""extra":{"deep":[1.50,1e3]}"#), "bytes of other members stay: {written}");
    assert_eq!(out[0]["machine_id"], out[1]["machine_id"]);
    assert_ne!(out[0]["machine_id"], out[2]["machine_id"], "two tools can't be linked");
}

#[test]
fn a_complete_line_arrives_byte_for_byte() {
    let site = Site::new(&[to_file("main", "out.jsonl")]);
    let odd = event(1).replace(
        r#""duration_ms":1,"#,
        r#" "duration_ms" : 1 , "unknown" : { "b":1E+2, "a":-0.0, "a2": 123456789012345678901234567890 }, "u":"\u00e9\ud83d\ude00é", "#,
    );
    let input = format!("{}\n{odd}\n{}\n", event(0), event(2));
    site.send(input.clone(), &[]).with_code(0);
    assert_eq!(site.read("out.jsonl"), input);
}

#[test]
fn the_json_summary_is_the_last_line() {
    let lines = backend("lines", &plugin("stdout"), "config = { format = \"lines\" }");
    let site = Site::new(&[lines, to_file("main", "out.jsonl")]);
    let ended = site.send(events(0..3) + "bad\n", &[]).with_code(5);
    let summary = ended.summary();
    assert_eq!(ended.stdout.lines().count(), 4, "the events and the summary");
    for (key, value) in
        [("lines", json!(4)), ("events", json!(3)), ("bad_lines", json!(1)), ("interrupted", json!(false))]
    {
        assert_eq!(summary[key], value, "{key}: {summary}");
    }
    let names: Vec<_> = summary["backends"].as_array().expect("a list").iter().map(|b| &b["name"]).collect();
    assert_eq!(names, ["lines", "main"], "in the order of the configuration");
    assert_eq!(summary["backends"][1]["plugin"], "file");
    assert_eq!(summary["backends"][1]["error"], Value::Null);
    let kept = summary["bad_lines_file"].as_str().expect("a path");
    assert_eq!(site.read(kept), "bad\n");
}

/// A tool writes an event now and then, and somebody watches.
#[test]
fn an_event_is_sent_although_the_input_goes_on() {
    let site = Site::new(&[to_file("main", "out.jsonl")]);
    let mut running = start(site.command(&["send", "--json"]).stdin(Stdio::piped()));
    let mut stdin = running.stdin();
    for number in 0..3 {
        stdin.write_all((event(number) + "\n").as_bytes()).expect("read");
        running.until("the event", || site.read("out.jsonl").lines().count() == number + 1);
    }
    drop(stdin);
    assert_eq!(running.end().with_code(0).counts("main"), [3, 0, 0, 0, 0]);
}

#[cfg(target_os = "linux")]
#[test]
fn memory_stays_flat_over_300_000_events() {
    const EVENTS: usize = 300_000;
    const LIMIT_KIB: u64 = 64 * 1024;
    let site = Site::new(&[to_file("main", "out.jsonl")]);
    let mut running = start(site.command(&["send", "--json"]).stdin(Stdio::piped()));
    let mut stdin = running.stdin();
    let line = |number: usize| event(number) + "\n";
    let mut bytes = 0;
    for numbers in (0..EVENTS).collect::<Vec<_>>().chunks(1000) {
        let text: String = numbers.iter().copied().map(line).collect();
        bytes += text.len() as u64;
        stdin.write_all(text.as_bytes()).expect("read");
    }
    assert!(bytes > EVENTS as u64 * 300, "as long as events are: {bytes}");
    // While the input is open, the process is there to be asked for the most that it has had.
    running.until("the last event", || {
        fs::metadata(site.path("out.jsonl")).is_ok_and(|file| file.len() == bytes)
    });
    let status = fs::read_to_string(format!("/proc/{}/status", running.id())).expect("readable");
    drop(stdin);
    assert_eq!(running.end().with_code(0).counts("main"), [EVENTS as u64, 0, 0, 0, 0]);
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("in the status");
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse().expect("a number");
    assert!(peak < LIMIT_KIB, "{peak} KiB");
}

#[test]
fn a_host_of_the_nightly_compiler_uses_these_plugins() {
    let site = Site::new(&[to_file("main", "out.jsonl"), backend("minimal", &fixture("minimal"), "")]);
    let input = site.write("in.jsonl", events(0..1000));
    let cli = skewed_cli("nightly");
    let ended = start(
        site.command_of(&cli, &["send", "--json", input.to_str().expect("UTF-8")]).stdin(Stdio::null()),
    )
    .end()
    .with_code(0);
    assert_eq!(ended.counts("main"), [1000, 0, 0, 0, 0]);
    assert_eq!(ended.counts("minimal"), [1000, 0, 0, 0, 0]);
    assert_eq!(site.read("out.jsonl"), events(0..1000));
    // Which compiler built this host, the events that it completes say.
    let mut running = start(site.command_of(&cli, &["send", "--only", "main"]).stdin(Stdio::piped()));
    running.feed(b"{\"type\":\"a\",\"name\":\"b\"}\n".to_vec());
    running.end().with_code(0);
    let last = site.read("out.jsonl").lines().next_back().expect("a line").to_owned();
    assert!(last.contains("nightly"), "{last}");
}
