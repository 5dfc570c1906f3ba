//! From a file to a loaded plugin: the code that runs, and the messages of refusals.
#![allow(clippy::disallowed_methods, reason = "a test makes the files that it needs")]
#![allow(clippy::unwrap_used, reason = "a test helper that fails fails the test")]
#![cfg(target_os = "linux")]

mod common;

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, chown},
    path::Path,
    sync::{Mutex, PoisonError},
};

use common::{Plugin as Fixture, cc, folder};
use jackfield_loader::{
    Candidate, Error, Layout, LoadError, Plugin, Trust, Verified, inspect, limit_loaded_images, loaded_images,
};

/// Locked by tests that count or load libraries, because the tests of a file share a process.
static COUNTING: Mutex<()> = Mutex::new(());

fn load(path: &Path) -> Result<Plugin, Error> {
    let _lock = COUNTING.lock().unwrap_or_else(PoisonError::into_inner);
    Plugin::load(path, Trust::Owner)
}

fn load_verified(verified: Verified) -> Result<Plugin, Error> {
    let _lock = COUNTING.lock().unwrap_or_else(PoisonError::into_inner);
    verified.load()
}

fn refusal(path: &Path) -> String {
    let line = load(path).unwrap_err().to_string();
    assert!(!line.contains('\n'), "{line}");
    line
}

#[test]
fn a_plugin_in_c_is_loaded_and_checked() {
    let folder = folder();
    let path = Fixture::new("in-c").build(folder.path(), "libx.so");
    let plugin = load(&path).unwrap();
    assert_eq!(plugin.location().file(), Some(&*path));
    assert_eq!(plugin.metadata().name, "in-c");
    assert_eq!(plugin.layout(), Layout::ByDigest);
    assert_eq!(plugin.clone().metadata().version, "1.2.3");
    fn thread_safe<T: Send + Sync + Clone>(_: &T) {}
    thread_safe(&plugin);
}

#[test]
fn a_library_renamed_over_the_verified_one_does_not_run() {
    let folder = folder();
    let (good, evil) = (folder.path().join("good-ran"), folder.path().join("evil-ran"));
    let path = Fixture::new("good").mark(&good).build(folder.path(), "libx.so");
    let other = Fixture::new("evil").mark(&evil).build(folder.path(), "liby.so");

    let verified = Candidate::open(&path).unwrap().verify(Trust::Owner).unwrap();
    fs::rename(&other, &path).unwrap();
    let plugin = load_verified(verified).unwrap();

    assert_eq!(plugin.metadata().name, "good");
    assert!(good.exists() && !evil.exists());
    assert_eq!(inspect(&path).unwrap().metadata.name, "evil", "the file was replaced indeed");
}

#[test]
fn a_library_rewritten_after_verification_does_not_run() {
    let folder = folder();
    let (good, evil) = (folder.path().join("good-ran"), folder.path().join("evil-ran"));
    let path = Fixture::new("good").mark(&good).build(folder.path(), "libx.so");
    let other = Fixture::new("evil").mark(&evil).build(folder.path(), "liby.so");

    let verified = Candidate::open(&path).unwrap().verify(Trust::Owner).unwrap();
    fs::write(&path, fs::read(&other).unwrap()).unwrap();
    let plugin = load_verified(verified).unwrap();

    assert_eq!(plugin.metadata().name, "good");
    assert!(good.exists() && !evil.exists());
    assert_eq!(inspect(&path).unwrap().metadata.name, "evil", "the file was rewritten indeed");
}

#[test]
fn a_file_removed_or_truncated_after_verification_is_still_loaded() {
    let folder = folder();
    let path = Fixture::new("removed").build(folder.path(), "libx.so");
    let verified = Candidate::open(&path).unwrap().verify(Trust::Owner).unwrap();
    fs::write(&path, "").unwrap();
    fs::remove_file(&path).unwrap();
    assert_eq!(load_verified(verified).unwrap().metadata().name, "removed");
}

