//! A test binary that starts itself again, to run one test in a process of its own.

use std::{env, process::Command};

/// This test binary, which runs the test of this path alone. The test may be an ignored one: a test that works only in a
/// process that another one starts is ignored, so that it does not count as one that has passed.
///
/// # Panics
/// When the system does not say which file this binary is.
#[must_use]
pub fn rerun(test: &str) -> Command {
    let mut command = Command::new(this_binary());
    command.args(arguments(test));
    command
}

/// The same, started by another program whose arguments so far are in `command`.
///
/// # Panics
/// When the system does not say which file this binary is.
#[must_use]
pub fn rerun_by(mut command: Command, test: &str) -> Command {
    command.arg(this_binary()).args(arguments(test));
    command
}

fn this_binary() -> std::path::PathBuf {
    env::current_exe().expect("the file of this process")
}

fn arguments(test: &str) -> [&str; 6] {
    ["--include-ignored", "--exact", test, "--nocapture", "--quiet", "--test-threads=1"]
}
