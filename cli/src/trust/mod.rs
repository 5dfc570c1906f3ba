//! Pins and signatures: `jackfield lock`, `keygen`, `sign` and `verify`, and the files of minisign keys.

pub(crate) mod keygen;
pub(crate) mod lock;
pub(crate) mod sign;
pub(crate) mod verify;

use std::{fmt::Display, path::Path};

use ct_codecs::{Base64, Decoder as _};
use jackfield_loader::{
    PublicKey,
    files::{self, Access, Facts, FileError},
    show_path,
};
use minisign::{SecretKey, SecretKeyBox};

use crate::exit::CommandError;

/// Largest file of a key, in bytes.
const SIZE_LIMIT: u64 = 16 << 10;

/// The bytes of a secret key that name its derivation from a password, and their value without a password.
const DERIVATION: std::ops::Range<usize> = 2..4;
const NO_PASSWORD: [u8; 2] = [0, 0];

fn unusable(path: &Path, reason: impl Display) -> CommandError {
    CommandError::Unusable(format!("{}: {reason}", show_path(path)))
}

fn read(path: &Path) -> Result<(String, Facts), CommandError> {
    let read = || {
        let file = files::open(path, Access::ReadLinked)?;
        Ok((files::read_open(&file, SIZE_LIMIT)?, Facts::of_file(&file)?))
    };
    read().map_err(|error| match error {
        FileError::Io(error) => CommandError::file(path, "can't be read")(error),
        error => unusable(path, error),
    })
}

/// A public key, from its base64 or from the file that holds it.
fn public_key(key: &str) -> Result<PublicKey, CommandError> {
    if let Ok(key) = key.parse() {
        return Ok(key);
    }
    let path = Path::new(key);
    if !path.exists() {
        let reason =
            "neither a public key of minisign, 56 characters of base64 (RW...), nor a file that is there";
        return Err(unusable(path, reason));
    }
    let (text, _) = read(path)?;
    text.parse().map_err(|error| unusable(path, error))
}

/// A secret key from a file that only its owner may read. The terminal asks for the password.
fn secret_key(path: &Path) -> Result<SecretKey, CommandError> {
    let (text, facts) = read(path)?;
    if text.parse::<PublicKey>().is_ok() {
        return Err(unusable(path, "is a public key, expected the secret key of its pair"));
    }
    if let Some(openness) = facts.openness(path) {
        return Err(unusable(path, format!("a secret key that others may read {openness}")));
    }
    let not_a_key = || unusable(path, "expected a secret key of minisign, as jackfield keygen makes it");
    let bytes = text.lines().nth(1).and_then(|line| Base64::decode_to_vec(line.trim(), None).ok());
    let bytes = bytes.ok_or_else(not_a_key)?;
    if bytes.get(DERIVATION) == Some(&NO_PASSWORD) {
        // minisign does not write the checksum of such a key, so it is not checked.
        return SecretKey::from_bytes(&bytes).map_err(|_| not_a_key());
    }
    let password = rpassword::prompt_password(format!("Password of {}: ", show_path(path)))
        .map_err(CommandError::file(path, "its password is asked for on a terminal"))?;
    let sealed = SecretKeyBox::from_string(&text).map_err(|_| not_a_key())?;
    sealed.into_secret_key(Some(password)).map_err(|error| unusable(path, error))
}
