//! `jackfield redact`: what a tool's redaction makes of a text.

use std::{
    io::{self, Read as _},
    path::PathBuf,
};

use clap::{Args, ValueHint};
use jackfield::{Found, PersonalNames, Rule, find_in_message, find_secrets, replace_found};
use serde_json::json;

use crate::{
    console,
    exit::{CommandError, Exit},
    help::Help,
    log,
};

pub(crate) const HELP: Help = Help {
    examples: "  jackfield redact error.log\n  mytool deploy 2>&1 | jackfield redact",
    notes: "Prints the text as a tool with extended collection stores it. Standard error has a line for\n\
         each place: line, column, length in bytes, and the rule that took it. The secrets themselves\n\
         are not printed.\n\n\
         With --json, one object: text, and found (a list of line, column, bytes, rule, and prefix\n\
         for the rule `key`).\n\n\
         Exit code: 0, whether something was taken or not; 7 if the file can't be read.",
};

#[derive(Debug, Args)]
pub(crate) struct RedactArgs {
    /// The text; `-` is standard input
    #[arg(value_name = "FILE", default_value = "-", value_hint = ValueHint::FilePath)]
    file: PathBuf,
    /// Leave personal data, as a tool with `PersonalData::Keep` does
    #[arg(long)]
    keep_personal_data: bool,
}

pub(crate) fn run(args: &RedactArgs, json: bool) -> Result<Exit, CommandError> {
    let text = read(args)?;
    let found = if args.keep_personal_data {
        find_secrets(&text)
    } else {
        find_in_message(&text, &PersonalNames::of_this_process())
    };
    let redacted = replace_found(&text, &found);
    let places = places(&text, &found);
    if json {
        let found: Vec<_> = places
            .iter()
            .map(|Place { line, column, found }| {
                let (rule, bytes) = (found.rule.id(), found.range.len());
                match found.rule {
                    Rule::Key(prefix) => {
                        json!({"line": line, "column": column, "bytes": bytes, "rule": rule, "prefix": prefix})
                    }
                    _ => json!({"line": line, "column": column, "bytes": bytes, "rule": rule}),
                }
            })
            .collect();
        console::print_json(&json!({ "text": redacted, "found": found }))?;
        return Ok(Exit::Done);
    }
    console::print(&redacted)?;
    for Place { line, column, found } in places {
        log::say(format!("{line}:{column}: {} bytes by the rule {}", found.range.len(), found.rule));
    }
    Ok(Exit::Done)
}

#[expect(
    clippy::disallowed_methods,
    reason = "what the user names as input, which may be a FIFO or a device"
)]
fn read(args: &RedactArgs) -> Result<String, CommandError> {
    let mut bytes = Vec::new();
    if args.file.as_os_str() == "-" {
        io::stdin()
            .lock()
            .read_to_end(&mut bytes)
            .map_err(CommandError::system("standard input can't be read"))?;
    } else {
        bytes = std::fs::read(&args.file).map_err(CommandError::file(&args.file, "can't be read"))?;
    }
    Ok(String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}

/// The place of a secret: line and column, from 1, in characters.
struct Place<'f> {
    line: usize,
    column: usize,
    found: &'f Found,
}

fn places<'f>(text: &str, found: &'f [Found]) -> Vec<Place<'f>> {
    let (mut line, mut column, mut at) = (1, 1, 0);
    let mut places = Vec::with_capacity(found.len());
    for found in found {
        for char in text[at..found.range.start].chars() {
            (line, column) = if char == '\n' { (line + 1, 1) } else { (line, column + 1) };
        }
        at = found.range.start;
        places.push(Place { line, column, found });
    }
    places
}
