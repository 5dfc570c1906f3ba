//! A trust policy, and its judgement of a file.

use std::path::Path;

use super::{
    error::VerifyError,
    pin::{LockError, Pins},
    signature::{KeyId, PublicKey},
    signature_file,
    trust::{Trust, check_owner},
};
use crate::{
    boundary::text::ForeignText,
    inspect::metadata::Metadata,
    library::{content::Content, file::LibraryFile},
};

/// A trust policy with all that it is judged by. A bare [`Trust`] is one without pins and keys, which for `Pinned` and
/// `Signed` refuses every file.
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

    /// With the pins of a lock, or why it can't be read, which then refuses every file.
    #[must_use]
    pub fn pins(mut self, pins: Result<Pins, LockError>) -> Self {
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

/// Applies `policy` to the file that was read from `path`. Returns the key that signed the file; `None` when the policy asks
/// for no signature.
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

/// Applies `policy` to what was accepted before and came from `path`, whatever is there now: `signer` is the key whose
/// signature was accepted. The owner of the file plays no part, because its bytes were taken.
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

/// What a policy asks beyond the owner: the right name, and what the lock says or `signed` finds.
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
