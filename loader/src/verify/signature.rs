//! Detached signatures of minisign: `librabbitmq.so.minisig` beside `librabbitmq.so`.
//!
//! A signature has four lines: an untrusted comment; in base64, the algorithm, the key id and the signature
//! of the file's BLAKE2b digest; a trusted comment, which must be that of [`Signature::comment_for`]; in
//! base64, a signature of the signature and that comment.
//!
//! minisign's old form `Ed` signs the file and not its digest. The form is not signed, so a reader of both
//! could confuse them. The old form is refused. minisign writes `ED` by default since 0.10.

use std::{fmt, path::PathBuf, str::FromStr};

use crate::boundary::text::{self, ForeignText};
use crate::inspect::metadata::Metadata;
use crate::library::error::ImageError;

/// Without the feature, this takes the place of the crate `minisign_verify`. No text is a signature. Every text is a key, so
/// that a configuration with keys can be read.
#[cfg(not(feature = "signatures"))]
mod minisign_verify {
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub(super) struct PublicKey;

    #[derive(Clone)]
    pub(super) enum Signature {}

    impl PublicKey {
        pub(super) fn from_base64(_: &str) -> Result<Self, ()> {
            Ok(Self)
        }

        pub(super) fn verify(&self, _: &[u8], signature: &Signature, _: bool) -> Result<(), ()> {
            match *signature {}
        }
    }

    impl Signature {
        pub(super) fn decode(_: &str) -> Result<Self, ()> {
            Err(())
        }

        pub(super) fn trusted_comment(&self) -> &str {
            match *self {}
        }
    }
}

/// Characters of a public key in base64: 42 bytes.
const KEY_LENGTH: usize = 56;

/// The id of a key, which is not secret. Shown and read as 16 hexadecimal digits, as by minisign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyId(u64);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016X}", self.0)
    }
}

impl FromStr for KeyId {
    type Err = ParseKeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let hex = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let id = u64::from_str_radix(text, 16).ok().filter(|_| hex);
        id.map(Self).ok_or(ParseKeyError { expected: "a key's id of 16 hexadecimal digits" })
    }
}

/// A public key of minisign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    id: KeyId,
    key: minisign_verify::PublicKey,
    base64: String,
}

impl PublicKey {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// Whether this key has made `signature` of `bytes`.
    pub(super) fn has_signed(&self, bytes: &[u8], signature: &Signature) -> bool {
        self.key.verify(bytes, &signature.signature, false).is_ok()
    }
}

impl fmt::Display for PublicKey {
    /// In base64, as `minisign -P` takes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.base64)
    }
}

impl FromStr for PublicKey {
    type Err = ParseKeyError;

    /// Reads the key in base64, as for `minisign -P`, or the text of minisign's key file.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = ParseKeyError { expected: "a minisign public key, 56 characters of base64 (RW...)" };
        let base64 = match text.trim().split_once('\n') {
            Some((comment, key)) if comment.starts_with("untrusted comment:") => key.trim(),
            Some(_) => return Err(refuse),
            None => text.trim(),
        };
        let id = Some(base64).filter(|base64| base64.len() == KEY_LENGTH).and_then(key_id);
        match (id, minisign_verify::PublicKey::from_base64(base64)) {
            (Some((_, id)), Ok(key)) => Ok(Self { id, key, base64: base64.to_owned() }),
            _ => Err(refuse),
        }
    }
}

/// Text that is no key or no id of a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}")]
pub struct ParseKeyError {
    expected: &'static str,
}

/// Content that is no accepted signature. The `Display` says what it is instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ParseSignatureError(&'static str);

/// A signature file that was read, and not verified yet.
#[derive(Clone)]
pub struct Signature {
    key: KeyId,
    signature: minisign_verify::Signature,
}

