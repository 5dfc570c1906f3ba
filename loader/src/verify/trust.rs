//! The requirements for a file before its code runs.

use std::{fs::File, path::Path, str::FromStr};

use super::error::VerifyError;
use crate::boundary::text::ForeignText;
use crate::files::facts::Facts;
use crate::files::judge::{Owner, Untrusted, judge};
use crate::library::file::Handles;

/// The requirements for a file before its code runs.
///
/// # Platform
/// On Windows, root is SYSTEM, the Administrators and TrustedInstaller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Trust {
    /// Nothing.
    Any,
    /// Only root or the user owns and may write the file and each folder on the way to it, those of links
    /// included, by which others could choose the file.
    #[default]
    Owner,
    /// As `Owner`, and the file has the digest in the lock for the plugin's name and target.
    Pinned,
    /// As `Owner`, and one of the keys has signed the file. A minimum version in the lock holds too.
    Signed,
}

impl Trust {
    /// Every policy with its name.
    pub const ALL: [(&'static str, Self); 4] =
        [("any", Self::Any), ("owner", Self::Owner), ("pinned", Self::Pinned), ("signed", Self::Signed)];
}

/// An unknown name of a trust policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown trust policy {found:?}, expected \"any\", \"owner\", \"pinned\" or \"signed\"")]
pub struct ParseTrustError {
    found: ForeignText,
}

impl FromStr for Trust {
    type Err = ParseTrustError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL.iter().find(|(name, _)| *name == text);
        known.map(|(_, trust)| *trust).ok_or_else(|| ParseTrustError { found: ForeignText::cut(text, 60) })
    }
}

impl std::fmt::Display for Trust {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(Self::ALL[*self as usize].0)
    }
}

/// Requires that only root and the user could have written a plugin's file and the folders that decide which
/// file it is.
pub(super) fn check_owner(handles: &Handles) -> Result<(), VerifyError> {
    for folder in &handles.folders {
        let judged = folder.judge(Owner::UserOrRoot);
        told(judged.map_err(|error| VerifyError::Io { path: folder.path.clone(), error })?, &folder.path)?;
    }
    #[cfg(unix)]
    check_mount(handles)?;
    judge_owner(&handles.file, &handles.file_path)
}

/// Refuses a file from whose file system no program may run: a copy in memory would get around that.
#[cfg(unix)]
fn check_mount(handles: &Handles) -> Result<(), VerifyError> {
    let path = || handles.file_path.clone();
    match is_noexec(&handles.file) {
        Ok(true) => Err(VerifyError::NoExec { path: path() }),
        Ok(false) => Ok(()),
        Err(error) => Err(VerifyError::Io { path: path(), error }),
    }
}

/// `statvfs` of macOS does not say it, and `statfs` does.
#[cfg(target_vendor = "apple")]
fn is_noexec(file: &File) -> std::io::Result<bool> {
    Ok(rustix::fs::fstatfs(file)?.f_flags & libc::MNT_NOEXEC.cast_unsigned() != 0)
}

#[cfg(all(unix, not(target_vendor = "apple")))]
fn is_noexec(file: &File) -> std::io::Result<bool> {
    Ok(rustix::fs::fstatvfs(file)?.f_flag.contains(rustix::fs::StatVfsMountFlags::NOEXEC))
}

/// Requires that only root and the user could have written the open file or folder at `path`.
pub(super) fn judge_owner(handle: &File, path: &Path) -> Result<(), VerifyError> {
    let path = path.to_owned();
    let facts = match Facts::of_file(handle) {
        Ok(facts) => facts,
        Err(error) => return Err(VerifyError::Io { path, error }),
    };
    told(judge(&facts, Owner::UserOrRoot, &path), &path)
}

fn told(judged: Result<(), Untrusted>, path: &Path) -> Result<(), VerifyError> {
    let path = path.to_owned();
    judged.map_err(|untrusted| match untrusted {
        Untrusted::Owner { user, found, .. } => VerifyError::Owner { path, user, found },
        Untrusted::Writable { writers, is_folder, .. } => VerifyError::Writable { path, writers, is_folder },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_policy_is_owner_and_names_are_read_back() {
        assert_eq!(Trust::default(), Trust::Owner);
        for (name, trust) in Trust::ALL {
            assert_eq!((trust.to_string().as_str(), name.parse()), (name, Ok(trust)));
        }
        let error = "onwer".parse::<Trust>().unwrap_err().to_string();
        assert_eq!(
            error,
            "unknown trust policy \"onwer\", expected \"any\", \"owner\", \"pinned\" or \"signed\""
        );
    }
}
