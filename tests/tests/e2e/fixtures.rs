//! Every fixture builds, and is wrong in the way that it says and in no other.

use std::{fs, path::Path};

use jackfield_tests::{
    C_VARIANTS, c_fixture, fixture, foreign_architecture, panic_abort, plugin, skewed, text_file,
};
use object::{Architecture, NameOrOrdinal, Object as _, ObjectSection as _};
use serde_json::Value;

struct Library {
    exports: bool,
    metadata: Option<Value>,
    architecture: Architecture,
    needs_absent: bool,
}

fn read(path: &Path) -> Library {
    let bytes = fs::read(path).expect("readable");
    let file = object::File::parse(&*bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let metadata = file
        .section_by_name(".jackfield")
        .map(|section| serde_json::from_slice(section.data().expect("in the file")).expect("JSON"));
    let exports = file.exports().expect("readable").any(|export| {
        export.expect("readable").name() == NameOrOrdinal::Name(b"jackfield_plugin".as_slice())
    });
    let needs_absent = file
        .import_libraries()
        .expect("readable")
        .any(|library| library.expect("readable").name() == b"libjackfield_absent.so");
    Library { exports, metadata, architecture: file.architecture(), needs_absent }
}

/// The metadata of a Rust plugin that exports its descriptor.
fn rust(path: &Path, name: &str) -> Value {
    let library = read(path);
    assert!(library.exports, "{}", path.display());
    let metadata = library.metadata.expect("metadata");
    assert_eq!(metadata["name"], name);
    assert_eq!(metadata["language"], "rust");
    assert_eq!(metadata["digest"], format!("{:016x}", jackfield_plugin_api::DIGEST));
    metadata
}

#[test]
fn the_plugins_carry_their_schemas() {
    for name in ["stdout", "file"] {
        let metadata = rust(&plugin(name), name);
        assert_eq!(metadata["config_schema"]["type"], "object");
        assert_eq!(metadata["config_schema"]["additionalProperties"], false);
        assert_eq!(metadata["panic"], "unwind");
    }
}

#[test]
fn the_rust_fixtures_are_plugins() {
    for name in ["hostile", "lying", "minimal", "tokio-a", "tokio-b"] {
        let metadata = rust(&fixture(name), &name.replace('-', "_"));
        assert_eq!(metadata["serial"], false);
    }
    assert_eq!(rust(&fixture("serial"), "serial")["serial"], true);
}

#[test]
fn a_build_with_panic_abort_says_so() {
    assert_eq!(rust(&panic_abort("minimal"), "minimal")["panic"], "abort");
    assert_eq!(rust(&fixture("minimal"), "minimal")["panic"], "unwind");
}

#[test]
fn a_build_by_nightly_is_one_by_nightly() {
    let compiler = rust(&skewed("minimal", "nightly"), "minimal")["compiler"].clone();
    assert!(compiler.as_str().expect("a string").contains("nightly"), "{compiler}");
}

#[test]
fn each_c_variant_is_wrong_in_its_own_way() {
    for variant in C_VARIANTS {
        let library = read(&c_fixture(variant));
        assert_eq!(library.exports, *variant != "NO_DESCRIPTOR", "{variant}");
        assert_eq!(library.metadata.is_some(), *variant != "NO_METADATA", "{variant}");
        assert_eq!(library.needs_absent, *variant == "MISSING_DEPENDENCY", "{variant}");
        let Some(metadata) = library.metadata else { continue };
        assert_eq!(metadata["target"], jackfield_plugin_api::metadata::TARGET, "{variant}");
        assert_eq!(metadata["abi"]["major"], if *variant == "ABI_TOMORROW" { 2 } else { 1 }, "{variant}");
        let right = metadata["digest"] == format!("{:016x}", jackfield_plugin_api::DIGEST);
        assert_eq!(right, *variant != "WRONG_DIGEST", "{variant}");
        let teleport = metadata["requires"].to_string().contains("teleport");
        assert_eq!(teleport, *variant == "REQUIRES_TELEPORT", "{variant}");
        assert_eq!(metadata["panic"] == "abort", *variant == "PANIC_ABORT", "{variant}");
    }
}

#[test]
fn a_text_and_a_foreign_library_are_told_apart() {
    assert!(object::File::parse(&*fs::read(text_file()).expect("readable")).is_err());
    let (good, foreign) = (read(&c_fixture("GOOD")), read(&foreign_architecture()));
    assert_ne!(good.architecture, foreign.architecture);
    assert_eq!(good.metadata, foreign.metadata);
}

#[cfg(unix)]
#[test]
fn what_the_harness_gives_is_the_users_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    for path in [fixture("minimal"), c_fixture("GOOD"), text_file()] {
        for path in [path.as_path(), path.parent().expect("a folder")] {
            let mode = fs::metadata(path).expect("there").permissions().mode();
            assert_eq!(mode & 0o077, 0, "{}: {mode:o}", path.display());
        }
    }
}
