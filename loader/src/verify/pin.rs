//! The pins of a lock file: the digest of each plugin, and the oldest version that may be used.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use crate::boundary::text::{self, ForeignText};
use crate::inspect::metadata::Metadata;
use crate::library::content::{Content, Digest};

#[cfg(feature = "minimum-versions")]
use semver::Version;

/// Without the feature, this takes the place of the crate `semver`. No text is a version.
#[cfg(not(feature = "minimum-versions"))]
#[derive(Debug, Clone, PartialEq, Eq)]
enum Version {}

#[cfg(not(feature = "minimum-versions"))]
impl Version {
    fn parse(_: &str) -> Result<Self, ()> {
        Err(())
    }

    fn cmp_precedence(&self, _: &Self) -> std::cmp::Ordering {
        match *self {}
    }
}

#[cfg(not(feature = "minimum-versions"))]
impl fmt::Display for Version {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {}
    }
}

impl FromStr for Digest {
    type Err = ParsePinError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if text.len() != 64 || !text.bytes().all(is_digit) {
            return Err(ParsePinError {
                expected: "64 hexadecimal digits (0-9, a-f)",
                found: ForeignText::cut(text, 80),
            });
        }
        let byte = |at: usize| u8::from_str_radix(&text[2 * at..][..2], 16).unwrap_or_default();
        Ok(Self::from_bytes(std::array::from_fn(byte)))
    }
}

/// The oldest version that may be used, compared by Semantic Versioning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Minimum(Version);

impl Minimum {
    /// Whether `version` is the minimum or later. Only a semantic version can be.
    #[must_use]
    pub fn admits(&self, version: &str) -> bool {
        Version::parse(version).is_ok_and(|version| version.cmp_precedence(&self.0).is_ge())
    }
}

impl fmt::Display for Minimum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Minimum {
    type Err = ParsePinError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Version::parse(text).map(Self).map_err(|_| ParsePinError {
            expected: if cfg!(feature = "minimum-versions") {
                "a semantic version such as 1.2.0"
            } else {
                "a program with the feature `minimum-versions`"
            },
            found: ForeignText::cut(text, 80),
        })
    }
}

/// Text that is no digest or no version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}, found {found:?}")]
pub struct ParsePinError {
    expected: &'static str,
    found: ForeignText,
}

/// The entry of one plugin in a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// The plugin's name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The digest of its file.
    pub sha256: Digest,
    /// The file's size, in bytes.
    pub size: u64,
    /// Its target triple.
    pub target: String,
    /// The oldest version that may be used, if there is one.
    pub minimum: Option<Minimum>,
}

/// Why a lock could not be read. The `Display` is one line that names the lock.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct LockError(Arc<dyn std::error::Error + Send + Sync>);

impl LockError {
    /// Wraps the error of the code that read the lock.
    pub fn new(reason: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self(Arc::new(reason))
    }
}

/// The pins of a lock file. There is one for each name and target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pins {
    file: PathBuf,
    pins: Vec<Pin>,
}

impl Pins {
    /// The pins of `file`, which messages name.
    #[must_use]
    pub fn new(file: &Path, pins: Vec<Pin>) -> Self {
        Self { file: file.to_owned(), pins }
    }

    /// The pin of a plugin, by name and target.
    #[must_use]
    pub fn of(&self, metadata: &Metadata) -> Option<&Pin> {
        self.pins.iter().find(|pin| metadata.name == pin.name && metadata.target == pin.target)
    }

    /// All pins, in the order of the file.
    #[must_use]
    pub fn all(&self) -> &[Pin] {
        &self.pins
    }

    /// Requires that `content` from `path` is that of the plugin's pin.
    pub(super) fn check(&self, path: &Path, metadata: &Metadata, content: &Content) -> Result<(), PinError> {
        let Some(pin) = self.of(metadata) else {
            return Err(PinError::Unknown {
                path: path.to_owned(),
                plugin: ForeignText::cut(&format!("{} for {}", metadata.name, metadata.target), 120),
                lock: self.file.clone(),
            });
        };
        self.check_minimum(path, metadata)?;
        let found = content.digest();
        if found != pin.sha256 || content.bytes().len() as u64 != pin.size {
            return Err(PinError::Differs { path: path.to_owned(), digests: Box::new([pin.sha256, found]) });
        }
        Ok(())
    }

    /// Requires that the plugin is not older than its pin's minimum, if there is one.
    pub(super) fn check_minimum(&self, path: &Path, metadata: &Metadata) -> Result<(), PinError> {
        match self.of(metadata).and_then(|pin| pin.minimum.as_ref()) {
            Some(minimum) if !minimum.admits(metadata.version.as_raw()) => Err(PinError::Downgrade {
                path: path.to_owned(),
                version: ForeignText::cut(metadata.version.as_raw(), 60),
                minimum: minimum.to_string(),
                lock: self.file.clone(),
            }),
            _ => Ok(()),
        }
    }
}

/// Why the lock refuses a file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PinError {
    /// The plugin is not in the lock.
    #[error(
        "{}: the plugin {plugin} is not in {}: run jackfield lock if it is wanted",
        text::show(path),
        text::show(lock)
    )]
    Unknown {
        /// The file.
        path: PathBuf,
        /// Its name and target.
        plugin: ForeignText,
        /// The lock file.
        lock: PathBuf,
    },
    /// The file is not the pinned one.
    #[error("{}: expected sha256 {}, found {}: run jackfield lock if the change is wanted", text::show(path), digests[0], digests[1])]
    Differs {
        /// The file.
        path: PathBuf,
        /// The digest of the pin, and that of the file.
        digests: Box<[Digest; 2]>,
    },
    /// The version is older than the minimum, or no semantic version.
    #[error(
        "{}: version {version:?} is not {minimum} or later, the minimum in {}: install a later version",
        text::show(path),
        text::show(lock)
    )]
    Downgrade {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: ForeignText,
        /// The oldest that may be used.
        minimum: String,
        /// The lock file.
        lock: PathBuf,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_shown_as_it_is_read() {
        let text = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Digest::of(b"abc").to_string(), text);
        assert_eq!(text.parse(), Ok(Digest::of(b"abc")));
        let upper = text.to_uppercase();
        for wrong in ["", "ba78", &text[1..], &upper, &text.replace('b', "ü")] {
            let error = wrong.parse::<Digest>().unwrap_err().to_string();
            assert!(error.starts_with("expected 64 hexadecimal digits (0-9, a-f), found \""), "{error}");
        }
    }

    #[test]
    fn versions_are_compared_as_semantic_versions() {
        let minimum: Minimum = "1.10.0".parse().unwrap();
        for version in ["1.10.0", "1.10.1", "2.0.0-rc.1", "1.10.0+build"] {
            assert!(minimum.admits(version), "{version}");
        }
        for version in ["1.9.0", "1.10.0-rc.1", "1.10", "latest", ""] {
            assert!(!minimum.admits(version), "{version}");
        }
        assert!("1.10.0+x".parse::<Minimum>().unwrap().admits("1.10.0"), "a build is no version");
        let error = "1.x".parse::<Minimum>().unwrap_err().to_string();
        assert_eq!(error, "expected a semantic version such as 1.2.0, found \"1.x\"");
    }
}
