//! What can go wrong on the way from a name to a backend: a variant a stage.

use std::{fmt, path::PathBuf};

use crate::{
    boundary::text::show,
    guard::error::{CloseError, OpenError, Stage},
    inspect::error::InspectError,
    library::find::FindError,
    load::{check::CheckError, dlopen::LoadError},
    verify::error::VerifyError,
};

/// Why a plugin or its backend can't be had. Its `Display` is one line: stage, file, what is so, what was expected, what
/// to do. The line is complete, so there is no `source`.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// No file for a plugin's name.
    Find(FindError),
    /// The file is no plugin, or not one for this host. None of its code has run.
    Inspect {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: InspectError,
    },
    /// The trust policy refuses the file or its folder. None of its code has run.
    Verify {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: VerifyError,
    },
    /// The dynamic linker refuses the file.
    Load {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: LoadError,
    },
    /// What the loaded library exports is not what it must be. None of its functions has been called; its static
    /// constructors have run.
    Check {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: CheckError,
    },
    /// The plugin is loaded, and its backend does not open.
    Open(OpenError),
    /// The backend is closed, but something may not have been flushed or freed.
    Close(CloseError),
}

impl Error {
    /// The stage at which it went wrong.
    #[must_use]
    pub fn stage(&self) -> Stage {
        match self {
            Self::Find(_) => Stage::Find,
            Self::Inspect { .. } => Stage::Inspect,
            Self::Verify { .. } => Stage::Verify,
            Self::Load { .. } => Stage::Load,
            Self::Check { .. } => Stage::Check,
            Self::Open(_) => Stage::Open,
            Self::Close(_) => Stage::Close,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.stage())?;
        match self {
            Self::Find(reason) => reason.fmt(f),
            Self::Inspect { path, reason } => write!(f, "{}: {reason}", show(path)),
            // It names the file or the folder.
            Self::Verify { reason, .. } => reason.fmt(f),
            Self::Load { path, reason } => write!(f, "{}: {reason}", show(path)),
            Self::Check { path, reason } => write!(f, "{}: {reason}", show(path)),
            Self::Open(reason) => reason.fmt(f),
            Self::Close(reason) => reason.fmt(f),
        }
    }
}

impl std::error::Error for Error {}

impl From<FindError> for Error {
    fn from(reason: FindError) -> Self {
        Self::Find(reason)
    }
}
