//! Prometheus, and promtool, its own judge of metrics and of rules.

use std::{
    io::Write as _,
    path::PathBuf,
    process::{Command, Output, Stdio},
};

/// Fails unless promtool finds nothing wrong with metrics, lint included.
///
/// # Panics
/// With what it has found.
pub fn check_metrics(text: &str) {
    let mut command = promtool();
    command.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("promtool starts");
    child.stdin.take().expect("piped").write_all(text.as_bytes()).expect("promtool reads");
    let output = child.wait_with_output().expect("promtool ends");
    let said = said(&output);
    assert!(output.status.success() && said.is_empty(), "what promtool says of\n{text}\n{said}");
}

/// Fails unless promtool takes rules.
///
/// # Panics
/// With what it has found.
pub fn check_rules(text: &str) {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(text.as_bytes()).expect("writable");
    let output = promtool().args(["check", "rules"]).arg(file.path()).output().expect("promtool starts");
    assert!(output.status.success(), "what promtool says of\n{text}\n{}", said(&output));
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

/// The folder with the files of Debian's package, as they are below `/` when it is installed.
///
/// # Panics
/// If they were not fetched.
pub fn folder() -> PathBuf {
    let folder = crate::target().join("peers/prometheus");
    assert!(folder.exists(), "{} is missing: scripts/setup fetches it", folder.display());
    folder
}

fn promtool() -> Command {
    Command::new(folder().join("usr/bin/promtool"))
}
