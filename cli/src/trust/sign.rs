//! `jackfield sign`: detached signatures of plugins, which are inspected and not run.

use std::{
    fmt::Display,
    fs,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use clap::{Args, ValueHint};
use jackfield_loader::{Candidate, KeyId, Signature};
use minisign::SecretKey;
use serde::Serialize;

use super::{keys, replace, with_ending};
use crate::{
    common_args::help,
    console,
    exit::{CommandError, Exit},
    output,
};

pub(crate) static HELP: LazyLock<String> = LazyLock::new(|| {
    help(
        "  jackfield sign --key jackfield.key librabbitmq.so\n  minisign -S -s jackfield.key -m librabbitmq.so \\\n    \
         -t 'jackfield name=rabbitmq version=1.4.2 target=x86_64-unknown-linux-gnu'",
        "\n\nThe signature of FILE is FILE.minisig beside it, whose trusted comment says name,\nversion and target. \
         minisign makes the same.\n\nWith --json, a list of: file, signature, trusted_comment, error.",
    )
});

#[derive(Debug, Args)]
pub(crate) struct SignArgs {
    /// Libraries: .so, .dll, .dylib
    #[arg(required = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) files: Vec<PathBuf>,
    /// File of the secret key
    #[arg(long, value_name = "FILE", default_value = "jackfield.key", value_hint = ValueHint::FilePath)]
    pub(crate) key: PathBuf,
}

/// What became of one file.
#[derive(Serialize)]
struct Signed {
    file: String,
    signature: Option<String>,
    trusted_comment: Option<String>,
    error: Option<String>,
}

pub(crate) fn run(args: &SignArgs, json: bool) -> Result<Exit, CommandError> {
    let key = keys::secret(&args.key)?;
    let id = keys::public_part(&key)?.id();
    let mut exit = Exit::Done;
    let mut signed = Vec::new();
    for file in &args.files {
        let name = file.display().to_string();
        signed.push(match sign(file, &key, id) {
            Ok((signature, comment)) => {
                Signed { file: name, signature: Some(signature), trusted_comment: Some(comment), error: None }
            }
            Err(error) => {
                exit = exit.max(Exit::from(&error));
                let error = Some(error.to_string());
                Signed { file: name, signature: None, trusted_comment: None, error }
            }
        });
    }
    if json {
        output::json(&signed)?;
        return Ok(exit);
    }
    for Signed { signature, trusted_comment, error, .. } in &signed {
        if let Some(error) = error {
            console::error(error);
        }
        if let (Some(signature), Some(comment)) = (signature, trusted_comment) {
            output::text(&(console::one_line(&format!("{signature}: {comment}")) + "\n"))?;
        }
    }
    Ok(exit)
}

/// Signs the bytes that were inspected. Says where the signature is, and its trusted comment.
fn sign(file: &Path, key: &SecretKey, id: KeyId) -> Result<(String, String), CommandError> {
    let candidate = Candidate::open(file)?;
    let comment = Signature::comment_for(&candidate.inspection().metadata);
    let failed =
        |error: &dyn Display| CommandError::Unusable(format!("{}: can't be signed: {error}", file.display()));
    let public = minisign::PublicKey::from_secret_key(key).map_err(|error| failed(&error))?;
    let untrusted = format!("signature by jackfield, key {id}");
    let signature = minisign::sign(Some(&public), key, candidate.bytes(), Some(&comment), Some(&untrusted));
    let signature = signature.map_err(|error| failed(&error))?.into_string();
    // Beside the file itself, which is where the loader looks, and not beside a link to it.
    let path = with_ending(&fs::canonicalize(file).map_err(|error| failed(&error))?, ".minisig");
    replace(&path, &signature).map_err(CommandError::file(&path, "can't be written: "))?;
    Ok((path.display().to_string(), comment))
}
