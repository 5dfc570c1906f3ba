//! `jackfield run` and `jackfield status`.

use std::{
    fs,
    io::Write as _,
    process::{Command, Stdio},
};

use serde_json::Value;

use crate::site::{Site, events, hostile, ids, start, to_file};

#[test]
fn the_end_of_standard_input_ends_the_run() {
    let site = Site::new(&[to_file("one", "one.jsonl"), to_file("two", "two.jsonl")]);
    let mut running = site.runs(&["--json"]);
    let input = events(0..2500);
    running.feed(input.clone().into());
    let ended = running.end().with_code(0);
    assert_eq!(site.read("one.jsonl"), input);
    assert_eq!(site.read("two.jsonl"), input);
    let summary = ended.summary();
    assert_eq!((&summary["waiting"], &summary["dead_letters"]), (&0.into(), &0.into()), "{summary}");
}

#[test]
fn bad_lines_are_kept_and_the_others_arrive() {
    let site = Site::new(&[to_file("one", "one.jsonl")]);
    let mut running = site.runs(&[]);
    let (first, last) = (events(0..1), events(1..2));
    running.feed(format!("{first}this is none\n\n{last}[1]").into());
    let ended = running.end().with_code(5);
    assert_eq!(site.read("one.jsonl"), first + &last);
    assert!(ended.stderr.contains("line 2: ") && ended.stderr.contains("line 5: "), "{ended:#?}");
    let kept =
        fs::read_dir(site.path("state")).expect("readable").map(|entry| entry.expect("readable").path());
    let kept: Vec<_> = kept.filter(|path| path.to_string_lossy().ends_with(".bad-lines.txt")).collect();
    assert_eq!(fs::read_to_string(&kept[0]).expect("text"), "this is none\n[1]\n");
}

