//! What people see on a terminal, and programs do not.
#![cfg(target_os = "linux")]

use std::{io::Write as _, process::Stdio};

use jackfield_tests::{c_conduct, cli, peers::free_port, plugin, text_file};

use crate::site::{Ended, Site, backend, events, hostile, start, to_file};

/// Runs the command on a terminal of its own.
fn on_a_terminal(site: &Site, arguments: &[&str], variables: &[(&str, &str)]) -> Ended {
    let words: Vec<_> = std::iter::once(cli().to_str().expect("UTF-8").to_owned())
        .chain(arguments.iter().map(|argument| (*argument).to_owned()))
        .map(|word| format!("'{word}'"))
        .collect();
    let mut command = site.on_a_terminal(&words.join(" "));
    command.env("TERM", "xterm").env_remove("NO_COLOR").envs(variables.iter().copied());
    start(&mut command).end()
}

#[test]
fn colours_are_for_a_terminal_only() {
    let site = Site::new(&[]);
    let (good, bad) = (plugin("file"), text_file());
    let arguments = ["inspect", good.to_str().expect("UTF-8"), bad.to_str().expect("UTF-8")];
    let coloured = on_a_terminal(&site, &arguments, &[]).with_code(4).stdout;
    assert!(
        coloured.contains("\x1b[32mcompatible\x1b[0m") && coloured.contains("\x1b[31mrefused"),
        "{coloured}"
    );
    for variable in [("NO_COLOR", "1"), ("TERM", "dumb")] {
        let plain = on_a_terminal(&site, &arguments, &[variable]).with_code(4).stdout;
        assert!(!plain.contains('\x1b') && plain.contains("compatible"), "{variable:?}: {plain}");
    }
    let piped = site.run(&arguments).with_code(4).stdout;
    assert!(!piped.contains('\x1b'), "{piped}");
}

#[test]
fn the_kit_shows_which_check_runs() {
    let site = Site::new(&[]);
    let file = c_conduct("WELL_BEHAVED");
    // It waits for longer than the bar is drawn apart.
    let arguments = ["check", file.to_str().expect("UTF-8"), "--only", "late-calls"];
    let shown = on_a_terminal(&site, &arguments, &[]).with_code(0).stdout;
    let (bar, _) = shown.split_once("VERDICT").expect("the report");
    assert!(bar.contains("late-calls"), "{shown}");
    let piped = site.run(&arguments).with_code(0);
    assert_eq!(piped.stderr, "");
}

#[test]
fn the_screen_of_a_run_is_cut_to_the_terminal() {
    let site = Site::new(&[to_file("one", "out.jsonl")]);
    let mut run = start(site.command(&["run", "--state", "state"]).stdin(Stdio::piped()));
    // The file is blank before the first status.
    run.until("a status", || !site.read("state/status.v1.json").trim().is_empty());
    let command = format!(
        "stty rows 4 cols 30; timeout --foreground -s INT 5 '{}' status --state state",
        cli().display()
    );
    let shown = start(site.on_a_terminal(&command).env("TERM", "xterm")).end().stdout;
    let mut pages: Vec<&str> = shown.split("\x1b[H").skip(1).collect();
    assert!(!pages.is_empty(), "{shown:?}");
    // What follows the last one leaves the screen.
    let last = pages.len() - 1;
    pages[last] = pages[last].split("\x1b[?25h").next().unwrap_or_default();
    for page in pages {
        let lines: Vec<String> =
            page.split('\n').map(|line| line.replace("\x1b[K", "").replace('\r', "")).collect();
        assert_eq!(lines.len(), 4, "{page:?}");
        assert!(lines.iter().all(|line| line.chars().count() <= 30), "{page:?}");
        assert!(lines[0].starts_with("jackfield ") && lines[3].contains(" more lines"), "{page:?}");
    }
    drop(run.stdin());
    run.end().with_code(0);
}

