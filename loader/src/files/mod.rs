//! Files whose place others know: who may have written them, how they are opened, replaced and locked.
//!
//! Every file of state, configuration, crash records, status, locks and spools of the workspace is opened here. `clippy.toml`
//! disallows the functions of the standard library elsewhere; what the user names for input or output is allowed where it is
//! opened, with a reason.
//!
//! | module | what it decides |
//! | --- | --- |
//! | `open` | what is opened: regular files, without waiting, and links only where the user may have made them |
//! | `judge` | who else could have written a file, or put another in its place |
//! | `way` | the folders that decide which file a path leads to |
//! | `links` | what a writer replaces where a link stands |
//! | `replace` | a file changes whole: a new one beside it, then a rename |
//! | `lock` | advisory locks |
//!
//! # Platform
//! Owner and mode are known on Unix. Elsewhere the folder's access list is what protects a file, and nothing is refused.
#![expect(clippy::disallowed_methods, reason = "the one place that calls them")]

pub(crate) mod error;
pub(crate) mod judge;
pub(crate) mod links;
pub(crate) mod lock;
pub(crate) mod open;
pub(crate) mod replace;
#[cfg(unix)]
pub(crate) mod way;

pub use self::{
    error::FileError,
    judge::{Owner, Untrusted, judge, judge_link, mode_for_others},
    links::behind_links,
    lock::{ReplaceLock, is_held, lock_until, try_lock, try_lock_shared},
    open::{Access, create_folder, kind, open, read, read_open, remove},
    replace::{Mode, Replacement, Survives, create, exchange, replace},
};
#[cfg(unix)]
pub use self::{
    open::{open_at, open_folder},
    replace::rename_at,
    way::{Folder, Way, judge_with_folders, way},
};

/// Owners are not known here.
///
/// # Errors
/// None.
#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "the other platforms' form")]
pub fn judge_with_folders(_file: &std::fs::File, _path: &std::path::Path) -> Result<(), FileError> {
    Ok(())
}
