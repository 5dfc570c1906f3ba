//! The bytes of a library, which nothing can change, and their digest.

#[cfg(unix)]
pub(crate) use libloading::os::unix::Library;
#[cfg(windows)]
pub(crate) use libloading::os::windows::Library;

use std::ffi::OsStr;
use std::fmt;
use std::fs::File;
#[cfg(any(target_os = "linux", windows))]
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::built_in::BuiltInPlugin;
use super::error::{ImageError, LinkerError};
#[cfg(target_os = "linux")]
use super::memfd::Image;
#[cfg(not(target_os = "linux"))]
use super::private_copy::Image;
use crate::boundary::text::hex;
#[cfg(any(target_os = "linux", windows))]
use crate::reexec::OwnedHandle;

/// A SHA-256 digest. Shown and read as 64 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Computes the digest of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(hmac_sha256::Hash::hash(bytes))
    }

    pub(crate) const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes of the digest.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

/// The bytes of a file that was found at `path`, or the metadata of a plugin that is built in.
pub(crate) struct Content {
    bytes: Bytes,
    path: PathBuf,
    digest: OnceLock<Digest>,
}

enum Bytes {
    File(Image),
    BuiltIn(&'static [u8]),
}

impl Content {
    fn new(bytes: Bytes, path: &Path) -> Self {
        Self { bytes, path: path.to_owned(), digest: OnceLock::new() }
    }

    pub(crate) fn built_in(plugin: BuiltInPlugin) -> Self {
        Self::new(Bytes::BuiltIn(plugin.metadata()), Path::new(plugin.name()))
    }

    pub(crate) fn copy(file: &File, path: &Path, size: u64) -> Result<Self, ImageError> {
        let name = path.file_name().unwrap_or(OsStr::new("plugin"));
        Ok(Self::new(Bytes::File(Image::copy(file, name, size)?), path))
    }

    /// Takes the memory that the parent has [shared](Self::share).
    #[cfg(any(target_os = "linux", windows))]
    pub(crate) fn inherited(memory: OwnedHandle, path: &Path) -> io::Result<Self> {
        Ok(Self::new(Bytes::File(Image::inherited(memory)?), path))
    }

    #[cfg(any(target_os = "linux", windows))]
    pub(crate) fn share(&self) -> io::Result<OwnedHandle> {
        match &self.bytes {
            Bytes::File(image) => image.share(),
            Bytes::BuiltIn(bytes) => Image::of(bytes)?.share(),
        }
    }

    /// SHA-256 of the bytes, computed once.
    pub(crate) fn digest(&self) -> Digest {
        *self.digest.get_or_init(|| Digest::of(self.bytes()))
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        match &self.bytes {
            Bytes::File(image) => image.bytes(),
            Bytes::BuiltIn(bytes) => bytes,
        }
    }

    /// Loads the bytes, which must outlive the library, into this process.
    ///
    /// # Errors
    /// The message of the dynamic linker, with the plugin's path in place of the copy's.
    pub(crate) fn load(&self) -> Result<Library, LinkerError> {
        match &self.bytes {
            Bytes::File(image) => image.load(&self.path),
            Bytes::BuiltIn(_) => Err(LinkerError("it is built in, and is no library".to_owned())),
        }
    }
}
