//! Where there is no sandbox.

use std::path::Path;

use super::{ConfineError, Sandbox};

pub(super) fn apply(_: &Sandbox, _: &Path) -> Result<(), ConfineError> {
    Err(ConfineError::Unsupported)
}