#[test]
fn a_fifo_is_read_while_its_writers_come_and_go() {
    let site = Site::new(&[to_file("one", "one.jsonl")]);
    let fifo = site.path("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().expect("mkfifo").success());
    let mut running = site.runs(&["fifo"]);
    let mut all = String::new();
    for number in 0..20 {
        let text = events(number..number + 1);
        let mut writer = fs::OpenOptions::new().write(true).open(&fifo).expect("a reader");
        writer.write_all(text.as_bytes()).expect("writable");
        all += &text;
    }
    // The end of a line that its writer has not ended is where the writer went.
    let cut = events(20..21);
    fs::OpenOptions::new()
        .write(true)
        .open(&fifo)
        .expect("a reader")
        .write_all(cut.trim_end().as_bytes())
        .expect("writable");
    all += &cut;
    running.until("the events", || site.lines("one.jsonl") == 21);
    assert_eq!(site.read("one.jsonl"), all);
    running.signal("TERM");
    running.end().with_code(0);
}

#[test]
fn a_folder_and_a_missing_configuration_are_refused() {
    let site = Site::new(&[to_file("one", "one.jsonl")]);
    site.write("regular", "");
    let ended = site.run(&["run", "--state", "state", "."]).with_code(7);
    assert!(ended.stderr.contains("expected a file, a FIFO or `-`, found a folder"), "{ended:#?}");
    let ended = site.run(&["run", "--state", "regular"]).with_code(7);
    assert!(
        ended.stderr.contains("found a file: name a folder with --state; nothing was read"),
        "{ended:#?}"
    );
    let ended = site.run(&["run", "--state", "state", "--config", "none.toml"]).with_code(3);
    assert!(ended.stderr.contains("none.toml"), "{ended:#?}");
    site.write("empty.toml", "");
    site.run(&["run", "--state", "state", "--config", "empty.toml"]).with_code(3);
}

#[test]
fn a_signal_swaps_the_backend_and_the_run_goes_on() {
    let site = Site::new(&[to_file("main", "old.jsonl")]);
    let mut running = site.runs(&[]);
    let mut stdin = running.stdin();
    stdin.write_all(events(0..100).as_bytes()).expect("writable");
    running.until("the first events", || site.lines("old.jsonl") == 100);
    site.write("config.toml", to_file("main", "new.jsonl"));
    running.signal("HUP");
    running.until("the swap", || site.status()["spools"][0]["backends"][0]["swaps"] == 1);
    stdin.write_all(events(100..200).as_bytes()).expect("writable");
    running.until("the next events", || site.lines("new.jsonl") == 100);
    // One that can't be had changes nothing.
    site.write("config.toml", "[[backend]]\nname = \"main\"\nplugin = \"./nowhere.so\"\n");
    running.signal("HUP");
    running.until("the refusal", || {
        site.status()["spools"][0]["backends"][0]["not_swapped"]
            .as_str()
            .is_some_and(|why| why.contains("nowhere.so"))
    });
    stdin.write_all(events(200..300).as_bytes()).expect("writable");
    drop(stdin);
    let ended = running.end().with_code(0);
    assert!(
        ended.stderr.contains("backend main stays as it is: find: ")
            && ended.stderr.contains("reload: backend `main` swapped\n"),
        "{ended:#?}"
    );
    assert_eq!(site.read("old.jsonl") + &site.read("new.jsonl"), events(0..300));
}

#[test]
fn a_broken_configuration_takes_no_backend_away() {
    let site = Site::new(&[to_file("main", "old.jsonl")]);
    let mut running = site.runs(&["--watch"]);
    let mut stdin = running.stdin();
    stdin.write_all(events(0..10).as_bytes()).expect("writable");
    running.until("the first events", || site.lines("old.jsonl") == 10);
    running.until("the status", || site.status()["spools"][0]["backends"][0]["open"] == true);
    let not_swapped = |expected: &str| {
        let now = site.status();
        let backends = now["spools"][0]["backends"].as_array().expect("a list");
        assert_eq!(backends.len(), 1, "{now:#}");
        assert_eq!((&backends[0]["name"], &backends[0]["open"]), (&"main".into(), &true.into()), "{now:#}");
        backends[0]["not_swapped"].as_str().is_some_and(|why| why.contains(expected))
    };
    let mut number = 10;
    for (text, expected) in [
        (None, "config.toml: can't be read: it is not there"),
        (Some(""), "config.toml: can't be read: it has no [[backend]] table"),
        (Some("[[backend]\n"), "config.toml:1"),
        (None, "config.toml: can't be read: it is not there"),
    ] {
        match text {
            Some(text) => drop(site.write("config.toml", text)),
            None => fs::remove_file(site.path("config.toml")).expect("it is there"),
        }
        running.until(expected, || not_swapped(expected));
        // The same by a signal.
        running.signal("HUP");
        stdin.write_all(events(number..number + 10).as_bytes()).expect("writable");
        number += 10;
        running.until("the next events", || site.lines("old.jsonl") == number);
        assert!(not_swapped(expected));
        running.until("the last reload", || {
            site.status()["last_reload"].as_str().is_some_and(|last| last.contains(expected))
        });
    }
    site.write("config.toml", to_file("main", "new.jsonl"));
    running.until("the swap", || site.status()["last_reload"] == "backend `main` swapped");
    let now = site.status();
    let main = &now["spools"][0]["backends"][0];
    assert!(main["swaps"] == 1 && main["not_swapped"].is_null(), "{now:#}");
    stdin.write_all(events(number..number + 10).as_bytes()).expect("writable");
    drop(stdin);
    let ended = running.end().with_code(0);
    assert!(ended.stderr.contains("all backends stay as they are: "), "{ended:#?}");
    assert_eq!(site.read("old.jsonl"), events(0..number));
    assert_eq!(site.read("new.jsonl"), events(number..number + 10));
    // At the start it is refused for the same reasons.
    for (text, expected) in [("", "has no [[backend]]"), ("[[backend]\n", "config.toml:1")] {
        site.write("config.toml", text);
        for command in ["run", "send", "doctor"] {
            let ended = site.run(&[command]).with_code(3);
            assert!(ended.stderr.contains(expected), "{ended:#?}");
        }
    }
}

#[test]
fn the_status_tells_waiting_backends_from_unchanged_ones() {
    let old = to_file("old", "old.jsonl");
    let site = Site::new(std::slice::from_ref(&old));
    let mut running = site.runs(&[]);
    let mut stdin = running.stdin();
    stdin.write_all(events(0..10).as_bytes()).expect("writable");
    running.until("the first events", || site.lines("old.jsonl") == 10);
    let nowhere = |name: &str| format!("[[backend]]\nname = \"{name}\"\nplugin = \"./nowhere.so\"\n");
    site.write("config.toml", nowhere("old") + &nowhere("file"));
    running.signal("HUP");
    let expected = "backend `old` not swapped; backend `file` not available yet";
    running.until("the reload", || site.status()["last_reload"] == expected);
    let text = site.run(&["status", "--state", "state"]).with_code(0).stdout;
    let line =
        |begin: &str| text.lines().find(|line| line.starts_with(begin)).unwrap_or_else(|| panic!("{text}"));
    assert!(line("  old: stays as it was: ").contains("nowhere.so"), "{text}");
    assert!(line("  file: can't be opened yet: ").ends_with("; its events wait"), "{text}");
    site.write("config.toml", old);
    running.signal("HUP");
    let expected = "backend `file` removed; backend `old` unchanged";
    running.until("the next reload", || site.status()["last_reload"] == expected);
    drop(stdin);
    running.end().with_code(0);
}

#[test]
fn with_watch_a_changed_configuration_is_enough() {
    let site = Site::new(&[to_file("main", "old.jsonl")]);
    let mut running = site.runs(&["--watch"]);
    let mut stdin = running.stdin();
    stdin.write_all(events(0..10).as_bytes()).expect("writable");
    running.until("the first events", || site.lines("old.jsonl") == 10);
    site.write("config.toml", to_file("main", "new.jsonl"));
    running.until("the swap", || site.status()["spools"][0]["backends"][0]["swaps"] == 1);
    stdin.write_all(events(10..20).as_bytes()).expect("writable");
    drop(stdin);
    running.end().with_code(0);
    assert_eq!(site.read("new.jsonl"), events(10..20));
}

#[test]
fn the_status_is_right_up_to_the_end_of_a_run() {
    let hangs = hostile("60s", "hang = \"send\"\nuntil = \"mended\"\nrecord = \"record\"\n");
    let site = Site::new(&[to_file("one", "one.jsonl"), hangs]);
    let mut running = site.runs(&["--grace", "60s"]);
    let mut stdin = running.stdin();
    stdin.write_all(events(0..50).as_bytes()).expect("writable");
    running.until("the call", || site.lines("record") > 0);
    running.signal("TERM");
    // While it ends, the status goes on.
    running.until("the end has begun", || site.status()["state"] == "stopping");
    let at = || site.status()["at_ms"].as_i64();
    let first = at();
    running.until("a later status", || at() > first);
    assert_eq!(site.status()["alive"], true);
    site.write("mended", "");
    running.end().with_code(0);
    let text = site.run(&["status", "--state", "state", "--json"]).with_code(7).stdout;
    let last: Value = serde_json::from_str(&text).expect("one object");
    assert_eq!((&last["state"], &last["alive"]), (&"ended".into(), &false.into()), "{last:#}");
    let spool = &last["spools"][0];
    assert_eq!((&spool["waiting"], &last["events"]), (&0.into(), &50.into()), "{last:#}");
    for (name, backend) in ["file", "hostile"].iter().zip(0..) {
        let backend = &spool["backends"][backend];
        let numbers = ["delivered", "waiting"].map(|key| backend[key].as_u64());
        assert_eq!(numbers, [Some(50), Some(0)], "{last:#}");
        assert_eq!(
            (&backend["plugin"]["name"], &backend["open"]),
            (&(*name).into(), &false.into()),
            "{last:#}"
        );
        assert!(backend["calls"].as_u64() >= Some(1), "{last:#}");
    }
}

#[test]
fn a_request_to_end_delivers_or_keeps_read_events() {
    let site = Site::new(&[
        to_file("one", "one.jsonl"),
        hostile("60s", "hang = \"send\"\nuntil = \"mended\"\nrecord = \"record\"\n"),
    ]);
    let mut running = site.runs(&["--grace", "1s"]);
    let mut stdin = running.stdin();
    stdin.write_all(events(0..500).as_bytes()).expect("writable");
    running.until("the events at the healthy one", || site.lines("one.jsonl") == 500);
    running.signal("TERM");
    let ended = running.end().with_code(0);
    assert!(ended.stderr.contains("the spool keeps 500 events for the next run"), "{ended:#?}");
    // The next run has nothing of its own to read.
    site.write("mended", "");
    fs::remove_file(site.path("record")).expect("it was asked");
    let mut running = site.runs(&["--grace", "60s"]);
    drop(running.stdin());
    running.end().with_code(0);
    assert_eq!(site.lines("record"), 500);
    assert_eq!(site.read("one.jsonl"), events(0..500));
}

#[test]
fn the_run_after_a_kill_delivers_the_rest() {
    let site = Site::new(&[
        hostile("60s", "hang = \"send\"\nuntil = \"mended\"\nrecord = \"record\"\n"),
        to_file("one", "one.jsonl"),
    ]);
    let mut running = site.runs(&[]);
    let mut stdin = running.stdin();
    stdin.write_all(events(0..1000).as_bytes()).expect("writable");
    running.until("the lines are read", || site.status()["events"] == 1000);
    running.signal("KILL");
    assert_eq!(running.end().code, None);
    let ended = site.run(&["status", "--state", "state"]).with_code(7);
    assert!(ended.stdout.contains("no `jackfield run` is alive in "), "{ended:#?}");
    site.write("mended", "");
    let _ = fs::remove_file(site.path("record"));
    let mut running = site.runs(&["--grace", "60s"]);
    drop(running.stdin());
    running.end().with_code(0);
    // At least once: what the killed run had under way may come again.
    let sorted = |text: &str| {
        let mut ids = ids(text);
        ids.sort();
        ids.dedup();
        ids
    };
    assert_eq!(sorted(&site.read("one.jsonl")), ids(&events(0..1000)));
    let mut arrived: Vec<String> = site.read("record").lines().map(str::to_owned).collect();
    assert_eq!(arrived.len(), 1000, "nothing of it had been noted, and nothing is doubled");
    arrived.sort();
    assert_eq!(arrived, ids(&events(0..1000)));
}

#[test]
fn two_runs_do_not_share_a_state_folder() {
    let site = Site::new(&[to_file("one", "one.jsonl")]);
    let mut running = site.runs(&[]);
    running.until("it runs", || site.path("state/status.v1.json").exists());
    let ended = site.run(&["run", "--state", "state"]).with_code(7);
    let expected = format!("another `jackfield run` has it, process {}", running.id());
    assert!(ended.stderr.contains(&expected) && ended.stderr.contains("--state"), "{ended:#?}");
    drop(running.stdin());
    running.end().with_code(0);
}

#[test]
fn the_status_says_what_is_going_on() {
    let site = Site::new(&[to_file("one", "one.jsonl"), hostile("60s", "fail = \"send\"\n")]);
    assert!(site.run(&["status", "--state", "state"]).with_code(7).stderr.contains("none has been"));
    std::fs::create_dir(site.path("state")).expect("writable");
    for (damage, expected) in
        [(None, "none has been"), (Some("null"), "damaged"), (Some("{\"pid\":"), "damaged")]
    {
        if let Some(damage) = damage {
            site.write("state/status.v1.json", damage);
        }
        let ended = site.run(&["status", "--state", "state", "--json"]).with_code(7);
        let told: Value = serde_json::from_str(&ended.stdout).expect("one object");
        assert_eq!(told["alive"], false);
        assert!(told["refusal"].as_str().is_some_and(|text| text.contains(expected)), "{told}");
        assert!(ended.stderr.contains(expected) && ended.stderr.lines().count() == 1, "{}", ended.stderr);
    }
    let mut running = site.runs(&["--start-anyway"]);
    let mut stdin = running.stdin();
    stdin.write_all(events(0..50).as_bytes()).expect("writable");
    running.until("all is told", || {
        let now = site.status();
        let backends = &now["spools"][0]["backends"];
        backends[0]["delivered"] == 50 && backends[0]["waiting"] == 0 && backends[1]["waiting"] == 50
    });
    let now = site.status();
    assert_eq!((now["alive"].as_bool(), now["state"].as_str()), (Some(true), Some("running")), "{now:#}");
    assert_eq!(now["pid"], running.id());
    assert_eq!((&now["events"], &now["bad_lines"]), (&50.into(), &0.into()));
    assert_eq!(now["input"], "stdin");
    assert!(now["mapped_images"].as_u64() >= Some(1) && now["image_limit"] == 256, "{now:#}");
    let [one, two] = [0, 1].map(|at| &now["spools"][0]["backends"][at]);
    assert_eq!(
        (&one["plugin"]["name"], &one["isolation"], &one["circuit"]),
        (&"file".into(), &"thread".into(), &"closed".into())
    );
    assert!(one["calls"].as_u64() >= Some(1) && one["p99_ms"].as_f64() > Some(0.0), "{one:#}");
    assert_eq!(two["delivered"], 0, "{two:#}");
    let text = site.run(&["status", "--state", "state"]).with_code(0).stdout;
    assert!(
        text.contains("BACKEND") && text.contains("50 waiting events") && !text.contains('\x1b'),
        "{text}"
    );
    running.signal("KILL");
    running.end();
}

#[test]
fn the_spools_of_consenting_tools_are_delivered() {
    let site = Site::new(&[to_file("one", "one.jsonl")]);
    let track = |tool: &str, data: &str| {
        let telemetry = jackfield::Telemetry::builder(tool, "1.0.0")
            .environment(|_: &str| None::<std::ffi::OsString>)
            .force_enabled(true)
            .endpoint("http://127.0.0.1:9")
            .data_folder(site.path(data))
            .ops_file(site.path("none.toml"))
            .deliver(jackfield::Deliver::ByHand)
            .build();
        telemetry.track("test.event", tool, &[]);
        telemetry.close();
    };
    for (tool, data) in [
        ("first", "tools/first/telemetry"),
        ("second", "tools/second"),
        ("silent", "tools/silent"),
        ("unasked", "tools/unasked"),
    ] {
        fs::create_dir(site.path(tool)).expect("writable");
        site.write(&format!("{tool}/config.toml"), "[telemetry]\nenabled = true\n");
        track(tool, data);
    }
    site.write("silent/config.toml", "[telemetry]\nenabled = false\n");
    fs::remove_file(site.path("unasked/config.toml")).expect("it is there");
    let command = |variable: (&str, &str)| {
        let mut command = site.command(&["run", "--state", "state", "--json", "--spools", "tools"]);
        start(command.stdin(Stdio::null()).env(variable.0, variable.1))
    };
    // An opt-out in the environment of the run counts for every tool.
    let mut running = command(("DO_NOT_TRACK", "1"));
    for tool in ["first", "second", "silent", "unasked"] {
        running.until_said(&format!("the events of {tool} wait: DO_NOT_TRACK=1"));
    }
    running.until("a status", || site.status()["state"] == "running");
    assert_eq!(site.status()["spools"], Value::Array(Vec::new()));
    running.signal("TERM");
    running.end().with_code(0);
    assert!(!site.path("one.jsonl").exists());
    // An opt-in for a tool whose user was never asked does not.
    let mut running = command(("UNASKED_TELEMETRY_ENABLED", "1"));
    running.until_said("the events of silent wait: ");
    running.until_said("the events of unasked wait: ");
    let tools = || -> Vec<Value> {
        let status = site.status();
        status["spools"].as_array().into_iter().flatten().map(|spool| spool["tool"].clone()).collect()
    };
    running.until("the tools whose users have consented", || tools() == ["first", "second"]);
    running.until("the events", || site.lines("one.jsonl") == 2);
    running.signal("TERM");
    running.end().with_code(0);
    let arrived = site.read("one.jsonl");
    assert!(
        arrived.contains("\"first\"")
            && arrived.contains("\"second\"")
            && !arrived.contains("silent")
            && !arrived.contains("unasked"),
        "{arrived}"
    );
    // The summary has the numbers of one run.
    track("first", "tools/first/telemetry");
    let mut running = command(("UNASKED_TELEMETRY_ENABLED", "1"));
    running.until("the event", || site.lines("one.jsonl") == 3);
    running.signal("TERM");
    let ended = running.end().with_code(0);
    for line in ["first: one: 1 delivered\n", "second: one: 0 delivered\n"] {
        assert!(ended.stderr.contains(line), "{ended:#?}");
    }
    let backends = ended.summary()["backends"].clone();
    let of = |at: usize| (backends[at]["tool"].clone(), backends[at]["delivered"].clone());
    assert_eq!([of(0), of(1)], [("first".into(), 1.into()), ("second".into(), 0.into())]);
}
