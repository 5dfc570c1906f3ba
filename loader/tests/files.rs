//! Other files in the place of a library: each is explained, without waiting or endless reading.
#![allow(clippy::disallowed_methods, reason = "a test makes the files that it needs")]
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test helper that fails fails the test, and a child prints"
)]
#![cfg(target_os = "linux")]

mod common;

use std::{
    fs,
    io::ErrorKind,
    os::unix::{
        fs::{PermissionsExt as _, symlink},
        net::UnixListener,
    },
    path::Path,
};

use common::{Plugin, folder};
use jackfield_loader::{
    Candidate, Error, ImageError, InspectError, Stage, Trust,
    files::{self, Access, Appended, Survives},
    inspect,
};
use jackfield_test_support::rerun;
use rustix::{
    fs::{CWD, FileType, Mode, mknodat},
    process::{Resource, Rlimit, getrlimit, setrlimit},
};

fn line(path: &Path) -> String {
    let error = inspect(path).unwrap_err();
    assert!(matches!(error, Error::Inspect { reason: InspectError::Image(_), .. }), "{error:?}");
    let line = error.to_string();
    let stage = format!("inspect: {}: ", path.display());
    assert!(line.starts_with(&stage) && !line.contains('\n'), "{line}");
    line[stage.len()..].to_owned()
}

/// The name of a plugin and then the verdict on it, or the refusal by the inspection, in a process that may write files of at
/// most 4,096 bytes, so that no library can be copied. For that, the test with the given name runs again in a child process,
/// which does nothing else.
fn told_without_a_copy(test: &str, path: &Path) -> String {
    const FILE: &str = "FILE_UNDER_A_LIMIT";
    if let Some(path) = std::env::var_os(FILE) {
        let limit = Rlimit { current: Some(4096), ..getrlimit(Resource::Fsize) };
        setrlimit(Resource::Fsize, limit).unwrap();
        let told = match Candidate::open(Path::new(&path)) {
            Err(refusal) => refusal.to_string(),
            Ok(candidate) => {
                let name = candidate.inspection().metadata.name.to_string();
                let refusal = candidate.verify(Trust::Pinned).map(drop).unwrap_err();
                format!("{name}; {refusal}")
            }
        };
        println!("<<{told}>>");
        std::process::exit(0);
    }
    let output = rerun(test).env(FILE, path).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let stdout = String::from_utf8(output.stdout).unwrap();
    let (_, line) = stdout.split_once("<<").unwrap();
    line.split_once(">>").unwrap().0.to_owned()
}

#[test]
fn a_library_above_the_file_size_limit_is_inspected_and_not_loaded() {
    let folder = folder();
    let path = Plugin::new("large").build(folder.path(), "libx.so");
    let size = fs::metadata(&path).unwrap().len();
    let test = "a_library_above_the_file_size_limit_is_inspected_and_not_loaded";
    assert_eq!(
        told_without_a_copy(test, &path),
        format!(
            "large; inspect: {}: is {size} bytes, but this process may write files of at most 4096 bytes, and a library is \
             copied before it is loaded: raise the limit (ulimit -f)",
            path.display()
        )
    );
}

#[test]
fn a_huge_file_is_inspected_and_its_owner_judged_before_it_is_copied() {
    let folder = folder();
    let path = Plugin::new("sparse").build(folder.path(), "libx.so");
    fs::File::options().append(true).open(&path).unwrap().set_len(511 << 20).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    let test = "a_huge_file_is_inspected_and_its_owner_judged_before_it_is_copied";
    let told = told_without_a_copy(test, &path);
    let refusal = format!("sparse; verify: {} is writable by group and others (mode 0666)", path.display());
    assert!(told.starts_with(&refusal), "{told}");
}

/// Where `text` is in `bytes`, in all places.
fn places(bytes: &[u8], text: &[u8]) -> Vec<usize> {
    (0..bytes.len()).filter(|at| bytes[*at..].starts_with(text)).collect()
}

#[test]
fn what_is_read_for_the_verdict_has_a_limit() {
    let folder = folder();
    let path = Plugin::new("tables").build(folder.path(), "libx.so");
    let mut bytes = fs::read(&path).unwrap();
    // The header of the section with the dynamic symbols, by type and flags: 200 MB of symbols.
    let header = places(&bytes, &[11, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0]);
    let [header] = header[..] else { panic!("{header:?}") };
    bytes[header + 28..header + 36].copy_from_slice(&(24 * 8_000_000_u64).to_le_bytes());
    fs::write(&path, bytes).unwrap();
    fs::File::options().append(true).open(&path).unwrap().set_len(511 << 20).unwrap();
    let refusal = inspect(&path).unwrap_err().to_string();
    assert!(refusal.contains("its headers, symbols and metadata take more than 64 MiB: "), "{refusal}");
}

#[test]
fn a_file_that_becomes_another_library_is_not_loaded() {
    let folder = folder();
    let path = Plugin::new("first").build(folder.path(), "libx.so");
    let other = Plugin::new("other").build(folder.path(), "liby.so");
    let candidate = Candidate::open(&path).unwrap();
    fs::write(&path, fs::read(other).unwrap()).unwrap();
    let refusal = candidate.verify(Trust::Any).map(drop).unwrap_err().to_string();
    assert_eq!(
        refusal,
        format!(
            "inspect: {}: was replaced or written to while it was read: try again when it is whole",
            path.display()
        )
    );
}

