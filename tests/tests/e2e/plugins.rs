//! The shipped plugins `file` and `stdout`, loaded from their libraries and called through the guard.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    process::{Command, Stdio},
    time::Duration,
};

use jackfield_loader::{Backend, BackendOptions, Batch, EventFields};
use jackfield_plugin_api::Outcome;
use jackfield_test_support::{rerun, rerun_by};
use jackfield_tests::plugin;

use crate::common::load;

/// A batch with an event for each of `lines`.
fn batch(lines: &[&str]) -> Batch {
    let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
    Batch::build(lines, |lines, batch| {
        for json in lines {
            batch.push(&EventFields { json, ..EventFields::default() });
        }
        Ok::<_, std::convert::Infallible>(())
    })
    .expect("infallible")
}

fn open(name: &str, config: &str) -> Result<Backend, jackfield_loader::Error> {
    Backend::open(&load(&plugin(name)), &BackendOptions::new(name).config(config))
}

#[test]
fn file_appends_a_line_an_event_behind_a_torn_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("events.jsonl");
    fs::write(&path, "{\"torn\":").expect("writable");
    let config = serde_json::json!({ "path": path, "fsync": true }).to_string();
    let backend = open("file", &config).expect("opens");
    let report = backend.send(&batch(&["{\"a\":1}", "{\"b\":2}"]));
    assert_eq!(report.uniform(), Some(&Outcome::Delivered));
    backend.close(Duration::from_secs(5)).expect("closes");
    assert_eq!(fs::read_to_string(&path).expect("readable"), "{\"torn\":\n{\"a\":1}\n{\"b\":2}\n");
}

#[cfg(target_os = "linux")]
#[test]
fn file_on_a_full_disk_reports_a_retry() {
    let backend = open("file", r#"{"path":"/dev/full"}"#).expect("opens");
    let report = backend.send(&batch(&["{}"]));
    assert!(
        matches!(report.outcome(0), Outcome::Retry { reason, .. } if reason.starts_with("/dev/full: No space left")),
        "{:?}",
        report.outcome(0)
    );
}

#[test]
fn wrong_options_are_refused_by_key() {
    let refusal = |name, config| {
        let Err(error) = open(name, config) else { panic!("{name} opens with {config}") };
        error.to_string()
    };
    for (name, config, key, reason) in [
        ("file", "{}", "path", "missing"),
        ("file", r#"{"path":"x","rotate_byte":1}"#, "`rotate_byte`", "unknown key"),
        ("file", r#"{"path":"/no/such/folder/x"}"#, "`path`", "its folder does not exist"),
        ("stdout", r#"{"format":"xml"}"#, "`format`", "expected `pretty` or `lines`"),
    ] {
        let line = refusal(name, config);
        assert!(line.contains(key) && line.contains(reason), "{line}");
    }
}

/// Sends two events through `stdout`, with the options that the environment variable holds, when standard input ends.
#[test]
#[ignore = "run by the tests of standard output"]
fn child_that_writes_to_stdout() {
    let config = std::env::var("JACKFIELD_TEST_CONFIG").expect("set by the parent");
    std::io::stdin().read_to_end(&mut Vec::new()).expect("readable");
    let backend = open("stdout", &config).expect("opens");
    let report = backend.send(&batch(&["{\"a\":1.50,\"b\":[]}", "{\"c\":{}}"]));
    eprintln!("outcome: {:?}", report.outcome(0));
}

fn child(config: &str) -> Command {
    let mut command = rerun("plugins::child_that_writes_to_stdout");
    command.env("JACKFIELD_TEST_CONFIG", config);
    command
}

#[test]
fn stdout_writes_pretty_json_or_lines() {
    for (config, expected) in [
        ("{}", "{\n  \"a\": 1.50,\n  \"b\": []\n}\n{\n  \"c\": {}\n}\n"),
        (r#"{"format":"lines"}"#, "{\"a\":1.50,\"b\":[]}\n{\"c\":{}}\n"),
    ] {
        let output = child(config).output().expect("runs");
        let written = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && written.contains(expected), "{written}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("outcome: Delivered"));
    }
}

#[cfg(unix)]
#[test]
fn stdout_without_a_reader_keeps_its_events_for_another_run() {
    let mut child = child("{}")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("runs");
    // The test harness in the child says this much itself, and does not survive a reader that is gone.
    let mut header = String::new();
    let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
    while !header.contains("running 1 test") {
        assert_ne!(stdout.read_line(&mut header).expect("readable"), 0, "{header}");
    }
    drop(stdout);
    // Its standard input ends here, for which the child has waited.
    let output = child.wait_with_output().expect("ends");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains(
            "outcome: Retry { after: Some(86400s), reason: \"the reader of standard output is gone\" }"
        ),
        "{said}"
    );
}

/// Sends an event through `file`, with the options that the environment variable holds, until one is not delivered.
#[test]
#[ignore = "run by the test of a limit on the size of files"]
fn child_that_fills_a_file() {
    let config = std::env::var("JACKFIELD_TEST_CONFIG").expect("set by the parent");
    let backend = open("file", &config).expect("opens");
    let outcome = (0..1000).find_map(|_| {
        let report = backend.send(&batch(&["{\"a\":1}"]));
        Some(format!("{:?}", report.outcome(0))).filter(|outcome| outcome != "Delivered")
    });
    println!("outcome: {}", outcome.unwrap_or_default());
}

#[cfg(unix)]
#[test]
fn file_at_the_limit_on_the_size_of_files_retries_and_ends_no_tool() {
    const BLOCK: u64 = 512;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("events.jsonl");
    // A plugin is copied before it is loaded, and the copy has to fit.
    let blocks = fs::metadata(plugin("file")).expect("there").len() / BLOCK + 100;
    let text = "\n".repeat(usize::try_from(blocks * BLOCK).expect("small") - 100);
    fs::write(&path, &text).expect("writable");
    let mut limited = Command::new("sh");
    limited.args(["-c", &format!("ulimit -f {blocks}; exec \"$0\" \"$@\"")]);
    let mut child = rerun_by(limited, "plugins::child_that_fills_a_file");
    let config = serde_json::json!({ "path": path }).to_string();
    let output = child.env("JACKFIELD_TEST_CONFIG", config).output().expect("runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("outcome: Retry"), "{output:?}");
    assert!(said.contains("events.jsonl: File too large"), "{said}");
    let written = fs::read_to_string(&path).expect("text");
    assert_eq!(written[text.len()..], "{\"a\":1}\n".repeat(12), "whole lines");
}