#[test]
fn no_code_of_a_plugin_runs_before_it_is_loaded() {
    let folder = folder();
    let mark = folder.path().join("mark");
    let path = folder.path().join("libx.so");
    let build = |fixture: Fixture| fixture.mark(&mark).build(folder.path(), "libx.so");
    let unmarked = |why: &str| assert!(!mark.exists(), "code ran: {why}");

    for (fixture, said) in [
        (Fixture::new("m").metadata(|m| m["abi"]["major"] = 2.into()), "expected ABI 1, found ABI 2"),
        (Fixture::new("m").metadata(|m| m["digest"] = "0".repeat(16).into()), "found 0000000000000000"),
        (Fixture::new("m").metadata(|m| m["requires"] = serde_json::json!(["magic"])), "requires magic"),
        (Fixture::new("m").metadata(|m| m["panic"] = "abort".into()), "process isolation"),
        (Fixture::new("m").metadata(|m| m["serial"] = 1.into()), "`serial`: invalid type"),
        (Fixture::new("m").define("NO_METADATA", 1), "not a Jackfield plugin"),
        (Fixture::new("m").section("hello"), "metadata is not a JSON object"),
        (Fixture::new("m").define("NO_SYMBOL", 1), "no exported symbol `jackfield_plugin`"),
    ] {
        build(fixture);
        drop(inspect(&path));
        let line = refusal(&path);
        assert!(line.starts_with(&format!("inspect: {}: ", path.display())) && line.contains(said), "{line}");
        unmarked(said);
    }

    build(Fixture::new("m"));
    let bytes = fs::read(&path).unwrap();
    let mut foreign = bytes.clone();
    foreign[18..20]
        .copy_from_slice(&if cfg!(target_arch = "aarch64") { 62u16 } else { 183u16 }.to_le_bytes());
    fs::write(&path, &foreign).unwrap();
    assert!(refusal(&path).contains("a library for "), "{}", refusal(&path));
    unmarked("another architecture");
    fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    assert!(refusal(&path).contains("truncated or corrupt"), "{}", refusal(&path));
    unmarked("truncated");

    fs::write(&path, &bytes).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    assert!(refusal(&path).starts_with("verify: "), "{}", refusal(&path));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    unmarked("writable by others");

    let candidate = Candidate::open(&path).unwrap();
    unmarked("opened");
    let verified = candidate.verify(Trust::Owner).unwrap();
    unmarked("verified");
    load_verified(verified).unwrap();
    assert!(
        mark.exists(),
        "the constructor of a plugin that is loaded runs, so the marks above mean something"
    );
}

#[test]
fn a_descriptor_that_lies_is_refused_after_loading() {
    let folder = folder();
    for (number, (fixture, said)) in [
        (
            Fixture::new("d").define("DIGEST", "42"),
            "its metadata section and its descriptor disagree on the digest",
        ),
        (
            Fixture::new("d").define("MAGIC", "42"),
            "descriptor, magic: expected 0x00444c464b43414a, found 0x000000000000002a",
        ),
        (Fixture::new("d").define("MAJOR", "2"), "descriptor, abi_major: expected 1, found 2"),
        (Fixture::new("d").define("FLAGS", "8"), "backend table, flags: expected no bits but 0x1, found 0x8"),
        (Fixture::new("d").define("NULL_SEND", "1"), "backend table, send: expected a function, found null"),
        (Fixture::new("d").define("NO_TABLE", "1"), "table 1 (backend): expected an address, found none"),
    ]
    .into_iter()
    .enumerate()
    {
        let path = fixture.build(folder.path(), &format!("lib{number}.so"));
        for _ in 0..2 {
            let line = refusal(&path);
            assert!(
                line.starts_with(&format!("check: {}: ", path.display())) && line.contains(said),
                "{line}"
            );
        }
    }
}

