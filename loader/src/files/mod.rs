//! Files at paths that others know: who may have written them, and how they are opened, replaced and locked.
//!
//! Every file of state, configuration, crash records, status, locks and spools of the workspace is opened
//! here. `clippy.toml` disallows the functions of the standard library elsewhere. A file that the user names
//! for input or output is allowed where it is opened, with a reason.
//!
//! | module | what it decides |
//! | --- | --- |
//! | `open` | what is opened: regular files, without waiting, and links on request |
//! | `facts` | who a file belongs to, and who can write to it |
//! | `judge` | which other user could have written a file, or replaced it |
//! | `way` | the folders that decide which file a path leads to |
//! | `write` | how a file changes as a whole: a new file beside it, then a rename |
//! | `size_limit` | what may be written where the size of files is limited |
//! | `lock` | advisory locks |
//!
//! # Platform
//! Unix: owner and mode. Windows: owner and access list (`security`).
#![expect(clippy::disallowed_methods, reason = "the one place that calls them")]

pub(crate) mod facts;
pub(crate) mod judge;
pub(crate) mod lock;
pub(crate) mod open;
#[cfg(windows)]
pub(crate) mod security;
pub(crate) mod size_limit;
pub(crate) mod way;
pub(crate) mod write;

pub use self::{
    facts::{Account, Facts, Writers},
    judge::{Owner, Untrusted, judge, judge_link},
    lock::{ReplaceLock, is_held, lock_until, try_lock, try_lock_shared, unlock},
    open::{
        Access, FileError, create_folder, identity, identity_at, is_utf16, kind, open, read, read_open,
        remove,
    },
    size_limit::Appended,
    way::{Folder, Way, judge_folders, judge_with_folders, way},
    write::{
        Mode, Replacement, Survives, behind_links, create, exchange, rename, replace, write_all,
        write_counted,
    },
};
#[cfg(unix)]
pub use self::{
    open::{identity_of, open_at, open_folder},
    write::rename_at,
};
