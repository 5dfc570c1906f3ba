//! What the loader says of each fixture: it loads and works, or it is refused in one line that names stage and reason.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use jackfield_loader::{Backend, BackendOptions, Batch, EventFields, Layout, Plugin, Trust};
use jackfield_plugin_api::Outcome;
use jackfield_tests::{C_VARIANTS, c_fixture, fixture, foreign_architecture, panic_abort, skewed, text_file};

/// The C variants that are refused: with which stage, and with what in the line.
const REFUSED: &[(&str, &str, &str)] = &[
    ("ABI_TOMORROW", "inspect", "expected ABI 1, found ABI 2"),
    ("REQUIRES_TELEPORT", "inspect", "teleport"),
    ("WRONG_DIGEST", "inspect", "0123456789abcdef"),
    ("PANIC_ABORT", "inspect", "panic = \"abort\""),
    ("NO_DESCRIPTOR", "inspect", "jackfield_plugin"),
    ("NO_METADATA", "inspect", ".jackfield"),
    ("MISSING_DEPENDENCY", "load", "libjackfield_absent.so"),
    ("METADATA_LIES", "check", "0123456789abcdef"),
    ("OTHER_METADATA", "check", "metadata"),
    ("WRONG_MAGIC", "check", "magic"),
    ("NO_TABLE", "check", "table"),
    ("SMALL_TABLE", "check", "expected 40, found 32"),
    ("UNKNOWN_FLAG", "check", "0x40000000"),
];

pub(crate) fn load(path: &Path) -> Plugin {
    Plugin::load(path, Trust::Owner).unwrap_or_else(|error| panic!("{error}"))
}

/// A batch with an event for each of `lines`.
pub(crate) fn batch(lines: &[&str]) -> Batch {
    let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
    Batch::build(lines, |lines, batch| {
        for json in lines {
            batch.push(&EventFields { json, ..EventFields::default() });
        }
        Ok::<_, std::convert::Infallible>(())
    })
    .unwrap_or_else(|never| match never {})
}

fn delivers(plugin: &Plugin) {
    let backend = Backend::open(plugin, &BackendOptions::new("fixture")).expect("opens");
    let report = backend.send(&batch(&["{}"]));
    assert_eq!(report.outcome(0), &Outcome::Delivered, "{}: {:?}", plugin.path().display(), report.failure());
    backend.close(Duration::from_secs(5)).expect("closes");
}

/// The line, which begins with the stage and names the file.
fn refusal(path: &Path) -> String {
    let Err(error) = Plugin::load(path, Trust::Owner) else {
        panic!("{} loads", path.display());
    };
    let line = error.to_string();
    assert!(!line.contains('\n'), "{line}");
    assert!(line.contains(&*path.to_string_lossy()), "{line}");
    line
}

#[test]
fn good_plugins_load_and_deliver() {
    for variant in ["GOOD", "CONSTRUCTOR", "EXTRA_TABLE"] {
        let plugin = load(&c_fixture(variant));
        assert_eq!(plugin.layout(), Layout::ByDigest);
        delivers(&plugin);
    }
    for name in ["minimal", "hostile", "serial"] {
        let plugin = load(&fixture(name));
        assert_eq!(plugin.layout(), Layout::Compared);
        delivers(&plugin);
    }
}

#[test]
fn wrong_plugins_are_refused_at_their_stage_in_one_line() {
    for (variant, stage, reason) in REFUSED {
        let line = refusal(&c_fixture(variant));
        assert!(line.starts_with(&format!("{stage}: ")) && line.contains(reason), "{variant}: {line}");
    }
    let rest: Vec<_> =
        C_VARIANTS.iter().filter(|name| !REFUSED.iter().any(|(refused, ..)| refused == *name)).collect();
    assert_eq!(rest, [&"GOOD", &"CONSTRUCTOR", &"EXTRA_TABLE", &"UNKNOWN_STATUS", &"UNKNOWN_OUTCOME"]);
}

#[test]
fn files_that_are_no_plugin_for_this_host_are_refused_by_what_they_are() {
    for (path, reason) in
        [(text_file(), "text"), (foreign_architecture(), "expected"), (panic_abort("minimal"), "abort")]
    {
        let line = refusal(&path);
        assert!(line.starts_with("inspect: ") && line.contains(reason), "{line}");
    }
}

#[test]
fn layouts_that_are_not_what_the_digest_promises_are_refused_by_type() {
    let line = refusal(&fixture("lying"));
    assert!(line.starts_with("check: ") && line.contains("type Event"), "{line}");
}

#[test]
fn answers_that_no_host_knows_lose_nothing() {
    let answer = |variant| {
        let plugin = load(&c_fixture(variant));
        let backend = Backend::open(&plugin, &BackendOptions::new("fixture")).expect("opens");
        backend.send(&batch(&["{}"]))
    };
    assert!(answer("UNKNOWN_STATUS").failure().is_some_and(|failure| failure.to_string().contains("99")));
    let report = answer("UNKNOWN_OUTCOME");
    assert!(matches!(report.outcome(0), Outcome::Retry { reason, .. } if reason.contains("77")));
}

#[test]
fn a_plugin_built_by_nightly_works_under_this_host() {
    let plugin = load(&skewed("minimal", "nightly"));
    assert_eq!(plugin.layout(), Layout::Compared);
    delivers(&plugin);
}

#[test]
fn two_plugins_with_a_tokio_each_work_side_by_side() {
    let open = |name| Backend::open(&load(&fixture(name)), &BackendOptions::new(name)).expect("opens");
    let (a, b) = (open("tokio-a"), open("tokio-b"));
    std::thread::scope(|scope| {
        for backend in [&a, &b, &a, &b] {
            scope.spawn(move || {
                for _ in 0..5 {
                    let report = backend.send(&batch(&["{}"]));
                    assert_eq!(report.outcome(0), &Outcome::Delivered, "{:?}", report.failure());
                }
            });
        }
    });
}

/// Loads each of the libraries that the environment variable names, in a process whose marks are its own.
#[test]
#[ignore = "a part of the test below, which runs it in a child process"]
fn child_that_loads_what_it_is_told() {
    for path in std::env::split_paths(&std::env::var_os("JACKFIELD_TEST_LOAD").expect("set by the parent")) {
        let _ = Plugin::load(&path, Trust::Owner);
    }
}

#[test]
fn what_is_refused_before_it_is_loaded_leaves_no_mark() {
    let folder = tempfile::tempdir().expect("a folder");
    let marks = |name: &str, paths: Vec<PathBuf>| {
        let mark = folder.path().join(name);
        let status = Command::new(std::env::current_exe().expect("known"))
            .args(["--exact", "verdicts::child_that_loads_what_it_is_told", "--ignored", "--quiet"])
            .env("JACKFIELD_TEST_LOAD", std::env::join_paths(paths).expect("no separator in a path"))
            .env("JACKFIELD_MARK", &mark)
            .output()
            .expect("runs");
        assert!(status.status.success(), "{}", String::from_utf8_lossy(&status.stdout));
        mark.exists()
    };
    assert!(marks("loaded", vec![c_fixture("CONSTRUCTOR")]));
    let mut refused: Vec<_> = REFUSED
        .iter()
        .filter(|(_, stage, _)| *stage == "inspect")
        .map(|(name, ..)| c_fixture(name))
        .collect();
    refused.push(foreign_architecture());
    assert!(!marks("refused", refused));
}
