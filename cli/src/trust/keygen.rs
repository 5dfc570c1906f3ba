//! `jackfield keygen`: makes a pair of keys in the format of minisign.

use std::{
    fs,
    io::IsTerminal as _,
    path::{Path, PathBuf},
};

use clap::{Args, ValueHint};
use jackfield_loader::{
    files::{Mode, Survives, create},
    show_path,
};
use minisign::KeyPair;
use serde_json::json;

use crate::{
    console,
    exit::{CommandError, Exit},
    help::Help,
};

pub(crate) const HELP: Help = Help {
    examples: "  jackfield keygen\n  jackfield keygen --no-password ci.key",
    notes: "The keys have the format of minisign, so each program accepts the other's. No file is\n\
         overwritten.\n\nWith --json, one object: secret_key_file, public_key_file, public_key, key_id.",
};

#[derive(Debug, Args)]
pub(crate) struct KeygenArgs {
    /// File of the secret key; the public key is beside it and ends in .pub
    #[arg(default_value = "jackfield.key", value_name = "FILE", value_hint = ValueHint::FilePath)]
    file: PathBuf,
    /// Don't protect the secret key with a password
    #[arg(long)]
    no_password: bool,
}

pub(crate) fn run(args: &KeygenArgs, json: bool) -> Result<Exit, CommandError> {
    let secret = &args.file;
    let public = secret.with_extension("pub");
    if public == *secret {
        return Err(usage("the name of the secret key can't end in .pub, as that of the public key does"));
    }
    for file in [secret, &public] {
        if fs::symlink_metadata(file).is_ok() {
            return Err(super::unusable(file, "exists, and a key is never overwritten"));
        }
    }
    let failed = |error: minisign::PError| CommandError::Unusable(error.to_string());
    let pair = if args.no_password {
        KeyPair::generate_unencrypted_keypair()
    } else {
        KeyPair::generate_encrypted_keypair(Some(new_password()?))
    };
    let pair = pair.map_err(failed)?;
    // The secret key of the pair is already encrypted, so the id is that of the public key.
    let base64 = pair.pk.to_base64();
    let id = super::public_key(&base64)?.id();
    let kind = if args.no_password { "secret" } else { "encrypted secret" };
    let secret_text = pair.sk.to_box(Some(&format!("minisign {kind} key {id}"))).map_err(failed)?.to_string();
    let public_text = format!("untrusted comment: minisign public key {id}\n{base64}\n");
    let write = |file: &Path, text: &str, mode: Mode<'_>| {
        create(file, text.as_bytes(), mode, Survives::PowerFailure)
            .map_err(CommandError::file(file, "can't be made"))
    };
    write(secret, &secret_text, Mode::Private)?;
    write(&public, &public_text, Mode::Public).inspect_err(|_| drop(fs::remove_file(secret)))?;
    let (secret, public) = (show_path(secret), show_path(&public));
    if json {
        console::print_json(&json!({
            "secret_key_file": secret, "public_key_file": public, "public_key": base64, "key_id": id.to_string(),
        }))?;
    } else {
        console::print(&format!(
            "secret key  {secret} (keep it secret: anybody who has it can sign in your name)\n\
             public key  {public}\nkey id      {id}\n\n\
             [plugins]\ntrust = \"signed\"\nkeys  = [\"{base64}\"]\n"
        ))?;
    }
    Ok(Exit::Done)
}

fn usage(refusal: &str) -> CommandError {
    CommandError::Usage(refusal.to_owned())
}

/// A new password, entered twice.
fn new_password() -> Result<String, CommandError> {
    if !std::io::stdin().is_terminal() {
        return Err(usage("the password is asked for on a terminal; without a terminal use --no-password"));
    }
    let prompt = |text| rpassword::prompt_password(text).map_err(CommandError::system("the terminal"));
    let password = prompt("New password: ")?;
    if password.is_empty() {
        return Err(usage("an empty password protects nothing: use --no-password"));
    }
    if prompt("The same again: ")? != password {
        return Err(usage("the passwords differ"));
    }
    Ok(password)
}
