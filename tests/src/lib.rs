//! Builds the plugins that end-to-end tests load, on demand and once a process, and says where they are.
//!
//! Every library is copied into a folder of its own below `target/test-plugins`, for the user alone, so that it passes the
//! loader's checks of owner and mode whatever the umask is. A build that fails panics with what the compiler said.
#![allow(clippy::disallowed_methods, reason = "a test makes the files that it needs")]
#![forbid(unsafe_code)]

mod build;
mod c;
mod command;
pub mod events;
#[cfg(unix)]
pub mod guide;
#[cfg(unix)]
pub mod kill_loop;
#[cfg(unix)]
pub mod otlp;
pub mod pages;
#[cfg(unix)]
pub mod peers;
mod project;
mod released;
mod syslog;

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

pub use crate::{
    build::Build,
    c::{
        C_VARIANTS, c_conduct, c_fixture, c_fixture_for_windows, calls, calls_launcher, faults,
        faults_mended, system_calls, throws,
    },
    command::isolated_command,
    project::{cargo_in, contract, passes_its_tests, project_target, succeeds, zig},
    released::{Released, released},
    syslog::{
        syslog_by_clang, syslog_driver, syslog_for_macos, syslog_for_windows, syslog_for_windows_by_zig,
    },
};

/// One of the plugins that Jackfield ships, such as `stdout`.
#[must_use]
pub fn plugin(name: &str) -> PathBuf {
    if name == "syslog" {
        // In C, by its Makefile.
        return syslog::library();
    }
    Build::plugin(name).library()
}

/// One of the Rust plugins in `tests/fixtures`, such as `hostile`.
#[must_use]
pub fn fixture(name: &str) -> PathBuf {
    Build::package(&format!("fixture-{name}")).library()
}

/// A fixture built with `panic = "abort"`.
#[must_use]
pub fn panic_abort(name: &str) -> PathBuf {
    Build::package(&format!("fixture-{name}")).panic_abort().library()
}

/// A fixture built by another toolchain, such as `nightly`.
#[must_use]
pub fn skewed(name: &str, toolchain: &str) -> PathBuf {
    Build::package(&format!("fixture-{name}")).toolchain(toolchain).library()
}

/// Whether the command and the plugins are built in the profile `release`, which the variable `JACKFIELD_TEST_RELEASE` asks
/// for. Tests that depend on a race then try it more often.
#[must_use]
pub fn is_release() -> bool {
    std::env::var_os("JACKFIELD_TEST_RELEASE").is_some()
}

/// The command.
#[must_use]
pub fn cli() -> PathBuf {
    Build::package("jackfield-cli").binary("jackfield")
}

/// The command, built by another toolchain, such as `nightly`.
#[must_use]
pub fn skewed_cli(toolchain: &str) -> PathBuf {
    Build::package("jackfield-cli").toolchain(toolchain).binary("jackfield")
}

/// A file of text with a library's name.
#[must_use]
pub fn text_file() -> PathBuf {
    made("text", "text", |path| fs::write(path, "This is a text, whatever its name says.\n"))
}

/// A good plugin for another processor architecture: the ELF header says so.
#[must_use]
pub fn foreign_architecture() -> PathBuf {
    let good = c_fixture("GOOD");
    made("foreign", "foreign", |path| {
        let mut elf = fs::read(good)?;
        // Offset of e_machine; 62 is x86-64, 183 is aarch64.
        let other: u16 = if cfg!(target_arch = "aarch64") { 62 } else { 183 };
        elf[18..20].copy_from_slice(&other.to_le_bytes());
        fs::write(path, elf)
    })
}

/// The root of the repository.
#[must_use]
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is a folder of the workspace")
}

/// The folder of everything that is built.
pub(crate) fn target() -> PathBuf {
    workspace().join(std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
}

/// Takes away what `cargo test` has set for this package. A build script that looks at it (ring's does) would run again
/// whenever it comes and goes, and all that depends on it would be built again.
pub fn without_own_package(command: &mut std::process::Command) {
    for name in std::env::vars_os().map(|(name, _)| name) {
        if ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|set| name.to_string_lossy().starts_with(set)) {
            command.env_remove(name);
        }
    }
}

/// The library `name`, made by `make` in the folder `variant` unless this process has made it before.
pub(crate) fn made(variant: &str, name: &str, make: impl FnOnce(&Path) -> std::io::Result<()>) -> PathBuf {
    let name = format!("{}{name}{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    once(&format!("{variant}/{name}"), || {
        let folder = target().join("test-plugins").join(variant);
        private(&folder, &name, make).unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
    })
}

/// What `make` made for `key` the first time.
pub(crate) fn once(key: &str, make: impl FnOnce() -> PathBuf) -> PathBuf {
    static MADE: Mutex<Option<HashMap<String, PathBuf>>> = Mutex::new(None);
    // Cargo builds one thing at a time anyway. What a failed build leaves in the map is nothing.
    let find = |key: &str| {
        MADE.lock().unwrap_or_else(PoisonError::into_inner).as_ref().and_then(|made| made.get(key).cloned())
    };
    static BUILDING: Mutex<()> = Mutex::new(());
    if let Some(path) = find(key) {
        return path;
    }
    let _building = BUILDING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(path) = find(key) {
        return path;
    }
    let path = make();
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    made.get_or_insert_default().insert(key.to_owned(), path.clone());
    path
}

/// The file `name`, made by `make`, in a `folder` that is the user's alone. Other test processes see it whole or not at
/// all.
fn private(
    folder: &Path,
    name: &str,
    make: impl FnOnce(&Path) -> std::io::Result<()>,
) -> std::io::Result<PathBuf> {
    fs::create_dir_all(folder)?;
    let (half, whole) = (folder.join(format!("{name}.{}", std::process::id())), folder.join(name));
    make(&half)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
        fs::set_permissions(&half, fs::Permissions::from_mode(0o700))?;
    }
    fs::rename(half, &whole)?;
    Ok(whole)
}

/// The examples of the README, compiled as doctests.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

/// The examples of the guide for tool authors, compiled as doctests.
#[cfg(doctest)]
#[doc = include_str!("../../docs/embedding.md")]
struct Embedding;