impl Signature {
    /// Reads the content of a `.minisig` file.
    ///
    /// # Errors
    /// A description of the content.
    pub fn parse(content: &[u8]) -> Result<Self, ParseSignatureError> {
        let text = std::str::from_utf8(content).map_err(|_| ParseSignatureError("not text"))?;
        let (algorithm, key) =
            text.lines().nth(1).and_then(key_id).ok_or(ParseSignatureError("not a minisign signature"))?;
        match &algorithm {
            b"ED" => {}
            b"Ed" => {
                return Err(ParseSignatureError(
                    "a signature of minisign's old form: sign again with minisign 0.10 or later, or -H",
                ));
            }
            _ => return Err(ParseSignatureError("a signature by an unknown algorithm")),
        }
        if cfg!(not(feature = "signatures")) {
            return Err(ParseSignatureError(
                "one in a program without signatures: build the program with the feature `signatures`",
            ));
        }
        let signature = minisign_verify::Signature::decode(text)
            .map_err(|_| ParseSignatureError("a damaged minisign signature"))?;
        Ok(Self { key, signature })
    }

    /// The key that the signature claims.
    #[must_use]
    pub fn key_id(&self) -> KeyId {
        self.key
    }

    pub(super) fn trusted_comment(&self) -> &str {
        self.signature.trusted_comment()
    }

    /// The trusted comment that a signature of a plugin must have.
    #[must_use]
    pub fn comment_for(metadata: &Metadata) -> String {
        let [name, version, target] =
            [&metadata.name, &metadata.version, &metadata.target].map(ForeignText::as_raw);
        format!("jackfield name={name} version={version} target={target}")
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signature").field("key", &self.key).finish_non_exhaustive()
    }
}

/// Algorithm and key id: the first 10 bytes of what `base64` encodes.
fn key_id(base64: &str) -> Option<([u8; 2], KeyId)> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    // 16 characters of 6 bits. The last 16 bits belong to the key.
    let bits = base64.as_bytes().get(..16)?.iter().try_fold(0_u128, |bits, character| {
        Some(bits << 6 | ALPHABET.iter().position(|known| known == character)? as u128)
    })?;
    let [_, _, _, _, algorithm @ .., _, _, _, _, _, _, _, _, _, _] = bits.to_be_bytes();
    Some((algorithm, KeyId(((bits >> 16) as u64).swap_bytes())))
}

/// Why a plugin's signature is not accepted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// There is no signature.
    #[error(
        "{}: no signature {}: get it from the vendor, or make one with jackfield sign",
        text::show(file),
        text::show(path)
    )]
    Missing {
        /// The path where it would be.
        path: PathBuf,
        /// The plugin's file.
        file: PathBuf,
    },
    /// The signature file can't be read as one.
    #[error("{}: {reason}", text::show(path))]
    Unreadable {
        /// The signature file.
        path: PathBuf,
        /// Why.
        reason: ImageError,
    },
    /// The signature file is not valid.
    #[error("{}: expected a prehashed minisign signature (ED), found {found}", text::show(path))]
    Malformed {
        /// The signature file.
        path: PathBuf,
        /// A description of the content.
        found: ParseSignatureError,
    },
    /// The key is not among those of the policy.
    #[error(
        "{}: signed by key {id}, expected one of plugins.keys ({trusted}): add the key if you trust it",
        text::show(path)
    )]
    Untrusted {
        /// The signature file.
        path: PathBuf,
        /// The key that it names.
        id: KeyId,
        /// The ids of the trusted keys.
        trusted: String,
    },
    /// The key is revoked.
    #[error(
        "{}: signed by key {id}, which plugins.revoked has: get a signature by another key",
        text::show(path)
    )]
    Revoked {
        /// The signature file.
        path: PathBuf,
        /// The key that it names.
        id: KeyId,
    },
    /// The loaded bytes were accepted without a signature, and the file has changed.
    #[error(
        "{}: was loaded without a signature, and the file is another one now: restart the tool",
        text::show(file)
    )]
    NeverRead {
        /// The plugin's file.
        file: PathBuf,
    },
    /// The signature is not of this file by this key.
    #[error(
        "{}: {} is not a signature of this file by key {id}: get both files again",
        text::show(file),
        text::show(path)
    )]
    Invalid {
        /// The signature file.
        path: PathBuf,
        /// The plugin's file.
        file: PathBuf,
        /// The key that it names.
        id: KeyId,
    },
    /// The signature is valid, and is that of another plugin.
    #[error(
        "{}: expected the trusted comment {expected:?}, found {found:?}: sign again with jackfield sign",
        text::show(path)
    )]
    Comment {
        /// The signature file.
        path: PathBuf,
        /// The comment for the plugin's metadata.
        expected: ForeignText,
        /// The comment of the signature.
        found: ForeignText,
    },
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEY: &str = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";

    /// The signature of the bytes `test` by `KEY`.
    const SIGNATURE: &str = "untrusted comment: signature from minisign secret key
