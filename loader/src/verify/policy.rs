//! A trust policy, and its verdict on a file.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::error::VerifyError;
use super::pin::{LockError, Pins};
use super::signature::{KeyId, PublicKey, Signature, SignatureError};
use super::trust::{Trust, check_owner, judge_owner};
use crate::boundary::text::ForeignText;
use crate::inspect::metadata::Metadata;
use crate::library::content::Content;
use crate::library::error::ImageError;
use crate::library::file::Handles;

/// The ending of a signature file.
const ENDING: &str = ".minisig";

/// Largest signature file, in bytes. minisign writes comments of up to 9 KiB.
const SIGNATURE_LIMIT: u64 = 16 << 10;

/// A trust policy with its pins and keys. A bare [`Trust`] has none, so that all but `Owner` and `Any`
/// refuse.
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

    /// Whether it judges more than the place of a file.
    pub(crate) fn judges_content(&self) -> bool {
        !matches!(self.trust, Trust::Any | Trust::Owner)
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

/// Applies what `policy` requires of the place of an open file: its owner, and those of the folders on the way.
pub(crate) fn verify_place(handles: &Handles, policy: &Policy) -> Result<(), VerifyError> {
    if policy.trust == Trust::Any { Ok(()) } else { check_owner(handles) }
}

/// Applies what `policy` requires of the bytes of a file from `path`, whose place it accepts. Returns the key of
/// the signature, if one is required.
pub(crate) fn verify_content(
    path: &Path,
    handles: &Handles,
    metadata: &Metadata,
    content: &Content,
    policy: &Policy,
) -> Result<Option<PublicKey>, VerifyError> {
    let signed = || check_signature(handles, metadata, content.bytes(), &policy.keys, &policy.revoked);
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
        check_signer(path, signer, &policy.keys, &policy.revoked)?;
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
    if !policy.judges_content() {
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

/// Requires that the file beside that of `handles` is a signature of `bytes` by one of `keys` that is not
/// `revoked`.
fn check_signature(
    handles: &Handles,
    metadata: &Metadata,
    bytes: &[u8],
    keys: &[PublicKey],
    revoked: &[KeyId],
) -> Result<PublicKey, VerifyError> {
    let path = handles.path_beside(ENDING);
    let signature = read_signature(handles, &path)?;
    let id = signature.key_id();
    if revoked.contains(&id) {
        return Err(SignatureError::Revoked { path, id }.into());
    }
    let mut of_id = keys.iter().filter(|key| key.id() == id).peekable();
    if of_id.peek().is_none() {
        return Err(untrusted(path, id, keys).into());
    }
    // Two keys may have the same id, because the maker of a key chooses it.
    let Some(key) = of_id.find(|key| key.has_signed(bytes, &signature)) else {
        let file = handles.path_beside("");
        return Err(SignatureError::Invalid { path, file, id }.into());
    };
    let (expected, found) = (Signature::comment_for(metadata), signature.trusted_comment());
    if found != expected {
        let [expected, found] = [expected.as_str(), found].map(|comment| ForeignText::cut(comment, 200));
        return Err(SignatureError::Comment { path, expected, found }.into());
    }
    Ok(key.clone())
}

/// Requires that `signer`, whose signature of `file` was accepted, is still in `keys` and not `revoked`.
fn check_signer(
    file: &Path,
    signer: Option<&PublicKey>,
    keys: &[PublicKey],
    revoked: &[KeyId],
) -> Result<(), SignatureError> {
    let Some(signer) = signer else { return Err(SignatureError::NeverRead { file: file.to_owned() }) };
    let mut path = file.to_owned().into_os_string();
    path.push(ENDING);
    let (path, id) = (path.into(), signer.id());
    if revoked.contains(&id) {
        return Err(SignatureError::Revoked { path, id });
    }
    if keys.contains(signer) { Ok(()) } else { Err(untrusted(path, id, keys)) }
}

/// Reads a signature file up to the limit, and judges its owner and mode by the open handle.
fn read_signature(handles: &Handles, path: &Path) -> Result<Signature, VerifyError> {
    let unreadable = |reason| SignatureError::Unreadable { path: path.to_owned(), reason };
    let file = match handles.open_beside(ENDING) {
        Err(ImageError::NotFound) => {
            return Err(
                SignatureError::Missing { path: path.to_owned(), file: handles.path_beside("") }.into()
            );
        }
        file => file.map_err(unreadable)?,
    };
    judge_owner(&file, path)?;
    let mut content = Vec::new();
    let io = |error| unreadable(ImageError::Io { action: "read", error });
    (&file).take(SIGNATURE_LIMIT + 1).read_to_end(&mut content).map_err(io)?;
    if content.len() as u64 > SIGNATURE_LIMIT {
        let size = file.metadata().map_or(content.len() as u64, |metadata| metadata.len());
        return Err(unreadable(ImageError::TooLarge { size, limit: SIGNATURE_LIMIT }).into());
    }
    let malformed = |found| SignatureError::Malformed { path: path.to_owned(), found };
    Ok(Signature::parse(&content).map_err(malformed)?)
}

/// None of `keys` has this id.
fn untrusted(path: PathBuf, id: KeyId, keys: &[PublicKey]) -> SignatureError {
    let ids: Vec<_> = keys.iter().map(|key| key.id().to_string()).collect();
    let trusted = if ids.is_empty() { "none".to_owned() } else { ids.join(", ") };
    SignatureError::Untrusted { path, id, trusted }
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
    fn a_file_has_the_plugins_name_with_prefix_and_ending() {
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