#[test]
fn the_status_is_whole_on_terminals_of_120_80_and_40_columns() {
    let away = format!("config = {{ url = \"http://127.0.0.1:{}/\" }}", free_port());
    let away = backend("a-platform-away", &plugin("http"), &away);
    let site = Site::new(&[to_file("one", "out.jsonl"), away]);
    let mut run = site.runs(&["--grace", "1s"]);
    run.feed(events(0..12_345).into());
    let ended = run.end().with_code(0);
    assert!(ended.stderr.contains("a-platform-away"), "{ended:#?}");
    for columns in [120, 80, 40] {
        let command =
            format!("stty rows 24 cols {columns}; '{}' status --once --state state", cli().display());
        // No run is alive.
        let shown = start(&mut site.on_a_terminal(&command)).end().with_code(7).stdout.replace('\r', "");
        assert!(shown.lines().all(|line| line.chars().count() <= columns), "{shown}");
        let words: Vec<_> = shown.split_whitespace().collect();
        let after = |name: &str, expected: &[&str]| {
            let has = words.windows(expected.len() + 1).any(|row| row[0] == name && row[1..] == *expected);
            assert!(has, "{name} {expected:?} at {columns} columns: {shown}");
        };
        if columns == 40 {
            after("one", &["CIRCUIT", "closed", "WAITING", "0", "DELIVERED", "12345", "REJECTED", "0"]);
            after("a-platform-away", &["CIRCUIT", "open,"]);
        } else {
            after("BACKEND", &["CIRCUIT", "WAITING", "DELIVERED", "REJECTED", "EVENTS/S"]);
            after("one", &["closed", "0", "12345", "0"]);
            after("a-platform-away", &["open,"]);
        }
        after("s", if columns == 40 { &["WAITING", "12345"] } else { &["12345", "0", "0"] });
    }
}

#[test]
fn a_check_of_the_status_ends_with_a_code_and_names_each_problem() {
    let away = format!("config = {{ url = \"http://127.0.0.1:{}/\" }}", free_port());
    let site = Site::new(&[to_file("one", "out.jsonl"), backend("away", &plugin("http"), &away)]);
    let check = |site: &Site| site.run(&["status", "--state", "state", "--check"]);
    check(&site).with_code(7);
    let mut run = site.runs(&["--grace", "1s"]);
    let mut stdin = run.stdin();
    run.until("a status", || check(&site).code == Some(0));
    stdin.write_all(events(0..2).as_bytes()).expect("a run that reads");
    run.until("a problem", || check(&site).code == Some(6));
    let said = check(&site).with_code(6).stdout;
    assert!(said.starts_with("away: circuit open, next attempt in ") && said.lines().count() == 1, "{said}");
    let json = site.run(&["status", "--state", "state", "--check", "--json"]).with_code(6).json();
    assert!(json["problems"][0].as_str().is_some_and(|line| line.starts_with("away: ")), "{json}");
    drop(stdin);
    run.end().with_code(0);
    let ended = check(&site).with_code(7).stdout;
    assert!(ended.starts_with("no `jackfield run` is alive in "), "{ended}");
}

#[test]
fn a_long_input_has_a_bar_only_on_a_terminal() {
    let site = Site::new(&[hostile("5s", "sleep_ms = 100"), to_file("main", "out.jsonl")]);
    site.write("in.jsonl", events(0..100));
    let arguments = ["send", "--batch-events", "10", "in.jsonl"];
    let shown = on_a_terminal(&site, &arguments, &[]).with_code(0).stdout;
    assert!(shown.contains("KiB/") && shown.contains(" events"), "a bar: {shown}");
    assert!(shown.contains("100 events of 100 lines"), "and the summary: {shown}");
    let quiet = on_a_terminal(&site, &["send", "--quiet", "in.jsonl"], &[]).with_code(0).stdout;
    assert_eq!(quiet, "");
    let piped = site.run(&arguments).with_code(0);
    assert!(!piped.stderr.contains("KiB/") && piped.stdout.is_empty(), "{piped:#?}");
}

#[test]
fn a_bar_does_not_overwrite_what_the_plugin_stdout_prints() {
    let site = Site::new(&[backend("lines", &plugin("stdout"), "config = { format = \"lines\" }")]);
    site.write("in.jsonl", events(0..50));
    let shown = on_a_terminal(&site, &["send", "--quiet", "in.jsonl"], &[]).with_code(0).stdout;
    assert_eq!(shown.replace("\r\n", "\n"), events(0..50));
    let shown = on_a_terminal(&site, &["send", "in.jsonl"], &[]).with_code(0).stdout;
    assert!(shown.replace("\r\n", "\n").starts_with(&events(0..50)) && !shown.contains("KiB/"), "{shown}");
}