#[test]
fn a_missing_library_is_named_with_what_to_do() {
    let folder = folder();
    let dependency = folder.path().join("libnope.so.1");
    cc("int nope(void) { return 0; }", &dependency, &["-shared", "-Wl,-soname,libnope.so.1"]);
    let path =
        Fixture::new("needy").define("CALLS", "nope").library(&dependency).build(folder.path(), "libx.so");
    assert!(inspect(&path).unwrap().needed.contains(&"libnope.so.1".into()));
    let error = load(&path).unwrap_err();
    let Error::Load { reason, .. } = &error else { panic!("{error}") };
    assert_eq!(*reason, LoadError::MissingLibrary { library: "libnope.so.1".into(), direct: true });
    assert_eq!(
        error.to_string(),
        format!(
            "load: {}: needs libnope.so.1, which the dynamic linker does not find: install it; folders next to the \
             plugin are not searched",
            path.display()
        )
    );
}

#[test]
fn an_undefined_symbol_is_an_error_of_the_load() {
    let folder = folder();
    let path = Fixture::new("loose").define("CALLS", "frobnicate").build(folder.path(), "libloose.so");
    let line = refusal(&path);
    assert!(line.contains("uses a symbol that no library defines") && line.contains("frobnicate"), "{line}");
    assert!(!line.contains("/proc/self/fd"), "{line}");
}

#[test]
fn missing_room_for_thread_local_variables_is_explained() {
    let folder = folder();
    let path = Fixture::new("tls").define("BIG_TLS", 1).build(folder.path(), "libx.so");
    let line = refusal(&path);
    assert!(
        line.contains("no room left for thread-local variables") && line.contains("GLIBC_TUNABLES"),
        "{line}"
    );
}

#[test]
fn the_memfd_carries_the_plugins_name() {
    let folder = folder();
    let path = Fixture::new("named").build(folder.path(), "libvery_telling.so");
    load(&path).unwrap();
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    assert!(maps.contains("memfd:libvery_telling.so"), "{maps}");
}

#[test]
fn equal_bytes_are_loaded_once_and_libraries_are_limited() {
    let folder = folder();
    let path = Fixture::new("counted").build(folder.path(), "libx.so");
    let copy = folder.path().join("liby.so");
    fs::copy(&path, &copy).unwrap();
    let other = folder.path().join("libz.so");
    // Bytes after the last section make a different library with the same code.
    fs::write(&other, [&fs::read(&path).unwrap()[..], b"more"].concat()).unwrap();

    let lock = COUNTING.lock().unwrap_or_else(PoisonError::into_inner);
    let before = loaded_images();
    let first = Plugin::load(&path, Trust::Owner).unwrap();
    let second = Plugin::load(&copy, Trust::Owner).unwrap();
    assert_eq!(loaded_images(), before + 1);
    assert_eq!((first.location().file(), second.location().file()), (Some(&*path), Some(&*copy)));

    limit_loaded_images(before + 1);
    let refused = Plugin::load(&other, Trust::Owner);
    let again = Plugin::load(&path, Trust::Owner);
    limit_loaded_images(before + 2);
    let line = refused.unwrap_err().to_string();
    assert!(line.contains(&format!("{} libraries are loaded already", before + 1)), "{line}");
    assert!(again.is_ok(), "what is loaded already needs no room");
    Plugin::load(&other, Trust::Owner).unwrap();
    assert_eq!(loaded_images(), before + 2);
    limit_loaded_images(jackfield_loader::DEFAULT_IMAGE_LIMIT);
    drop((first, second, again));
    assert_eq!(loaded_images(), before + 2, "a library outlives its plugin");
    drop(lock);
}

#[test]
fn a_failed_load_is_not_counted() {
    let folder = folder();
    let path = Fixture::new("uncounted").define("CALLS", "undefined_too").build(folder.path(), "libx.so");
    let _lock = COUNTING.lock().unwrap_or_else(PoisonError::into_inner);
    let before = loaded_images();
    Plugin::load(&path, Trust::Owner).unwrap_err();
    assert_eq!(loaded_images(), before);
}

