//! Plugins in C, from one source.

use std::{
    fs,
    io::{Error, Result},
    path::{Path, PathBuf},
    process::Command,
};

use jackfield_plugin_api::metadata::TARGET;

/// The variants of `tests/fixtures/c/fixture.c`, which says what each of them is. `DESTRUCTOR_HANGS` and
/// `CONSTRUCTOR_HANGS` are for processes that end by `jackfield_loader::exit` or are killed, and not for that of the tests.
pub const C_VARIANTS: &[&str] = &[
    "GOOD",
    "CONSTRUCTOR",
    "EXTRA_TABLE",
    "FUTURE",
    "ABI_TOMORROW",
    "REQUIRES_TELEPORT",
    "WRONG_DIGEST",
    "METADATA_LIES",
    "OTHER_METADATA",
    "PANIC_ABORT",
    "NO_DESCRIPTOR",
    "NO_METADATA",
    "WRONG_MAGIC",
    "NO_TABLE",
    "SMALL_TABLE",
    "UNKNOWN_FLAG",
    "UNKNOWN_STATUS",
    "UNKNOWN_OUTCOME",
    "MISSING_DEPENDENCY",
    "DESTRUCTOR_HANGS",
    "CONSTRUCTOR_HANGS",
];

/// A plugin in C: a variant of [`C_VARIANTS`], as a library that bears the variant's name in lower case.
///
/// # Panics
/// When it does not compile.
#[must_use]
pub fn c_fixture(variant: &str) -> PathBuf {
    let name = variant.to_ascii_lowercase();
    super::made("c", &name, |path| compile(variant, path))
}

/// The plugin of `tests/fixtures/c/faults.c`, which takes its process down as its configuration says.
///
/// # Panics
/// When it does not compile.
#[must_use]
pub fn faults() -> PathBuf {
    super::made("c", "faults", |path| run(&mut plugin("faults.c", path)))
}

/// A later version of the same plugin, with the same file name, which commits no fault.
///
/// # Panics
/// When it does not compile.
#[must_use]
pub fn faults_mended() -> PathBuf {
    super::made("c-mended", "faults", |path| run(plugin("faults.c", path).arg("-DMENDED")))
}

/// A plugin in C that misbehaves once it is called: a variant of `tests/fixtures/c/conduct.c`, which says what each of them is.
///
/// # Panics
/// When it does not compile.
#[must_use]
pub fn c_conduct(variant: &str) -> PathBuf {
    let name = variant.to_ascii_lowercase();
    super::made("c-conduct", &name, |path| {
        run(plugin("conduct.c", path).arg(format!("-D{variant}")).arg("-pthread"))
    })
}

fn sources() -> PathBuf {
    super::workspace().join("tests/fixtures/c")
}

fn plugin(source: &str, out: &Path) -> Command {
    let mut command = cc(out);
    command
        .arg(format!("-DTARGET=\"{TARGET}\""))
        .arg("-I")
        .arg(super::workspace().join("plugin-api/include"))
        .arg(sources().join(source));
    command
}

fn compile(variant: &str, out: &Path) -> Result<()> {
    let mut command = plugin("fixture.c", out);
    command.arg(format!("-D{variant}"));
    if variant != "MISSING_DEPENDENCY" {
        return run(&mut command);
    }
    let folder = out.with_extension("absent");
    fs::create_dir_all(&folder)?;
    let name = format!("{}jackfield_absent{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    run(cc(&folder.join(name)).arg("-fvisibility=default").arg(sources().join("absent.c")))?;
    let linked = run(command.arg("-L").arg(&folder).arg("-ljackfield_absent"));
    fs::remove_dir_all(&folder)?;
    linked
}

fn cc(out: &Path) -> Command {
    let mut command = Command::new("cc");
    command
        .args(["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-O1"])
        .args(["-shared", "-fPIC", "-fvisibility=hidden", "-o"])
        .arg(out);
    command
}

pub(crate) fn run(command: &mut Command) -> Result<()> {
    let output = command.output().map_err(|error| {
        let program = command.get_program().display();
        Error::new(error.kind(), format!("{program} (scripts/setup installs it): {error}"))
    })?;
    if output.status.success() {
        return Ok(());
    }
    Err(Error::other(format!("{command:?}:\n{}", String::from_utf8_lossy(&output.stderr))))
}
