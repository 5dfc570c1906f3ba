//! The plugin `syslog`, which is in C, built by its own Makefile: for this platform, and for others to be inspected.

use std::{
    env, fs,
    io::Result,
    path::{Path, PathBuf},
    process::Command,
};

/// The headers of the system that it includes.
const HEADERS: [&str; 11] = [
    "errno",
    "fcntl",
    "netdb",
    "poll",
    "stdio",
    "stdlib",
    "string",
    "sys/socket",
    "sys/un",
    "time",
    "unistd",
];

/// What the Makefile calls the library of this platform.
const NATIVE: &str = if cfg!(windows) {
    "syslog.dll"
} else if cfg!(target_vendor = "apple") {
    "libsyslog.dylib"
} else {
    "libsyslog.so"
};

/// For this platform, by the default compiler.
pub(crate) fn library() -> PathBuf {
    super::made("c", "syslog", |out| make(out, NATIVE, &[]))
}

/// By clang, which warns of other things.
///
/// # Panics
/// When it does not compile.
#[must_use]
pub fn syslog_by_clang() -> PathBuf {
    super::made("clang", "syslog", |out| make(out, NATIVE, &["CC=clang"]))
}

/// For Windows, by MinGW.
///
/// # Panics
/// When it does not compile.
#[must_use]
pub fn syslog_for_windows() -> PathBuf {
    super::made("windows", "syslog", |out| make(out, "syslog.dll", &["CC=x86_64-w64-mingw32-gcc"]))
}

/// For Windows, by Zig: clang, the linker of LLVM, and another C runtime than that of MinGW.
///
/// # Panics
/// When it does not compile.
#[must_use]
pub fn syslog_for_windows_by_zig() -> PathBuf {
    super::made("zig-windows", "syslog", |out| {
        let compiler = format!("CC={}/zig cc -target x86_64-windows-gnu", super::zig().display());
        // Zig has no library of GCC that it could link otherwise, and warns of that.
        make(out, "syslog.dll", &[&compiler, "CFLAGS=-O2 -Wno-unused-command-line-argument"])
    })
}

/// For macOS on an architecture of Apple's name, by clang and lld, without Apple's headers and libraries.
///
/// # Panics
/// When it does not compile.
#[must_use]
pub fn syslog_for_macos(arch: &str) -> PathBuf {
    super::made("macos", &format!("syslog-{arch}"), |out| {
        let shim = out.with_extension("headers");
        let declarations = super::workspace().join("tests/fixtures/c/macos.h");
        fs::create_dir_all(shim.join("sys"))?;
        for header in HEADERS {
            fs::write(shim.join(header).with_extension("h"), format!("#include {declarations:?}\n"))?;
        }
        let flags = format!(
            "CFLAGS=--target={arch}-apple-macos11 -O2 -ffreestanding -nostdlibinc -isystem {}",
            shim.display()
        );
        // What the library calls is left to be found when it is loaded, which it never is.
        let link = format!(
            "LDFLAGS=-nostdlib -mlinker-version=705 --ld-path={} -Wl,-undefined,dynamic_lookup",
            tool("ld64.lld").display()
        );
        let made = make(out, "libsyslog.dylib", &["CC=clang", &flags, &link]);
        fs::remove_dir_all(&shim)?;
        made
    })
}

/// A program that calls the plugin's tables as a host does, the plugin's source compiled in, under sanitizers of
/// this name, such as `thread`.
///
/// # Panics
/// When it does not compile.
#[must_use]
pub fn syslog_driver(sanitizers: &str) -> PathBuf {
    super::once(&format!("driver/{sanitizers}"), || {
        let folder = super::target().join("test-plugins").join("driver");
        let name = format!("syslog-{}", sanitizers.replace(',', "-"));
        super::private(&folder, &name, |out| {
            let source = super::workspace().join("plugins/syslog/src");
            let mut command = Command::new("cc");
            command
                .args(["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-g", "-O1", "-pthread"])
                .arg(format!("-fsanitize={sanitizers}"))
                .arg("-fno-sanitize-recover=all")
                .arg("-I")
                .arg(super::workspace().join("plugin-api/include"))
                .arg("-I")
                .arg(&source)
                .arg("-o")
                .arg(out)
                .arg(super::workspace().join("tests/fixtures/c/drive_syslog.c"));
            let mut files = fs::read_dir(&source)?.collect::<Result<Vec<_>>>()?;
            files.retain(|file| file.path().extension().is_some_and(|extension| extension == "c"));
            command.args(files.iter().map(fs::DirEntry::path));
            super::c::run(&mut command)
        })
        .unwrap_or_else(|error| panic!("{error}"))
    })
}

/// Runs the Makefile with these variables, and puts what becomes `name` in its place.
fn make(out: &Path, name: &str, variables: &[&str]) -> Result<()> {
    let folder = out.with_extension("build");
    let mut command = Command::new("make");
    command
        .args(["--silent", "-C"])
        .arg(super::workspace().join("plugins/syslog"))
        .arg(format!("BUILD={}", folder.display()))
        .args(variables)
        .env_remove("MAKEFLAGS");
    super::c::run(&mut command)?;
    fs::rename(folder.join(name), out)?;
    fs::remove_dir_all(folder)
}

/// A tool of LLVM, whose name may end in a version.
fn tool(name: &str) -> PathBuf {
    let path = env::var_os("PATH").unwrap_or_default();
    let versions = (11..30).rev().map(|version| format!("{name}-{version}"));
    std::iter::once(name.to_owned())
        .chain(versions)
        .flat_map(|name| env::split_paths(&path).map(move |folder| folder.join(&name)))
        .find(|file| file.exists())
        .unwrap_or_else(|| panic!("{name} is not on the PATH; scripts/setup installs it"))
}
