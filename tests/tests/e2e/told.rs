//! What an operator is told: of backends that are down, in the log, in JSON, and with --quiet.

use std::{fs, io::Write as _};

use jackfield_tests::plugin;

use crate::site::{Ended, Running, Site, backend, events, hostile, start, to_file};

/// The lines of the log that name a backend.
fn said<'a>(stderr: &'a str, words: &str) -> Vec<&'a str> {
    stderr.lines().filter(|line| line.contains(words)).collect()
}

#[test]
fn an_outage_is_one_line_and_its_end_another() {
    let site = Site::new(&[to_file("late", "later/out.jsonl")]);
    let mut running = site.runs(&["--start-anyway"]);
    let mut stdin = running.stdin();
    stdin.write_all(events(0..10).as_bytes()).expect("writable");
    running.until_said("backend late is down, its events wait");
    // Further attempts fail; none of them is told.
    for number in 10..20 {
        stdin.write_all(events(number..number + 1).as_bytes()).expect("writable");
        assert!(
            site.run(&["retry", "--state", "state"]).with_code(0).stderr.contains("tries every backend now")
        );
    }
    fs::create_dir(site.path("later")).expect("writable");
    running.until("all events", || {
        site.run(&["retry", "--state", "state"]).with_code(0);
        site.read("later/out.jsonl").lines().count() == 20
    });
    drop(stdin);
    let ended = running.end().with_code(0);
    assert_eq!(said(&ended.stderr, "late is down").len(), 1, "{ended:#?}");
    let [back] = &said(&ended.stderr, "late is back after ")[..] else { panic!("{ended:#?}") };
    assert!(back.contains("has taken ") && back.contains(" bytes of events still wait for it"), "{back}");
}

#[test]
fn a_missing_plugin_is_told_once() {
    let missing = "[[backend]]\nname = \"gone\"\nplugin = \"no_such_plugin\"\n";
    let site = Site::new(&[to_file("good", "good.jsonl"), missing.to_owned()]);
    let mut running = site.runs(&["--start-anyway"]);
    let mut stdin = running.stdin();
    for number in 0..20 {
        stdin.write_all(events(number..number + 1).as_bytes()).expect("writable");
        running.until("it arrives", || site.read("good.jsonl").lines().count() == number + 1);
    }
    drop(stdin);
    let ended = running.end().with_code(0);
    assert_eq!(
        said(&ended.stderr, "no_such_plugin").len(),
        2,
        "at the start, and once it had events: {ended:#?}"
    );
}

