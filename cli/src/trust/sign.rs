//! `jackfield sign`: makes detached signatures of plugins. It inspects the plugins and runs none of them.

use std::{
    fmt::Display,
    fs,
    path::{Path, PathBuf},
};

use clap::{Args, ValueHint};
use jackfield_loader::{
    Candidate, ForeignText, PublicKey, Signature,
    files::{Mode, Survives, replace},
    show_path,
};
use minisign::SecretKey;
use serde::Serialize;

use crate::{
    console,
    exit::{CommandError, Exit},
    help::Help,
    log,
};

pub(crate) const HELP: Help = Help {
    examples: "  jackfield sign --key jackfield.key librabbitmq.so\n  minisign -S -s jackfield.key -m librabbitmq.so \\\n    \
         -t 'jackfield name=rabbitmq version=1.4.2 target=x86_64-unknown-linux-gnu'",
    notes: "The signature of FILE is FILE.minisig beside it. Its trusted comment has the name, the\n\
         version and the target. minisign makes the same signature.\n\n\
         With --json, a list of: file, signature, trusted_comment, error.",
};

#[derive(Debug, Args)]
pub(crate) struct SignArgs {
    /// Libraries: .so, .dll, .dylib
    #[arg(required = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    files: Vec<PathBuf>,
    /// File of the secret key
    #[arg(long, value_name = "FILE", default_value = "jackfield.key", value_hint = ValueHint::FilePath)]
    key: PathBuf,
}

/// The result for one file.
#[derive(Serialize)]
struct Signed {
    file: ForeignText,
    signature: Option<ForeignText>,
    trusted_comment: Option<String>,
    error: Option<String>,
}

pub(crate) fn run(args: &SignArgs, json: bool) -> Result<Exit, CommandError> {
    let key = super::secret_key(&args.key)?;
    let failed = |error: &dyn Display| CommandError::Unusable(format!("the secret key is damaged: {error}"));
    let public = minisign::PublicKey::from_secret_key(&key).map_err(|error| failed(&error))?;
    let id = public.to_base64().parse::<PublicKey>().map_err(|error| failed(&error))?.id();
    let untrusted = format!("signature by jackfield, key {id}");
    let mut exit = Exit::Done;
    let mut signed = Vec::new();
    for path in &args.files {
        let result = sign(path, &key, &public, &untrusted);
        exit = exit.max(result.as_ref().map_or_else(Exit::from, |_| Exit::Done));
        let error = result.as_ref().err().map(ToString::to_string);
        let (signature, trusted_comment) = result.ok().unzip();
        signed.push(Signed { file: show_path(path), signature, trusted_comment, error });
    }
    if json {
        console::print_json(&signed)?;
        return Ok(exit);
    }
    for Signed { signature, trusted_comment, error, .. } in &signed {
        if let Some(error) = error {
            log::error(error);
        }
        if let (Some(signature), Some(comment)) = (signature, trusted_comment) {
            console::print(&format!("{signature}: {}\n", console::one_line(comment)))?;
        }
    }
    Ok(exit)
}

/// Signs the bytes that were inspected. Gives the file of the signature, and its trusted comment.
fn sign(
    file: &Path,
    key: &SecretKey,
    public: &minisign::PublicKey,
    untrusted: &str,
) -> Result<(ForeignText, String), CommandError> {
    let candidate = Candidate::open(file)?;
    let comment = Signature::comment_for(&candidate.inspection().metadata);
    let failed = |error: &dyn Display| super::unusable(file, format_args!("can't be signed: {error}"));
    let signature = minisign::sign(Some(public), key, candidate.bytes()?, Some(&comment), Some(untrusted));
    let signature = signature.map_err(|error| failed(&error))?.into_string();
    // The loader looks beside the file itself, not beside a link to it.
    let mut path = fs::canonicalize(file).map_err(|error| failed(&error))?.into_os_string();
    path.push(".minisig");
    let path = PathBuf::from(path);
    replace(&path, signature.as_bytes(), Mode::Public, Survives::PowerFailure)
        .map_err(CommandError::file(&path, "can't be written"))?;
    Ok((show_path(&path), comment))
}
