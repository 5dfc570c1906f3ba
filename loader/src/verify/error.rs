//! Why the trust policy refuses a file.

use std::path::PathBuf;

use super::pin::{LockError, PinError};
use super::signature::SignatureError;
use crate::boundary::text::{self, ForeignText};
use crate::files::judge::{GROUP, OTHERS, remedy};
use crate::library::error::ImageError;

/// Why the trust policy refuses a file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// The file or its folder belongs to another user.
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
    #[error("{} is writable by {} (mode {mode:04o}): {}", text::show(path), writers(*.mode), remedy(*.mode, *.is_folder, path))]
    Writable {
        /// The file or folder.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
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
    /// The policy is not available on this platform.
    #[error(
        "trust = \"owner\" is not available on this platform: set trust = \"any\" if the plugin folders are protected otherwise"
    )]
    Unsupported,
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

fn owners(user: u32) -> String {
    if user == 0 { "root".to_owned() } else { format!("root or uid {user}") }
}

fn writers(mode: u32) -> &'static str {
    match (mode & GROUP != 0, mode & OTHERS != 0) {
        (true, false) => "group",
        (false, true) => "others",
        _ => "group and others",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_messages_name_the_writers_and_the_remedy() {
        let told = |path: &str, mode, is_folder| {
            VerifyError::Writable { path: path.into(), mode, is_folder }.to_string()
        };
        let line = |mode| told("/p/x.so", mode, false);
        assert_eq!(line(0o775), "/p/x.so is writable by group (mode 0775): chmod go-w /p/x.so");
        assert_eq!(line(0o757), "/p/x.so is writable by others (mode 0757): chmod go-w /p/x.so");
        assert_eq!(line(0o1777), "/p/x.so is writable by group and others (mode 1777): chmod go-w /p/x.so");
        assert_eq!(
            told("/tmp", 0o1777, true),
            "/tmp is writable by group and others (mode 1777): move it to a folder that only you can write to"
        );
        let owner = VerifyError::Owner { path: "/p".into(), user: 1000, found: 1001 }.to_string();
        assert_eq!(owner, "/p must be owned by root or uid 1000, it is owned by uid 1001: chown it");
        let owner = VerifyError::Owner { path: "/p".into(), user: 0, found: 1001 }.to_string();
        assert_eq!(owner, "/p must be owned by root, it is owned by uid 1001: chown it");
    }
}
