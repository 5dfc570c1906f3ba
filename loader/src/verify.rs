//! Whether a file may be loaded by the trust policy. What is examined are the open file and its open folders, so that
//! nothing can be exchanged between this look and the next step.

use std::{path::PathBuf, str::FromStr};

use crate::{os::Handles, text};

/// Which files may be loaded.
///
/// # Platform
/// `Owner` is for Unix. Elsewhere it refuses every file rather than pretend to have looked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Trust {
    /// Every file.
    Any,
    /// Files that belong to root or to the user, and that nobody else may write; the same for the folder that they are
    /// in. Where a link leads to the file, the same for the link's folder: whoever may write that chooses the file.
    #[default]
    Owner,
}

/// A trust policy of an unknown name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown trust policy {found:?}, expected \"any\" or \"owner\"")]
pub struct ParseTrustError {
    found: String,
}

impl FromStr for Trust {
    type Err = ParseTrustError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "any" => Ok(Self::Any),
            "owner" => Ok(Self::Owner),
            _ => Err(ParseTrustError { found: text::one_line(text, 60) }),
        }
    }
}

impl std::fmt::Display for Trust {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Any => "any",
            Self::Owner => "owner",
        })
    }
}

/// Why the trust policy refuses a file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// The file or its folder belongs to somebody else.
    #[error("{} must be owned by {}, it is owned by uid {found}: chown it", text::show(path), owners(*.user))]
    Owner {
        /// The file or folder.
        path: PathBuf,
        /// The effective user of this process.
        user: u32,
        /// The owner.
        found: u32,
    },
    /// Others may write the file or its folder.
    #[error("{} is writable by {} (mode {mode:04o}): chmod {} {}", text::show(path), writers(*.mode), remedy(*.mode), text::show(path))]
    Writable {
        /// The file or folder.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Owner and mode can't be read.
    #[error("can't read owner and mode of {}: {source}", text::show(path))]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The policy is not to be had on this platform.
    #[error(
        "trust = \"owner\" is not available on this platform: set trust = \"any\" if the plugin folders are protected otherwise"
    )]
    Unsupported,
}

fn owners(user: u32) -> String {
    if user == 0 { "root".to_owned() } else { format!("root or uid {user}") }
}

const GROUP: u32 = 0o020;
const OTHERS: u32 = 0o002;

fn writers(mode: u32) -> &'static str {
    match (mode & GROUP != 0, mode & OTHERS != 0) {
        (true, false) => "group",
        (false, true) => "others",
        _ => "group and others",
    }
}

fn remedy(mode: u32) -> &'static str {
    match (mode & GROUP != 0, mode & OTHERS != 0) {
        (true, false) => "g-w",
        (false, true) => "o-w",
        _ => "go-w",
    }
}

/// Applies `trust` to an open file and its folders.
pub(crate) fn verify(handles: &Handles, trust: Trust) -> Result<(), VerifyError> {
    match trust {
        Trust::Any => Ok(()),
        Trust::Owner => owner(handles),
    }
}

#[cfg(unix)]
fn owner(handles: &Handles) -> Result<(), VerifyError> {
    use rustix::{fs::fstat, process::geteuid};

    let user = geteuid().as_raw();
    let folders = handles.folders.iter().map(|folder| (&folder.path, fstat(&folder.handle)));
    for (path, stat) in folders.chain([(&handles.file_path, fstat(&handles.file))]) {
        let stat = stat.map_err(|e| VerifyError::Io { path: path.clone(), source: e.into() })?;
        if stat.st_uid != 0 && stat.st_uid != user {
            return Err(VerifyError::Owner { path: path.clone(), user, found: stat.st_uid });
        }
        // The group's bits are also the mask of an access list, which so covers users that it names.
        #[allow(clippy::useless_conversion, reason = "16 bits on macOS")]
        let mode = u32::from(stat.st_mode) & 0o7777;
        if mode & (GROUP | OTHERS) != 0 {
            return Err(VerifyError::Writable { path: path.clone(), mode });
        }
    }
    Ok(())
}

#[cfg(not(unix))]
fn owner(_handles: &Handles) -> Result<(), VerifyError> {
    Err(VerifyError::Unsupported)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_policy_is_owner_and_names_are_read_back() {
        assert_eq!(Trust::default(), Trust::Owner);
        for trust in [Trust::Any, Trust::Owner] {
            assert_eq!(trust.to_string().parse(), Ok(trust));
        }
        let error = "onwer".parse::<Trust>().unwrap_err().to_string();
        assert_eq!(error, "unknown trust policy \"onwer\", expected \"any\" or \"owner\"");
    }

    #[test]
    fn the_messages_say_who_may_write_and_how_to_stop_that() {
        let line = |mode| VerifyError::Writable { path: "/p/x.so".into(), mode }.to_string();
        assert_eq!(line(0o775), "/p/x.so is writable by group (mode 0775): chmod g-w /p/x.so");
        assert_eq!(line(0o757), "/p/x.so is writable by others (mode 0757): chmod o-w /p/x.so");
        assert_eq!(line(0o1777), "/p/x.so is writable by group and others (mode 1777): chmod go-w /p/x.so");
        let owner = VerifyError::Owner { path: "/p".into(), user: 1000, found: 1001 }.to_string();
        assert_eq!(owner, "/p must be owned by root or uid 1000, it is owned by uid 1001: chown it");
        let owner = VerifyError::Owner { path: "/p".into(), user: 0, found: 1001 }.to_string();
        assert_eq!(owner, "/p must be owned by root, it is owned by uid 1001: chown it");
    }
}
