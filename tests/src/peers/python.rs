//! Vendors' own client packages, in the Python environment that `scripts/setup` makes.

use std::{
    io::Write as _,
    path::PathBuf,
    process::{Command, Stdio},
};

/// Runs `tests/peers/NAME.py` with these arguments and this standard input, and gives its standard output.
///
/// # Panics
/// When the environment is missing, or the program fails; with what it said.
#[must_use]
pub fn run(name: &str, arguments: &[&str], input: &str) -> String {
    let interpreter = interpreter();
    let script = crate::workspace().join("tests/peers").join(name).with_extension("py");
    let mut child = Command::new(&interpreter)
        .arg("-I")
        .arg(&script)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{}: {error}", interpreter.display()));
    let mut stdin = child.stdin.take().expect("piped");
    // A program that fails leaves its input; what it says then is worth more than the pipe's error.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    let output = child.wait_with_output().unwrap_or_else(|error| panic!("{}: {error}", script.display()));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {}\n{said}", script.display(), output.status);
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn interpreter() -> PathBuf {
    let folder = if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" };
    let path = crate::target().join("peers/python").join(folder);
    assert!(path.exists(), "{} is missing: scripts/setup makes it", path.display());
    path
}
