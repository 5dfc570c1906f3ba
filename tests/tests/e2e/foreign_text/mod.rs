//! Text from outside never reaches a terminal as it is, whichever command prints it.
#![cfg(target_os = "linux")]

use std::{
    ffi::{OsStr, OsString},
    fs,
    os::unix::ffi::OsStringExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use jackfield_tests::{
    fixture,
    peers::http::{HttpServer, Reply},
    plugin, text_file,
};
use serde_json::{Value, json};

use crate::site::{Ended, Site, backend, event, events, start, to_file};

mod places;

/// What a terminal obeys, what turns the direction of writing, and what can't be seen.
const HOSTILE: &str = "x\u{1b}[31m\u{1b}]0;t\u{7}\r\n\u{7f}\u{85}\u{9b}2J\u{61c}\u{200b}\u{200f}\u{202e}\u{2028}\u{2066}\u{feff}y";

/// A name of a file may have all of this, and bytes that are no UTF-8.
fn hostile_name(end: &str) -> OsString {
    OsString::from_vec([HOSTILE.as_bytes(), b"\xff\xc2", end.as_bytes()].concat())
}

/// The fixture `hostile`, whose name, vendor and description turn the direction of writing.
fn hostile_plugin() -> Vec<u8> {
    patched(
        &fixture("hostile"),
        &[
            ("\"name\":\"hostile\"", "\"name\":\"\u{202e}\u{2066}x\""),
            ("\"vendor\":\"Jackfield\"", "\"vendor\":\"\u{200b}\u{200f}\u{202e}\""),
            ("\"misbehaves as", "\"\u{202e}\u{2067}\u{feff}\u{2028} "),
        ],
    )
}

/// The bytes of a plugin with other texts of the same length in its metadata.
fn patched(plugin: &Path, texts: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = fs::read(plugin).expect("readable");
    for (text, hostile) in texts {
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

/// Fails when a command has printed what is hostile.
fn harmless(what: &[&OsStr], ended: &Ended) {
    for stream in [&ended.stdout, &ended.stderr] {
        let line = stream.lines().find(|line| line.contains(is_hostile));
        assert_eq!(line, None, "{what:?}");
        let is_torn = |line: &str| line.starts_with("\\u{7f}") || line.starts_with('\u{fffd}');
        assert!(!stream.lines().any(is_torn), "{what:?}: {stream}");
    }
}

/// Fails when a command has not quoted what is hostile at all.
fn quotes_it(what: &[&OsStr], ended: &Ended) {
    let is_quoted = ended.stdout.contains("202e") || ended.stderr.contains("202e");
    assert!(is_quoted, "{what:?} has nothing to escape: {ended:#?}");
}

/// As [`harmless_in_each_form`], for a command that quotes what is hostile.
fn in_each_form(site: &Site, arguments: &[&OsStr], prepare: impl Fn(&mut Command)) {
    harmless_in_each_form(site, arguments, true, prepare);
}

/// Runs a command as it is and with `--json`, in which case its standard output has to be JSON.
fn harmless_in_each_form(site: &Site, arguments: &[&OsStr], quotes: bool, prepare: impl Fn(&mut Command)) {
    for json in [false, true] {
        let mut command = site.command(&[]);
        command.args(arguments).stdin(Stdio::null()).env("JACKFIELD_LOG", "debug");
        if json {
            command.arg("--json");
        }
        prepare(&mut command);
        let ended = start(&mut command).end();
        harmless(arguments, &ended);
        if quotes {
            quotes_it(arguments, &ended);
        }
        if json {
            let mut values = serde_json::Deserializer::from_str(&ended.stdout).into_iter::<Value>();
            assert!(values.all(|value| value.is_ok()), "{ended:#?}");
        }
    }
}

fn words<'a>(words: &'a str, rest: &[&'a OsStr]) -> Vec<&'a OsStr> {
    words.split(' ').map(OsStr::new).chain(rest.iter().copied()).collect()
}

/// Makes a file of this site, and the folders above it, for the user alone.
fn plant(site: &Site, name: &str, content: impl AsRef<[u8]>) {
    use std::os::unix::fs::DirBuilderExt as _;
    let folder = site.path(name).parent().expect("a folder").to_owned();
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).expect("writable");
    site.write(name, content);
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
    let ended = run.end();
    harmless(&state, &ended);
    quotes_it(&state, &ended);
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

#[test]
fn the_schema_of_a_plugin_is_escaped() {
    let site = Site::new(&[]);
    let meaning = "\"How many rotated files are kept";
    let hostile = format!("\"{:<1$}", "\u{202e}\u{2066}\u{200b}\u{2028}\u{85}", meaning.len() - 1 - 9);
    let texts = [("\"rotate_keep\":", "\"\u{202e}\u{2066}\u{200b}xx\":"), (meaning, hostile.as_str())];
    plant(&site, "plugins/libfile.so", patched(&plugin("file"), &texts));
    for arguments in ["inspect plugins/libfile.so", "schema"] {
        in_each_form(&site, &words(arguments, &[]), |command| {
            command.env("JACKFIELD_PLUGIN_PATH", site.path("plugins"));
        });
    }
}

#[test]
fn what_a_server_says_is_escaped() {
    for status in [400, 401, 503] {
        let server = HttpServer::start(Reply::status(status).body(HOSTILE));
        let config = format!("[backend.config]\nurl = {:?}", server.url("/in"));
        let site = Site::new(&[backend("main", &plugin("http"), &config)]);
        site.write("in.jsonl", events(0..1));
        for arguments in ["send --give-up-after 100ms in.jsonl", "doctor"] {
            // A probe of a server that refuses content says what that content was.
            in_each_form(&site, &words(arguments, &[]), |_| ());
        }
    }
}

#[test]
fn the_folder_of_a_tool_forges_no_line() {
    let site = Site::new(&[to_file("main", "out.jsonl")]);
    let [with, without] = ["with", "without"].map(|end| format!("{HOSTILE}{end}"));
    for tool in [&with, &without] {
        plant(&site, &format!("tools/{tool}/spool/counters.v1.tmp"), "");
    }
    // Where the file with a user's consent is, a folder has the tool's name without special characters.
    let plain = |c: char| if c.is_alphanumeric() { c } else { '_' };
    let folder: String = with.chars().map(plain).collect();
    plant(&site, &format!("{folder}/config.toml"), "[telemetry]\nenabled = true\n");
    let arguments = ["run", "--spools", "tools", "--state", "state"];
    let mut run = start(site.command(&arguments).env("JACKFIELD_LOG", "debug"));
    run.until("the status of the tool", || !site.status()["spools"][0].is_null());
    in_each_form(&site, &words("status --once --state state", &[]), |_| ());
    run.until_said("without wait: ");
    run.signal("INT");
    let ended = run.end();
    harmless(&arguments.map(OsStr::new), &ended);
    quotes_it(&arguments.map(OsStr::new), &ended);
}
