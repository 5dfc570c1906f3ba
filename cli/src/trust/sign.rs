//! `jackfield sign`: makes detached signatures of plugins. It inspects the plugins and runs none of them.

use std::{
    fmt::Display,
    fs,
    path::{Path, PathBuf},
};

use clap::{Args, ValueHint};
use jackfield_loader::{
    Candidate, KeyId, Signature,
    files::{Mode, Survives, replace},
    show_path,
};
use minisign::SecretKey;
use serde::Serialize;

use super::{keys, with_ending};
use crate::{
    common_args::Help,
    console,
    exit::{CommandError, Exit},
    log, output,
};

pub(crate) const HELP: Help = Help {
    examples: "  jackfield sign --key jackfield.key librabbitmq.so\n  minisign -S -s jackfield.key -m librabbitmq.so \\\n    \
         -t 'jackfield name=rabbitmq version=1.4.2 target=x86_64-unknown-linux-gnu'",
    notes: "The signature of FILE is FILE.minisig beside it, whose trusted comment says name,\nversion and target. \
         minisign makes the same.\n\nWith --json, a list of: file, signature, trusted_comment, error.",
};

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
        let name = show_path(file).to_string();
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
            log::error(error);
        }
        if let (Some(signature), Some(comment)) = (signature, trusted_comment) {
            output::text(&format!("{}\n", console::one_line(format_args!("{signature}: {comment}"))))?;
        }
    }
    Ok(exit)
}

/// Signs the bytes that were inspected. Says where the signature is, and its trusted comment.
fn sign(file: &Path, key: &SecretKey, id: KeyId) -> Result<(String, String), CommandError> {
    let candidate = Candidate::open(file)?;
    let comment = Signature::comment_for(&candidate.inspection().metadata);
    let failed = |error: &dyn Display| {
        CommandError::Unusable(format!("{}: can't be signed: {error}", show_path(file)))
    };
    let public = minisign::PublicKey::from_secret_key(key).map_err(|error| failed(&error))?;
    let untrusted = format!("signature by jackfield, key {id}");
    let signature = minisign::sign(Some(&public), key, candidate.bytes(), Some(&comment), Some(&untrusted));
    let signature = signature.map_err(|error| failed(&error))?.into_string();
    // The loader looks beside the file itself, not beside a link to it.
    let path = with_ending(&fs::canonicalize(file).map_err(|error| failed(&error))?, ".minisig");
    replace(&path, signature.as_bytes(), Mode::Public, Survives::PowerFailure)
        .map_err(CommandError::file(&path, "can't be written"))?;
    Ok((show_path(&path).to_string(), comment))
}
