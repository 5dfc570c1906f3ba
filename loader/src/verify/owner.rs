//! Requires that only root and the user could have written a file.

use std::{fs::File, path::Path};

use super::{error::VerifyError, trust::Trust};
#[cfg(unix)]
use crate::files::{
    self,
    judge::{Owner, Untrusted},
};
use crate::library::os::Handles;

/// Judges a plugin's file and the folders that decide which file it is.
#[cfg(unix)]
pub(super) fn check(handles: &Handles, _trust: Trust) -> Result<(), VerifyError> {
    for folder in &handles.folders {
        judge(&folder.handle, &folder.path)?;
    }
    judge(&handles.file, &handles.file_path)
}

/// Judges an open file or folder; `path` is for messages.
#[cfg(unix)]
fn judge(handle: &File, path: &Path) -> Result<(), VerifyError> {
    let path = path.to_owned();
    let metadata = match handle.metadata() {
        Ok(metadata) => metadata,
        Err(error) => return Err(VerifyError::Io { path, error }),
    };
    files::judge::judge(&metadata, Owner::UserOrRoot).map_err(|untrusted| match untrusted {
        Untrusted::Owner { user, found, .. } => VerifyError::Owner { path, user, found },
        Untrusted::Writable { mode, .. } => VerifyError::Writable { path, mode },
    })
}

/// Judges a file that lies beside a plugin, whose folder has been judged.
#[cfg(unix)]
pub(super) fn check_beside(file: &File, path: &Path) -> Result<(), VerifyError> {
    judge(file, path)
}

/// Owners are not known here. A digest or a signature binds the bytes all the same; a policy that looks at nothing but owners
/// is refused.
#[cfg(not(unix))]
pub(super) fn check(_handles: &Handles, trust: Trust) -> Result<(), VerifyError> {
    if trust == Trust::Owner { Err(VerifyError::Unsupported) } else { Ok(()) }
}

#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "the other platforms' form")]
pub(super) fn check_beside(_file: &File, _path: &Path) -> Result<(), VerifyError> {
    Ok(())
}
