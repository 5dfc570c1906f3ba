//! A plugin in a child process: this program's executable, started again (see [`reexec`](crate::reexec)).
//!
//! The guard stays in the host. Without isolation the guard's threads call the plugin's functions; with isolation they
//! ask the child to call them. The host never maps the plugin.
//!
//! - [`instance`]: the host's side of a child, as the guard sees it;
//! - [`channel`]: the host's end of one thread of the child;
//! - [`reaper`]: the host's thread that starts a child, emits its log and notes its end;
//! - [`shared_memory`], [`protocol`]: the memory that both share, and its content;
//! - `linux`, `windows`: by what one side wakes the other, passes on its log, and learns of the other's end;
//! - [`child`]: the child;
//! - `fuzzing`: a hostile child, for the fuzz target;
//! - [`crash`], [`crash_history`]: the records of files that crashed.
//!
//! The host writes a request's events once, into the shared memory, where the plugin reads them. Each side
//! polls the shared memory for a while before it sleeps until the other side wakes it.
//!
//! # Trust
//! A hostile plugin may control the child. The host trusts no length and no number in the shared memory: it
//! copies the data, then checks it, and bounds texts as those of a plugin in this process.
//!
//! # Life
//! The kernel ends a child with its host, and the child ends itself when it notices that the host has ended.
//! A process that the plugin forks by the C library ends with the child. When the host ends the child, it kills
//! every process below it. In a sandbox the plugin starts no process.
//!
//! # Platform
//! Linux and Windows, with the feature `isolation`. Elsewhere a backend with process isolation does not open.

#[cfg(all(any(target_os = "linux", windows), feature = "isolation"))]
mod awake;
#[cfg(all(any(target_os = "linux", windows), feature = "isolation"))]
mod channel;
#[cfg(all(any(target_os = "linux", windows), feature = "isolation"))]
mod child;
pub(crate) mod crash;
#[cfg(all(any(target_os = "linux", windows), feature = "isolation"))]
mod crash_history;
#[cfg(all(target_os = "linux", feature = "fuzzing"))]
pub(crate) mod fuzzing;
#[cfg(all(any(target_os = "linux", windows), feature = "isolation"))]
pub(crate) mod instance;
#[cfg(not(all(any(target_os = "linux", windows), feature = "isolation")))]
#[path = "unsupported.rs"]
pub(crate) mod instance;
#[cfg(all(target_os = "linux", feature = "isolation"))]
mod linux;
#[cfg(all(any(target_os = "linux", windows), feature = "isolation"))]
mod protocol;
#[cfg(all(any(target_os = "linux", windows), feature = "isolation"))]
mod reaper;
#[cfg(all(any(target_os = "linux", windows), feature = "isolation"))]
mod shared_memory;
#[cfg(all(windows, feature = "isolation"))]
mod windows;

#[cfg(all(target_os = "linux", feature = "isolation"))]
use self::linux as system;
#[cfg(all(windows, feature = "isolation"))]
use self::windows as system;

use crate::reexec::entry::{Job, run_job};

/// In a child of this program, does the child's job, and ends the process. In any other process, notes that
/// this program can have children, and returns.
///
/// Call it on the first line of `main`, while there is one thread and no open file: a child closes every
/// descriptor that it did not get from its parent.
pub fn init(jobs: &[Job]) {
    #[cfg(all(any(target_os = "linux", windows), feature = "isolation"))]
    let jobs = &*[jobs, &[Job { name: child::JOB, run: child::run }]].concat();
    run_job(jobs);
}
