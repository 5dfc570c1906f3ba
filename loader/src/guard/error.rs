//! The stages of a backend's life, and why a backend does not open or does not close cleanly.

use std::fmt;

use super::report::Failure;
use crate::library::location::Location;

/// A stage between a name in a configuration and a backend that was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[repr(u32)]
pub enum Stage {
    /// The file of a plugin's name is found.
    Find = 1,
    /// The file is found to be a plugin for this host.
    Inspect,
    /// The trust policy allows the file.
    Verify,
    /// The child process of the plugin starts.
    Process,
    /// The child process applies its limits and its sandbox.
    Sandbox,
    /// The library is loaded.
    Load,
    /// The exported tables are found to be valid.
    Check,
    /// The plugin opens the backend.
    Open,
    /// The plugin closes the backend.
    Close,
}

impl Stage {
    const ALL: [(Self, &str); 9] = [
        (Self::Find, "find"),
        (Self::Inspect, "inspect"),
        (Self::Verify, "verify"),
        (Self::Process, "process"),
        (Self::Sandbox, "sandbox"),
        (Self::Load, "load"),
        (Self::Check, "check"),
        (Self::Open, "open"),
        (Self::Close, "close"),
    ];

    /// The stage with this number, by which a child process reports it.
    pub(crate) fn of(number: u32) -> Option<Self> {
        Self::ALL.into_iter().map(|(stage, _)| stage).find(|stage| *stage as u32 == number)
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::ALL[*self as usize - 1].1)
    }
}

/// Why a backend could not be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenFailure {
    /// The plugin refused its configuration.
    #[error("its configuration is refused:{} {message}", config_key(key))]
    Config {
        /// Path of the key, such as `tls.ca_file`; empty if it is not a single key.
        key: String,
        /// The error.
        message: String,
    },
    /// The plugin panicked, returned a failure, or did not return in time.
    #[error("{0}")]
    Call(Failure),
    /// The operating system gave no thread for the backend.
    #[error("no thread for it: {0}")]
    Thread(String),
    /// In the child process, the plugin failed at a stage before `open`.
    #[error("{message}")]
    Stage {
        /// Which stage.
        stage: Stage,
        /// Why.
        message: String,
    },
    /// The plugin has crashed before, and is not started now.
    #[error("{0}")]
    LeftAlone(String),
}

/// Why a backend did not close cleanly.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CloseFailure {
    /// Calls were still inside the plugin at the deadline. `close` was not called.
    #[error("calls were still inside the plugin at the deadline")]
    InFlight,
    /// The plugin's `close` panicked, returned a failure, or did not return in time.
    #[error("{0}")]
    Close(Failure),
    /// The plugin's `free` panicked, or answered with another failure.
    #[error("the plugin panicked while it freed the instance")]
    FreePanicked,
    /// The plugin's process ended while it freed the instance.
    #[error("the plugin's process crashed while it freed the instance: {how}")]
    FreeCrashed {
        /// The end of the process, such as `ended by SIGSEGV`.
        how: String,
    },
    /// The plugin's `free` did not return in time.
    #[error("the plugin did not free the instance in time")]
    FreeTimedOut,
}

/// A backend that could not be opened.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{}backend `{backend}` does not open: {failure}", prefix(plugin.as_ref()))]
#[non_exhaustive]
pub struct OpenError {
    /// The name of the backend.
    pub backend: String,
    /// Where the plugin is; `None` for a backend in code.
    pub plugin: Option<Location>,
    /// Why.
    pub failure: OpenFailure,
}

/// A backend that did not close cleanly.
#[derive(Clone, Debug, thiserror::Error)]
#[error("backend `{backend}` did not close cleanly: {failure}")]
#[non_exhaustive]
pub struct CloseError {
    /// The name of the backend.
    pub backend: String,
    /// Why.
    pub failure: CloseFailure,
}

fn config_key(key: &str) -> String {
    if key.is_empty() { String::new() } else { format!(" `{key}`:") }
}

fn prefix(plugin: Option<&Location>) -> String {
    plugin.map_or_else(String::new, |plugin| format!("{plugin}: "))
}
