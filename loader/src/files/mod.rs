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
//! | `links` | the folders that decide which file a path leads to |
//! | `replace` | a file changes whole: a new one beside it, then a rename |
//! | `lock` | advisory locks |
//!
//! # Platform
//! Owner and mode are known on Unix. Elsewhere the folder's access list is what protects a file, and nothing is refused.
#![allow(clippy::disallowed_methods, reason = "the one place that calls them")]

mod error;
mod judge;
mod links;
mod lock;
mod open;
mod replace;

pub use self::{
    error::FileError,
    judge::{Owner, Untrusted, judge, judge_link, judge_with_folders, mode_for_others},
    links::behind_links,
    lock::{ReplaceLock, is_held, lock_until, try_lock, try_lock_shared},
    open::{Access, create_folder, kind, open, read, read_open, remove},
    replace::{Mode, Replacement, Survives, create, exchange, replace},
};
#[cfg(unix)]
pub use self::{
    links::{Folder, Way, way},
    open::open_at,
};
