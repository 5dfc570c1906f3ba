//! Projects outside of this workspace, as a vendor has them.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
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
