//! Ends of a tool that drop nothing: an exit in the middle, a static, a clone in a thread.
#![cfg(unix)]

mod common;

use std::{path::Path, process::Output, sync::OnceLock, thread};

use common::arrived_once;
use jackfield::Telemetry;

fn tool(home: &Path) -> Telemetry {
    common::tool(home).backend("a", common::to_file(&home.join("arrived"))).build()
}

#[test]
#[ignore = "run by the other tests, in a process of its own"]
fn child() {
    static TELEMETRY: OnceLock<Telemetry> = OnceLock::new();
    let (role, home, _) = common::role();
    jackfield::init();
    let telemetry = tool(&home);
    match &*role {
        "finish and exit" => {
            let mut command = telemetry.command("build");
            command.add_metadata("target", "all");
            command.finish_and_exit(7)
        }
        "exit" => {
            let _command = telemetry.command("build");
            telemetry.track(common::KIND, "started", &[]);
            std::process::exit(7)
        }
        "static" => {
            let telemetry = TELEMETRY.get_or_init(|| telemetry);
            telemetry.track(common::KIND, "started", &[]);
        }
        "closed static" => {
            let telemetry = TELEMETRY.get_or_init(|| telemetry);
            telemetry.track(common::KIND, "started", &[]);
            telemetry.close();
        }
        "unused static" => {
            TELEMETRY.get_or_init(|| telemetry);
        }
        "clone in a thread" => {
            let clone = telemetry.clone();
            let endless = thread::Builder::new().spawn(move || {
                let _clone = clone;
                loop {
                    thread::park();
                }
            });
            endless.expect("a thread");
            telemetry.track(common::KIND, "started", &[]);
        }
        other => panic!("no such role: {other}"),
    }
}

/// What the role says when it ends, and the code that it ends with.
fn ends(role: &str, home: &Path) -> (Option<i32>, String) {
    let Output { status, stderr, .. } = common::child(role, home, 0).output().expect("it starts");
    (status.code(), String::from_utf8(stderr).expect("UTF-8"))
}

const HINT: &str = "tool: its telemetry has events and was not closed";

#[test]
fn a_command_survives_an_exit_that_finishes_it() {
    let home = tempfile::tempdir().expect("a folder");
    let (code, said) = ends("finish and exit", home.path());
    assert_eq!((code, said.contains(HINT)), (Some(7), false), "{said}");
    assert_eq!(arrived_once(&home.path().join("arrived")), ["build"]);
}

/// The standard library of this platform drops the values of the main thread.
#[test]
#[cfg(all(debug_assertions, target_os = "linux", target_env = "gnu"))]
fn a_debug_build_names_a_telemetry_that_nobody_closed() {
    for (role, code) in [("exit", 7), ("static", 0), ("clone in a thread", 0)] {
        let home = tempfile::tempdir().expect("a folder");
        let (ended, said) = ends(role, home.path());
        assert_eq!(ended, Some(code), "{role}: {said}");
        assert_eq!(said.matches(HINT).count(), 1, "{role}: {said}");
        assert!(arrived_once(&home.path().join("arrived")).is_empty(), "{role}");
        // What was recorded waits.
        assert!(tool(home.path()).flush(jackfield_test_support::LONG).emptied);
        assert_eq!(arrived_once(&home.path().join("arrived")), ["started"], "{role}");
    }
    for role in ["closed static", "unused static"] {
        let home = tempfile::tempdir().expect("a folder");
        let (ended, said) = ends(role, home.path());
        assert_eq!((ended, said.contains(HINT)), (Some(0), false), "{role}: {said}");
    }
}
