//! Judges owner and mode of a file or folder: only root and the user may have written it. `way.rs` finds the folders on the
//! way to a file, and `verify/trust.rs` requires all this of plugins.
//!
//! # Platform
//! Elsewhere than on Unix owners and modes are not known, and every file passes.

use std::{
    fs::Metadata,
    path::{Path, PathBuf},
};

use crate::boundary::text;

/// Permission bits: the group may write, everybody may write.
pub(crate) const GROUP: u32 = 0o020;
pub(crate) const OTHERS: u32 = 0o002;

/// The accepted owners of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// The effective user of this process.
    User,
    /// The user or root.
    UserOrRoot,
}

/// Why a file or folder is not trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Untrusted {
    /// It belongs to another user.
    #[error("must belong to {}user {user}, and belongs to user {found}", if *.or_root { "root or " } else { "" })]
    Owner {
        /// The effective user of this process.
        user: u32,
        /// Whether root may own it.
        or_root: bool,
        /// The owner.
        found: u32,
    },
    /// Others can write to it.
    #[error("must not be writable by group or others, and has mode {mode:04o}: {}", remedy(*.mode, *.is_folder, path))]
    Writable {
        /// Its permission bits.
        mode: u32,
        /// Whether it is a folder.
        is_folder: bool,
        /// The file or folder.
        path: PathBuf,
    },
}

/// What to do about a mode that lets others write.
pub(crate) fn remedy(mode: u32, is_folder: bool, path: &Path) -> String {
    // A folder with the sticky bit, such as /tmp, is shared on purpose.
    if is_folder && mode & 0o1000 != 0 {
        "move it to a folder that only you can write to".to_owned()
    } else {
        format!("chmod go-w {}", text::show(path))
    }
}

/// Judges owner and mode of the file or folder at `path`. The metadata must come from the open handle, if there is one.
///
/// # Errors
/// Another user owns it or can write to it, also by an access list, whose mask is the group's bits.
pub fn judge(found: &Metadata, owner: Owner, path: &Path) -> Result<(), Untrusted> {
    judge_link(found, owner)?;
    match facts(found) {
        Some((.., mode)) if mode & (GROUP | OTHERS) != 0 => {
            Err(Untrusted::Writable { mode, is_folder: found.is_dir(), path: path.to_owned() })
        }
        _ => Ok(()),
    }
}

/// Like [`judge`], for a folder in which only another folder matters. With the sticky bit others may write to it: they can't
/// replace what is not theirs.
pub(super) fn judge_ancestor(found: &Metadata, owner: Owner, path: &Path) -> Result<(), Untrusted> {
    match facts(found) {
        Some((.., mode)) if mode & 0o1000 != 0 => judge_link(found, owner),
        _ => judge(found, owner, path),
    }
}

/// Judges the owner of a link, who chooses the link's target. A link has no mode.
///
/// # Errors
/// [`Untrusted::Owner`].
pub fn judge_link(found: &Metadata, owner: Owner) -> Result<(), Untrusted> {
    facts(found).map_or(Ok(()), |(found, user, _)| judge_owner(found, user, owner))
}

fn judge_owner(found: u32, user: u32, owner: Owner) -> Result<(), Untrusted> {
    let or_root = owner == Owner::UserOrRoot;
    if found == user || (or_root && found == 0) {
        Ok(())
    } else {
        Err(Untrusted::Owner { user, or_root, found })
    }
}

/// The permission bits of a file, if another user may read or write it.
#[must_use]
pub fn mode_for_others(found: &Metadata) -> Option<u32> {
    facts(found).map(|(.., mode)| mode).filter(|mode| mode & 0o077 != 0)
}

/// A file's owner, the effective user of this process, and the file's permission bits, if they are known.
#[cfg(unix)]
fn facts(found: &Metadata) -> Option<(u32, u32, u32)> {
    use std::os::unix::fs::MetadataExt as _;
    Some((found.uid(), rustix::process::geteuid().as_raw(), found.mode() & 0o7777))
}

#[cfg(not(unix))]
fn facts(_: &Metadata) -> Option<(u32, u32, u32)> {
    None
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn root_and_the_user_are_trusted_and_nobody_else() {
        for (found, user, owner) in [
            (1000, 1000, Owner::User),
            (1000, 1000, Owner::UserOrRoot),
            (0, 1000, Owner::UserOrRoot),
            (0, 0, Owner::User),
        ] {
            assert_eq!(judge_owner(found, user, owner), Ok(()));
        }
        for (found, user, owner, line) in [
            (0, 1000, Owner::User, "must belong to user 1000, and belongs to user 0"),
            (1001, 1000, Owner::UserOrRoot, "must belong to root or user 1000, and belongs to user 1001"),
            (1000, 0, Owner::UserOrRoot, "must belong to root or user 0, and belongs to user 1000"),
        ] {
            assert_eq!(judge_owner(found, user, owner).unwrap_err().to_string(), line);
        }
    }
}
