//! Files at paths that others know: who may have written them, and how they are opened, replaced and locked.
//!
//! Every file of state, configuration, crash records, status, locks and spools of the workspace is opened
//! here. `clippy.toml` disallows the functions of the standard library elsewhere. A file that the user names
//! for input or output is allowed where it is opened, with a reason.
//!
//! | module | what it decides |
//! | --- | --- |
//! | `open` | what is opened: regular files, without waiting, and links on request |
//! | `judge` | which other user could have written a file, or replaced it |
//! | `way` | the folders that decide which file a path leads to |
//! | `write` | how a file changes as a whole: a new file beside it, then a rename |
//! | `size_limit` | what may be written where the size of files is limited |
//! | `lock` | advisory locks |
//!
//! # Platform
//! Owner and mode are known on Unix. Elsewhere only the folder's access list protects a file.
#![expect(clippy::disallowed_methods, reason = "the one place that calls them")]

pub(crate) mod judge;
pub(crate) mod lock;
pub(crate) mod open;
pub(crate) mod size_limit;
#[cfg(unix)]
pub(crate) mod way;
pub(crate) mod write;

pub use self::{
    judge::{Owner, Untrusted, judge, judge_link, mode_for_others},
    lock::{ReplaceLock, is_held, lock_until, try_lock, try_lock_shared},
    open::{Access, FileError, create_folder, identity, is_utf16, kind, open, read, read_open, remove},
    size_limit::Appended,
    write::{Mode, Replacement, Survives, behind_links, create, exchange, replace, write_all, write_counted},
};
#[cfg(unix)]
pub use self::{
    open::{open_at, open_folder},
    way::{Folder, Way, judge_folders, judge_with_folders, way},
    write::rename_at,
};

/// Owners are not known on this platform.
///
/// # Errors
/// None.
#[cfg(not(unix))]
pub fn judge_with_folders(_file: &std::fs::File, _path: &std::path::Path) -> Result<(), FileError> {
    Ok(())
}
