//! Plugins in C, from one source.

use std::{
    collections::BTreeMap,
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

/// The same for Windows, by MinGW.
///
/// # Panics
/// When it does not compile.
#[must_use]
pub fn c_fixture_for_windows(variant: &str) -> PathBuf {
    let name = variant.to_ascii_lowercase();
    super::made("c-windows", &name, |path| {
        let mingw = |out: &Path| {
            let mut command = Command::new("x86_64-w64-mingw32-gcc");
            // Its warnings differ: of formats that are those of this C library, for one.
            command
                .args(["-std=gnu11", "-O1", "-shared", "-static-libgcc", "-fvisibility=hidden", "-o"])
                .arg(out);
            command
        };
        let mut command = mingw(path);
        command
            .args(["-DTARGET=\"x86_64-pc-windows-gnu\"".to_owned(), format!("-D{variant}")])
            .arg("-I")
            .arg(super::workspace().join("plugin-api/include"))
            .arg(sources().join("fixture.c"));
        if variant != "MISSING_DEPENDENCY" {
            return run(&mut command);
        }
        let folder = path.with_extension("absent");
        fs::create_dir_all(&folder)?;
        let absent = folder.join("jackfield_absent.dll");
        run(mingw(&absent).arg("-fvisibility=default").arg(sources().join("absent.c")))?;
        let linked = run(command.arg(&absent));
        fs::remove_dir_all(&folder)?;
        linked
    })
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

/// The plugin of `tests/fixtures/c/throws.cpp`, whose `send` throws an exception in C++: `CATCHES`, `LEAVES` or `LEAVES_NONE`,
/// as that file says.
///
/// # Panics
/// When it does not compile.
#[must_use]
pub fn throws(variant: &str) -> PathBuf {
    super::made("cpp", &variant.to_ascii_lowercase(), |path| {
        let mut command = Command::new("c++");
        command.args([
            "-std=c++17",
            "-Wall",
            "-Wextra",
            "-Wold-style-cast",
            "-Werror",
            "-O1",
            "-shared",
            "-fPIC",
        ]);
        command.args(["-fvisibility=hidden", "-o"]).arg(path).arg(format!("-DJACKFIELD_TARGET=\"{TARGET}\""));
        command.arg(format!("-D{variant}"));
        command.arg("-I").arg(super::workspace().join("plugin-api/include"));
        run(command.arg(sources().join("throws.cpp")))
    })
}

/// The plugin of `tests/fixtures/c/calls.c`, which tries system calls. Its host has to be started by [`calls_launcher`].
///
/// # Panics
/// When it does not compile.
#[must_use]
pub fn calls() -> PathBuf {
    super::made("c", "calls", |path| run(&mut plugin("calls.c", path)))
}

/// The program that starts the host of [`calls`]: its arguments are the host and those of the host.
///
/// # Panics
/// When it does not compile.
#[must_use]
pub fn calls_launcher() -> PathBuf {
    super::made("c", "calls-launcher", |path| {
        let mut command = Command::new("cc");
        run(command.args(WARNINGS).args(["-DLAUNCHER", "-o"]).arg(path).arg(sources().join("calls.c")))
    })
}

/// System calls that headers of older kernels lack. Their numbers are the same on all architectures.
const NEW_CALLS: [(&str, i64); 6] = [
    ("fchmodat2", 452),
    ("lsm_set_self_attr", 460),
    ("setxattrat", 463),
    ("removexattrat", 466),
    ("open_tree_attr", 467),
    ("file_setattr", 469),
];

/// The numbers of this architecture's system calls, by the headers of the kernel.
///
/// # Panics
/// When the headers can't be read.
#[must_use]
pub fn system_calls() -> BTreeMap<String, i64> {
    let output = Command::new("cc")
        .args(["-dM", "-E", "-include", "asm/unistd.h", "-x", "c", "/dev/null"])
        .output()
        .expect("cc (scripts/setup installs it)");
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let read = |line: &str| {
        let (name, number) = line.strip_prefix("#define __NR_")?.split_once(' ')?;
        Some((name.to_owned(), number.parse().ok()?))
    };
    let new = NEW_CALLS.into_iter().map(|(name, number)| (name.to_owned(), number));
    text.lines().filter_map(read).chain(new).collect()
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

const WARNINGS: [&str; 6] = ["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-O1"];

fn cc(out: &Path) -> Command {
    let mut command = Command::new("cc");
    command.args(WARNINGS).args(["-shared", "-fPIC", "-fvisibility=hidden", "-o"]).arg(out);
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
