//! A trust policy, and its verdict on a file.

use std::path::Path;

use super::error::VerifyError;
use super::pin::{LockError, Pins};
use super::signature::{KeyId, PublicKey};
use super::signature_file;
use super::trust::{Trust, check_owner};
use crate::boundary::text::ForeignText;
use crate::inspect::metadata::Metadata;
use crate::library::content::Content;
use crate::library::file::LibraryFile;

/// A trust policy with its pins and keys. A bare [`Trust`] has none, so that `Pinned` and `Signed` refuse
/// every file.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    trust: Trust,
    pins: Option<Result<Pins, LockError>>,
    keys: Vec<PublicKey>,
    revoked: Vec<KeyId>,
}

impl Policy {
    /// A policy without pins and keys.
    #[must_use]
    pub fn new(trust: Trust) -> Self {
        Self { trust, ..Self::default() }
    }

    /// Sets the pins of a lock, or why it can't be read, in which case every file is refused.
    #[must_use]
    pub fn pins(mut self, pins: Result<Pins, LockError>) -> Self {
        self.pins = Some(pins);
        self
    }

    /// Sets the keys whose signatures are accepted.
    #[must_use]
    pub fn keys(mut self, keys: impl IntoIterator<Item = PublicKey>) -> Self {
        self.keys = keys.into_iter().collect();
        self
    }

    /// Sets the ids of keys whose signatures are never accepted.
    #[must_use]
    pub fn revoked(mut self, ids: impl IntoIterator<Item = KeyId>) -> Self {
        self.revoked = ids.into_iter().collect();
        self
    }

    /// The requirement.
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

/// Applies `policy` to the file from `path`. Returns the key that signed the file, if the policy requires a
/// signature.
pub(crate) fn verify(
    path: &Path,
    file: &LibraryFile,
    metadata: &Metadata,
    policy: &Policy,
) -> Result<Option<PublicKey>, VerifyError> {
    if policy.trust == Trust::Any {
        return Ok(None);
    }
    check_owner(&file.handles, policy.trust)?;
    let content = &*file.content;
    let signed =
        || signature_file::check(&file.handles, metadata, content.bytes(), &policy.keys, &policy.revoked);
    judge(path, metadata, content, policy, signed)
}

/// Applies `policy` to bytes that were accepted before and came from `path`, whatever that file is now.
/// `signer` is the key whose signature was accepted. The owner has no effect, because the bytes were read.
pub(crate) fn verify_again(
    path: &Path,
    metadata: &Metadata,
    content: &Content,
    signer: Option<&PublicKey>,
    policy: &Policy,
) -> Result<(), VerifyError> {
    let signed = || {
        signature_file::check_signer(path, signer, &policy.keys, &policy.revoked)?;
        Ok(())
    };
    judge(path, metadata, content, policy, signed).map(drop)
}

/// Checks what a policy requires beyond the owner: the name, and the lock or what `signed` finds.
fn judge<T>(
    path: &Path,
    metadata: &Metadata,
    content: &Content,
    policy: &Policy,
    signed: impl FnOnce() -> Result<T, VerifyError>,
) -> Result<Option<T>, VerifyError> {
    if matches!(policy.trust, Trust::Any | Trust::Owner) {
        return Ok(None);
    }
    if !goes_by(path, metadata.name.as_raw()) {
        let plugin = ForeignText::cut(metadata.name.as_raw(), 60);
        return Err(VerifyError::Misnamed { path: path.to_owned(), plugin });
    }
    let pins = match &policy.pins {
        Some(Err(reason)) => {
            return Err(VerifyError::Lock { path: path.to_owned(), reason: reason.clone() });
        }
        Some(Ok(pins)) => Some(pins),
        None => None,
    };
    if policy.trust == Trust::Pinned {
        let pins = pins.ok_or_else(|| VerifyError::NoLock { path: path.to_owned() })?;
        pins.check(path, metadata, content)?;
        return Ok(None);
    }
    let signed = signed()?;
    pins.map_or(Ok(()), |pins| pins.check_minimum(path, metadata))?;
    Ok(Some(signed))
}

/// Whether a file has the name of the plugin `name`: `librabbitmq.so`, `rabbitmq.dll` or `librabbitmq.so.1`
/// for `rabbitmq`. A hyphen equals an underscore. Otherwise a plugin could replace another one by its valid
/// digest or signature, and get the configuration of that one.
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
}
