//! Why the trust policy refuses a file.

use std::path::PathBuf;

use super::pin::{LockError, PinError};
use super::signature::SignatureError;
use crate::boundary::text::{self, ForeignText};
use crate::files::facts::{Account, Writers};
use crate::library::error::ImageError;

/// Why the trust policy refuses a file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// The file or its folder belongs to another user.
    #[error(
        "{} must be owned by {}, it is owned by {}{found}: {}",
        text::show(path),
        owners(user),
        Account::KIND,
        Account::REMEDY
    )]
    Owner {
        /// The file or folder.
        path: PathBuf,
        /// The effective user of this process.
        user: Account,
        /// The owner.
        found: Account,
    },
    /// Others may write the file or its folder.
    #[error("{} is writable by {writers}: {}", text::show(path), writers.remedy(*.is_folder, path))]
    Writable {
        /// The file or folder.
        path: PathBuf,
        /// Who can.
        writers: Writers,
        /// Whether it is a folder.
        is_folder: bool,
    },
    /// No program may run from the file's file system.
    #[error(
        "{} is on a file system that is mounted noexec: move it, or set trust = \"any\"",
        text::show(path)
    )]
    NoExec {
        /// The file.
        path: PathBuf,
    },
    /// Owner and mode can't be read.
    #[error("can't read owner and mode of {}: {error}", text::show(path))]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The file does not have the name of the plugin.
    #[error(
        "{}: calls itself {plugin:?}, expected a file of that name: a pinned or signed plugin is not used under another",
        text::show(path)
    )]
    Misnamed {
        /// The file.
        path: PathBuf,
        /// The plugin's name for itself.
        plugin: ForeignText,
    },
    /// The policy needs a lock, and has none.
    #[error("{}: trust = \"pinned\" takes a lock, and there is none", text::show(path))]
    NoLock {
        /// The plugin's file.
        path: PathBuf,
    },
    /// The lock can't be read.
    #[error("{}: {reason}", text::show(path))]
    Lock {
        /// The plugin's file.
        path: PathBuf,
        /// Why.
        reason: LockError,
    },
    /// The lock refuses the file.
    #[error(transparent)]
    Pin(#[from] PinError),
    /// The signature is missing or not accepted.
    #[error(transparent)]
    Signature(#[from] SignatureError),
}

impl VerifyError {
    /// Whether the system prevented the verdict, so that nothing speaks against the file.
    pub(crate) fn is_fault(&self) -> bool {
        match self {
            Self::Io { .. } => true,
            Self::Signature(SignatureError::Unreadable { reason, .. }) => {
                matches!(reason, ImageError::Io { .. })
            }
            _ => false,
        }
    }
}

fn owners(user: &Account) -> String {
    let root = Account::ROOT;
    if user.is_root() { root.to_owned() } else { format!("{root} or {}{user}", Account::KIND) }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn the_messages_name_the_writers_and_the_remedy() {
        let told = |path: &str, mode, is_folder| {
            VerifyError::Writable { path: path.into(), writers: Writers::of_mode(mode), is_folder }
                .to_string()
        };
        let line = |mode| told("/p/x.so", mode, false);
        assert_eq!(line(0o775), "/p/x.so is writable by group (mode 0775): chmod go-w /p/x.so");
        assert_eq!(line(0o757), "/p/x.so is writable by others (mode 0757): chmod go-w /p/x.so");
        assert_eq!(line(0o1777), "/p/x.so is writable by group and others (mode 1777): chmod go-w /p/x.so");
        assert_eq!(
            told("/tmp", 0o1777, true),
            "/tmp is writable by group and others (mode 1777): move it to a folder that only you can write to"
        );
        let owner =
            VerifyError::Owner { path: "/p".into(), user: Account::of(1000), found: Account::of(1001) }
                .to_string();
        assert_eq!(owner, "/p must be owned by root or uid 1000, it is owned by uid 1001: chown it");
        let owner = VerifyError::Owner { path: "/p".into(), user: Account::of(0), found: Account::of(1001) }
            .to_string();
        assert_eq!(owner, "/p must be owned by root, it is owned by uid 1001: chown it");
    }
}
