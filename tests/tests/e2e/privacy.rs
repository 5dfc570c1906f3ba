//! What `docs/privacy.md` says of events and of the disk, compared with what is so.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use jackfield::{Deliver, MemoryBackend, Telemetry};
use jackfield_test_support::wait_for;
use jackfield_tests::{
    Build,
    peers::http::{HttpServer, REFUSED, Reply},
    plugin,
};
use serde_json::Value;

use crate::{
    built_in::{Machine, out},
    docs::tables,
};

const PAGE: &str = include_str!("../../../docs/privacy.md");

/// The first cells of the tables with this heading, without their marks of code.
fn first_cells(heading: &str) -> Vec<Vec<String>> {
    let tables = tables(PAGE).into_iter().filter(|table| table[0].join(" | ") == heading);
    tables.map(|table| table[2..].iter().map(|row| row[0].replace('`', "")).collect()).collect()
}

/// A user of the example tool, which collects arguments and error messages. No server takes its events.
struct Greet(tempfile::TempDir);

impl Greet {
    fn new() -> Self {
        let home = tempfile::tempdir().expect("a folder");
        let path = plugin("http").parent().expect("a folder").to_owned();
        let ops = format!(
            "[plugins]\npath = [{path:?}]\n[[backend]]\nplugin = \"http\"\nconfig = {{ url = {REFUSED:?} }}\n"
        );
        fs::write(home.path().join("ops.toml"), ops).expect("room");
        Self(home)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(Build::package("jackfield").example("greet", "clap"));
        command.args(args).env_clear().env("HOME", self.0.path());
        command.env("GREET_TELEMETRY_CONFIG", self.0.path().join("ops.toml"));
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("starts")
    }

    /// The events on the disk.
    fn stored(&self) -> Vec<Value> {
        stored(&self.0.path().join(".local/state/greet/telemetry/spool"))
    }
}

fn stored(spool: &Path) -> Vec<Value> {
    let files = fs::read_dir(spool).expect("a spool").map(|entry| entry.expect("readable").path());
    let segments = files.filter(|file| file.extension().is_some_and(|it| it == "jsonl"));
    let text: String = segments.map(|file| fs::read_to_string(file).expect("readable")).collect();
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn the_page_lists_the_members_of_stored_events() {
    let [always, extended] = &first_cells("member | what | example | why")[..] else { panic!("two tables") };
    for is_extended in [false, true] {
        let home = tempfile::tempdir().expect("a folder");
        let consent = home.path().join("config.toml");
        fs::write(&consent, "[telemetry]\nenabled = true\n").expect("room");
        let telemetry = Telemetry::builder("tool", "1.2.3")
            .environment(|_: &str| None::<OsString>)
            .consent_file(consent)
            .data_folder(home.path().join("data"))
            .backend("memory", MemoryBackend::new().maker())
            .deliver(Deliver::ByHand)
            .extended_collection(is_extended)
            .build();
        telemetry.track("feature.used", "feature", &[("name", "value")]);
        let mut scope = telemetry.command("command");
        scope.set_args(["--release"]);
        scope.set_error("x.rs: not found");
        scope.finish(1);
        telemetry.close();
        let stored = stored(&home.path().join("data/spool"));
        assert_eq!(stored.len(), 2, "{stored:?}");
        let members: BTreeSet<&String> =
            stored.iter().flat_map(|event| event.as_object().expect("an object").keys()).collect();
        let page = always.iter().chain(extended.iter().filter(|_| is_extended));
        assert_eq!(members, page.collect());
    }
}

#[test]
fn enable_and_the_page_say_the_same_of_arguments_and_error_messages() {
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let taken_out = "without secrets and personal data as far as they can be recognised";
    assert!(words(PAGE).contains(taken_out));
    let greet = Greet::new();
    for command in ["enable", "status"] {
        let said = words(&out(&greet.run(&["telemetry", command])));
        assert!(said.contains(taken_out), "{command}: {said}");
    }
}

#[test]
fn the_page_lists_the_names_that_are_of_no_person() {
    let row = PAGE.lines().find(|line| line.starts_with("| names of the user")).expect("a row");
    let names: Vec<&str> = row.split('`').skip(1).step_by(2).collect();
    assert!(names.len() > 3, "{row}");
    for name in names.iter().copied().chain(["alice"]) {
        let greet = Greet::new();
        greet.run(&["telemetry", "enable"]);
        greet.command(&["add", name]).env("USER", name).output().expect("starts");
        let error = greet.stored()[0]["error"].to_string();
        assert_eq!(error.contains(name), name != "alice", "{name}: {error}");
    }
}

/// Every file below a folder, as a path in it.
fn files(folder: &Path) -> Vec<String> {
    let mut folders = vec![folder.to_owned()];
    let mut files = Vec::new();
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).expect("a folder") {
            let path: PathBuf = entry.expect("readable").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files.push(path.strip_prefix(folder).expect("below").display().to_string());
            }
        }
    }
    files
}

