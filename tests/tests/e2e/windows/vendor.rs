//! What a vendor does: a project of `jackfield new`, built by MinGW, and the conformance kit.

use std::{fs, path::PathBuf, process::Command};

use jackfield_tests::{events::events, succeeds};
use serde_json::{Value, json};

use super::{Windows, backend, wine};
use crate::{new::server, site::Ended};

/// A project that `jackfield.exe new` has written.
struct Project {
    site: Windows,
    folder: PathBuf,
}

impl Project {
    fn new() -> Self {
        let site = Windows::new(&[], &[]);
        let made =
            site.run(&["new", "acme_lines", "--lang", "c", "--dir", "made", "--json"]).with_code(0).json();
        let folder = site.path("made");
        for file in made["files"].as_array().expect("a list") {
            assert!(folder.join(file.as_str().expect("a path")).is_file(), "{file}");
        }
        Self { site, folder }
    }

    /// Runs the Makefile with MinGW's compiler and Wine.
    fn make(&self, goal: &str) {
        let mut make = Command::new("make");
        make.args(["--silent", "CC=x86_64-w64-mingw32-gcc", "CFLAGS=-O1 -include stdio.h", goal])
            .arg(format!("RUN={}", wine().display()))
            .current_dir(&self.folder)
            .env_remove("MAKEFLAGS");
        succeeds(&mut make);
    }

    /// Builds the plugin with these lines of C before those that deliver.
    fn build_with(&self, lines: &str) {
        const DELIVERS: &str = "    wire_deliver(&instance->config, batch, call);\n";
        let source = self.folder.join("plugin.c");
        let text = fs::read_to_string(&source).expect("written");
        assert_eq!(text.matches(DELIVERS).count(), 1, "{text}");
        fs::write(&source, text.replace(DELIVERS, &format!("{lines}\n{DELIVERS}"))).expect("writable");
        self.make("acme_lines.dll");
        fs::write(&source, text).expect("writable");
    }

    /// What the conformance kit says of the library.
    fn check(&self, arguments: &[&str]) -> Ended {
        let config = json!({ "address": server(&self.site.path("checked.jsonl"), 0) }).to_string();
        let check = ["check", "made\\acme_lines.dll", "--json", "--cycles", "20", "--config-json", &config];
        self.site.run(&[&check, arguments].concat())
    }
}

/// The checks of a report with this verdict, and what they have found.
fn with(report: &Value, verdict: &str) -> Vec<[String; 2]> {
    let checks = report["checks"].as_array().expect("a list").iter();
    let text = |check: &Value, key: &str| check[key].as_str().expect("a text").to_owned();
    let found = checks.filter(|check| check["verdict"] == verdict);
    found.map(|check| [text(check, "name"), text(check, "found")]).collect()
}

#[test]
#[ignore = "scripts/test --windows runs it"]
fn the_conformance_kit_passes_a_library_that_keeps_the_contract() {
    let project = Project::new();
    project.make("acme_lines.dll");
    let report = project.check(&[]).with_code(0).json();
    assert_eq!(with(&report, "fail"), [[""; 2]; 0], "{report:#}");
    let skipped: Vec<_> = with(&report, "skipped").into_iter().map(|[name, _]| name).collect();
    assert_eq!(skipped, ["leaks", "deletion", "preview", "probe"], "{report:#}");
}

#[test]
#[ignore = "scripts/test --windows runs it"]
fn the_conformance_kit_catches_libraries_that_break_the_contract() {
    let project = Project::new();
    let first = "batch->events[0].json.ptr";
    for (lines, check, said) in [
        ("printf(\"noise\\n\"); fflush(stdout);".to_owned(), "stdout", "bytes were printed"),
        (
            "SetEnvironmentVariableA(\"ACME\", \"1\");".to_owned(),
            "process-state",
            "environment variable ACME",
        ),
        ("exit(7);".to_owned(), "outcomes", "exit code 7"),
        ("abort();".to_owned(), "outcomes", "exit code 3"),
        ("*(volatile int *)8 = 1;".to_owned(), "outcomes", "crashed by the exception 0xC0000005"),
        ("((jackfield_event *)batch->events)->present = 0;".to_owned(), "read-only", "can't be written"),
        (
            format!("volatile uint8_t byte = {first}[batch->events[0].json.len]; (void)byte;"),
            "view-ends",
            "crashed where memory ends",
        ),
        (
            format!(
                "static const uint8_t *kept; if (kept) {{ volatile uint8_t byte = *kept; (void)byte; }} kept = {first};"
            ),
            "lent-memory",
            "can't be read after",
        ),
        ("fclose(fopen(\"left\", \"w\"));".to_owned(), "leftovers", "1 file or folder is left: left"),
        ("Sleep(INFINITE);".to_owned(), "outcomes", "hung: no end after 10 s"),
    ] {
        let lines = format!("if (batch->len > 0) {{ {lines} }}");
        project.build_with(&lines);
        // `stdout` judges what the others have printed.
        let only = ["--only", "outcomes", "--only", check, "--limit", "10s"];
        let ended = project.check(&only).with_code(4);
        let failed = with(&ended.json(), "fail");
        let [[name, found]] = &failed[..] else { panic!("{lines}: {ended:#?}") };
        assert!(name == check && found.contains(said), "{lines}: {ended:#?}");
    }
}

#[test]
#[ignore = "scripts/test --windows runs it"]
fn a_project_in_c_is_written_passes_its_tests_and_delivers() {
    let project = Project::new();
    project.make("check");
    let site = &project.site;
    site.put(&project.folder.join("acme_lines.dll"), "acme_lines");
    let seen = site.path("seen.jsonl");
    site.configure("", &[backend("acme_lines", &format!("config = {{ address = {:?} }}", server(&seen, 1)))]);

    let listed = site.run(&["plugins"]).with_code(0).stdout;
    assert!(listed.contains("acme_lines") && listed.contains("ok (owner)  compatible"), "{listed}");
    let inspected = site.run(&["inspect", "--json", "plugins\\acme_lines.dll"]).with_code(0).json();
    assert_eq!(inspected[0]["metadata"]["name"], "acme_lines");
    assert_eq!(inspected[0]["metadata"]["target"], "x86_64-pc-windows-gnu");
    let ended = site.send(&events(0..20), &[]).with_code(6);
    assert_eq!(ended.counts("acme_lines"), [19, 0, 1, 0, 0], "{ended:#?}");
    assert!(ended.stdout.contains("not today"), "{ended:#?}");
    assert_eq!(site.read("seen.jsonl"), events(0..20));

    site.configure("", &[backend("acme_lines", "config = { adress = 'h:1' }")]);
    let ended = site.send(&events(0..1), &[]);
    assert!(ended.code != Some(0) && ended.stderr.contains("adress"), "{ended:#?}");
}
