//! What is required of a file before its code runs.

use std::str::FromStr;

use crate::boundary::text::ForeignText;

/// What is required of a file before its code runs.
///
/// # Platform
/// `Owner` is for Unix. Elsewhere it refuses every file rather than pretend to have looked; `Pinned` and `Signed` do
/// without it there, for they bind the very bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Trust {
    /// Nothing.
    Any,
    /// Files that belong to root or to the user, and that no other user may write; the same for the folder that they are
    /// in. Where a link leads to the file, the same for the link's folder: a user who may write that folder chooses the file.
    #[default]
    Owner,
    /// As `Owner`, and the file is the one whose digest the lock has for the plugin's name and target.
    Pinned,
    /// As `Owner`, and a signature beside the file is by one of the keys. Where a lock has a minimum version for the
    /// plugin, that holds too.
    Signed,
}

impl Trust {
    /// Every policy, by name.
    pub const ALL: [(&'static str, Self); 4] =
        [("any", Self::Any), ("owner", Self::Owner), ("pinned", Self::Pinned), ("signed", Self::Signed)];
}

/// A trust policy of an unknown name.
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
        f.write_str(match self {
            Self::Any => "any",
            Self::Owner => "owner",
            Self::Pinned => "pinned",
            Self::Signed => "signed",
        })
    }
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