RUQf6LRCGA9i559r3g7V1qNyJDApGip8MfqcadIgT9CuhV3EMhHoN1mGTkUidF/z7SrlQgXdy8ofjb7bNJJylDOocrCo8KLzZwo=
trusted comment: timestamp:1556193335\tfile:test
y/rUw2y8/hOUYjZU71eHp/Wo1KZ40fGy2VJEDl34XMJM+TX48Ss/17u3IvIfbVR1FkZZSNCisQbuQY+bHwhEBg==
";

    #[test]
    fn a_key_is_read_from_base64_or_a_file_with_minisigns_id() {
        let file = format!("untrusted comment: minisign public key E7620F1842B4E81F\n{KEY}\n");
        for text in [KEY, &format!(" {KEY}\n"), &file, &file.replace('\n', "\r\n")] {
            let key: PublicKey = text.parse().unwrap();
            assert_eq!(key.id().to_string(), "E7620F1842B4E81F", "{text:?}");
        }
        assert_eq!("e7620f1842b4e81f".parse(), Ok(KeyId(0xe762_0f18_42b4_e81f)));
        for wrong in ["", "RWQ", &KEY[1..], &format!("{KEY}A"), &format!("x\n{KEY}"), &KEY.replace('W', "X")]
        {
            assert!(wrong.parse::<PublicKey>().is_err(), "{wrong:?}");
        }
        for wrong in ["", "e7620f1842b4e81", "+7620f1842b4e81f", "0xe7620f1842b4e8", "e7620f1842b4e81ff"] {
            assert!(wrong.parse::<KeyId>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_signature_names_its_key_and_fits_its_bytes() {
        let key: PublicKey = KEY.parse().unwrap();
        let signature = Signature::parse(SIGNATURE.as_bytes()).unwrap();
        assert_eq!(signature.key_id(), key.id());
        assert!(key.has_signed(b"test", &signature));
        assert!(!key.has_signed(b"Test", &signature));
        let old = SIGNATURE.replacen("RUQ", "RWQ", 1);
        assert!(Signature::parse(old.as_bytes()).unwrap_err().to_string().contains("old form"));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_parsers_panic(bytes: Vec<u8>, text in "(\\PC|[A-Za-z0-9+/=\n]){0,200}") {
            let _ = Signature::parse(&bytes);
            let _ = Signature::parse(text.as_bytes());
            let _ = (text.parse::<PublicKey>(), text.parse::<KeyId>(), text.parse::<crate::library::content::Digest>());
        }

        #[test]
        fn no_change_of_a_signature_makes_it_hold_or_panic(at in 0..SIGNATURE.len(), to: u8) {
            let mut bytes = SIGNATURE.as_bytes().to_vec();
            let untrusted = at < SIGNATURE.find('\n').unwrap();
            prop_assume!(bytes[at] != to && !untrusted);
            bytes[at] = to;
            let key: PublicKey = KEY.parse().unwrap();
            if let Ok(signature) = Signature::parse(&bytes) {
                let holds = key.has_signed(b"test", &signature);
                // Only the end of a line has changed.
                let same = String::from_utf8_lossy(&bytes).lines().map(str::trim_end).take(4).eq(SIGNATURE.lines());
                prop_assert!(!holds || same, "{at} {to}");
            }
        }
    }
}
