//! The options of a backend.

use std::{fmt, path::PathBuf, time::Duration};

use super::circuit_breaker::Backoff;
use crate::inspect::metadata::{IsolationNeed, Metadata};
use crate::reexec::program::Program;
use crate::sandbox::Sandbox;
use crate::sandbox::limits::Limits;

/// The options of a backend. Their `Debug` omits the configuration, which may contain secrets.
#[derive(Clone)]
#[non_exhaustive]
pub struct BackendOptions {
    /// The backend's name in reports, logs and names of threads.
    pub name: String,
    /// The configuration, a JSON object.
    pub config: String,
    /// Deadline of loading, of `open`, and of every `send` without its own. The default is 5 s.
    pub timeout: Duration,
    /// Limit of calls that are inside the plugin at once, unless it is serial. The default is 4.
    pub concurrency: usize,
    /// The time that the circuit stays open after the plugin hangs or keeps panicking.
    pub circuit_backoff: Backoff,
    /// Name of the tool whose telemetry this is.
    pub tool_name: String,
    /// Version of that tool.
    pub tool_version: String,
    /// Which process the plugin is loaded into. The default is the one that its metadata asks for.
    pub isolation: Isolation,
}

impl BackendOptions {
    /// Options for a backend with this name and an empty configuration.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            config: "{}".to_owned(),
            timeout: Duration::from_secs(5),
            concurrency: 4,
            circuit_backoff: Backoff::default(),
            tool_name: String::new(),
            tool_version: String::new(),
            isolation: Isolation::default(),
        }
    }

    /// Sets the configuration, a JSON object.
    #[must_use]
    pub fn config(mut self, json: impl Into<String>) -> Self {
        self.config = json.into();
        self
    }

    /// Sets the deadline of loading, of `open`, and of every `send` without its own.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The time for loading a plugin and opening a backend: the timeout holds for each.
    #[must_use]
    pub const fn opening_limit(&self) -> Duration {
        self.timeout.saturating_mul(2)
    }

    /// Sets how many calls may be inside the plugin at once. A serial plugin always gets one at a time.
    #[must_use]
    pub const fn concurrency(mut self, calls: usize) -> Self {
        self.concurrency = calls;
        self
    }

    /// Sets how long the circuit stays open after the plugin hangs or keeps panicking.
    #[must_use]
    pub const fn circuit_backoff(mut self, backoff: Backoff) -> Self {
        self.circuit_backoff = backoff;
        self
    }

    /// Sets which process the plugin is loaded into, for
    /// [`Backend::open_verified`](crate::backend::Backend::open_verified).
    #[must_use]
    pub fn isolation(mut self, isolation: Isolation) -> Self {
        self.isolation = isolation;
        self
    }

    /// Sets the tool whose telemetry this is.
    #[must_use]
    pub fn tool(mut self, name: impl Into<String>, version: impl Into<String>) -> Self {
        self.tool_name = name.into();
        self.tool_version = version.into();
        self
    }
}

impl fmt::Debug for BackendOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BackendOptions")
            .field("name", &self.name)
            .field("timeout", &self.timeout)
            .field("concurrency", &self.concurrency)
            .field("circuit_backoff", &self.circuit_backoff)
            .field("tool_name", &self.tool_name)
            .field("tool_version", &self.tool_version)
            .field("isolation", &self.isolation)
            .finish_non_exhaustive()
    }
}

/// Which process a plugin is loaded into.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Isolation {
    /// This process: a crash of the plugin ends it.
    Thread,
    /// A child process: a crash of the plugin only ends the child.
    Process(ProcessOptions),
    /// A child process if the plugin's metadata asks for one, and this process otherwise.
    AsDeclared(ProcessOptions),
}

impl Isolation {
    /// The options of the child process for a plugin with this metadata; `None` for this process.
    #[must_use]
    pub fn process_of(&self, plugin: &Metadata) -> Option<&ProcessOptions> {
        match self {
            Self::Thread => None,
            Self::Process(process) => Some(process),
            Self::AsDeclared(process) => (plugin.isolation == IsolationNeed::Process).then_some(process),
        }
    }
}

impl Default for Isolation {
    fn default() -> Self {
        Self::AsDeclared(ProcessOptions::default())
    }
}

/// The options of a plugin's child process.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ProcessOptions {
    /// The executable. The default is that of this process.
    pub program: Program,
    /// The resources that it may use.
    pub limits: Limits,
    /// The files that it may touch; `None` for all.
    pub sandbox: Option<Sandbox>,
    /// The folder in which crashes are remembered for the next run, if they are.
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

    /// Sets the resources that it may use.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets the files that it may touch.
    #[must_use]
    pub fn sandbox(mut self, sandbox: Sandbox) -> Self {
        self.sandbox = Some(sandbox);
        self
    }

    /// Sets the folder in which crashes are remembered for the next run. It is created when needed.
    #[must_use]
    pub fn crashes(mut self, folder: impl Into<PathBuf>) -> Self {
        self.crashes = Some(folder.into());
        self
    }
}
