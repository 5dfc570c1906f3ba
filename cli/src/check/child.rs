//! The child's side: one check, told on a pipe and answered on another.

#![cfg_attr(not(unix), allow(dead_code, unused_imports, reason = "there are no such children"))]

use std::{
    fs::File,
    io::{Read as _, Write as _},
    path::PathBuf,
    thread,
    time::Duration,
};

use jackfield_loader::{Job, reexec::Inherited};
use serde::{Deserialize, Serialize};

use super::{
    finding::Finding,
    ground::Ground,
    list::{CHECKS, EXIT},
};

/// The job of such a child.
pub(crate) const JOB: Job = Job { name: NAME, run };

pub(super) const NAME: &str = "check";

/// What a child is told.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Task {
    pub(super) check: String,
    /// The process that waits for the answer. What the system says at the child's start may be another one already.
    pub(super) parent: u32,
    pub(super) file: PathBuf,
    /// The plugin's options, a JSON object.
    pub(super) config: String,
    /// The key that holds the endpoint, where it has a name of its own.
    pub(super) endpoint: Option<String>,
    /// How many instances live in the check for leaks.
    pub(super) cycles: u32,
    /// How long it may go on with them, in seconds.
    pub(super) budget_s: u64,
}

/// The exit code of a child that could not be told its task or could not answer: `EX_IOERR` of `sysexits.h`.
const NO_TASK: i32 = 74;

#[cfg(unix)]
fn run(inherited: Inherited) -> i32 {
    let mut files = inherited.files.into_iter();
    let (Some(task), Some(answer), Some(output)) = (files.next(), files.next(), files.next()) else {
        return NO_TASK;
    };
    // What the plugin prints goes where the parent sees it.
    if rustix::stdio::dup2_stdout(&output).is_err() {
        return NO_TASK;
    }
    drop(output);
    perform(File::from(task), File::from(answer)).unwrap_or(NO_TASK)
}

/// Ends this process once its parent is gone: the user's Ctrl-C reaches the parent alone, and a plugin that hangs would be
/// left behind.
#[cfg(unix)]
fn end_with(parent: u32) -> bool {
    const GLANCE: Duration = Duration::from_millis(200);
    let watch = move || {
        while std::os::unix::process::parent_id() == parent {
            thread::sleep(GLANCE);
        }
        jackfield_loader::exit(NO_TASK)
    };
    thread::Builder::new().name("check-parent".to_owned()).spawn(watch).is_ok()
}

#[cfg(not(unix))]
fn run(_: Inherited) -> i32 {
    NO_TASK
}

fn perform(mut task: File, mut answer: File) -> Option<i32> {
    let mut text = String::new();
    task.read_to_string(&mut text).ok()?;
    drop(task);
    let task: Task = serde_json::from_str(&text).ok()?;
    #[cfg(unix)]
    if !end_with(task.parent) {
        return None;
    }
    let check = CHECKS.iter().find(|check| check.name == task.check)?;
    let finding = Finding::from(Ground::load(task).and_then(|ground| (check.run)(&ground)));
    answer.write_all(serde_json::to_string(&finding).ok()?.as_bytes()).ok()?;
    if check.name == EXIT {
        drop(answer);
        std::process::exit(0);
    }
    Some(0)
}
