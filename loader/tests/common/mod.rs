//! Plugins that are built for the tests, for this platform and others. Without a compiler, a test fails.
#![allow(clippy::disallowed_methods, reason = "a test makes the files that it needs")]
#![allow(dead_code, reason = "each test file uses a part")]

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use jackfield_loader::{Batch, EventFields};
use jackfield_plugin_api::DIGEST;
use serde_json::{Value, json};

/// A batch of events whose ids are `0`, `1`, ..., and whose JSON is the id.
pub(crate) fn batch(count: usize) -> Batch {
    let ids: Vec<String> = (0..count).map(|n| n.to_string()).collect();
    Batch::build::<_, std::convert::Infallible>(ids, |ids, writer| {
        for id in ids {
            writer.push(&EventFields { id, json: id, ..EventFields::default() });
        }
        Ok(())
    })
    .expect("infallible")
}

/// The metadata of a good plugin in C.
pub(crate) fn metadata(name: &str) -> Value {
    json!({
        "format": 1, "name": name, "version": "1.2.3", "vendor": "Tests", "description": "a plugin in C",
        "abi": {"major": 1, "minor": 0}, "digest": format!("{DIGEST:016x}"), "requires": ["log"], "offers": [],
        "serial": false, "target": "of the test", "panic": "none", "language": "c", "compiler": "cc",
        "config_schema": {"type": "object", "properties": {}},
    })
}

/// A folder for one test. Only its owner may write it.
pub(crate) fn folder() -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().expect("a folder");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).expect("writable");
    folder
}

/// Builds the library of `fixtures/plugin.c` for this platform.
pub(crate) struct Plugin {
    metadata: String,
    arguments: Vec<String>,
    libraries: Vec<String>,
}

impl Plugin {
    pub(crate) fn new(name: &str) -> Self {
        Self { metadata: metadata(name).to_string(), arguments: Vec::new(), libraries: Vec::new() }
    }

    /// With other metadata.
    pub(crate) fn metadata(mut self, change: impl FnOnce(&mut Value)) -> Self {
        let mut value = serde_json::from_str(&self.metadata).expect("readable");
        change(&mut value);
        self.metadata = value.to_string();
        self
    }

    /// With a metadata section of this text.
    pub(crate) fn section(mut self, text: &str) -> Self {
        self.metadata = text.to_owned();
        self
    }

    /// With the metadata's text in a header, for text that is too long for a command line.
    pub(crate) fn in_file(mut self, folder: &Path) -> Self {
        let header = folder.join("metadata.h");
        fs::write(&header, format!("#define METADATA {}\n", c_string(&self.metadata))).expect("writable");
        self.metadata.clear();
        self.arguments.extend(["-include".to_owned(), header.display().to_string()]);
        self
    }

    pub(crate) fn define(mut self, name: &str, value: impl std::fmt::Display) -> Self {
        self.arguments.push(format!("-D{name}={value}"));
        self
    }

    /// With a static constructor that creates this file.
    pub(crate) fn mark(self, path: &Path) -> Self {
        self.define("MARK", format_args!("\"{}\"", path.display()))
    }

    /// Linked against a library.
    pub(crate) fn library(mut self, path: &Path) -> Self {
        self.libraries.push(path.display().to_string());
        self
    }

    pub(crate) fn build(self, folder: &Path, file: &str) -> PathBuf {
        let library = folder.join(file);
        run(Command::new("cc")
            .args(["-std=gnu11", "-O1", "-fPIC", "-shared", "-s", "-fvisibility=hidden", "-Wall", "-o"])
            .arg(&library)
            .args(common_arguments(&self.metadata))
            .args(&self.arguments)
            .args(&self.libraries));
        library
    }
}

/// Builds `fixtures/plugin.c` for a platform without its headers and libraries.
pub(crate) struct Foreign {
    metadata: String,
}

impl Foreign {
    pub(crate) fn new(name: &str) -> Self {
        Self { metadata: metadata(name).to_string() }
    }

    fn object(&self, target: &str, folder: &Path) -> PathBuf {
        let object = folder.join(format!("{target}.o"));
        run(Command::new("clang")
            .args([
                "-target",
                target,
                "-std=gnu11",
                "-O1",
                "-ffreestanding",
                "-fPIC",
                "-fvisibility=hidden",
                "-c",
                "-o",
            ])
            .arg(&object)
            .args(common_arguments(&self.metadata)));
        object
    }

    /// An ELF library of any architecture, which needs `libdep.so.1`.
    pub(crate) fn elf(&self, target: &str, folder: &Path) -> PathBuf {
        let object = self.object(target, folder);
        let dependency = folder.join(format!("{target}-dep.so"));
        run(tool("ld.lld")
            .args(["-shared", "-s", "-soname", "libdep.so.1", "-o"])
            .arg(&dependency)
            .arg(&object));
        let library = folder.join(format!("{target}.so"));
        run(tool("ld.lld").args(["-shared", "-s", "--no-as-needed", "-o"]).args([
            &library,
            &object,
            &dependency,
        ]));
        library
    }