#[test]
fn a_file_or_folder_of_another_user_is_refused() {
    assert!(
        rustix::process::geteuid().is_root(),
        "only root can give a file to another user, which this test needs: run it as root"
    );
    let folder = folder();
    let path = Fixture::new("owned").build(folder.path(), "libx.so");
    let real = fs::canonicalize(&path).unwrap();
    chown(&path, Some(12_345), None).unwrap();
    let line = refusal(&path);
    assert_eq!(
        line,
        format!("verify: {} must be owned by root, it is owned by uid 12345: chown it", real.display())
    );
    chown(&path, Some(0), None).unwrap();
    load(&path).unwrap();

    chown(folder.path(), Some(12_345), None).unwrap();
    let line = refusal(&path);
    let real_folder = real.parent().unwrap().display();
    assert_eq!(
        line,
        format!("verify: {real_folder} must be owned by root, it is owned by uid 12345: chown it")
    );
    Candidate::open(&path).unwrap().allowed_by(Trust::Any).unwrap();
}

#[test]
fn a_file_or_folder_that_others_may_write_is_refused() {
    let folder = folder();
    let path = Fixture::new("writable").build(folder.path(), "libx.so");
    let real = fs::canonicalize(&path).unwrap();
    let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    for (bits, said) in [
        (0o775, "is writable by group (mode 0775): chmod go-w"),
        (0o602, "is writable by others (mode 0602): chmod go-w"),
        (0o666, "is writable by group and others (mode 0666): chmod go-w"),
    ] {
        mode(&path, bits);
        let line = refusal(&path);
        assert_eq!(line, format!("verify: {} {said} {}", real.display(), real.display()));
    }
    mode(&path, 0o755);
    mode(folder.path(), 0o1777);
    let line = refusal(&path);
    assert!(line.contains("is writable by group and others (mode 1777): move it to a folder"), "{line}");
    mode(folder.path(), 0o755);
    load(&path).unwrap();
}

#[test]
fn a_link_is_as_trusted_as_its_least_trusted_folder() {
    let (open, safe, search) = (folder(), folder(), folder());
    fs::set_permissions(open.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let link = |target: &Path, folder: &tempfile::TempDir, name: &str| {
        let link = folder.path().join(name);
        std::os::unix::fs::symlink(target, &link).unwrap();
        link
    };
    let refused = |path: &Path| {
        let open = fs::canonicalize(open.path()).unwrap();
        let said = format!("verify: {} is writable by group and others (mode 0777)", open.display());
        assert!(refusal(path).starts_with(&said), "{}", refusal(path));
    };
    let file = Fixture::new("linked").build(safe.path(), "libx.so");
    load(&link(&file, &search, "libx.so")).unwrap();

    let writable_link = link(&file, &open, "libx.so");
    refused(&writable_link);
    refused(&link(&writable_link, &search, "liby.so"));
    let writable_file = Fixture::new("linked").build(open.path(), "libz.so");
    refused(&link(&writable_file, &search, "libz.so"));
    Candidate::open(&writable_link).unwrap().allowed_by(Trust::Any).unwrap();
}

#[test]
fn the_folder_of_a_link_needs_a_trusted_owner() {
    let (theirs, safe) = (folder(), folder());
    let file = Fixture::new("linked").build(safe.path(), "libx.so");
    let link = theirs.path().join("libx.so");
    std::os::unix::fs::symlink(&file, &link).unwrap();
    chown(theirs.path(), Some(12_345), None).unwrap();
    assert!(refusal(&link).contains("it is owned by uid 12345"), "{}", refusal(&link));
}

#[test]
#[allow(unsafe_code, reason = "a symbol is looked up behind the back of the crate under test")]
fn what_a_plugin_exports_is_not_in_the_global_scope() {
    let folder = folder();
    let _plugin = load(&Fixture::new("local").build(folder.path(), "libx.so")).unwrap();
    let this = libloading::os::unix::Library::this();
    // SAFETY: the symbol is never used.
    let found = unsafe { this.get::<*const u8>(b"jackfield_plugin\0") };
    assert!(found.is_err(), "other libraries would be linked against a plugin's symbols");
}
