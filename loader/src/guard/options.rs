//! How a backend is opened, and in which process.

use std::{fmt, path::PathBuf, time::Duration};

use crate::{
    boundary::backoff::Backoff,
    reexec::entry::Program,
    sandbox::{Sandbox, limits::Limits},
};

/// How a backend is opened. Its `Debug` leaves out the configuration, which may hold secrets.
#[derive(Clone)]
#[non_exhaustive]
pub struct BackendOptions {
    /// What the backend is called in reports, logs and thread names.
    pub name: String,
    /// Its configuration: a JSON object.
    pub config: String,
    /// Deadline of loading, of `open`, and of every `send` that names none. 5 s unless set.
    pub timeout: Duration,
    /// How many calls may be inside the plugin at once, unless it is serial. 4 unless set.
    pub concurrency: usize,
    /// How long the circuit stays open after the plugin hangs or keeps panicking.
    pub circuit_backoff: Backoff,
    /// Name of the tool whose telemetry this is.
    pub tool_name: String,
    /// Version of that tool.
    pub tool_version: String,
    /// Which process the plugin is loaded into. This one unless set.
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
            isolation: Isolation::Thread,
        }
    }

    /// Sets the configuration, a JSON object.
    #[must_use]
    pub fn config(mut self, json: impl Into<String>) -> Self {
        self.config = json.into();
        self
    }

    /// Sets the deadline of `open`, and of every `send` that names none.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets how many calls may be inside the plugin at once. A serial plugin gets one at a time whatever this says.
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

    /// Sets which process the plugin is loaded into, for [`Backend::open_verified`](crate::backend::Backend::open_verified).
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
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum Isolation {
    /// This one: a crash of the plugin ends it.
    #[default]
    Thread,
    /// One of its own: a crash of the plugin ends only that process.
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
