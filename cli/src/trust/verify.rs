//! `jackfield verify`: whether the trust policy allows files. It runs none of them.

use std::path::PathBuf;

use clap::{Args, ValueHint};
use jackfield_loader::{Candidate, Error, Policy, Trust, show_path};
use serde::Serialize;

use crate::{
    console::{self, Colour},
    exit::{CommandError, Exit},
    help::Help,
    settings::CommonArgs,
};

pub(crate) const HELP: Help = Help {
    examples: "  jackfield verify /usr/lib/jackfield/*.so\n  jackfield verify --key jackfield.pub dist/*.so dist/*.dll",
    notes: "With --json, a list of: file, trust (the policy), trusted, refusal.",
};

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// Libraries: .so, .dll, .dylib
    #[arg(required = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    files: Vec<PathBuf>,
    /// Public key, or its file, that must have signed them; may be given several times
    #[arg(long, value_name = "KEY", conflicts_with = "config")]
    key: Vec<String>,
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
    let judge =
        |file: &PathBuf| Candidate::open(file).and_then(|candidate| candidate.allowed_by(&policy)).err();
    let refusals: Vec<_> = args.files.iter().map(judge).collect();
    let exit = refusals.iter().flatten().map(Exit::from).max().unwrap_or(Exit::Done);
    let row = |(file, refusal): (&PathBuf, &Option<Error>)| Row {
        file: show_path(file).to_string(),
        trust: policy.trust().to_string(),
        trusted: refusal.is_none(),
        refusal: refusal.as_ref().map(ToString::to_string),
    };
    let rows: Vec<_> = args.files.iter().zip(&refusals).map(row).collect();
    if common.json { console::print_json(&rows) } else { console::print(&text(&rows)) }?;
    Ok(exit)
}

fn text(rows: &[Row]) -> String {
    let line = |Row { file, trust, refusal, .. }: &Row| {
        let (verdict, colour, what) = match refusal {
            None => ("ok", Colour::Green, file),
            Some(refusal) => ("refused", Colour::Red, refusal),
        };
        format!("{} ({trust}): {}\n", console::paint(verdict, colour), console::one_line(what))
    };
    rows.iter().map(line).collect()
}

/// The policy of the keys on the command line, else the policy of the configuration.
fn policy(common: &CommonArgs, args: &VerifyArgs) -> Result<Policy, CommandError> {
    if args.key.is_empty() {
        return Ok(common.configuration()?.plugins.policy());
    }
    let keys: Result<Vec<_>, _> = args.key.iter().map(|key| super::public_key(key)).collect();
    Ok(Policy::new(Trust::Signed).keys(keys?))
}
