//! Who could have written a file: root and the user, and nobody else.

use std::{fs::File, path::Path};

use super::{
    error::{GROUP, OTHERS, VerifyError},
    trust::Trust,
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
fn judge(handle: impl std::os::fd::AsFd, path: &Path) -> Result<(), VerifyError> {
    let user = rustix::process::geteuid().as_raw();
    let stat =
        rustix::fs::fstat(handle).map_err(|e| VerifyError::Io { path: path.to_owned(), source: e.into() })?;
    if stat.st_uid != 0 && stat.st_uid != user {
        return Err(VerifyError::Owner { path: path.to_owned(), user, found: stat.st_uid });
    }
    // The group's bits are also the mask of an access list, which so covers users that it names.
    #[allow(clippy::useless_conversion, reason = "16 bits on macOS")]
    let mode = u32::from(stat.st_mode) & 0o7777;
    if mode & (GROUP | OTHERS) != 0 {
        return Err(VerifyError::Writable { path: path.to_owned(), mode });
    }
    Ok(())
}

/// Judges a file that lies beside a plugin, whose folder has been judged.
#[cfg(unix)]
pub(super) fn check_beside(file: &File, path: &Path) -> Result<(), VerifyError> {
    judge(file, path)
}

/// Owners are not known here. A digest or a signature binds the bytes all the same; a policy of owners alone would be
/// none.
#[cfg(not(unix))]
pub(super) fn check(_handles: &Handles, trust: Trust) -> Result<(), VerifyError> {
    if trust == Trust::Owner { Err(VerifyError::Unsupported) } else { Ok(()) }
}

#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "the other platforms' form")]
pub(super) fn check_beside(_file: &File, _path: &Path) -> Result<(), VerifyError> {
    Ok(())
}
