//! What an operator is told: of backends that are down, in the log, in JSON, and with --quiet.

use std::{fs, io::Write as _};

use jackfield_tests::plugin;

use crate::site::{Site, backend, events, hostile, start, to_file};

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
    }
    let site = Site::new(&[away]);
    let ended =
        start(site.command(&["run", "--onec"]).env("JACKFIELD_LOG_FORMAT", "json")).end().with_code(2);
    let told: serde_json::Value = serde_json::from_str(&ended.stderr).expect("an object");
    assert!(told["event"].as_str().is_some_and(|event| event.contains("--onec")), "{ended:#?}");
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
