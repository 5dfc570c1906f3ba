//! The check of the signature file beside a plugin's file.

use std::{
    io::Read as _,
    path::{Path, PathBuf},
};

use super::error::VerifyError;
use super::signature::{KeyId, PublicKey, Signature, SignatureError};
use super::trust::judge_owner;
use crate::boundary::text::ForeignText;
use crate::inspect::metadata::Metadata;
use crate::library::error::ImageError;
use crate::library::file::Handles;

const ENDING: &str = ".minisig";

/// Largest signature file, in bytes. minisign writes comments of up to 9 KiB.
const SIZE_LIMIT: u64 = 16 << 10;

/// Requires that the file beside that of `handles` is a signature of `bytes` by one of `keys` that is not
/// `revoked`. Returns that key.
pub(super) fn check(
    handles: &Handles,
    metadata: &Metadata,
    bytes: &[u8],
    keys: &[PublicKey],
    revoked: &[KeyId],
) -> Result<PublicKey, VerifyError> {
    let path = handles.path_beside(ENDING);
    let signature = read(handles, &path)?;
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
pub(super) fn check_signer(
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
fn read(handles: &Handles, path: &Path) -> Result<Signature, VerifyError> {
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
    (&file).take(SIZE_LIMIT + 1).read_to_end(&mut content).map_err(io)?;
    if content.len() as u64 > SIZE_LIMIT {
        let size = file.metadata().map_or(content.len() as u64, |metadata| metadata.len());
        return Err(unreadable(ImageError::TooLarge { size, limit: SIZE_LIMIT }).into());
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
