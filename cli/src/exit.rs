//! The end of a command: its exit code, and the error that ends it early.

use std::{fmt::Display, io, path::Path};

use jackfield::OpenError;
use jackfield_loader::{Error, VerifyError, show_path};

/// The way in which a command has ended. When several variants apply, the last and most serious one is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Exit {
    /// All was done.
    Done,
    /// Some lines of the input are not events.
    BadLines,
    /// Events were rejected or undelivered, a backend did not close cleanly, a deletion failed, or `status --check`
    /// has found something wrong.
    Events,
    /// A plugin can't be used, has failed a check, or differs from its pin, its signature or the lock.
    Plugin,
    /// The configuration or the lock file is wrong.
    Config,
    /// The command line is wrong.
    Usage,
    /// The user ended the run.
    Interrupted,
    /// Input or a key could not be read, events or another file could not be written, the state folder or an
    /// address can't be used, or the folder has no run.
    Io,
}

/// The part of `jackfield --help` that explains the exit codes.
pub(crate) const HELP: &str = "\
Exit codes (of several, the first of these: 7, 130, 2, 3, 4, 6, 5):
  0 done    2 the command line is wrong    130 interrupted
  3 the configuration, the lock file, or an option that a plugin refuses is wrong
  4 a plugin can't be used, is not as its pin, signature or lock says, or fails a check
  5 lines of the input are not events
  6 events are rejected or undelivered, a backend did not close cleanly, a deletion
    failed, or `status --check` has found something wrong
  7 input, key, file, state folder or address can't be used, or `status` finds no run";

impl Exit {
    /// The number that the process ends with.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            // 1 is not used, because a Rust program ends with it when `main` returns an error.
            Self::Usage => 2,
            Self::Config => 3,
            Self::Plugin => 4,
            Self::BadLines => 5,
            Self::Events => 6,
            Self::Io => 7,
            Self::Interrupted => 130,
        }
    }
}

/// Why a command ended before it had done its work. The message is one line.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandError {
    /// The command line asks for something impossible.
    #[error("{0}")]
    Usage(String),
    /// The configuration can't be read, or is wrong in one place.
    #[error(transparent)]
    Config(#[from] jackfield::Error),
    /// The configuration does not have what the command needs.
    #[error("{0}")]
    ConfigContent(String),
    /// The library is no plugin that can be used.
    #[error(transparent)]
    Plugin(#[from] Error),
    /// A backend, or every backend, can't be used.
    #[error(transparent)]
    Backend(#[from] UnusableBackend),
    /// The system refused something that the command needs.
    #[error("{what}: {error}")]
    System { what: String, error: io::Error },
    /// A key, a state folder or an input is not what the command needs.
    #[error("{0}")]
    Unusable(String),
    /// A signal to end came.
    #[error("interrupted")]
    Interrupted,
    /// The inner error happened before any input was read.
    #[error("{0}; nothing was read")]
    NothingRead(Box<Self>),
}

/// Why a backend can't be used. The reason is one line.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{reason}")]
pub(crate) struct UnusableBackend {
    pub(crate) exit: Exit,
    /// Its name; `None` when the reason is about every backend.
    pub(crate) backend: Option<String>,
    pub(crate) reason: String,
}

impl UnusableBackend {
    pub(crate) fn new(backend: &str, error: &OpenError) -> Self {
        let exit = match error {
            OpenError::Config { .. } | OpenError::Lock { .. } => Exit::Config,
            _ => Exit::Plugin,
        };
        Self { exit, backend: Some(backend.to_owned()), reason: error.line(backend) }
    }
}

impl CommandError {
    /// An error of the system.
    pub(crate) fn system(what: impl Display) -> impl FnOnce(io::Error) -> Self {
        let what = what.to_string();
        move |error| Self::System { what, error }
    }

    /// An error of the system about a file or folder. `problem` is such as `can't be read`.
    pub(crate) fn file(path: &Path, problem: &str) -> impl FnOnce(io::Error) -> Self {
        Self::system(format!("{}: {problem}", show_path(path)))
    }

    pub(crate) fn nothing_read(self) -> Self {
        Self::NothingRead(Box::new(self))
    }

    /// The name of the backend that the error is about.
    pub(crate) fn backend(&self) -> Option<&str> {
        match self {
            Self::Backend(unusable) => unusable.backend.as_deref(),
            Self::NothingRead(error) => error.backend(),
            _ => None,
        }
    }
}

impl From<&Error> for Exit {
    fn from(error: &Error) -> Self {
        match error {
            Error::Verify { reason: VerifyError::Lock { .. }, .. } => Self::Config,
            _ => Self::Plugin,
        }
    }
}

impl From<&CommandError> for Exit {
    fn from(error: &CommandError) -> Self {
        match error {
            CommandError::Usage(_) => Self::Usage,
            CommandError::Config(_) | CommandError::ConfigContent(_) => Self::Config,
            CommandError::Plugin(error) => error.into(),
            CommandError::Backend(unusable) => unusable.exit,
            CommandError::System { .. } | CommandError::Unusable(_) => Self::Io,
            CommandError::Interrupted => Self::Interrupted,
            CommandError::NothingRead(error) => (&**error).into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Exit; 8] = [
        Exit::Done,
        Exit::BadLines,
        Exit::Events,
        Exit::Plugin,
        Exit::Config,
        Exit::Usage,
        Exit::Interrupted,
        Exit::Io,
    ];

    #[test]
    fn the_help_has_every_code_and_no_code_twice() {
        let mut codes: Vec<_> = ALL.iter().map(|exit| exit.code()).collect();
        for code in &codes {
            assert_eq!(HELP.matches(&format!("  {code} ")).count(), 1, "{code}");
        }
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), ALL.len());
    }

    #[test]
    fn the_order_in_the_help_is_the_order_of_gravity() {
        let mut gravest_first: Vec<_> = ALL.to_vec();
        gravest_first.sort_by(|a, b| b.cmp(a));
        let codes: Vec<_> =
            gravest_first.iter().filter(|e| **e != Exit::Done).map(|e| e.code().to_string()).collect();
        assert!(HELP.contains(&format!("the first of these: {})", codes.join(", "))), "{codes:?}");
    }
}
