//! Text from outside never reaches a terminal as it is, whichever command prints it.
#![cfg(target_os = "linux")]

use std::{
    ffi::{OsStr, OsString},
    fs,
    os::unix::ffi::OsStringExt as _,
    path::PathBuf,
    process::{Command, Stdio},
};

use jackfield_tests::{fixture, text_file};
use serde_json::{Value, json};

use crate::site::{Ended, Site, backend, events, start, to_file};

/// What a terminal obeys, what turns the direction of writing, and what can't be seen.
const HOSTILE: &str = "x\u{1b}[31m\u{1b}]0;t\u{7}\r\n\u{7f}\u{85}\u{9b}2J\u{61c}\u{200b}\u{200f}\u{202e}\u{2028}\u{2066}\u{feff}y";

/// A name of a file may have all of this, and bytes that are no UTF-8.
fn hostile_name(end: &str) -> OsString {
    OsString::from_vec([HOSTILE.as_bytes(), b"\xff\xc2", end.as_bytes()].concat())
}

/// The fixture `hostile`, whose name, vendor and description turn the direction of writing.
fn hostile_plugin() -> Vec<u8> {
    let mut bytes = fs::read(fixture("hostile")).expect("readable");
    for (text, hostile) in [
        ("\"name\":\"hostile\"", "\"name\":\"\u{202e}\u{2066}x\""),
        ("\"vendor\":\"Jackfield\"", "\"vendor\":\"\u{200b}\u{200f}\u{202e}\""),
        ("\"misbehaves as", "\"\u{202e}\u{2067}\u{feff}\u{2028} "),
    ] {
        assert_eq!(text.len(), hostile.len());
        let at = bytes.windows(text.len()).position(|bytes| bytes == text.as_bytes()).expect(text);
        bytes[at..at + hostile.len()].copy_from_slice(hostile.as_bytes());
    }
    bytes
}

/// A folder with a hostile name in a site, with a hostile plugin in it and a file that is none.
fn hostile_folder(site: &Site) -> PathBuf {
    let folder = site.path("").join(hostile_name(""));
    fs::create_dir(&folder).expect("writable");
    fs::write(folder.join(format!("{HOSTILE}.so")), hostile_plugin()).expect("writable");
    fs::copy(text_file(), folder.join(hostile_name(".so"))).expect("copied");
    folder
}

/// The table of a backend that says what is hostile whatever it is asked; `rest` are further options.
fn says(rest: &str) -> String {
    let says = json!(HOSTILE).to_string().replace('\u{7f}', "\\u007f");
    let config = format!("[backend.config]\nsays = {says}\nlog = {says}\n{rest}\n");
    backend("hostile", &fixture("hostile"), &config)
}

fn is_hostile(c: char) -> bool {
    c != '\n' && HOSTILE.contains(c) && !c.is_ascii_graphic()
}

/// Fails when a command has printed what is hostile, or has not quoted it at all.
fn harmless(what: &[&OsStr], ended: &Ended) {
    for stream in [&ended.stdout, &ended.stderr] {
        let line = stream.lines().find(|line| line.contains(is_hostile));
        assert_eq!(line, None, "{what:?}");
        let is_torn = |line: &str| line.starts_with("\\u{7f}") || line.starts_with('\u{fffd}');
        assert!(!stream.lines().any(is_torn), "{what:?}: {stream}");
    }
    let is_quoted = ended.stdout.contains("202e") || ended.stderr.contains("202e");
    assert!(is_quoted, "{what:?} has nothing to escape: {ended:#?}");
}

/// Runs a command as it is and with `--json`, in which case its standard output has to be JSON.
fn in_each_form(site: &Site, arguments: &[&OsStr], prepare: impl Fn(&mut Command)) {
    for json in [false, true] {
        let mut command = site.command(&[]);
        command.args(arguments).stdin(Stdio::null()).env("JACKFIELD_LOG", "debug");
        if json {
            command.arg("--json");
        }
        prepare(&mut command);
        let ended = start(&mut command).end();
        harmless(arguments, &ended);
        if json {
            let mut values = serde_json::Deserializer::from_str(&ended.stdout).into_iter::<Value>();
            assert!(values.all(|value| value.is_ok()), "{ended:#?}");
        }
    }
}

