//! A plugin in a process of its own: this program's executable, started once more (see [`crate::reexec`]).
//!
//! The guard's lane stays in the host; where an instance of a plugin in this process has the plugin's functions, one in a
//! child has the child, and the guard's threads make their calls over there. The host never maps the plugin: the child is
//! handed the sealed bytes that were verified.
//!
//! | module | |
//! | --- | --- |
//! | [`parent`] | the host: an instance and its child |
//! | [`channel`] | the host's end of one thread of the child |
//! | [`keeper`], [`stderr`] | the host's thread that starts a child, passes its log on and notes its end |
//! | [`area`], [`wire`] | the memory that both share, and what goes through it |
//! | [`serve`], [`speak`] | the child |
//! | [`crashes`] | what is remembered of files that crashed |
//!
//! A request's events are written once, into the shared memory, and the plugin reads them there. Whoever waits looks at the
//! shared memory for a while before it sleeps on a socket, whose other end rings it.
//!
//! # Trust
//! A child may be in the hands of a hostile plugin. The host believes no length and no number of it: what it reads from the
//! shared memory is copied first, then judged, and bounded as what a plugin says in this process is.
//!
//! # Life
//! The kernel ends a child with its host, and the child ends itself when the host's end of a socket closes. What the plugin
//! forks ends with the child; a program that it starts by `posix_spawn` ends with the child's process group, so it is left
//! behind only when the host is killed before it could end that.
//!
//! # Platform
//! Linux. Elsewhere a backend with process isolation does not open.

use std::path::PathBuf;

use crate::{
    confine::{Limits, Sandbox},
    reexec::Program,
};

#[cfg(target_os = "linux")]
mod area;
#[cfg(target_os = "linux")]
mod channel;
#[cfg(target_os = "linux")]
mod crashes;
#[cfg(target_os = "linux")]
mod keeper;
#[cfg(target_os = "linux")]
mod parent;
#[cfg(not(target_os = "linux"))]
#[path = "unsupported.rs"]
mod parent;
#[cfg(target_os = "linux")]
mod serve;
#[cfg(target_os = "linux")]
mod speak;
#[cfg(target_os = "linux")]
mod stderr;
#[cfg(target_os = "linux")]
mod wire;
#[cfg(not(target_os = "linux"))]
use parent as crashes;

pub use crashes::{Crash, crashes};

/// How often in a row a plugin in a process of its own may crash before its file is left alone until it changes.
pub const MOST_CRASHES: u32 = 5;

pub(crate) use parent::{Process, Recipe};

/// Whether this platform has children for plugins.
pub(crate) const IS_SUPPORTED: bool = cfg!(target_os = "linux");

/// What a child is started for.
#[cfg(target_os = "linux")]
const JOB: &str = "lane";

/// The jobs of children that this module starts.
#[cfg(target_os = "linux")]
pub(crate) const JOBS: &[crate::reexec::Job] = &[crate::reexec::Job { name: JOB, run: serve::run }];
#[cfg(not(target_os = "linux"))]
pub(crate) const JOBS: &[crate::reexec::Job] = &[];

/// Which process a plugin is loaded into.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum Isolation {
    /// This one: a crash of the plugin ends it.
    #[default]
    Thread,
    /// One of its own: whatever the plugin does ends that one alone.
    Process(ProcessOptions),
}

/// How a plugin's own process is.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ProcessOptions {
    /// The executable: this process's own unless set.
    pub program: Program,
    /// What it may use of the system's resources.
    pub limits: Limits,
    /// What it may see of the file system; `None` is everything.
    pub sandbox: Option<Sandbox>,
    /// A folder in which crashes are remembered from one run to the next; `None`: they are not.
    pub crashes: Option<PathBuf>,
}

impl ProcessOptions {
    /// This program's own executable, without limits and sandbox.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the executable.
    #[must_use]
    pub fn program(mut self, program: Program) -> Self {
        self.program = program;
        self
    }

    /// Sets what it may use of the system's resources.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets what it may see of the file system.
    #[must_use]
    pub fn sandbox(mut self, sandbox: Sandbox) -> Self {
        self.sandbox = Some(sandbox);
        self
    }

    /// Sets the folder in which crashes are remembered from one run to the next. It is made when it is needed.
    #[must_use]
    pub fn crashes(mut self, folder: impl Into<PathBuf>) -> Self {
        self.crashes = Some(folder.into());
        self
    }
}
