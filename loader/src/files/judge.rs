//! Who could have written a file: root and the user, and nobody else.

use std::fs::Metadata;

/// Permission bits: the group may write, everybody may write.
pub(crate) const GROUP: u32 = 0o020;
pub(crate) const OTHERS: u32 = 0o002;

/// Whose a file has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// The effective user of this process.
    User,
    /// The user or root.
    UserOrRoot,
}

/// Why the word of a file or folder is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Untrusted {
    /// It is somebody else's.
    #[error("must belong to {}user {user}, and belongs to user {found}", if *.or_root { "root or " } else { "" })]
    Owner {
        /// The effective user of this process.
        user: u32,
        /// Whether root would do.
        or_root: bool,
        /// The owner.
        found: u32,
    },
    /// Others can write to it.
    #[error("must not be writable by group or others, and has mode {mode:04o}: {}", remedy(*.mode, *.is_folder))]
    Writable {
        /// Its permission bits.
        mode: u32,
        /// Whether it is a folder.
        is_folder: bool,
    },
}

fn remedy(mode: u32, is_folder: bool) -> &'static str {
    // A folder such as /tmp is meant to be so.
    if is_folder && mode & 0o1000 != 0 {
        "move it to a folder that only you can write to"
    } else {
        "chmod go-w"
    }
}

/// Judges owner and mode of a file or folder. The metadata has to be that of the open handle, where there is one.
///
/// # Errors
/// Somebody else owns it, or can write to it. The bits of the group are also the mask of an access list, so they stand for
/// the users that the list names.
#[cfg(unix)]
pub fn judge(found: &Metadata, owner: Owner) -> Result<(), Untrusted> {
    use std::os::unix::fs::MetadataExt as _;
    judge_link(found, owner)?;
    let mode = found.mode() & 0o7777;
    if mode & (GROUP | OTHERS) == 0 {
        Ok(())
    } else {
        Err(Untrusted::Writable { mode, is_folder: found.is_dir() })
    }
}

/// Judges the owner of a link, which has no mode: whoever made it chooses what is behind it.
///
/// # Errors
/// [`Untrusted::Owner`].
#[cfg(unix)]
pub fn judge_link(found: &Metadata, owner: Owner) -> Result<(), Untrusted> {
    use std::os::unix::fs::MetadataExt as _;
    judge_owner(found.uid(), rustix::process::geteuid().as_raw(), owner)
}

#[cfg(unix)]
fn judge_owner(found: u32, user: u32, owner: Owner) -> Result<(), Untrusted> {
    let or_root = owner == Owner::UserOrRoot;
    if found == user || (or_root && found == 0) {
        Ok(())
    } else {
        Err(Untrusted::Owner { user, or_root, found })
    }
}

/// The permission bits of a file that somebody else may read or write.
#[cfg(unix)]
#[must_use]
pub fn mode_for_others(found: &Metadata) -> Option<u32> {
    use std::os::unix::fs::MetadataExt as _;
    Some(found.mode() & 0o7777).filter(|mode| mode & 0o077 != 0)
}

/// Owners are not known here.
///
/// # Errors
/// None.
#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "the other platforms' form")]
pub fn judge(_found: &Metadata, _owner: Owner) -> Result<(), Untrusted> {
    Ok(())
}

/// Owners are not known here.
///
/// # Errors
/// None.
#[cfg(not(unix))]
pub fn judge_link(found: &Metadata, owner: Owner) -> Result<(), Untrusted> {
    judge(found, owner)
}

/// Modes are not known here.
#[cfg(not(unix))]
#[must_use]
pub fn mode_for_others(_found: &Metadata) -> Option<u32> {
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