/// Whether a pattern with at most one `*` is for the file.
fn is_for(pattern: &str, file: &str) -> bool {
    match pattern.split_once('*') {
        Some((before, after)) => {
            file.len() >= before.len() + after.len() && file.starts_with(before) && file.ends_with(after)
        }
        None => pattern == file,
    }
}

#[test]
fn the_page_lists_what_disable_and_reset_leave_on_the_disk() {
    let [rows] = &first_cells("file | what it has")[..] else { panic!("one table") };
    let patterns: Vec<&str> = rows.iter().flat_map(|row| row.split(", ")).collect();
    let data = |machine: &Machine| machine.path(".local/state/embedded/telemetry");
    let left = |machine: &Machine| {
        let left = files(&data(machine));
        let is_listed = |file: &&String| patterns.iter().any(|pattern| is_for(pattern, file));
        let others: Vec<&String> = left.iter().filter(|file| !is_listed(file)).collect();
        assert!(others.is_empty(), "not on the page: {others:?}");
        left
    };
    let machine = Machine::panic_abort();
    // A plugin that crashes in a process of its own.
    fs::write(machine.path("panic"), "").expect("room");
    machine.write_ops("[[backend]]\nplugin = \"fragile\"\nisolation = \"process\"\n");
    machine.run("at-exit crashes");
    // One event that is delivered and one that is rejected, by a child.
    let by_name = Reply::with(|request| {
        let is_wrong = String::from_utf8_lossy(&request.body).contains("\"wrong\"");
        Reply::status(if is_wrong { 400 } else { 200 })
    });
    let server = HttpServer::start(by_name);
    machine.ops(&server, "");
    machine.run("right+wrong");
    wait_for(
        "all is settled",
        || machine.status(),
        |status| status["events"] == 0 && status["delivering"] == false && status["dead_letters"] == 1,
    );
    // One that stays here, and one that waits.
    let local = |words: &str| {
        let mut command = machine.command(words);
        command
            .env("TELEMETRY_LOCAL", "true")
            .env_remove("EMBEDDED_TELEMETRY_CONFIG")
            .output()
            .expect("starts")
    };
    local("at-exit local");
    local("local-by-a-child");
    wait_for(
        "no child",
        || out(&local("status-json")),
        |status| status.contains("\"delivering\": false") || status.contains("\"delivering\":false"),
    );
    machine.write_ops(&format!("[[backend]]\nplugin = \"http\"\nconfig = {{ url = {REFUSED:?} }}\n"));
    machine.run("at-exit waits");

    machine.run("disable");
    let after_disable = left(&machine);
    for pattern in &patterns {
        // A loss of events, and one on a full disk.
        let needs_more = ["spool/counters.v1.json", "spool/*.v1.mark"].contains(pattern);
        let is_there = after_disable.iter().any(|file| is_for(pattern, file));
        assert!(is_there || needs_more, "{pattern} is not there: {after_disable:?}");
    }
    for file in &after_disable {
        let text =
            String::from_utf8_lossy(&fs::read(data(&machine).join(file)).expect("readable")).into_owned();
        let is_event = ["\"right\"", "\"wrong\"", "\"waits\""].iter().any(|name| text.contains(name));
        assert!(!is_event, "{file}: {text}");
    }
    machine.end("reset");
    let after_reset = left(&machine);
    assert!(!after_reset.contains(&"events.jsonl".to_owned()));
}
