//! Where there is no sandbox.

use std::path::{Path, PathBuf};

use super::error::SandboxError;

pub(super) fn apply(_: &[PathBuf], _: &[PathBuf], _: &Path) -> Result<(), SandboxError> {
    Err(SandboxError::Unsupported)
}
