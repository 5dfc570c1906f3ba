//! Plugins in C, from one source.

use std::{
    fs,
    io::{Error, Result},
    path::{Path, PathBuf},
    process::Command,
};

use jackfield_plugin_api::metadata::TARGET;

/// The variants of `tests/fixtures/c/fixture.c`, which says what each of them is.
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

fn compile(variant: &str, out: &Path) -> Result<()> {
    let source = super::workspace().join("tests/fixtures/c");
    let mut command = cc(out);
    command
        .arg(format!("-D{variant}"))
        .arg(format!("-DTARGET=\"{TARGET}\""))
        .arg("-I")
        .arg(super::workspace().join("plugin-api/include"))
        .arg(source.join("fixture.c"));
    if variant != "MISSING_DEPENDENCY" {
        return run(&mut command);
    }
    let folder = out.with_extension("absent");
    fs::create_dir_all(&folder)?;
    let name = format!("{}jackfield_absent{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    run(cc(&folder.join(name)).arg("-fvisibility=default").arg(source.join("absent.c")))?;
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
