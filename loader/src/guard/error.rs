//! Why a backend does not open, or does not close cleanly.

use std::{fmt, path::PathBuf};

use super::report::Failure;
use crate::boundary::text;

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
        /// Which stage, such as `load`.
        stage: String,
        /// Why.
        message: String,
    },
    /// It has crashed before and is left alone.
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
