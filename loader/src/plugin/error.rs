//! What can go wrong on the way from a name to a plugin: a variant a stage.

use std::path::PathBuf;

use crate::{
    boundary::text::show,
    guard::error::{CloseError, OpenError},
    inspect::error::InspectError,
    library::find::FindError,
    load::{check::CheckError, dlopen::LoadError},
    verify::error::VerifyError,
};

/// Why a plugin can't be had. Its `Display` is one line: stage, file, what is so, what was expected, what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No file for a plugin's name.
    #[error("find: {0}")]
    Find(#[from] FindError),
    /// The file is no plugin, or not one for this host. None of its code has run.
    #[error("inspect: {}: {source}", show(path))]
    Inspect {
        /// The file.
        path: PathBuf,
        /// Why.
        source: InspectError,
    },
    /// The trust policy refuses the file or its folder. None of its code has run.
    #[error("verify: {source}")]
    Verify {
        /// The file.
        path: PathBuf,
        /// Why.
        source: VerifyError,
    },
    /// The dynamic linker refuses the file.
    #[error("load: {}: {source}", show(path))]
    Load {
        /// The file.
        path: PathBuf,
        /// Why.
        source: LoadError,
    },
    /// What the loaded library exports is not what it must be. None of its functions has been called; its static
    /// constructors have run.
    #[error("check: {}: {source}", show(path))]
    Check {
        /// The file.
        path: PathBuf,
        /// Why.
        source: CheckError,
    },
    /// The plugin is loaded, and its backend does not open.
    #[error("open: {0}")]
    Open(#[source] OpenError),
    /// The backend is closed, but something may not have been flushed or freed.
    #[error("close: {0}")]
    Close(#[source] CloseError),
}
