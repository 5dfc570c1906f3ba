//! Whether a file may be loaded by the trust policy. What is examined are the open file, its open folders and the bytes
//! that were taken from it, so that nothing can be exchanged between this look and the next step.

mod owner;
mod pin;
mod signature;

use std::{
    path::{Path, PathBuf},
    str::FromStr,
};

pub use self::{
    pin::{Digest, Minimum, ParsePinError, Pin, PinError, Pins},
    signature::{KeyId, ParseKeyError, PublicKey, Signature, SignatureError},
};
use crate::{ImageError, Metadata, image::Image, text};

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
    /// Files that belong to root or to the user, and that nobody else may write; the same for the folder that they are
    /// in. Where a link leads to the file, the same for the link's folder: whoever may write that chooses the file.
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
    found: String,
}

impl FromStr for Trust {
    type Err = ParseTrustError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL.iter().find(|(name, _)| *name == text);
        known.map(|(_, trust)| *trust).ok_or_else(|| ParseTrustError { found: text::one_line(text, 60) })
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

/// A trust policy with all that it is judged by. A bare [`Trust`] is one without pins and keys, which for `Pinned` and
/// `Signed` refuses every file.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    trust: Trust,
    pins: Option<Result<Pins, String>>,
    keys: Vec<PublicKey>,
    revoked: Vec<KeyId>,
}

impl Policy {
    /// A policy without pins and keys.
    #[must_use]
    pub fn new(trust: Trust) -> Self {
        Self { trust, ..Self::default() }
    }

    /// With the pins of a lock, or why it can't be read, which then refuses every file.
    #[must_use]
    pub fn pins(mut self, pins: Result<Pins, String>) -> Self {
        self.pins = Some(pins);
        self
    }

    /// With the keys whose signatures are accepted.
    #[must_use]
    pub fn keys(mut self, keys: impl IntoIterator<Item = PublicKey>) -> Self {
        self.keys = keys.into_iter().collect();
        self
    }

    /// With the ids of keys whose signatures are not accepted, whatever the other keys are.
    #[must_use]
    pub fn revoked(mut self, ids: impl IntoIterator<Item = KeyId>) -> Self {
        self.revoked = ids.into_iter().collect();
        self
    }

    /// What is required.
    #[must_use]
    pub fn trust(&self) -> Trust {
        self.trust
    }
}

impl From<Trust> for Policy {
    fn from(trust: Trust) -> Self {
        Self::new(trust)
    }
}

impl From<&Policy> for Policy {
    fn from(policy: &Policy) -> Self {
        policy.clone()
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
    /// The plugin is under a name that is not its own.
    #[error(
        "{}: calls itself {plugin:?}, expected a file of that name: a pinned or signed plugin is not used under another",
        text::show(path)
    )]
    Misnamed {
        /// The file.
        path: PathBuf,
        /// What it calls itself.
        plugin: String,
    },
    /// There is no lock, or it can't be read.
    #[error("{}: {reason}", text::show(path))]
    Lock {
        /// The plugin's file.
        path: PathBuf,
        /// One line: the lock, and what is wrong.
        reason: String,
    },
    /// The lock refuses the file.
    #[error(transparent)]
    Pin(#[from] PinError),
    /// The file is not signed as it must be.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// The policy is not to be had on this platform.
    #[error(
        "trust = \"owner\" is not available on this platform: set trust = \"any\" if the plugin folders are protected otherwise"
    )]
    Unsupported,
}

impl VerifyError {
    /// Whether the system did not let the file be judged, so that nothing is known against it.
    pub(crate) fn is_fault(&self) -> bool {
        match self {
            Self::Io { .. } => true,
            Self::Signature(SignatureError::Unreadable { source, .. }) => {
                matches!(source, ImageError::Io { .. })
            }
            _ => false,
        }
    }
}

fn owners(user: u32) -> String {
    if user == 0 { "root".to_owned() } else { format!("root or uid {user}") }
}

use owner::{GROUP, OTHERS};

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

