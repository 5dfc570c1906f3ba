//! `jackfield verify`: whether the trust policy allows files. It runs none of them.

use std::path::{Path, PathBuf};

use clap::{Args, ValueHint};
use jackfield_loader::{Candidate, Policy, Trust, show_path};
use serde::Serialize;

use super::keys;
use crate::{
    common_args::{CommonArgs, Help},
    console::{self, Colour},
    exit::{CommandError, Exit},
    output, settings,
};

pub(crate) const HELP: Help = Help {
    examples: "  jackfield verify /usr/lib/jackfield/*.so\n  jackfield verify --key jackfield.pub dist/*.so dist/*.dll",
    notes: "With --json, a list of: file, trust (the policy), trusted, refusal.",
};

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// Libraries: .so, .dll, .dylib
    #[arg(required = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) files: Vec<PathBuf>,
    /// Public key, or its file, that must have signed them; may be given several times
    #[arg(long, value_name = "KEY", conflicts_with = "config")]
    pub(crate) key: Vec<String>,
}

/// The verdict on one file.
#[derive(Serialize)]
struct Row {
    file: String,
    trust: String,
    trusted: bool,
    refusal: Option<String>,
}

pub(crate) fn run(common: &CommonArgs, args: &VerifyArgs) -> Result<Exit, CommandError> {
    let policy = policy(common, args)?;
    let mut exit = Exit::Done;
    let rows: Vec<_> = args.files.iter().map(|file| row(file, &policy, &mut exit)).collect();
    if common.json {
        output::json(&rows)?;
        return Ok(exit);
    }
    let mut text = String::new();
    for row in &rows {
        let line = match &row.refusal {
            None => format!(
                "{} ({}): {}",
                console::paint("ok", Colour::Green),
                row.trust,
                console::one_line(&row.file)
            ),
            Some(refusal) => format!(
                "{} ({}): {}",
                console::paint("refused", Colour::Red),
                row.trust,
                console::one_line(refusal)
            ),
        };
        text.push_str(&line);
        text.push('\n');
    }
    output::text(&text)?;
    Ok(exit)
}

/// The policy of the keys on the command line, else the policy of the configuration.
fn policy(common: &CommonArgs, args: &VerifyArgs) -> Result<Policy, CommandError> {
    if args.key.is_empty() {
        let config = settings::load(common.config.as_deref())?;
        return Ok(config.plugins.policy());
    }
    let keys: Result<Vec<_>, _> = args.key.iter().map(|key| keys::public(key)).collect();
    Ok(Policy::new(Trust::Signed).keys(keys?))
}

fn row(file: &Path, policy: &Policy, exit: &mut Exit) -> Row {
    let verdict = Candidate::open(file).and_then(|candidate| candidate.allowed_by(policy));
    let refusal = verdict.err().map(|refusal| {
        *exit = (*exit).max(Exit::from(&refusal));
        refusal.to_string()
    });
    Row {
        file: show_path(file).to_string(),
        trust: policy.trust().to_string(),
        trusted: refusal.is_none(),
        refusal,
    }
}