    /// A DLL by MinGW, which imports from KERNEL32.dll.
    pub(crate) fn mingw(&self, folder: &Path) -> PathBuf {
        let library = folder.join("mingw.dll");
        run(Command::new("x86_64-w64-mingw32-gcc")
            .args(["-std=gnu11", "-O1", "-shared", "-s", "-nostdlib", "-Wl,-e,0", "-DIMPORTS", "-o"])
            .arg(&library)
            .args(common_arguments(&self.metadata))
            .arg("-lkernel32"));
        library
    }

    /// A DLL for the Microsoft ABI.
    pub(crate) fn msvc(&self, arch: &str, folder: &Path) -> PathBuf {
        let object = folder.join(format!("{arch}.obj"));
        run(Command::new("clang")
            .args([
                "-target",
                &format!("{arch}-pc-windows-msvc"),
                "-std=gnu11",
                "-O1",
                "-ffreestanding",
                "-c",
                "-o",
            ])
            .arg(&object)
            .args(common_arguments(&self.metadata)));
        let library = folder.join(format!("{arch}.dll"));
        run(tool("lld-link")
            .args(["/dll", "/noentry"])
            .arg(format!("/out:{}", library.display()))
            .arg(&object));
        library
    }

    /// A dylib for `x86_64` or `arm64`, which needs `@rpath/libdep.dylib`.
    pub(crate) fn mach_o(&self, arch: &str, folder: &Path) -> PathBuf {
        let object = self.object(&format!("{arch}-apple-macos11"), folder);
        let arguments = ["-dylib", "-arch", arch, "-platform_version", "macos", "11.0", "11.0", "-o"];
        let dependency = folder.join(format!("{arch}-dep.dylib"));
        run(tool("ld64.lld")
            .args(["-install_name", "@rpath/libdep.dylib"])
            .args(arguments)
            .args([&dependency, &object]));
        let library = folder.join(format!("{arch}.dylib"));
        run(tool("ld64.lld").args(arguments).args([&library, &object, &dependency]));
        library
    }
}

/// A fat Mach-O file of the given slices, each with its CPU type. `wide` takes 64-bit offsets.
pub(crate) fn fat(slices: &[(u32, &[u8])], wide: bool) -> Vec<u8> {
    const ALIGN: usize = 1 << 14;
    let magic: u32 = if wide { 0xcafe_babf } else { 0xcafe_babe };
    let mut file = [magic.to_be_bytes(), (slices.len() as u32).to_be_bytes()].concat();
    let mut offset = ALIGN;
    for (cpu, slice) in slices {
        file.extend([cpu.to_be_bytes(), 0u32.to_be_bytes()].concat());
        if wide {
            file.extend([(offset as u64).to_be_bytes(), (slice.len() as u64).to_be_bytes()].concat());
            file.extend([14u32.to_be_bytes(), 0u32.to_be_bytes()].concat());
        } else {
            file.extend(
                [(offset as u32).to_be_bytes(), (slice.len() as u32).to_be_bytes(), 14u32.to_be_bytes()]
                    .concat(),
            );
        }
        offset = (offset + slice.len()).next_multiple_of(ALIGN);
    }
    for (_, slice) in slices {
        file.resize(file.len().next_multiple_of(ALIGN), 0);
        file.extend(*slice);
    }
    file
}

pub(crate) const CPU_X86_64: u32 = 0x0100_0007;
pub(crate) const CPU_ARM64: u32 = 0x0100_000c;

fn common_arguments(metadata: &str) -> Vec<String> {
    // The end-to-end tests use these functions, too.
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut arguments = vec![
        format!("-I{}", root.join("../plugin-api/include").display()),
        root.join("../loader/tests/fixtures/plugin.c").display().to_string(),
    ];
    if !metadata.is_empty() {
        arguments.push(format!("-DMETADATA={}", c_string(metadata)));
    }
    arguments
}

fn c_string(text: &str) -> String {
    let mut literal = String::from("\"");
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => literal.extend(['\\', byte as char]),
            0x20..=0x7e => literal.push(byte as char),
            _ => literal.push_str(&format!("\\{byte:03o}")),
        }
    }
    literal + "\""
}

/// A tool of LLVM with its plain name or, as on Debian, with a version.
pub(crate) fn tool(name: &str) -> Command {
    let versions = (11..30).rev().map(|version| format!("{name}-{version}"));
    let found = std::iter::once(name.to_owned()).chain(versions).find(|name| {
        std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
            .any(|path| path.join(name).exists())
    });
    Command::new(found.unwrap_or_else(|| name.to_owned()))
}

/// Runs a compiler.
pub(crate) fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| {
        panic!("{}: {error}; `scripts/setup` installs it", command.get_program().display())
    });
    assert!(
        output.status.success(),
        "{}: {}\n{}",
        command.get_program().display(),
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Compiles some C to `output`, with any arguments.
pub(crate) fn cc(code: &str, output: &Path, arguments: &[&str]) {
    let source = output.with_extension("c");
    fs::write(&source, code).expect("it ends");
    run(Command::new("cc")
        .args(["-fPIC", "-o"])
        .args([output.as_os_str(), source.as_os_str()])
        .args(arguments.iter().map(OsStr::new)));
}
