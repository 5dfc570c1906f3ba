//! What is recorded under `TELEMETRY_LOCAL` does not leave the machine, not even by a later run without it.

mod common;

use std::{ffi::OsString, path::Path};

use common::KIND;
use jackfield::{Builder, Deliver, MemoryBackend, PluginsConfig, Telemetry};
use jackfield_test_support::LONG;

/// A tool without the plugin `file`, so that events wait.
fn tool(home: &Path) -> Builder {
    let mut plugins = PluginsConfig::default();
    plugins.path = vec![home.join("no-plugins")];
    common::tool(home).plugins(plugins).deliver(Deliver::ByHand)
}

fn local(home: &Path) -> Builder {
    tool(home).environment(|name: &str| (name == "TELEMETRY_LOCAL").then(|| OsString::from("1")))
}

/// One event waits that may not leave, and another that may.
fn both_wait(home: &Path, memory: &MemoryBackend) -> Telemetry {
    let kept = local(home).build();
    kept.track(KIND, "kept", &[]);
    kept.flush(LONG);
    drop(kept);
    let ordinary = tool(home).backend("memory", memory.maker()).build();
    ordinary.track(KIND, "free", &[]);
    ordinary
}

#[test]
fn an_ordinary_run_sends_nothing_that_was_recorded_under_local_only() {
    let (home, memory) = (tempfile::tempdir().expect("a folder"), MemoryBackend::new());
    let ordinary = both_wait(home.path(), &memory);
    let shown = ordinary.show().expect("readable");
    let names = |lines: &[String], name: &str| lines.len() == 1 && lines[0].contains(&format!("{name:?}"));
    assert!(names(&shown.stored, "free") && names(&shown.set_apart, "kept"), "{shown:?}");
    assert_eq!(shown.previewed, 1);
    assert!(ordinary.flush(LONG).emptied);
    let arrived: Vec<_> = memory.events().iter().map(|event| event["name"].to_string()).collect();
    assert_eq!(arrived, ["\"free\""]);
    let status = ordinary.status();
    assert_eq!((status.events, status.set_apart), (0, 1));
    assert!(status.to_string().contains("\nSet apart: 1 event, "), "{status}");
    let status = local(home.path()).build().status();
    assert_eq!((status.events, status.set_apart, status.backends[0].waiting), (1, 0, 1));
    assert!(status.folder.expect("a folder").ends_with("data/local-spool"));
}

#[test]
fn where_configured_backends_outrank_local_only_the_events_are_ordinary_ones() {
    let (home, memory) = (tempfile::tempdir().expect("a folder"), MemoryBackend::new());
    let telemetry = local(home.path()).backend("memory", memory.maker()).build();
    telemetry.track(KIND, "x", &[]);
    assert_eq!((telemetry.status().telemetry, telemetry.status().events), ("enabled", 1));
    telemetry.flush(LONG);
    assert_eq!(memory.events().len(), 1);
    assert!(!home.path().join("data/local-spool").exists());
}

#[test]
fn a_variable_set_during_a_run_keeps_later_events_local() {
    use std::sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    };
    let (home, memory) = (tempfile::tempdir().expect("a folder"), MemoryBackend::new());
    let set = Arc::new(AtomicBool::new(false));
    let is_set = Arc::clone(&set);
    let environment =
        move |name: &str| (name == "TELEMETRY_LOCAL" && is_set.load(Ordering::Relaxed)).then(|| "1".into());
    let telemetry = tool(home.path())
        .environment(environment)
        .backend("memory", memory.maker())
        .local_only_wins(true)
        .build();
    telemetry.track(KIND, "free", &[]);
    set.store(true, Ordering::Relaxed);
    std::thread::sleep(jackfield::ConsentSource::MAX_AGE);
    telemetry.track(KIND, "kept", &[]);
    set.store(false, Ordering::Relaxed);
    telemetry.flush(LONG);
    assert_eq!((memory.events().len(), telemetry.status().set_apart), (1, 1));
}

#[test]
fn both_sorts_are_discarded_together() {
    let (home, memory) = (tempfile::tempdir().expect("a folder"), MemoryBackend::new());
    let waiting = |telemetry: &Telemetry| (telemetry.status().events, telemetry.status().set_apart);
    let telemetry = both_wait(home.path(), &memory);
    assert_eq!(waiting(&telemetry), (1, 1));
    telemetry.drop_pending().expect("ours");
    assert_eq!(waiting(&telemetry), (0, 0));
    let telemetry = both_wait(home.path(), &memory);
    telemetry.disable().expect("ours");
    assert_eq!(waiting(&telemetry), (0, 0));
    let telemetry = both_wait(home.path(), &memory);
    telemetry.reset(LONG).expect("ours");
    assert_eq!(waiting(&telemetry), (0, 0));
}
