//! Whether the folder of all that is kept can be trusted.
//!
//! Machine id, states, local log and spools are in it: whoever can write to it can put others in their place. So it has
//! to be the user's, and nobody else's to write to; otherwise nothing in it is used.
//!
//! # Platform
//! Unix; elsewhere the folder's access list is what protects it.

use std::path::Path;

use jackfield_loader::show_path;

/// The folder in the data folder in which crashes of plugins are remembered.
pub(crate) const CRASHES: &str = "crashes";

/// Why the folder is not used. One that is not there yet is made for the user alone.
#[cfg(unix)]
pub(crate) fn refusal(folder: &Path) -> Option<String> {
    use std::os::unix::fs::MetadataExt as _;
    let found = std::fs::metadata(folder).ok()?;
    let user = rustix::process::geteuid().as_raw();
    let folder = show_path(folder);
    if found.uid() != user {
        return Some(format!("data folder {folder}: expected owner {user}, found {}", found.uid()));
    }
    let mode = found.mode() & 0o7777;
    (mode & 0o022 != 0).then(|| {
        format!(
            "data folder {folder}: expected one that only its owner can write to, found mode {mode:04o}; run chmod 700 \
             on it"
        )
    })
}

#[cfg(not(unix))]
pub(crate) fn refusal(_folder: &Path) -> Option<String> {
    None
}
