//! The end of a process with a plugin whose destructor never returns.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test helper that fails fails the test, and a child prints"
)]
#![cfg(target_os = "linux")]

mod common;

use std::{
    io::Read as _,
    path::Path,
    process::{Child, Stdio},
    time::Duration,
};

use common::{Plugin as Fixture, folder};
use jackfield_loader::{Plugin, Trust};
use jackfield_test_support::{LONG, rerun, within};

const PLUGIN: &str = "PLUGIN_THAT_HANGS_AT_EXIT";

/// In the child that [`start`] started, loads the plugin.
fn loaded() -> bool {
    let Some(path) = std::env::var_os(PLUGIN) else { return false };
    Plugin::load(Path::new(&path), Trust::Owner).unwrap();
    print!("loaded, and no line feed");
    true
}

/// Runs the test of this name in a child process, with a plugin to load.
fn start(test: &str, folder: &Path) -> Child {
    let plugin = Fixture::new("hangs-at-exit").define("HANG_AT_EXIT", 1).build(folder, "libx.so");
    rerun(test).env(PLUGIN, plugin).stdout(Stdio::piped()).spawn().unwrap()
}

/// The exit code and the output, unless the process runs longer than `limit`. Then it is killed.
fn ended_within(limit: Duration, mut child: Child) -> Option<(i32, String)> {
    let Ok(Some(status)) = within(limit, || child.try_wait().unwrap(), Option::is_some) else {
        child.kill().unwrap();
        child.wait().unwrap();
        return None;
    };
    let mut printed = String::new();
    child.stdout.take().unwrap().read_to_string(&mut printed).unwrap();
    Some((status.code().unwrap(), printed))
}

#[test]
fn exit_flushes_output_and_runs_no_destructor_of_a_plugin() {
    if loaded() {
        jackfield_loader::exit(7);
    }
    let folder = folder();
    let test = "exit_flushes_output_and_runs_no_destructor_of_a_plugin";
    let (code, printed) = ended_within(LONG, start(test, folder.path())).unwrap();
    assert_eq!(code, 7);
    assert!(printed.ends_with("loaded, and no line feed"), "{printed}");
}

#[test]
fn the_ordinary_exit_waits_for_ever() {
    if loaded() {
        std::process::exit(7);
    }
    let folder = folder();
    let child = start("the_ordinary_exit_waits_for_ever", folder.path());
    assert_eq!(ended_within(Duration::from_secs(2), child), None, "the fixture hangs nobody");
}
