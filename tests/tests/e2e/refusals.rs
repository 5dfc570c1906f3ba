//! Plugins that must not be used: refused at the right stage, in one line, and before `load` without running a byte.

use jackfield_loader::{Layout, Plugin, Trust};
use jackfield_test_support::rerun;
use jackfield_tests::{c_fixture, fixture, foreign_architecture, panic_abort, text_file};

use crate::common::{load, refusal, scratch};

/// Refused at `stage`, in words that contain each of `says`.
fn refused(path: &std::path::Path, stage: &str, says: &[&str]) {
    let line = refusal(path);
    assert!(line.starts_with(&format!("{stage}: ")), "not at {stage}: {line}");
    for word in says {
        assert!(line.contains(word), "does not say {word:?}: {line}");
    }
}

#[test]
fn an_abi_of_tomorrow_is_refused_with_both_versions() {
    refused(&c_fixture("ABI_TOMORROW"), "inspect", &["ABI 1", "2"]);
}

#[test]
fn a_capability_that_this_host_lacks_is_named() {
    refused(&c_fixture("REQUIRES_TELEPORT"), "inspect", &["teleport"]);
}

#[test]
fn other_tables_are_refused_with_both_digests() {
    let host = format!("{:016x}", jackfield_plugin_api::DIGEST);
    refused(&c_fixture("WRONG_DIGEST"), "inspect", &["0123456789abcdef", &host]);
}

#[test]
fn a_build_whose_panics_abort_is_refused() {
    refused(&c_fixture("PANIC_ABORT"), "inspect", &["panic", "abort"]);
    refused(&panic_abort("minimal"), "inspect", &["panic", "abort"]);
}

#[test]
fn a_library_that_is_no_plugin_is_refused() {
    refused(&c_fixture("NO_METADATA"), "inspect", &["metadata"]);
    refused(&c_fixture("NO_DESCRIPTOR"), "inspect", &["jackfield_plugin"]);
}

#[test]
fn a_text_file_named_like_a_library_is_refused() {
    refused(&text_file(), "inspect", &["not a library but a text file"]);
}

#[test]
fn another_processor_is_named() {
    refused(&foreign_architecture(), "inspect", &["aarch64", "x86_64"]);
}

#[test]
fn a_missing_dependency_is_named() {
    refused(&c_fixture("MISSING_DEPENDENCY"), "load", &["libjackfield_absent"]);
}

#[test]
fn what_only_the_loaded_library_shows_is_refused_at_check() {
    refused(&c_fixture("METADATA_LIES"), "check", &["0123456789abcdef"]);
    refused(&c_fixture("OTHER_METADATA"), "check", &["metadata"]);
    refused(&c_fixture("WRONG_MAGIC"), "check", &["magic"]);
    refused(&c_fixture("NO_TABLE"), "check", &["table"]);
    refused(&c_fixture("SMALL_TABLE"), "check", &["size"]);
    refused(&c_fixture("UNKNOWN_FLAG"), "check", &["flag"]);
}

#[test]
fn a_digest_that_lies_is_caught_by_the_layouts() {
    refused(&fixture("lying"), "check", &["type Event", "272", "288"]);
}

#[test]
fn an_unknown_extra_table_does_not_matter() {
    assert_eq!(load(&c_fixture("EXTRA_TABLE")).metadata().name, "fixture");
}

#[test]
fn a_rust_plugin_without_layouts_is_judged_by_its_digest() {
    assert_eq!(load(&fixture("lean")).layout(), Layout::ByDigest);
    assert_eq!(load(&c_fixture("GOOD")).layout(), Layout::ByDigest);
    assert_eq!(load(&fixture("minimal")).layout(), Layout::Compared);
}

/// The child of the next test, with the variable that makes a constructor leave a mark.
#[test]
#[ignore = "run by no_refusal_before_load_runs_a_byte_of_the_plugin"]
fn child_loads_each_named_plugin() {
    for path in std::env::var("JACKFIELD_TEST_LOAD").expect("set by the parent").split(':') {
        let _ = Plugin::load(std::path::Path::new(path), Trust::Owner);
        let _ = jackfield_loader::inspect(std::path::Path::new(path));
    }
}

#[test]
fn no_refusal_before_load_runs_a_byte_of_the_plugin() {
    let (_folder, mark) = scratch("mark");
    let load_in_child = |paths: &[std::path::PathBuf]| {
        let names: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
        let status = rerun("refusals::child_loads_each_named_plugin")
            .env("JACKFIELD_TEST_LOAD", names.join(":"))
            .env("JACKFIELD_MARK", &mark)
            .output()
            .expect("starts");
        assert!(String::from_utf8_lossy(&status.stdout).contains("1 passed"), "{status:?}");
        mark.exists()
    };
    let refused =
        ["ABI_TOMORROW", "REQUIRES_TELEPORT", "WRONG_DIGEST", "PANIC_ABORT", "NO_METADATA", "NO_DESCRIPTOR"];
    let mut refused: Vec<_> = refused.into_iter().map(c_fixture).collect();
    refused.push(foreign_architecture());
    let writable = writable_by_all(&c_fixture("CONSTRUCTOR"));
    refused.push(writable.1.clone());
    assert!(!load_in_child(&refused), "code of a refused plugin ran");
    assert!(load_in_child(&[c_fixture("CONSTRUCTOR")]), "the mark would have been seen");
}

/// A copy of a plugin in a folder that anybody may write to.
fn writable_by_all(plugin: &std::path::Path) -> (tempfile::TempDir, std::path::PathBuf) {
    let (folder, path) = scratch("libwritable.so");
    std::fs::copy(plugin, &path).expect("copies");
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o777))
        .expect("chmod");
    (folder, path)
}

#[test]
fn a_folder_that_anybody_may_write_is_refused_by_owner() {
    let (_folder, path) = writable_by_all(&c_fixture("GOOD"));
    let line = Plugin::load(&path, Trust::Owner).expect_err("refused").to_string();
    assert!(line.starts_with("verify: ") && line.contains("0777") && line.contains("chmod"), "{line}");
    Plugin::load(&path, Trust::Any).expect("any takes it");
}
