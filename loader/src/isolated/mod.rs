//! A plugin in a process of its own: this program's executable, started once more (see [`reexec`](crate::reexec)).
//!
//! The guard stays in the host; where an instance of a plugin in this process has the plugin's functions, one in a
//! child has the child, and the guard's threads make their calls over there. The host never maps the plugin: the child is
//! handed the sealed bytes that were verified.
//!
//! - [`child_spec`], [`instance`]: the host's side of a child, as the guard sees it;
//! - [`channel`]: the host's end of one thread of the child;
//! - [`reaper`], [`stderr`]: the host's thread that starts a child, passes its log on and notes its end;
//! - [`shared_memory`], [`protocol`]: the memory that both share, and what goes through it;
//! - [`child`]: the child;
//! - [`crash`], [`crash_history`]: what is remembered of files that crashed;
//! - [`init`]: the entry of a child.
//!
//! A request's events are written once, into the shared memory, and the plugin reads them there. Each side looks at the
//! shared memory for a while before it sleeps on a socket, through which the other side wakes it.
//!
//! # Trust
//! A child may be in the hands of a hostile plugin. The host believes no length and no number of it: what it reads from the
//! shared memory is copied first, then judged, and bounded as what a plugin says in this process is.
//!
//! # Life
//! The kernel ends a child with its host, and the child ends itself when the host's end of a socket closes. What the plugin
//! forks ends with the child. A program that it starts by `posix_spawn` ends with the child's process group; it survives
//! only if the host is killed before it could end that group.
//!
//! # Platform
//! Linux. Elsewhere a backend with process isolation does not open.

#[cfg(target_os = "linux")]
mod channel;
#[cfg(target_os = "linux")]
mod child;
#[cfg(target_os = "linux")]
pub(crate) mod child_spec;
pub(crate) mod crash;
#[cfg(target_os = "linux")]
pub(crate) mod crash_history;
#[cfg(target_os = "linux")]
mod instance;
#[cfg(target_os = "linux")]
mod protocol;
#[cfg(target_os = "linux")]
mod reaper;
#[cfg(target_os = "linux")]
mod shared_memory;
#[cfg(target_os = "linux")]
mod stderr;
#[cfg(not(target_os = "linux"))]
mod unsupported;
#[cfg(not(target_os = "linux"))]
pub(crate) use unsupported as child_spec;
#[cfg(not(target_os = "linux"))]
pub(crate) use unsupported as crash_history;

use crate::reexec::entry::{Job, run_job};

/// The job of a child for a plugin.
#[cfg(target_os = "linux")]
const JOB: &str = "child";

#[cfg(target_os = "linux")]
const JOBS: &[Job] = &[Job { name: JOB, run: child::run }];
#[cfg(not(target_os = "linux"))]
const JOBS: &[Job] = &[];

/// In a child of this program, does the job that the child was started for, and ends the process. In any other process,
/// notes that this program can have children, and returns.
///
/// Call it on the first line of `main`, while there is one thread and no open file: a child closes every descriptor that it
/// did not get from its parent.
pub fn init(jobs: &[Job]) {
    run_job(&[jobs, JOBS].concat());
}