/// Applies `policy` to what was read from `path`: the key whose signature was asked for, if one was.
pub(crate) fn verify(
    path: &Path,
    image: &Image,
    metadata: &Metadata,
    policy: &Policy,
) -> Result<Option<PublicKey>, VerifyError> {
    if policy.trust == Trust::Any {
        return Ok(None);
    }
    owner::check(&image.handles, policy.trust)?;
    let bytes = image.content.bytes();
    let signed = || signature::check(&image.handles, metadata, bytes, &policy.keys, &policy.revoked);
    judge(path, metadata, bytes, policy, signed)
}

/// Applies `policy` to what was accepted before and came from `path`, whatever is there now: `signer` is the key whose
/// signature was accepted. Who could write the file is no matter any more, for its bytes were taken.
pub(crate) fn verify_again(
    path: &Path,
    metadata: &Metadata,
    bytes: &[u8],
    signer: Option<&PublicKey>,
    policy: &Policy,
) -> Result<(), VerifyError> {
    let signed = || {
        signature::check_signer(path, signer, &policy.keys, &policy.revoked)?;
        Ok(())
    };
    judge(path, metadata, bytes, policy, signed).map(drop)
}

/// What a policy asks beyond the owner: the right name, and what the lock says or `signed` finds.
fn judge<T>(
    path: &Path,
    metadata: &Metadata,
    bytes: &[u8],
    policy: &Policy,
    signed: impl FnOnce() -> Result<T, VerifyError>,
) -> Result<Option<T>, VerifyError> {
    if matches!(policy.trust, Trust::Any | Trust::Owner) {
        return Ok(None);
    }
    if !goes_by(path, &metadata.name) {
        let plugin = text::one_line(&metadata.name, 60);
        return Err(VerifyError::Misnamed { path: path.to_owned(), plugin });
    }
    let lock = |reason: &str| VerifyError::Lock { path: path.to_owned(), reason: reason.to_owned() };
    let pins = policy.pins.as_ref().map(|pins| pins.as_ref().map_err(|reason| lock(reason))).transpose()?;
    if policy.trust == Trust::Pinned {
        let pins = pins.ok_or_else(|| lock("trust = \"pinned\" takes a lock, and there is none"))?;
        pins.check(path, metadata, bytes)?;
        return Ok(None);
    }
    let signed = signed()?;
    pins.map_or(Ok(()), |pins| pins.check_minimum(path, metadata))?;
    Ok(Some(signed))
}

/// Whether a file's name is that of the plugin `name`: `librabbitmq.so`, `rabbitmq.dll`, `librabbitmq.so.1` for `rabbitmq`. A
/// hyphen is as good as the underscore that linkers and cargo make of it. Otherwise a plugin could be put in the place of
/// another with its digest and its signature, and be given what is configured for that one.
fn goes_by(path: &Path, name: &str) -> bool {
    let file = path.file_name().unwrap_or_default().to_string_lossy().replace('-', "_");
    let name = name.replace('-', "_");
    [file.as_str(), file.strip_prefix("lib").unwrap_or(&file)].into_iter().any(|file| {
        file.strip_prefix(&name).is_some_and(|rest| {
            rest == ".dll" || rest == ".dylib" || rest == ".so" || rest.starts_with(".so.")
        })
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

    #[test]
    fn a_plugin_goes_by_its_own_name_with_what_platforms_put_around_it() {
        for file in
            ["librabbit_mq.so", "rabbit_mq.so", "rabbit-mq.dll", "librabbit-mq.so.1.2", "librabbit_mq.dylib"]
        {
            assert!(goes_by(&Path::new("/p").join(file), "rabbit-mq"), "{file}");
        }
        for file in ["libhttp.so", "librabbit_mq2.so", "rabbit_mq", "librabbit_mq.sold", "rabbit_mq.so~", ""]
        {
            assert!(!goes_by(&Path::new("/p").join(file), "rabbit-mq"), "{file}");
        }
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