fn words<'a>(words: &'a str, rest: &[&'a OsStr]) -> Vec<&'a OsStr> {
    words.split(' ').map(OsStr::new).chain(rest.iter().copied()).collect()
}

#[test]
fn names_and_metadata_of_plugins_are_escaped() {
    let site = Site::new(&[]);
    let folder = hostile_folder(&site);
    let (plugin, none) = (folder.join(format!("{HOSTILE}.so")), folder.join(hostile_name(".so")));
    for arguments in [
        words("plugins", &[]),
        words("inspect", &[plugin.as_os_str(), none.as_os_str()]),
        words("check --only metadata --only open", &[plugin.as_os_str()]),
        words("check", &[none.as_os_str()]),
        words("lock", &[]),
        words("verify", &[plugin.as_os_str(), none.as_os_str()]),
    ] {
        in_each_form(&site, &arguments, |command| {
            command.env("JACKFIELD_PLUGIN_PATH", &folder);
        });
    }
}

#[test]
fn what_a_plugin_says_is_escaped() {
    let input = OsStr::new("in.jsonl");
    for (options, arguments) in [
        ("outcome = \"rejected\"", words("send", &[input])),
        ("outcome = \"retry\"", words("send --give-up-after 100ms", &[input])),
        ("fail = \"open\"", words("send", &[input])),
        ("fail = \"open\"\nerror = \"config\"", words("send", &[input])),
        ("fail = \"close\"", words("send", &[input])),
        ("diagnostics = \"refused\"", words("doctor", &[])),
        ("diagnostics = \"reachable\"", words("doctor", &[])),
        ("fail = \"open\"", words("forget", &[OsStr::new("0123456789abcdef")])),
        (
            "fail = \"open\"",
            words("check --config config.toml --only open", &[fixture("hostile").as_os_str()]),
        ),
    ] {
        let site = Site::new(&[says(options)]);
        site.write("in.jsonl", events(0..1));
        in_each_form(&site, &arguments, |_| ());
    }
}

#[test]
fn a_run_and_its_status_escape_what_a_plugin_says() {
    let site = Site::new(&[says("outcome = \"retry\"")]);
    let state = site.path("").join(hostile_name(""));
    let state = words("--state", &[state.as_os_str()]);
    let mut command = site.command(&["run"]);
    command.args(&state).stdin(Stdio::piped()).env("JACKFIELD_LOG", "debug");
    let mut run = start(&mut command);
    let mut stdin = run.stdin();
    std::io::Write::write_all(&mut stdin, events(0..1).as_bytes()).expect("written");
    let status = || start(site.command(&["status", "--once"]).args(&state)).end();
    run.until("an error", || status().stdout.contains("ago: "));
    in_each_form(&site, &[&words("status", &[]), &*state].concat(), |_| ());
    drop(stdin);
    harmless(&state, &run.end());
    in_each_form(&site, &[&words("status", &[]), &*state].concat(), |_| ());
}

#[test]
fn names_of_files_are_escaped() {
    let site = Site::new(&[to_file("main", "out.jsonl")]);
    let there = site.path("").join(hostile_name(""));
    fs::create_dir(&there).expect("writable");
    let missing = there.join("missing");
    let bad = there.join("bad.jsonl");
    fs::write(&bad, format!("{{\"type\":5,\"{HOSTILE}\":{HOSTILE}}}\n")).expect("writable");
    for arguments in [
        words("send", &[missing.as_os_str()]),
        words("send --leftovers", &[there.as_os_str(), bad.as_os_str()]),
        words("run --state", &[there.as_os_str(), missing.as_os_str()]),
        words("run --spools", &[missing.as_os_str()]),
        words("status --state", &[there.as_os_str()]),
        words("plugins --config", &[missing.as_os_str()]),
        words("lock --config", &[missing.as_os_str()]),
        words("keygen --no-password", &[there.as_os_str()]),
        words("sign --key", &[missing.as_os_str(), bad.as_os_str()]),
        words("verify", &[missing.as_os_str()]),
        words("new --lang rust", &[OsStr::new(HOSTILE)]),
        words("check", &[missing.as_os_str()]),
    ] {
        in_each_form(&site, &arguments, |_| ());
    }
}

#[test]
fn the_telemetry_commands_escape_folders_and_variables() {
    let site = Site::new(&[says("outcome = \"rejected\"")]);
    let home = site.path("").join(hostile_name(""));
    fs::create_dir(&home).expect("writable");
    let set = |command: &mut Command| {
        command.env("HOME", &home).env("XDG_CONFIG_HOME", &home).env("JACKFIELD_TELEMETRY_ENABLED", HOSTILE);
    };
    for arguments in ["telemetry status", "telemetry doctor"] {
        in_each_form(&site, &words(arguments, &[]), set);
    }
}
