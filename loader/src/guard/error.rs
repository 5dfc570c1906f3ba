//! At which stage something failed; why a backend does not open, or does not close cleanly.

use std::{fmt, path::PathBuf};

use super::report::Failure;
use crate::boundary::text;

/// A step between a name in a configuration and a backend that was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[repr(u32)]
pub enum Stage {
    /// A name leads to a file.
    Find = 1,
    /// The file is a plugin for this host.
    Inspect,
    /// The trust policy allows it.
    Verify,
    /// A process of the plugin's own begins.
    Process,
    /// That process gives up what it is not allowed.
    Sandbox,
    /// The library is loaded.
    Load,
    /// What it exports is what it must be.
    Check,
    /// The plugin opens the backend.
    Open,
    /// The plugin closes the backend.
    Close,
}

impl Stage {
    const ALL: [Self; 9] = [
        Self::Find,
        Self::Inspect,
        Self::Verify,
        Self::Process,
        Self::Sandbox,
        Self::Load,
        Self::Check,
        Self::Open,
        Self::Close,
    ];

    /// The stage with this number, by which a child process names it.
    pub(crate) fn of(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| *stage as u32 == number)
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Find => "find",
            Self::Inspect => "inspect",
            Self::Verify => "verify",
            Self::Process => "process",
            Self::Sandbox => "sandbox",
            Self::Load => "load",
            Self::Check => "check",
            Self::Open => "open",
            Self::Close => "close",
        })
    }
}

/// Why a backend could not be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OpenFailure {
    /// The plugin refused its configuration.
    Config {
        /// Path of the key, such as `tls.ca_file`; empty when it is no single key.
        key: String,
        /// What is wrong with it.
        message: String,
    },
    /// The plugin panicked, answered with a failure, or did not answer in time.
    Call(Failure),
    /// The operating system gave no thread to run it on.
    Thread(String),
    /// In the process that it was to run in, it did not get as far as being opened.
    Stage {
        /// Which stage.
        stage: Stage,
        /// Why.
        message: String,
    },
    /// It has crashed before and is not started now.
    LeftAlone(String),
}

impl fmt::Display for OpenFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config { key, message } if key.is_empty() => {
                write!(f, "its configuration is refused: {message}")
            }
            Self::Config { key, message } => write!(f, "its configuration is refused: `{key}`: {message}"),
            Self::Call(failure) => failure.fmt(f),
            Self::Thread(error) => write!(f, "no thread for it: {error}"),
            Self::Stage { message, .. } | Self::LeftAlone(message) => f.write_str(message),
        }
    }
}

/// Why closing a backend was not clean.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CloseFailure {
    /// Calls were still inside the plugin at the deadline; `close` was not called.
    InFlight,
    /// The plugin's `close` panicked, answered with a failure, or did not answer in time.
    Close(Failure),
    /// The plugin's `free` panicked.
    FreePanicked,
    /// The plugin's `free` did not return in time.
    FreeTimedOut,
}

impl fmt::Display for CloseFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InFlight => f.write_str("calls were still inside the plugin at the deadline"),
            Self::Close(failure) => failure.fmt(f),
            Self::FreePanicked => f.write_str("the plugin panicked while it freed the instance"),
            Self::FreeTimedOut => f.write_str("the plugin did not free the instance in time"),
        }
    }
}

/// A backend that could not be opened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct OpenError {
    /// What the backend is called.
    pub backend: String,
    /// The plugin's file; `None` for a backend that is compiled in.
    pub file: Option<PathBuf>,
    /// Why.
    pub failure: OpenFailure,
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{}: ", text::show(file))?;
        }
        write!(f, "backend `{}` does not open: {}", self.backend, self.failure)
    }
}

impl std::error::Error for OpenError {}

/// A backend that was closed, but not cleanly.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CloseError {
    /// What the backend is called.
    pub backend: String,
    /// Why.
    pub failure: CloseFailure,
}

impl fmt::Display for CloseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "backend `{}` did not close cleanly: {}", self.backend, self.failure)
    }
}

impl std::error::Error for CloseError {}
