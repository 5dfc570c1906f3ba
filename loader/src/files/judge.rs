//! Who could have written a file: root and the user, and nobody else.

use std::{
    fs::{File, Metadata},
    path::Path,
};

use super::error::FileError;

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

/// Judges an open file, the folder that it is in and those of the links that lead from `path` to it: whoever can write to
/// one of these chooses the file.
///
/// # Errors
/// [`FileError::Untrusted`] with what is not to be trusted, or what the system refuses.
#[cfg(unix)]
pub fn judge_with_folders(file: &File, path: &Path) -> Result<(), FileError> {
    let untrusted = |what: String| move |reason| FileError::Untrusted { what, reason };
    judge(&file.metadata()?, Owner::UserOrRoot).map_err(untrusted("the file".to_owned()))?;
    let folders = super::links::way(path)?.folders;
    for folder in &folders {
        let name = match folders.len() {
            1 => "its folder".to_owned(),
            _ => format!("the folder {} on the way to it", crate::boundary::text::show(&folder.path)),
        };
        judge(&folder.handle.metadata()?, Owner::UserOrRoot).map_err(untrusted(name))?;
    }
    Ok(())
}

/// The permission bits of a file that somebody else may read or write.
#[cfg(unix)]
#[must_use]
pub fn mode_for_others(found: &Metadata) -> Option<u32> {
    use std::os::unix::fs::MetadataExt as _;
    Some(found.mode() & 0o7777).filter(|mode| mode & 0o077 != 0)
}

#[cfg(not(unix))]
pub use self::unknown::{judge, judge_link, judge_with_folders, mode_for_others};

#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "the other platforms' form")]
mod unknown {
    use super::{File, FileError, Metadata, Owner, Path, Untrusted};

    /// Owners are not known here.
    ///
    /// # Errors
    /// None.
    pub fn judge(_found: &Metadata, _owner: Owner) -> Result<(), Untrusted> {
        Ok(())
    }

    /// Owners are not known here.
    ///
    /// # Errors
    /// None.
    pub fn judge_link(_found: &Metadata, _owner: Owner) -> Result<(), Untrusted> {
        Ok(())
    }

    /// Owners are not known here.
    ///
    /// # Errors
    /// None.
    pub fn judge_with_folders(_file: &File, _path: &Path) -> Result<(), FileError> {
        Ok(())
    }

    /// Modes are not known here.
    #[must_use]
    pub fn mode_for_others(_found: &Metadata) -> Option<u32> {
        None
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::{
        fs,
        os::unix::fs::{PermissionsExt as _, symlink},
    };

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

    #[test]
    fn the_folder_of_each_link_on_the_way_is_judged() {
        let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        let (file, link) = (second.path().join("file"), first.path().join("link"));
        fs::write(&file, "").unwrap();
        mode(&file, 0o600);
        symlink(&file, &link).unwrap();
        let judged =
            || judge_with_folders(&File::open(&link).unwrap(), &link).map_err(|error| error.to_string());
        assert_eq!(judged(), Ok(()));
        for folder in [&first, &second] {
            mode(folder.path(), 0o770);
            let refusal = judged().unwrap_err();
            let shown = fs::canonicalize(folder.path()).unwrap();
            let expected = format!("the folder {} on the way to it must not be writable", shown.display());
            assert!(refusal.starts_with(&expected) && refusal.ends_with("0770: chmod go-w"), "{refusal}");
            mode(folder.path(), 0o700);
        }
        mode(&file, 0o620);
        assert!(judged().unwrap_err().starts_with("the file must not be writable"));
    }
}