#[test]
fn a_limit_on_the_size_of_files_fails_writes_and_ends_no_process() {
    const FOLDER: &str = "FOLDER_UNDER_A_LIMIT";
    let Some(folder) = std::env::var_os(FOLDER) else {
        let folder = folder();
        let test = "a_limit_on_the_size_of_files_fails_writes_and_ends_no_process";
        let output = rerun(test).env(FOLDER, folder.path()).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        assert_eq!(fs::read(folder.path().join("replaced")).unwrap(), b"old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "nothing temporary is left");
        return;
    };
    let at = |name: &str| Path::new(&folder).join(name);
    let replace =
        |bytes: &[u8]| files::replace(&at("replaced"), bytes, files::Mode::Private, Survives::Crash);
    replace(b"old").unwrap();
    let appended = Appended::new(files::open(&at("appended"), Access::AppendNew).unwrap());
    for _ in 0..10 {
        assert_eq!(appended.write(&[b'x'; 100]).unwrap(), 100);
    }
    // The process sets it itself, at any time.
    let limit = |bytes| {
        setrlimit(Resource::Fsize, Rlimit { current: Some(bytes), ..getrlimit(Resource::Fsize) }).unwrap();
    };
    for bytes in [1050, 1000, 0] {
        limit(bytes);
        if bytes == 1050 {
            assert_eq!(appended.write(&[b'x'; 100]).unwrap(), 50, "the kernel shortens it");
        }
        assert_eq!(appended.write(&[b'x'; 100]).unwrap_err().kind(), ErrorKind::FileTooLarge, "{bytes}");
        assert_eq!(replace(&[b'x'; 1051]).unwrap_err().kind(), ErrorKind::FileTooLarge, "{bytes}");
    }
    limit(1060);
    assert_eq!(appended.write(&[b'x'; 100]).unwrap(), 10, "there is room again");
    std::process::exit(0);
}

#[test]
fn a_fifo_is_refused_at_once() {
    let folder = folder();
    let path = folder.path().join("libx.so");
    mknodat(CWD, &path, FileType::Fifo, Mode::RWXU, 0).unwrap();
    assert_eq!(line(&path), "is a FIFO or pipe, expected a regular file");
    symlink(&path, folder.path().join("link.so")).unwrap();
    assert_eq!(line(&folder.path().join("link.so")), "is a FIFO or pipe, expected a regular file");
}

#[test]
fn a_folder_a_device_and_a_socket_are_refused() {
    let folder = folder();
    assert_eq!(line(folder.path()), "is a folder, expected a regular file");
    assert_eq!(line(Path::new("/")), "is a folder, expected a regular file");
    assert_eq!(line(Path::new("/dev/zero")), "is a device, expected a regular file");
    let socket = folder.path().join("libx.so");
    let _listener = UnixListener::bind(&socket).unwrap();
    assert_eq!(line(&socket), "is a socket, expected a regular file");
}

#[test]
fn an_empty_file_is_said_to_be_empty() {
    let folder = folder();
    let path = folder.path().join("libx.so");
    fs::write(&path, "").unwrap();
    assert_eq!(line(&path), "is empty, expected a dynamic library: get the file again");
    // Files of /proc have the size 0 and any content.
    assert!(line(Path::new("/proc/self/status")).starts_with("is empty"));
}

#[test]
fn a_file_that_is_too_large_is_not_read() {
    let folder = folder();
    let path = folder.path().join("libx.so");
    fs::File::create(&path).unwrap().set_len((512 << 20) + 1).unwrap();
    assert_eq!(line(&path), "file too large: 536870913 bytes, limit 536870912");
}

#[test]
fn a_file_is_refused_by_its_first_bytes() {
    let folder = folder();
    let path = folder.path().join("libx.so");
    fs::File::create(&path).unwrap().set_len(512 << 20).unwrap();
    // A copy would be impossible here.
    let test = "a_file_is_refused_by_its_first_bytes";
    let line = told_without_a_copy(test, &path);
    assert!(line.contains("not a library but a file that starts with the bytes 00 00 00 00"), "{line}");
}

#[test]
fn a_missing_file_a_dangling_link_and_a_loop_differ() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    assert_eq!(line(&at("none.so")), "no such file: correct the path, or install the plugin");
    symlink("/nowhere/libx.so", at("dangling.so")).unwrap();
    assert_eq!(
        line(&at("dangling.so")),
        "a symbolic link to /nowhere/libx.so, which does not exist: correct the link, or install what it names"
    );
    symlink(at("loop.so"), at("loop.so")).unwrap();
    assert!(line(&at("loop.so")).starts_with("can't open: Too many levels of symbolic links"));
    fs::write(at("file"), "x").unwrap();
    assert!(line(&at("file/libx.so")).starts_with("can't open: Not a directory"));
}

#[test]
fn a_link_to_a_plugin_is_followed() {
    let folder = folder();
    let path = Plugin::new("linked").build(folder.path(), "libx.so.1.2");
    symlink(path.file_name().unwrap(), folder.path().join("libx.so")).unwrap();
    assert_eq!(inspect(folder.path().join("libx.so")).unwrap().metadata.name, "linked");
}

#[test]
fn an_error_names_its_stage_and_reason_once() {
    use std::error::Error as _;
    let error = inspect(Path::new("/dev/zero")).unwrap_err();
    assert_eq!(error.stage(), Stage::Inspect);
    assert!(error.source().is_none(), "the line has the reason already");
    let Error::Inspect { reason, .. } = error else { panic!("{error}") };
    assert!(matches!(reason, InspectError::Image(ImageError::NotAFile { .. })), "{reason:?}");
}
