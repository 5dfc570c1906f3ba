//! Judges owner and writers of a file or folder: only root and the user may have written it. `facts` reads them, `way`
//! finds the folders on the way to a file, and `verify/trust.rs` requires all this of plugins.
//!
//! # Platform
//! On Windows, root is SYSTEM, the Administrators and TrustedInstaller, and the writers are those whom the access list
//! lets write.

use std::path::{Path, PathBuf};

use super::facts::{Account, Facts, Writers};

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
    #[error("must belong to {}user {user}, and belongs to user {found}", prefix(*.or_root))]
    Owner {
        /// The effective user of this process.
        user: Account,
        /// Whether root may own it.
        or_root: bool,
        /// The owner.
        found: Account,
    },
    /// Others can write to it.
    #[error("must not be writable by {}: {}", writers.refusal(), writers.remedy(*.is_folder, path))]
    Writable {
        /// Who can.
        writers: Writers,
        /// Whether it is a folder.
        is_folder: bool,
        /// The file or folder.
        path: PathBuf,
    },
}

fn prefix(or_root: bool) -> String {
    if or_root { format!("{} or ", Account::ROOT) } else { String::new() }
}

/// Judges owner and writers of the file or folder at `path`. The facts must come from the open handle, if there is one.
///
/// # Errors
/// Another user owns it or can write to it.
pub fn judge(found: &Facts, owner: Owner, path: &Path) -> Result<(), Untrusted> {
    judge_link(found, owner)?;
    nobody_else(found.writers(), found, path)
}

/// Like [`judge`], for a folder in which only another folder matters. Others may write to it, if they can't replace what is
/// not theirs.
pub(super) fn judge_ancestor(found: &Facts, owner: Owner, path: &Path) -> Result<(), Untrusted> {
    judge_link(found, owner)?;
    nobody_else(found.replacers(), found, path)
}

fn nobody_else(writers: Option<Writers>, found: &Facts, path: &Path) -> Result<(), Untrusted> {
    let refused =
        |writers| Untrusted::Writable { writers, is_folder: found.is_folder(), path: path.to_owned() };
    writers.map_or(Ok(()), |writers| Err(refused(writers)))
}

/// Judges the owner of a link, who chooses the link's target. Nobody writes to a link.
///
/// # Errors
/// [`Untrusted::Owner`].
pub fn judge_link(found: &Facts, owner: Owner) -> Result<(), Untrusted> {
    judge_owner(found.owner(), found.user(), owner)
}

fn judge_owner(found: Account, user: Account, owner: Owner) -> Result<(), Untrusted> {
    let or_root = owner == Owner::UserOrRoot;
    if found == user || (or_root && found.is_root()) {
        Ok(())
    } else {
        Err(Untrusted::Owner { user, or_root, found })
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn root_and_the_user_are_trusted_and_nobody_else() {
        let judge_owner = |found, user, owner| judge_owner(Account::of(found), Account::of(user), owner);
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
