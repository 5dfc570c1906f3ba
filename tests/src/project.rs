//! Projects outside of this workspace, as a vendor has them.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// The folder of the crate `jackfield-plugin-api`.
#[must_use]
pub fn contract() -> PathBuf {
    super::workspace().join("plugin-api")
}

/// The target folder that such projects share.
#[must_use]
pub fn project_target() -> PathBuf {
    super::target().join("test-plugins/build/projects")
}

/// The folder of Zig's compiler.
///
/// # Panics
/// When `scripts/setup` has not fetched it.
#[must_use]
pub fn zig() -> PathBuf {
    let folder = super::target().join("peers/ziglang/ziglang");
    assert!(folder.join("zig").is_file(), "{}: no Zig: scripts/setup fetches it", folder.display());
    folder
}

/// Cargo in the project at `folder`, with the versions of dependencies that this workspace has, and without a network.
///
/// # Panics
/// When the project can't be written to.
#[must_use]
pub fn cargo_in(folder: &Path) -> Command {
    let lock = folder.join("Cargo.lock");
    if !lock.exists() {
        fs::copy(super::workspace().join("Cargo.lock"), &lock)
            .unwrap_or_else(|error| panic!("{}: {error}", lock.display()));
    }
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
    command.current_dir(folder).env("CARGO_TARGET_DIR", project_target()).env("CARGO_NET_OFFLINE", "true");
    super::without_own_package(&mut command);
    command
}

/// Runs a command of a project to its end, without input. Gives what it says.
///
/// # Panics
/// When it fails, with what it said.
#[track_caller]
pub fn succeeds(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{text}", output.status);
    text
}

/// Runs what the script `ci` of a project in Rust does before it builds the release.
///
/// # Panics
/// When a step fails, with what it said.
pub fn passes_its_tests(folder: &Path) {
    succeeds(cargo_in(folder).args(["fmt", "--check"]));
    succeeds(cargo_in(folder).args([
        "clippy",
        "--quiet",
        "--all-targets",
        "--no-deps",
        "--",
        "-D",
        "warnings",
    ]));
    succeeds(cargo_in(folder).args(["test", "--quiet"]));
}