#[test]
fn a_restart_and_a_retry_end_the_pause() {
    let site =
        Site::new(&[hostile("5s", "outcome = \"retry\"\nretry_after_ms = 3600000\nrecord = \"record\"")]);
    let attempt_of_a_run = |numbers| {
        let before = site.lines("record");
        let mut running = site.runs(&[]);
        let mut stdin = running.stdin();
        stdin.write_all(events(numbers).as_bytes()).expect("writable");
        running.until("an attempt", || site.lines("record") > before);
        drop(stdin);
        running.end().with_code(0);
    };
    attempt_of_a_run(0..5);
    attempt_of_a_run(5..10);
    let states = || site.read("state/backends.v1.json");
    assert!(!states().contains(r#""open_until_ms":0"#), "{}", states());
    let ended = site.run(&["retry", "--state", "state"]).with_code(0);
    assert!(ended.stderr.contains("at the next delivery"), "{ended:#?}");
    assert!(states().contains(r#""open_until_ms":0"#), "{}", states());

    site.write("config.toml", hostile("5s", "outcome = \"delivered\""));
    let mut running = site.runs(&[]);
    running.feed(Vec::new());
    let ended = running.end().with_code(0);
    assert!(ended.stderr.contains("hostile: 10 delivered"), "{ended:#?}");
}

#[test]
fn a_retry_reaches_a_run_of_the_spools_of_tools() {
    let site = Site::new(&[to_file("one", "one.jsonl")]);
    fs::create_dir(site.path("tools")).expect("writable");
    let mut running = site.runs(&["--spools", "tools"]);
    running.until("it runs", || !site.read("state/status.v1.json").trim().is_empty());
    let told = site.run(&["retry", "--state", "state", "--json"]).with_code(0).json();
    assert_eq!(told["running"], true);
    running.signal("TERM");
    running.end().with_code(0);
    site.run(&["retry", "--state", "state"]).with_code(7);
}

#[test]
fn the_longest_pause_is_a_key_of_the_backend() {
    let away = |pause: &str| {
        let rest = format!("longest_pause = {pause:?}\nconfig = {{ url = \"http://127.0.0.1:1/\" }}");
        backend("away", &plugin("http"), &rest)
    };
    let site = Site::new(&[away("5x")]);
    let ended = site.run(&["doctor"]).with_code(3);
    assert!(ended.stderr.contains("longest_pause") && ended.stderr.contains("5x"), "{ended:#?}");

    // With pauses of at most 20 ms, there are many attempts within the grace.
    site.write("config.toml", away("20ms"));
    let mut running = site.runs(&[]);
    let mut stdin = running.stdin();
    stdin.write_all(events(0..1).as_bytes()).expect("writable");
    running.until("ten attempts", || site.status()["spools"][0]["backends"][0]["calls"].as_u64() >= Some(10));
    drop(stdin);
    running.end().with_code(0);
}

#[test]
fn each_line_of_a_json_log_is_an_object() {
    let away = backend("away", &plugin("http"), "config = { url = \"http://127.0.0.1:1/\" }");
    for arguments in [&["--log-format", "json"][..], &["--log-format=json"]] {
        let site = Site::new(std::slice::from_ref(&away));
        let mut running = site.runs(&[arguments, &["--grace", "100ms"]].concat());
        let mut stdin = running.stdin();
        stdin.write_all((events(0..1) + "no event\n").as_bytes()).expect("writable");
        running.until_said("away is down");
        running.until_said("line 2: ");
        drop(stdin);
        let ended = running.end().with_code(5);
        let records: Vec<serde_json::Value> = ended
            .stderr
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
            .collect();
        let of = |level: &str, words: &str| {
            let is_it = |record: &&serde_json::Value| {
                record["level"] == level
                    && record["event"].as_str().is_some_and(|event| event.contains(words))
            };
            records.iter().find(is_it).unwrap_or_else(|| panic!("{words}: {ended:#?}"))
        };
        assert_eq!(of("warning", "away is down")["backend"], "away");
        assert!(of("error", "line 2: ")["timestamp"].is_string(), "{ended:#?}");
        assert!(of("warning", "the spool keeps 1 event for the next run")["backend"].is_null(), "{ended:#?}");
        assert_eq!(of("info", "away: 0 delivered, 1 waiting")["backend"], "away");
    }
    let site = Site::new(&[away]);
    let ended =
        start(site.command(&["run", "--onec"]).env("JACKFIELD_LOG_FORMAT", "json")).end().with_code(2);
    let told: serde_json::Value = serde_json::from_str(&ended.stderr).expect("an object");
    assert!(told["event"].as_str().is_some_and(|event| event.contains("--onec")), "{ended:#?}");
}

#[test]
fn a_json_line_about_a_backend_names_it() {
    let of = |ended: &Ended, level: &str, words: &str| -> serde_json::Value {
        let records = ended.stderr.lines().map(|line| serde_json::from_str(line).expect("an object"));
        let is_it = |record: &serde_json::Value| {
            record["level"] == level && record["event"].as_str().is_some_and(|event| event.starts_with(words))
        };
        let mut records = records.filter(is_it);
        records.next().unwrap_or_else(|| panic!("{words}: {ended:#?}"))["backend"].clone()
    };
    let missing = "[[backend]]\nname = \"gone\"\nplugin = \"no_such_plugin\"\n";
    let rejecting = hostile("5s", "outcome = \"rejected\"");
    let site = Site::new(&[rejecting.clone(), missing.to_owned()]);
    let mut running = site.runs(&["--start-anyway", "--log-format", "json", "--grace", "100ms"]);
    running.feed(events(0..3).into());
    let ended = running.end().with_code(6);
    assert_eq!(of(&ended, "warning", "backend `gone`: find: "), "gone");
    assert_eq!(of(&ended, "warning", "hostile: 0 delivered, 3 rejected"), "hostile");

    site.write("in.jsonl", events(0..3));
    let ended = site.run(&["send", "--quiet", "--log-format", "json", "in.jsonl"]).with_code(4);
    assert_eq!(of(&ended, "error", "backend `gone`: find: "), "gone");
    assert_eq!(of(&ended, "warning", "hostile: 0 delivered"), "hostile");
    assert_eq!(of(&ended, "warning", "3 rejected: "), "hostile");
    assert_eq!(of(&ended, "warning", "kept in "), "hostile");
}

#[test]
fn the_numbers_of_a_backend_that_left_add_up() {
    let both = |name: &str| to_file(name, &format!("{name}.jsonl")) + &to_file("second", "second.jsonl");
    let site = Site::new(&[both("main")]);
    let mut running = site.runs(&["--json"]);
    let mut stdin = running.stdin();
    let mut send = |running: &mut Running, numbers: std::ops::Range<usize>, name: &str| {
        stdin.write_all(events(numbers.clone()).as_bytes()).expect("writable");
        let last = events(numbers.end - 1..numbers.end);
        running.until("the events", || {
            [name, "second"].iter().all(|name| {
                let file = site.path(&format!("{name}.jsonl"));
                fs::read_to_string(file).is_ok_and(|text| text.ends_with(&last))
            })
        });
    };
    let rename = |running: &mut Running, name: &str| {
        site.write("config.toml", both(name));
        running.signal("HUP");
        running.until("the new name", || site.status()["spools"][0]["backends"][0]["name"] == name);
    };
    send(&mut running, 0..100, "main");
    rename(&mut running, "mian");
    send(&mut running, 100..120, "mian");
    rename(&mut running, "main");
    send(&mut running, 120..130, "main");
    drop(stdin);
    let summary = running.end().with_code(0).summary();
    assert_eq!(summary["read"], 130);
    let names: Vec<_> =
        summary["backends"].as_array().expect("a list").iter().map(|it| &it["name"]).collect();
    assert_eq!(names, ["main", "second", "mian"], "{summary}");
    for backend in summary["backends"].as_array().expect("a list") {
        let number = |member: &str| backend[member].as_u64().unwrap_or_else(|| panic!("{member}: {summary}"));
        let name = backend["name"].as_str().expect("text");
        let arrived = site.lines(&format!("{name}.jsonl")) as u64;
        assert_eq!(number("delivered"), arrived, "{summary}");
        assert_eq!(number("missed"), 130 - arrived, "{summary}");
        let others = ["delivered", "rejected", "lost", "waiting", "missed"].map(number);
        assert_eq!(number("waiting_before") + 130, others.iter().sum::<u64>(), "{summary}");
    }
}

#[test]
fn with_json_a_wrong_configuration_is_one_object() {
    let site = Site::new(&["[[backend]]\nplugin = 7\n".to_owned()]);
    for command in [&["send"][..], &["run", "--state", "state"], &["doctor"], &["plugins"]] {
        let ended = site.run(&[command, &["--json"]].concat()).with_code(3);
        let told = ended.json();
        assert_eq!(told["exit_code"], 3, "{ended:#?}");
        assert!(told["error"].as_str().is_some_and(|error| error.contains("config.toml:2")), "{ended:#?}");
    }
    let status = site.run(&["status", "--state", "none", "--json"]).with_code(7).json();
    assert_eq!(status["alive"], false, "one object, which says why: {status}");
}

#[test]
fn with_json_a_wrong_command_line_is_one_object() {
    let site = Site::new(&[]);
    for command in
        [&["run", "--onec"][..], &["send", "--give-up-after", "5"], &["sned"], &["dead-letters"], &[]]
    {
        let ended = site.run(&[command, &["--json"]].concat()).with_code(2);
        let told = ended.json();
        assert_eq!(told["exit_code"], 2, "{ended:#?}");
        let error = told["error"].as_str().expect("a string");
        assert!(error.ends_with("--help`") && ended.stderr == format!("error: {error}\n"), "{ended:#?}");
    }
    let help = site.run(&["run", "--help", "--json"]).with_code(0).stdout;
    assert!(help.contains("Usage: jackfield run"), "{help}");
}

#[test]
fn an_empty_variable_is_an_unset_one() {
    let site = Site::new(&[to_file("late", "later/out.jsonl")]);
    let mut command = site.command(&["run", "--state", "state", "--start-anyway"]);
    command.env("JACKFIELD_LOG", "").env("JACKFIELD_LOG_FORMAT", "").stdin(std::process::Stdio::piped());
    let mut running = start(&mut command);
    let mut stdin = running.stdin();
    stdin.write_all(events(0..1).as_bytes()).expect("writable");
    running.until_said("warning: backend late is down");
    fs::create_dir(site.path("later")).expect("writable");
    site.run(&["retry", "--state", "state"]).with_code(0);
    running.until_said("info: backend late is back after");
    drop(stdin);
    running.end().with_code(0);
    let wrong = start(site.command(&["plugins"]).env("JACKFIELD_LOG_FORMAT", "xml")).end().with_code(2);
    assert!(wrong.stderr.contains(r#"expected "text" or "json", found "xml""#), "{wrong:#?}");
}

#[test]
fn quiet_still_reports_undelivered_events() {
    let site = Site::new(&[hostile("5s", "outcome = \"rejected\"")]);
    site.write("in.jsonl", events(0..3));
    let ended = site.run(&["send", "--quiet", "in.jsonl"]).with_code(6);
    assert!(ended.stderr.contains("3 rejected") && ended.stderr.contains("kept in "), "{ended:#?}");
    site.write("config.toml", hostile("5s", ""));
    let ended = site.run(&["send", "--quiet", "in.jsonl"]).with_code(0);
    assert_eq!(ended.stderr, "");
}
